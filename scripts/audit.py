"""Compare every pinned package, Python's, Rust's and the page's, with the advisories of osv.dev.

Exit 1 where one is known to be vulnerable, 0 where none is or nobody could be asked: an audit that
needs the network must not decide whether a machine without one may build.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx

TOP = Path(__file__).resolve().parent.parent
SERVER = "https://api.osv.dev"
CONNECT_SECONDS = 5
ANSWER_SECONDS = 60
BATCH = 500
"""Packages of one question; osv.dev takes a thousand."""


def pinned() -> list[tuple[str, str, str]]:
    """(ecosystem, name, version) of everything that set-up installs or builds, once each."""
    lines = (TOP / "constraints.txt").read_text(encoding="utf-8").split()
    found = [
        ("PyPI", name, version) for name, _, version in (line.partition("==") for line in lines)
    ]
    lock = tomllib.loads((TOP / "engine" / "Cargo.lock").read_text(encoding="utf-8"))
    crates = [package for package in lock["package"] if "source" in package]
    found += [("crates.io", crate["name"], crate["version"]) for crate in crates]
    page = json.loads((TOP / "web" / "package-lock.json").read_text(encoding="utf-8"))
    # Each stands under its folder, in another's node_modules where two want different versions.
    npm = {
        ("npm", folder.rpartition("node_modules/")[2], package["version"])
        for folder, package in page["packages"].items()
        if folder
    }
    return found + sorted(npm)


def advisories(
    server: str, packages: list[tuple[str, str, str]]
) -> list[tuple[tuple[str, str, str], list[str]]]:
    """(package, ids of what is known of it) of those of which anything is.  Raises HTTPError,
    ValueError or KeyError where the answer is none."""
    known = []
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    with httpx.Client(timeout=timeout) as client:
        for at in range(0, len(packages), BATCH):
            part = packages[at : at + BATCH]
            queries = [
                {"package": {"ecosystem": ecosystem, "name": name}, "version": version}
                for ecosystem, name, version in part
            ]
            answer = client.post(f"{server}/v1/querybatch", json={"queries": queries})
            results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
            for package, result in zip(part, results, strict=True):
                if vulnerabilities := result.get("vulns"):
                    known.append((package, [found["id"] for found in vulnerabilities]))
    return known


def say(text: str) -> None:
    sys.stdout.write(f"audit: {text}\n")


def main(server: str) -> int:
    packages = pinned()
    try:
        known = advisories(server, packages)
    except (httpx.HTTPError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        say(f"{server} can't be asked ({reason}): {len(packages)} packages not audited")
        return 0
    for (ecosystem, name, version), ids in known:
        say(f"{ecosystem} {name} {version}: {', '.join(ids)}")
    say(f"{len(packages)} packages, advisories of {len(known)}")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else SERVER))
