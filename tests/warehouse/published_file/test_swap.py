"""A publication replaces the file whole or not at all, cleans up after the dead, and never disturbs a reader."""

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from schemas import (
    TABLES,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    Plants,
    Table,
    columns,
    storage,
)
from tests.home_template import HomeTemplate
from tests.programs import PATIENCE_S
from tests.small_lake import make_frame
from warehouse.lake import Lake, Snapshot
from warehouse.published_file import publication_turn, published_content
from warehouse.published_file.open_published import NotPublishedError, connect
from warehouse.published_file.publication_turn import PublishError
from warehouse.published_file.publish import PublishedFile, publish
from warehouse.published_file.read_only import restrict
from warehouse.views import CuratedView, load_curated_views

WORKER = Path(__file__).with_name("worker.py")
NOW = dt.datetime(2021, 10, 3, tzinfo=dt.UTC)
DAY = dt.date(2021, 10, 1)
PUBLISHES = 8
# What a publication leaves: its lock, its record, itself, and the names that no log can take.
PUBLISHED = [
    ".sunledger.duckdb.lock",
    ".sunledger.duckdb.made-of",
    ".sunledger.duckdb.published",
    "sunledger.duckdb",
    "sunledger.duckdb.wal",
    "sunledger.duckdb.wal.checkpoint",
]


class RemoteLake(Lake):
    """A lake that says it is in an object store."""

    def take_snapshot(self, model: type[Table], part: Any = None) -> Snapshot:
        local = super().take_snapshot(model, part)
        return Snapshot(local.version, tuple(f"s3://bucket{file}" for file in local.files))

    def scan(self, model: type[Table], snapshot: Snapshot | None = None) -> pl.LazyFrame:
        assert snapshot is not None
        local = tuple(file.removeprefix("s3://bucket") for file in snapshot.files)
        return super().scan(model, Snapshot(snapshot.version, local))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "sunledger.duckdb"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    return HomeTemplate(tmp_path_factory.mktemp("home"), lambda home: put(*open_home(home)))


@pytest.fixture
def home(template: HomeTemplate) -> tuple[Lake, Path]:
    """An empty lake, and the file to which its version 1 was published."""
    return open_home(template.restore())


def open_home(home: Path) -> tuple[Lake, Path]:
    return Lake(str(home / "o'lake"), home / "scratch"), home / "out" / "sunledger.duckdb"


def put(lake: Lake, target: Path, version: str = "1") -> None:
    publish(lake, target, now=NOW, version=version)


