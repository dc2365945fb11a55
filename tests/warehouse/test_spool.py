"""Rows on their way to the lake: the same rows in the same order, from memory and from a file."""

from pathlib import Path

import pyarrow as pa
import pytest

from warehouse.spool import Spool

SCHEMA = pa.schema([("n", pa.int64())])
ROWS = 1000


def tables() -> list[pa.Table]:
    return [pa.table({"n": range(first, first + 100)}, schema=SCHEMA) for first in range(0, ROWS, 100)]


@pytest.mark.parametrize("held_bytes", [0, 3000, 2**20], ids=["file", "file after a while", "memory"])
def test_rows_come_back_in_order_and_more_than_once(tmp_path: Path, held_bytes: int) -> None:
    with Spool(SCHEMA, tmp_path / "scratch", held_bytes) as spool:
        for table in tables():
            spool.add(table)
        for _ in range(2):
            read = pa.Table.from_batches(spool.read_batches(), SCHEMA)
            assert read["n"].to_pylist() == list(range(ROWS))


def test_few_rows_need_no_file(tmp_path: Path) -> None:
    with Spool(SCHEMA, tmp_path / "scratch") as spool:
        spool.add(tables()[0])
        assert not (tmp_path / "scratch").exists()


def test_what_waits_in_the_file_does_not_wait_in_memory(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    with Spool(SCHEMA, tmp_path, 3000) as spool:
        for table in tables():
            spool.add(table)
        del table
        assert pa.total_allocated_bytes() - before <= 3000


def test_nothing_added_is_nothing_read(tmp_path: Path) -> None:
    with Spool(SCHEMA, tmp_path) as spool:
        assert list(spool.read_batches()) == []
