"""A table's log is followed by its entries, of our own commits too, and deltalake finds the same in it."""

import datetime as dt
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, TableFeatures
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError

from schemas import Plants, RawOtherSets
from schemas.core import PvIntervals
from tests.small_lake import make_frame
from tests.warehouse.pv_rows import pv
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.lake import Lake
from warehouse.lake_reader import build_arrow_schema
from warehouse.lake_table import LakeTable
from warehouse.object_store import CHECKPOINT_AFTER

FIRST, SECOND = dt.date(2026, 3, 1), dt.date(2026, 3, 2)
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """A list that grows with each call of that method of a Delta table."""
    calls: list[str] = []
    real: Callable[..., Any] = getattr(DeltaTable, name)

    def count(table: DeltaTable, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return real(table, *args, **kwargs)

    monkeypatch.setattr(DeltaTable, name, count)
    return calls


@pytest.mark.long
def test_what_a_commit_names_is_on_the_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable: list[str] = []
    named: list[str] = []
    sync, link = os.fsync, os.link

    def watch_sync(descriptor: int) -> None:
        durable.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def watch_link(new: Path, place: Path) -> None:
        assert str(new) in durable
        added = [json.loads(line).get("add") for line in new.read_text().splitlines()]
        assert {f"{place.parents[1]}/{one['path']}" for one in added if one} <= set(durable)
        named.append(place.name)
        link(new, place)

    monkeypatch.setattr(os, "fsync", watch_sync)
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    lake.open_or_create(PvIntervals)
    monkeypatch.setattr(os, "link", watch_link)
    for value in range(CHECKPOINT_AFTER):
        lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST, watts=float(value + 1))])
    log = Path(lake.find_uri(PvIntervals)) / "_delta_log"
    written = {file.name for file in log.iterdir()}
    # The first version, and the one with the checkpoint, are deltalake's: nothing is durable before it has its name.
    by_deltalake = {name for name in written if name.endswith(("json", "parquet"))} - {*named}
    assert by_deltalake <= {Path(file).name for file in durable}
    assert len(named) == CHECKPOINT_AFTER - 1
    assert any("checkpoint" in name for name in by_deltalake)


def test_plain_commits_are_followed_without_deltalake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, other = (Lake(str(tmp_path / "lake"), tmp_path / name) for name in ("a", "b"))
    lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)])
    before = lake.take_snapshot(PvIntervals)
    other.take_snapshot(PvIntervals)
    used = [
        count_calls(monkeypatch, name)
        for name in ("update_incremental", "file_uris", "create_write_transaction")
    ]
    for day in (FIRST, SECOND):
        assert list(lake.read_batches(PvIntervals, {"local_date": day})) or day == SECOND
        assert lake.take_snapshot(PvIntervals) == before
    assert not lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)]).changed
    # The log of a table that was never written is not looked for.
    assert lake.take_snapshot(Plants).version == -1
    # Another handle's commit is news.
    other.replace(PvIntervals, {"local_date": SECOND}, [pv(day=SECOND)])
    assert pl.concat(lake.read_batches(PvIntervals, {"local_date": SECOND})).height
    assert lake.take_snapshot(PvIntervals).version == before.version + 1
    assert used == [[], [], []]


@pytest.mark.long
@pytest.mark.parametrize("folder", ["lake", "a läke of mine"])
def test_deltalake_reads_what_was_committed(tmp_path: Path, folder: str) -> None:
    """Days that come, are replaced and are emptied, up to a checkpoint and beyond it."""
    lake, reader = (Lake(str(tmp_path / folder), tmp_path / name) for name in ("a", "b"))
    uri = lake.find_uri(PvIntervals)
    for step in range(CHECKPOINT_AFTER + 5):
        part = {"local_date": FIRST + dt.timedelta(days=step % 3)}
        rows = pv(day=part["local_date"]).with_columns(pv_generation_w=pl.lit(float(step)))
        kept = rows.clear() if step % 7 == 6 else rows
        written = lake.replace(PvIntervals, part, [kept], empty=True)
        if step % 10 == 0 or step >= CHECKPOINT_AFTER - 3:
            delta = DeltaTable(uri)
            assert delta.version() == written.version == step + 1
            seen = reader.take_snapshot(PvIntervals)
            assert (seen.version, list(seen.files)) == (
                delta.version(),
                sorted(map(unquote, delta.file_uris())),
            )
            assert delta.to_pyarrow_table().num_rows == pl.concat(reader.read_batches(PvIntervals)).height
    assert [entry["operation"] for entry in delta.history()].count("WRITE") == CHECKPOINT_AFTER + 5
    assert len([*Path(uri, "_delta_log").glob("*.checkpoint.parquet")]) == 1


