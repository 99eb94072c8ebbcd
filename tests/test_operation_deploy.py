"""What stands in ``deploy/``: units, container, alarms and dashboard against what there is."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ordertape.api.front import BUILT
from ordertape.api.metrics import METRICS
from ordertape.roles.notify import alive
from ordertape.settings import Settings
from ordertape.stream.gap_kinds import GapKind
from ordertape.stream.state import StreamState

TOP = Path(__file__).resolve().parent.parent
DEPLOY = TOP / "deploy"
PAGE = (TOP / "docs" / "operations.md").read_text(encoding="utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "ordertape.json").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
QUERIES = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    },
}
LABELS = {"le", "job"}
VALUES = {
    "state": {state.value for state in StreamState},
    "reason": {kind.value for kind in GapKind},
    "result": {"equal", "different", "failed"},
    "side": {"bid", "ask"},
    "job": {"ordertape"},
}


# Queries ------------------------------------------------------------------------------------------


def metric_of(name: str) -> str:
    """The metric that a sample belongs to."""
    for end in ("_bucket", "_count", "_sum"):
        if METRICS.get(name.removesuffix(end), ("",))[0] == "histogram":
            return name.removesuffix(end)
    return name


@pytest.mark.parametrize("title", QUERIES)
def test_every_query_asks_for_what_there_is(title: str) -> None:
    query = QUERIES[title]
    named = re.findall(r"(ordertape_\w+)(?:\{([^}]*)\})?", query)
    assert named or title == "OrdertapeDown"
    for name, selected in named:
        metric = METRICS[metric_of(name)]
        for label, values in re.findall(r'(\w+)\s*[!=]~?\s*"([^"]*)"', selected):
            assert label in metric.labels, name
            if not values.startswith("$"):
                assert set(values.split("|")) <= VALUES[label], name
        if metric.kind == "counter" or name.endswith("_bucket"):
            assert re.search(rf"(rate|increase)\({name}|{name}{{reason=\"damage\"}} >", query), name
    for by in re.findall(r"\b(?:by|ignoring) \(([^)]*)\)", query):
        known = {label for name, _ in named for label in METRICS[metric_of(name)].labels} | LABELS
        assert set(re.split(r",\s*", by)) <= known
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")


def test_every_metric_but_what_explains_others_is_in_the_dashboard_or_an_alarm() -> None:
    asked = {metric_of(n) for q in QUERIES.values() for n in re.findall(r"ordertape_\w+", q)}
    assert METRICS.keys() - asked == {
        *("ordertape_build_info", "ordertape_stream_simulated", "ordertape_stream_era"),
        *("ordertape_frames_total", "ordertape_snapshots_total", "ordertape_venue_ahead_total"),
        *("ordertape_unsynced_events", "ordertape_unarchived_events"),
    }


def test_the_dashboard_is_whole() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    assert used - known == set()


def test_every_alarm_and_every_kind_of_gap_and_state_has_its_row() -> None:
    shown = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    alarms = [name for name in shown if name.startswith("Ordertape")]
    assert sorted(alarms) == sorted(rule["alert"] for rule in RULES)
    assert {kind.value for kind in GapKind} <= set(shown)
    assert {state.value for state in StreamState} <= set(shown)


def test_alarms_say_what_is_wrong_and_how_bad() -> None:
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "note")
        assert rule["annotations"]["summary"]


# systemd ------------------------------------------------------------------------------------------


def unit(path: Path) -> configparser.ConfigParser:
    class Several(dict[str, Any]):
        """A name may stand several times: the values are told in lines."""

        def __setitem__(self, name: str, value: Any) -> None:
            if name in self and isinstance(value, list) and isinstance(self[name], list):
                value = self[name] + value
            super().__setitem__(name, value)

    parser = configparser.ConfigParser(dict_type=Several, strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # as configparser says
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_one_that_systemd_takes(path: Path, tmp_path: Path) -> None:
    """With the programs of this environment in the place of those that will be installed."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    here = str(Path(sys.executable).parent)
    for each in UNITS:  # they name each other
        text = each.read_text().replace("/opt/ordertape/bin", here)
        (tmp_path / each.name.replace("@.", "@bitfinex.")).write_text(text)
    name = path.name.replace("@.", "@bitfinex.")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "ordertape" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_unprivileged_and_confined(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["User"] == "ordertape"
    assert service["NoNewPrivileges"] == service["ProtectHome"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert int(service["LimitNOFILE"]) >= 65_536
    assert service["EnvironmentFile"] == "-/etc/ordertape/ordertape.env"
    assert service["Restart"] == "always"
    assert (service["Type"] == "notify") == ("WatchdogSec" in service)
    environment = dict(word.split("=", 1) for word in service["Environment"].split())
    settings = {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert environment.keys() - settings == {"XDG_RUNTIME_DIR"}
    assert not re.search(r"(KEY|SECRET|PASS\w*|DATABASE_URL)=", path.read_text())


@pytest.mark.parametrize("name", ["server", "keeper", "collector@"])
def test_a_unit_s_command_is_one(name: str) -> None:
    (path,) = (path for path in UNITS if path.stem == f"ordertape-{name}")
    words = unit(path)["Service"]["ExecStart"].replace("%i", "bitfinex").split()
    assert words[0] in ("/opt/ordertape/bin/ordertape", "/opt/ordertape/bin/python")
    command = [str(Path(sys.executable).parent / Path(words[0]).name), *words[1:], "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in done.stdout


@pytest.mark.parametrize("address", ["path", "abstract"])
def test_systemd_is_told_that_a_role_goes_on(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    alive()  # nobody listens: nothing happens
    name = str(tmp_path / "s") if address == "path" else f"@ordertape-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        alive()
        assert listener.recv(100).split(b"\n") == [b"READY=1", b"WATCHDOG=1"]


# Containers ---------------------------------------------------------------------------------------


def steps_of_the_image() -> list[tuple[str, str]]:
    """(word, what follows) of every step of the Dockerfile, in order."""
    lines = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text()).splitlines()
    told = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(word, rest.strip()) for word, _, rest in told]


def stages_of_the_image() -> dict[str, list[tuple[str, str]]]:
    """The steps of each stage by its name, the last one's by nothing."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for word, rest in steps_of_the_image():
        if word == "FROM":
            _, _, name = rest.partition(" AS ")
            stages[name] = []
        else:
            stages[name].append((word, rest))
    return stages


def test_the_container_is_nobody_s_root_and_says_whether_it_is_ready() -> None:
    steps = steps_of_the_image()
    said = dict(steps)
    assert {word for word, _ in steps} <= {
        *("FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"),
        *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    assert int(said["USER"].partition(":")[0]) > 0
    assert "/readyz" in said["HEALTHCHECK"]
    assert json.loads(said["ENTRYPOINT"])[-1] == "ordertape"
    assert json.loads(said["CMD"])[0] == "serve"
    settings = {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert set(re.findall(r"(ORDERTAPE_\w+)=", said["ENV"])) <= settings
    ignored = (TOP / ".dockerignore").read_text().splitlines()
    copied = {
        source
        for word, rest in steps
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert [name for name in copied if not (TOP / name).exists()] == []


def test_the_image_makes_the_page_by_the_command_of_set_up_and_the_package_carries_it() -> None:
    page, build = stages_of_the_image()["page"], stages_of_the_image()["build"]
    command = dict(page)["RUN"]
    assert command in (TOP / "scripts" / "setup").read_text()
    made = f"{dict(page)['WORKDIR']}/{BUILT.relative_to(TOP)}"
    own = ("COPY", f"--from=page {made} {BUILT.relative_to(TOP)}")
    (installed,) = (nth for nth, (_, rest) in enumerate(build) if "bin/pip install" in rest)
    assert build.index(("COPY", "src src")) < build.index(own) < installed
    packed = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["maturin"]["include"]
    assert packed == [f"{BUILT.relative_to(TOP)}/**/*"]
    # A page that somebody built on this machine is another one.
    assert str(BUILT.relative_to(TOP)) in (TOP / ".dockerignore").read_text().splitlines()


def test_what_the_image_copies_of_the_page_is_enough_to_build_it(tmp_path: Path) -> None:
    """As its stage does, with the packages that set-up installed here."""
    packages = TOP / "web" / "node_modules"
    if not packages.is_dir():
        pytest.skip("the web page is not built: Node 20.19 or newer is needed, then `make setup`")
    page = stages_of_the_image()["page"]
    left_out = {
        line.removeprefix("web/")
        for line in (TOP / ".dockerignore").read_text().splitlines()
        if line.startswith("web/")
    }
    (copied, to) = dict(page)["COPY"].split()
    shutil.copytree(TOP / copied, tmp_path / to, ignore=lambda *_: left_out)
    (tmp_path / to / "node_modules").symlink_to(packages.resolve())
    into, install, build = dict(page)["RUN"].split(" && ")
    assert install.startswith("npm install ")
    done = subprocess.run(
        f"{into} && {build}", shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = tmp_path / BUILT.relative_to(TOP)
    assert (made / "index.html").is_file()
    assert list((made / "assets").glob("*.js"))


def test_the_services_of_compose_are_whole() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    assert set(compose["services"]) == {"server", "postgres"}
    server, postgres = compose["services"]["server"], compose["services"]["postgres"]
    assert (DEPLOY / server["build"]["context"] / server["build"]["dockerfile"]).exists()
    assert server["ports"] == ["127.0.0.1:8000:8000"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["env_file"] == "ordertape.env"
    assert "ports" not in postgres
    named = {volume.split(":")[0] for s in (server, postgres) for volume in s["volumes"]}
    assert named == set(compose["volumes"])
    assert not re.search(r"PASSWORD: \S", text)


def test_the_operator_s_command_means_what_the_units_mean(tmp_path: Path) -> None:
    """With the arguments it was given, whatever is in them."""
    stand_in = tmp_path / "systemd-run"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    stand_in.chmod(0o755)
    given = ["db", "psql", "-c", "SELECT 'a  b'", "/mnt/a folder"]
    done = subprocess.run(
        [DEPLOY / "systemd" / "ordertape", *given],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.split("\0")[:-1]
    service, environment = {}, []
    for line in (DEPLOY / "systemd" / "ordertape-server.service").read_text().splitlines():
        name, _, value = line.partition("=")
        service[name] = value
        environment += value.split() if name == "Environment" else []
    program = said.index(service["ExecStart"].split()[0])
    assert said[program + 1 :] == given
    assert {part.removeprefix("--setenv=") for part in said if "--setenv=" in part} == {
        *environment
    }
    assert f"--uid={service['User']}" in said
    assert f"--gid={service['Group']}" in said
    for name in ("WorkingDirectory", "EnvironmentFile", "UMask"):
        assert f"--property={name}={service[name]}" in said
