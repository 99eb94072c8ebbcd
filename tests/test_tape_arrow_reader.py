"""polars and DuckDB read a tape as Arrow, and `archive cold` and the keeper make its files cold."""

from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import ordertape as ot
from ordertape.cli import run
from ordertape.events import COLUMNS
from ordertape.roles.keeper import Keeper
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.file_groups import COLD, PLAIN
from ordertape.tape.folder import MarketFolder
from support.tape import Market, write_journal

QUERY = "SELECT kind, count(*), sum(price), sum(size) FROM events GROUP BY kind ORDER BY kind"


def taped(data: Path, codec: str = "int") -> tuple[MarketFolder, Market]:
    """An archive of several files and a journal that goes on behind it."""
    folder, market = MarketFolder(data, "demo", "X/Y"), Market(codec)
    write_journal(folder, market.messages(300, clear_every=100))
    with closing(Archiver(folder, file_rows_max=200)) as archiver:
        archiver.finish()
    write_journal(folder, market.messages(40))
    return folder, market


def forms(folder: MarketFolder) -> set[str]:
    return {file.path.suffix for file in list_files(folder.archive)}


@pytest.mark.parametrize("codec", ["int", "uuid"])
def test_polars_and_duckdb_see_the_same_in_every_form_of_a_tape(tmp_path: Path, codec: str) -> None:
    folder, market = taped(tmp_path, codec)
    found = []
    for _ in range(2):
        frame = pl.DataFrame(ot.read_arrow(tmp_path, "demo", "X/Y").read_all())
        assert frame.columns == list(COLUMNS)
        assert frame["seq"].max() == market.next_seq - 1
        assert frame["price"].dtype == pl.Decimal(38, 2)
        events = ot.read_arrow(tmp_path, "demo", "X/Y")  # DuckDB finds it by its name
        assert isinstance(events, pa.RecordBatchReader)
        found.append((frame, duckdb.sql(QUERY).fetchall()))
        assert (
            run(["archive", "cold", "demo", "X/Y", "--older-than", "0", "--data", str(tmp_path)])
            == 0
        )
        assert forms(folder) == {COLD}
    assert found[0][0].equals(found[1][0])
    assert found[0][1] == found[1][1]
    ids = found[0][0]["order_id"]
    assert ids.dtype == (pl.UInt64 if codec == "int" else pl.String)
    texts = [text for batch in ot.read_tape(tmp_path, "demo", "X/Y") for text in batch.id_texts()]
    assert ids.cast(pl.String).to_list() == texts


def test_a_span_and_text_ids_are_given_where_they_are_asked_for(tmp_path: Path) -> None:
    taped(tmp_path)
    batches = list(ot.read_tape(tmp_path, "demo", "X/Y"))
    start, end = batches[1].last_ts_recv, batches[-2].last_ts_recv
    table = ot.read_arrow(tmp_path, "demo", "X/Y", start, end, text_ids=True).read_all()
    rows = sum(len(batch) for batch in ot.read_tape(tmp_path, "demo", "X/Y", start, end))
    assert table.num_rows == rows
    assert table.schema.field("order_id").type == pa.string()
    sizes = [size for size in table["size"].to_pylist() if size is not None]
    assert all(isinstance(size, Decimal) for size in sizes)


def test_an_unknown_market_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ot.OrdertapeError, match="no tape of demo X/Y"):
        ot.read_arrow(tmp_path, "demo", "X/Y")


def test_archive_cold_tells_what_it_did_and_does_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = taped(tmp_path)
    monkeypatch.delenv("ORDERTAPE_ARCHIVE_COLD_DAYS", raising=False)
    command = ["archive", "cold", "demo", "X/Y", "--data", str(tmp_path)]
    assert run(command) == 2
    assert "expected --older-than DAYS" in capsys.readouterr().err
    assert forms(folder) == {PLAIN}
    monkeypatch.setenv("ORDERTAPE_ARCHIVE_COLD_DAYS", "36500")
    assert run(command) == 0
    assert "no file of demo X/Y is older than 36,500 days" in capsys.readouterr().out
    assert run([*command, "--older-than", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == len(told["paths"]) == len(list_files(folder.archive))
    assert told["cold_bytes"] < told["plain_bytes"]
    assert run([*command, "--older-than", "1"]) == 0
    assert "not cold yet" in capsys.readouterr().out


def test_a_keeper_makes_old_files_cold_where_it_is_told_to_and_not_otherwise(
    tmp_path: Path,
) -> None:
    folder, _ = taped(tmp_path)
    files = list_files(folder.archive)
    keeper = Keeper(tmp_path)
    keeper.round()
    assert forms(folder) == {PLAIN}
    keeper = Keeper(tmp_path, cold_days=36_500)
    keeper.round()
    assert forms(folder) == {PLAIN}
    keeper = Keeper(tmp_path, cold_days=1)
    for nth in range(len(files)):
        assert len(list(folder.archive.glob(f"events-*{COLD}"))) == nth
        keeper.round()
    assert forms(folder) == {COLD}