def test_what_is_not_plain_is_read_by_deltalake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that brings columns, and one that names a file that is not there to be removed."""
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)])
    before = lake.take_snapshot(PvIntervals)
    log = Path(lake.find_uri(PvIntervals), "_delta_log")
    reads = count_calls(monkeypatch, "update_incremental")
    table = DeltaTable(lake.find_uri(PvIntervals))
    table.alter.add_columns(DeltaSchema.from_arrow(pa.schema([("new", pa.int64())])).fields)
    assert lake.take_snapshot(PvIntervals) == replace(before, version=before.version + 1)
    assert len(reads) == 1
    remove = {"path": "local_date=2026-03-01/other.parquet", "dataChange": True, "deletionTimestamp": 0}
    text = "\n".join(map(json.dumps, ({"commitInfo": {"operation": "WRITE"}}, {"remove": remove})))
    (log / f"{before.version + 2:020d}.json").write_text(text)
    assert lake.take_snapshot(PvIntervals) == replace(before, version=before.version + 2)
    assert len(reads) == 2
    # Statistics of an active file that are written again.
    entry = (log / f"{before.version:020d}.json").read_text().splitlines()
    (log / f"{before.version + 3:020d}.json").write_text("\n".join(line for line in entry if '"add"' in line))
    assert lake.take_snapshot(PvIntervals) == replace(before, version=before.version + 3)
    assert len(reads) == 3


@pytest.mark.long
@pytest.mark.parametrize(("versions", "begins"), [(12, 0), (CHECKPOINT_AFTER + 5, CHECKPOINT_AFTER - 1)])
def test_of_a_log_deltalake_reads_the_beginning(
    versions: int, begins: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its last checkpoint; what an entry that is missing hides is no older state of the table."""
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    for step in range(versions):
        rows = pv(day=FIRST).with_columns(pv_generation_w=pl.lit(float(step)))
        lake.replace(PvIntervals, {"local_date": FIRST}, [rows])
    read: list[int | None] = []
    real = DeltaTable.__init__

    def note(table: DeltaTable, uri: str, version: int | None = None, **options: Any) -> None:
        read.append(version)
        real(table, uri, version, **options)

    monkeypatch.setattr(DeltaTable, "__init__", note)
    reader = Lake(str(tmp_path / "lake"), tmp_path / "b")
    assert reader.take_snapshot(PvIntervals) == lake.take_snapshot(PvIntervals)
    assert read == [begins]
    Path(lake.find_uri(PvIntervals), "_delta_log", f"{versions - 2:020d}.json").unlink()
    with pytest.raises(UnreadableLogError):
        Lake(str(tmp_path / "lake"), tmp_path / "c").take_snapshot(PvIntervals)


@pytest.mark.long
def test_a_follower_goes_on_where_old_entries_were_removed(tmp_path: Path) -> None:
    """It has followed from a version that deltalake can no longer go on from but by the checkpoint."""
    lake, reader = (Lake(str(tmp_path / "lake"), tmp_path / name) for name in ("a", "b"))
    log = Path(lake.find_uri(PvIntervals), "_delta_log")
    for step in range(CHECKPOINT_AFTER + 5):
        rows = pv(day=FIRST).with_columns(pv_generation_w=pl.lit(float(step)))
        version = lake.replace(PvIntervals, {"local_date": FIRST}, [rows]).version
        if step in {5, CHECKPOINT_AFTER - 5}:
            assert reader.take_snapshot(PvIntervals).version == version
    for entry in sorted(log.glob("*.json"))[: CHECKPOINT_AFTER - 1]:
        entry.unlink()
    assert reader.take_snapshot(PvIntervals) == lake.take_snapshot(PvIntervals)
    assert reader.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)]).version == version + 1


def test_of_two_commits_on_one_version_one_is_refused(tmp_path: Path) -> None:
    """By whichever way the first one came: ours or deltalake's."""
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)])
    schema, uri = build_arrow_schema(PvIntervals), lake.find_uri(PvIntervals)
    first, second, third = (LakeTable(PvIntervals, uri, DeltaTable(uri)) for _ in range(3))
    files, part = first.list_file_uris({"local_date": FIRST}), {"local_date": FIRST}
    first.commit(schema, {"local_date": SECOND}, [], None, {})
    for late in (second, third):
        with pytest.raises(CommitFailedError):
            late.commit(schema, part, files, None, {})
    third.refresh()
    # What was compared is no longer what the part has.
    with pytest.raises(CommitFailedError):
        third.commit(schema, part, [], None, {})
    third.delta.create_write_transaction([], "overwrite", schema, partition_by=[])
    with pytest.raises(CommitFailedError):
        third.commit(schema, part, files, None, {})
    assert DeltaTable(uri).version() == third.version() + 1


@pytest.mark.parametrize("change", ["property", "feature"])
def test_rules_that_another_tool_gave_a_table_are_left_to_deltalake(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    lake.replace(PvIntervals, {"local_date": FIRST}, [pv(day=FIRST)])
    alter = DeltaTable(lake.find_uri(PvIntervals)).alter
    if change == "property":
        alter.set_table_properties({"delta.logRetentionDuration": "interval 30 days"})
    else:
        alter.add_feature(TableFeatures.AppendOnly, allow_protocol_versions_increase=True)
    commits = count_calls(monkeypatch, "create_write_transaction")
    lake.replace(PvIntervals, {"local_date": SECOND}, [pv(day=SECOND)])
    assert len(commits) == 1


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
