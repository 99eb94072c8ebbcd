"""``import ordertape as ot`` gives what the notebook's page names, and quickly."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import ordertape as ot

PROMISED = {
    "EventBatch",
    "EventKind",
    "L3EventType",
    "L3Order",
    "L3Orderbook",
    "L3Repository",
    "L3Side",
    "L3Snapshot",
    "L3StreamStatus",
    "OrderBook",
    "Side",
    "StartL3Request",
    "live",
    "read_capture",
    "read_databento",
    "read_lobster",
    "read_tape",
    "rebuild",
}


def test_every_promised_name_is_there() -> None:
    assert set(ot.__all__) >= PROMISED


def test_all_is_sorted_and_equals_what_can_be_used() -> None:
    assert ot.__all__ == sorted(ot.__all__)
    assert set(ot._HOMES) == set(ot.__all__)
    for name in ot.__all__:
        assert getattr(ot, name).__name__ == name
    assert set(ot.__all__) <= set(dir(ot))


def test_types_see_the_same_names_in_the_same_homes() -> None:
    tree = ast.parse(inspect.getsource(ot))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in blocks[0].body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"ordertape.{home}" for name, home in ot._HOMES.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'read_everything'"):
        ot.read_everything  # noqa: B018 - the access is what is tried


def test_the_import_loads_nothing_heavy() -> None:
    code = "import sys, ordertape; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pyarrow", "pydantic", "databento_dbn"} & set(found.stdout.split())
