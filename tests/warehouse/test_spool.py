"""Rows on their way to the lake: the same rows in the same order, from memory and from a file."""

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from warehouse.spool import SharedMemory, Spool

SCHEMA = pa.schema([("n", pa.int64())])
ROWS = 1000


def tables() -> list[pa.Table]:
    return [pa.table({"n": range(first, first + 100)}, schema=SCHEMA) for first in range(0, ROWS, 100)]


@pytest.mark.parametrize("held_bytes", [0, 3000, 2**20], ids=["file", "file after a while", "memory"])
def test_rows_come_back_in_order_and_more_than_once(tmp_path: Path, held_bytes: int) -> None:
    with Spool(SCHEMA, tmp_path / "scratch", SharedMemory(held_bytes)) as spool:
        for table in tables():
            spool.add(table)
        for _ in range(2):
            read = pa.Table.from_batches(spool.read_batches(), SCHEMA)
            assert read["n"].to_pylist() == list(range(ROWS))


def test_few_rows_need_no_file(tmp_path: Path) -> None:
    with Spool(SCHEMA, tmp_path / "scratch", SharedMemory()) as spool:
        spool.add(tables()[0])
        assert not (tmp_path / "scratch").exists()


def test_what_waits_in_the_file_does_not_wait_in_memory(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    with Spool(SCHEMA, tmp_path, SharedMemory(3000)) as spool:
        for table in tables():
            spool.add(table)
        del table
        assert pa.total_allocated_bytes() - before <= 3000


def test_nothing_added_is_nothing_read(tmp_path: Path) -> None:
    with Spool(SCHEMA, tmp_path, SharedMemory()) as spool:
        assert list(spool.read_batches()) == []


def test_spools_that_are_open_at_once_share_the_memory(tmp_path: Path) -> None:
    before, memory = pa.total_allocated_bytes(), SharedMemory(3000)
    with ExitStack() as opened:
        spools = [opened.enter_context(Spool(SCHEMA, tmp_path, memory)) for _ in range(7)]
        for table in tables():
            for spool in spools:
                spool.add(table)
        del table
        assert pa.total_allocated_bytes() - before <= 3000
        for spool in spools:
            assert pa.Table.from_batches(spool.read_batches(), SCHEMA)["n"].to_pylist() == list(range(ROWS))


def test_a_closed_spool_gives_its_memory_back(tmp_path: Path) -> None:
    memory = SharedMemory(3000)
    for _ in range(7):
        with Spool(SCHEMA, tmp_path / "scratch", memory) as spool:
            for table in tables()[:3]:
                spool.add(table)
    assert not (tmp_path / "scratch").exists()