def version(connection: duckdb.DuckDBPyConnection) -> str:
    ((found,),) = connection.execute("SELECT product_version FROM _meta").fetchall()
    return str(found)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def worker(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Another process of ours, killed at the end if it still runs."""
    command = [sys.executable, str(WORKER), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> Any:
    """What a worker told at its end; its error if it failed."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return json.loads(out)


def test_an_empty_lake_is_published_with_every_table_and_view(empty: PublishedFile) -> None:
    with connect(empty.path) as db:
        for model in TABLES:
            if storage(model).published != "no":
                found = db.table(storage(model).table)
                assert (found.columns, found.pl().height) == ([c.name for c in columns(model)], 0)
        for view in load_curated_views():
            assert db.execute(f"FROM {view.name}").fetchall() == []
        assert db.execute("SELECT first_day, last_day FROM _meta").fetchall() == [(None, None)]


def test_a_new_file_takes_the_place_of_the_old_and_open_readers_keep_theirs(home: tuple[Lake, Path]) -> None:
    lake, target = home
    with connect(target) as before:
        put(lake, target, "2")
        assert version(before) == "1"
    with connect(target) as after:
        assert version(after) == "2"
    assert names(target.parent) == PUBLISHED


def test_what_a_link_leads_to_is_replaced_and_not_the_link(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "sunledger.duckdb"
    link.symlink_to(tmp_path / "disk" / "real.duckdb")
    for number in ("1", "2"):
        put(lake, link, number)
        with connect(link) as db:
            assert version(db) == number
    assert link.is_symlink()
    assert names(tmp_path / "disk") == [name.replace("sunledger", "real") for name in PUBLISHED]


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(
    home: tuple[Lake, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, target = home
    old, inode = target.read_bytes(), target.stat().st_ino
    broken = CuratedView("v_broken", "view", "About.", {"a": "A."}, "SELECT a FROM no_such_table")
    monkeypatch.setattr(published_content, "load_curated_views", lambda: (broken,))
    with pytest.raises(duckdb.CatalogException, match="no_such_table"):
        put(lake, target, "2")
    assert (target.read_bytes(), target.stat().st_ino) == (old, inode)
    assert names(target.parent) == PUBLISHED


def test_a_file_that_the_system_refuses_is_named_with_the_cure(
    home: tuple[Lake, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a matter of free space."""
    lake, target = home

    def refuse(_new: str, _old: str, **_: object) -> None:
        raise PermissionError(1, "Operation not permitted", _new, None, str(target))

    monkeypatch.setattr("os.replace", refuse)
    monkeypatch.setattr(Path, "replace", lambda new, old: refuse(str(new), str(old)))
    with pytest.raises(
        PublishError, match=r"was not published\. /.*/sunledger\.duckdb may not be used by user"
    ):
        put(lake, target, "2")


def test_a_full_disk_is_one_sentence(home: tuple[Lake, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, target = home

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        PublishError, match=r"was not published: .*No space left on device.* is unchanged"
    ) as caught:
        put(lake, target, "2")
    assert "\n" not in str(caught.value)
    with connect(target) as db:
        assert version(db) == "1"
    assert names(target.parent) == PUBLISHED


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("Out of Memory Error: Allocation failure", "may not use enough memory"),
        ("Out of Memory Error: failed to offload data block, max_temp_directory_size is", "free space"),
    ],
)
def test_too_little_memory_is_not_called_a_lack_of_space(
    home: tuple[Lake, Path], monkeypatch: pytest.MonkeyPatch, said: str, cure: str
) -> None:
    lake, target = home

    def refuse(*_: object, **__: object) -> None:
        raise duckdb.OutOfMemoryException(said)

    monkeypatch.setattr("warehouse.published_file.publish.build", refuse)
    with pytest.raises(PublishError, match=f"was not published.*{cure}"):
        put(lake, target, "2")


@pytest.mark.parametrize("model", [EnergyDaily, EnergyBalanceIntervals])
def test_a_lost_file_of_the_lake_is_one_sentence(
    home: tuple[Lake, Path], frame: Any, model: type[Table]
) -> None:
    lake, target = home
    lake.replace(model, {"local_date": DAY}, [frame(model, [{"plant_id": "a"}])])
    for file in lake.take_snapshot(model).files:
        Path(file).unlink()
    with pytest.raises(PublishError, match=r"was not published: .* is missing\. .*repair") as caught:
        put(lake, target, "2")
    assert "part-" in str(caught.value)
    assert "\n" not in str(caught.value)
    with connect(target) as db:
        assert version(db) == "1"


def test_a_folder_in_the_place_of_the_file_is_told_and_kept(lake: Lake, target: Path) -> None:
    target.mkdir(parents=True)
    (target / "keep").touch()
    with pytest.raises(
        PublishError, match=r"was not published. .*sunledger\.duckdb is a folder where a file should be"
    ):
        put(lake, target)
    assert names(target) == ["keep"]


def test_what_a_dead_publisher_left_is_removed_and_other_files_stay(lake: Lake, target: Path) -> None:
    target.parent.mkdir()
    left = target.with_name(".sunledger.duckdb.new-4194304-0badcafe")
    left.write_bytes(b"half a file")
    left.with_name(f"{left.name}.wal").write_bytes(b"")
    left.with_name(f"{left.name}.spill").mkdir()
    (target.parent / ".other.duckdb.new-1-2").touch()
    (target.parent / "sunledger.duckdb.new-notes").touch()
    put(lake, target)
    assert names(target.parent) == sorted([".other.duckdb.new-1-2", "sunledger.duckdb.new-notes", *PUBLISHED])


@pytest.mark.long
def test_publishers_take_turns_and_a_killed_one_blocks_nobody(
    lake: Lake, frame: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.replace(EnergyDaily, {"local_date": DAY}, [frame(EnergyDaily, [{"plant_id": "a"}])])
    put(lake, target, "1")
    with worker("stall", lake.root, target) as other:
        assert other.stdout is not None
        assert json.loads(other.stdout.readline()) == "building"
        monkeypatch.setattr(publication_turn, "LOCK_WAIT_S", 0.0)
        with pytest.raises(PublishError, match=rf"process {other.pid} .* has held .*kill {other.pid}"):
            put(lake, target, "2")
        other.kill()
        other.wait()
    assert any(".new-" in name for name in names(target.parent))
    with connect(target) as db:
        assert version(db) == "1"
    put(lake, target, "3")
    with connect(target) as db:
        assert version(db) == "3"
    assert names(target.parent) == PUBLISHED


def test_detail_from_an_object_store_is_copied(filled: Lake, target: Path) -> None:
    published = publish(RemoteLake(filled.root, filled.scratch), target, now=NOW, version="1")
    assert published.tables["pv_intervals"] == 3
    with connect(target) as db:
        # As 'sunledger sql' does: there is no file of the lake that it would have to be granted.
        restrict(db)
        ours = db.execute("SELECT * FROM pv_intervals").pl()
        kind = db.execute(
            "SELECT table_type FROM information_schema.tables WHERE table_name = 'pv_intervals'"
        )
        assert kind.fetchall() == [("BASE TABLE",)]
        assert len(db.execute("FROM power_of_day('a', DATE '2021-10-01')").fetchall()) == 2
    assert ours.height == 3
    assert ours["pv_generation_kwh"].sum() == pytest.approx(0.75)


def test_the_result_tells_path_size_and_time(home: tuple[Lake, Path]) -> None:
    lake, target = home
    lake.replace(Plants, {}, [make_frame(Plants, [{"plant_id": "a"}])])
    published = publish(lake, target, now=NOW, version="1")
    assert published.path == target
    assert published.bytes == target.stat().st_size
    assert published.seconds > 0


def test_a_time_without_zone_is_refused(lake: Lake, target: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        publish(lake, target, now=NOW.replace(tzinfo=None), version="1")


def test_a_missing_file_is_one_sentence_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match=r"no warehouse at .* yet: run 'sunledger backfill "):
        connect(tmp_path / "sunledger.duckdb")


def test_a_strange_file_is_one_sentence_with_the_cure(tmp_path: Path) -> None:
    file = tmp_path / "sunledger.duckdb"
    file.write_text("not a database, but long enough to have a header" * 500)
    with pytest.raises(
        NotPublishedError, match=r"can't be opened as a warehouse .*'sunledger publish'"
    ) as caught:
        connect(file)
    assert "\n" not in str(caught.value)


def test_a_reader_cannot_write(empty: PublishedFile) -> None:
    with connect(empty.path) as db, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        db.execute("DELETE FROM plants")


@pytest.mark.long
def test_readers_never_see_an_error_or_a_mixture(
    lake: Lake, frame: Any, tmp_path: Path, target: Path
) -> None:
    """Two readers query without pause while another process publishes; one reopens, one holds its connection."""
    plants = [{"plant_id": plant, "local_date": DAY, "pv_generation_kwh": 0.0} for plant in "ab"]
    lake.replace(EnergyDaily, {"local_date": DAY}, [frame(EnergyDaily, plants)])
    lake.replace(EnergyBalanceIntervals, {"local_date": DAY}, [frame(EnergyBalanceIntervals, plants)])
    months = [{"plant_id": plant, "month": DAY, "pv_generation_kwh": 0.0} for plant in "ab"]
    lake.replace(EnergyMonthly, {"month": DAY}, [frame(EnergyMonthly, months)])
    put(lake, target, "0")

    done, seen = tmp_path / "done", [tmp_path / "seen-reopen", tmp_path / "seen-hold"]
    for file in seen:
        file.touch()
    with ExitStack() as stack:
        start = stack.enter_context
        reopens = start(worker("read", target, done, seen[0], "reopen"))
        holds = start(worker("read", target, done, seen[1], "hold"))
        assert said(start(worker("write", lake.root, target, PUBLISHES, *seen))) == "published"
        done.touch()
        assert said(reopens) == [[float(state)] for state in range(PUBLISHES + 1)]
        assert said(holds) == [[0.0]]


def test_rows_without_a_column_of_now_are_told_with_the_cure(
    filled: Lake, target: Path, empty: PublishedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older version has stored them: what a part's file lacks is read as null."""
    target.parent.mkdir()
    shutil.copy(empty.path, target)
    published, scan = target.read_bytes(), Lake.scan

    def older(self: Lake, model: type[Table], snapshot: Snapshot | None = None) -> pl.LazyFrame:
        found = scan(self, model, snapshot)
        return found.with_columns(n_suspect=pl.lit(None, pl.Int64)) if model is EnergyDaily else found

    monkeypatch.setattr(Lake, "scan", older)
    with pytest.raises(PublishError, match=r"n_suspect.*older version.*sunledger rebuild"):
        put(filled, target)
    assert target.read_bytes() == published
