"""A table's log is read again only where something was committed, and its files are listed once a version."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from schemas import Plants, RawOtherSets
from schemas.core import PvIntervals
from tests.warehouse.publish.conftest import make_frame
from tests.warehouse.test_lake import pv
from warehouse.lake import Lake
from warehouse.lake_table import LakeTable

FIRST, SECOND = dt.date(2026, 3, 1), dt.date(2026, 3, 2)
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """A list that grows with each call of that method of a Delta table."""
    calls: list[str] = []
    real: Callable[..., Any] = getattr(DeltaTable, name)

    def count(table: DeltaTable, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return real(table, *args, **kwargs)

    monkeypatch.setattr(LakeTable, name, count, raising=False)
    return calls


def test_a_log_without_news_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, other = (Lake(str(tmp_path / "lake"), tmp_path / name) for name in ("a", "b"))
    lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)])
    before = lake.take_snapshot(PvIntervals)
    reads, lists = (count_calls(monkeypatch, name) for name in ("update_incremental", "file_uris"))
    for day in (FIRST, SECOND):
        assert list(lake.read_batches(PvIntervals, {"local_date": day})) or day == SECOND
        assert lake.take_snapshot(PvIntervals) == before
    assert (reads, lists) == ([], [])
    # Another process's commit is news, and is read once.
    other.replace(PvIntervals, {"local_date": SECOND}, [pv(day=SECOND)])
    reads.clear()
    assert pl.concat(lake.read_batches(PvIntervals, {"local_date": SECOND})).height
    assert lake.take_snapshot(PvIntervals).version == before.version + 1
    assert lake.take_snapshot(Plants).version == -1
    assert len(reads) == 1


def test_a_log_that_lost_its_newest_entry_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file name can't tell then."""
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)])
    version = lake.take_snapshot(PvIntervals).version
    (tmp_path / "lake" / "pv_intervals" / "_delta_log" / f"{version:020d}.json").unlink()
    reads = count_calls(monkeypatch, "update_incremental")
    lake.take_snapshot(PvIntervals)
    assert len(reads) == 1


def test_files_are_found_by_all_their_folders_or_some(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    parts: list[dict[str, dt.date | str]] = [
        {"local_date": day, "set_type": source} for day in (FIRST, SECOND) for source in ("a", "b")
    ]
    for part in parts:
        lake.replace(
            RawOtherSets,
            part,
            [
                make_frame(
                    RawOtherSets,
                    [
                        part
                        | {
                            "body": b"{}",
                            "fetched_at": NOON,
                            "status": 200,
                            "time_basis": "utc",
                            "attempts": 1,
                        }
                    ],
                )
            ],
        )
    for part in parts:
        assert len(lake.take_snapshot(RawOtherSets, part).files) == 1
    assert len(lake.take_snapshot(RawOtherSets, {"local_date": FIRST}).files) == 2
    assert len(lake.take_snapshot(RawOtherSets, {"set_type": "a"}).files) == 2
    assert len(lake.take_snapshot(RawOtherSets).files) == 4
    with pytest.raises(ValueError, match="cannot name a part"):
        lake.take_snapshot(RawOtherSets, {"local_date": "x' OR 1=1"})
