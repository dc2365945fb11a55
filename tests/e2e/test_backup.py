"""Backup and restore: all state comes back elsewhere, byte for byte where it counts, and half a file is refused."""

import datetime as dt
import errno
import fcntl
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from assets.home_setup.dagster_home import open_dagster
from assets.runs import record_runs
from pipeline.billing.lost_requests import add_lost_days, read_lost_days
from pipeline.common.day_availability import list_days
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.settings import Settings
from pipeline.ops import backup, database_copy
from pipeline.ops.backup import back_up
from pipeline.ops.restore import restore_backup
from pipeline.run.context import RunContext
from schemas import EnergyDaily
from tests.programs import PATIENCE_S, environment
from tests.programs import run as program
from tests.whole_days import MONDAY, run
from warehouse.lake import Lake
from warehouse.verification.verify import verify_lake


@pytest.fixture
def stored(new_runtime: Callable[..., RunContext], settings: Settings) -> Iterator[RunContext]:
    """A home with a day, a login, and what a dead run left."""
    with new_runtime() as runtime:
        run(runtime, MONDAY)
        (settings.home / "credentials").mkdir(exist_ok=True)
        (settings.home / "credentials" / "login").write_text("a login")
        (settings.home / "credentials" / "login").chmod(0o600)
        (settings.home / "claims" / "left.claims").write_text("by a run that was killed")
        (settings.home / "tmp").mkdir(exist_ok=True)
        (settings.home / "tmp" / "left").write_text("by a run that was killed")
        yield runtime


@pytest.fixture
def saved(stored: RunContext, settings: Settings, tmp_path: Path) -> Path:
    """A backup of it, without the records of Dagster, which take seconds."""
    back_up(settings, tmp_path / "backup.tar", print)
    return tmp_path / "backup.tar"


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    home = tmp_path / "other" / "home"
    return settings.model_copy(
        update={"home": home, "lake": str(home / "lake"), "warehouse": home / "sunledger.duckdb"}
    )


def test_all_state_comes_back_elsewhere(stored: RunContext, settings: Settings, tmp_path: Path) -> None:
    other = elsewhere(settings, tmp_path)
    with record_runs(stored) as runs:
        runs.publish()
    back_up(settings, tmp_path / "backup.tar", print)
    restore_backup(other, tmp_path / "backup.tar")
    before, after = (Lake(s.lake, tmp_path / "tmp") for s in (settings, other))
    assert after.scan(EnergyDaily).collect().equals(before.scan(EnergyDaily).collect())
    assert [found.fault for found in verify_lake(after) if found.fault] == []
    assert (other.home / "credentials" / "login").read_text() == "a login"
    assert stat.S_IMODE((other.home / "credentials" / "login").stat().st_mode) == 0o600
    assert not (other.home / "tmp" / "left").exists()
    assert not (other.home / "claims").exists()
    with open_dagster(other) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("warehouse")) is not None


def test_a_folder_that_cannot_be_read_is_not_left_out(
    stored: RunContext, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir
    (settings.home / "lost+found").mkdir()

    def refuse(place: Any) -> Any:
        if not isinstance(place, int) and Path(place).name in {"credentials", "lost+found"}:
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SunledgerError, match=rf"^{settings.home}/credentials may not be used by user "):
        back_up(settings, tmp_path / "backup.tar", print)
    assert not (tmp_path / "backup.tar").exists()


# The time basis of the saved home: the program makes tables that it lacks, and must read the answers as they were read.
TIME_BASIS = {"SMA_TIME_BASIS": "plant_local"}

# The program itself, killed once it has moved so many folders.
KILLED = """
import os, shutil, signal, sys
left, move = int(sys.argv.pop(1)), shutil.move
def dying(*args):
    global left
    move(*args)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
shutil.move = dying
from pipeline.cli import main
main()
"""


@pytest.mark.long
@pytest.mark.parametrize("moves", [1, 2])
def test_a_restore_that_is_killed_leaves_all_or_nothing(
    saved: Path, settings: Settings, tmp_path: Path, moves: int
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, str(moves), "restore", str(saved)],
        cwd=folder,
        env=environment(folder, **TIME_BASIS),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    if (folder / "home").exists():
        # All of it is there: nothing is missing but the published file.
        assert program(folder, "restore", str(saved), **TIME_BASIS)[0] == 2
        code, said = program(folder, "publish", **TIME_BASIS)
    else:
        code, said = program(folder, "restore", str(saved), **TIME_BASIS)
        assert "They are published now: if that fails, run 'sunledger publish'." in said
    assert code == 0, said
    lake = Lake(str(folder / "home" / "lake"), tmp_path / "tmp")
    before = Lake(settings.lake, tmp_path / "tmp").scan(EnergyDaily).collect()
    assert before.height
    assert lake.scan(EnergyDaily).collect().equals(before)


def test_what_a_dead_restore_has_unpacked_is_removed_and_that_of_a_living_one_is_not(
    saved: Path, settings: Settings, tmp_path: Path
) -> None:
    other = elsewhere(settings, tmp_path)
    other.home.parent.mkdir()
    dead, living = (other.home.parent / f".sunledger-restore-{name}" for name in ("dead", "living"))
    for folder in (dead, living):
        (folder / "home").mkdir(parents=True)
    held = os.open(living, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    restore_backup(other, saved)
    os.close(held)
    assert sorted(other.home.parent.iterdir()) == sorted([living, other.home])


def test_folders_that_were_moved_to_another_disk_are_backed_up_and_no_other_link_is_followed(
    stored: RunContext, settings: Settings, tmp_path: Path
) -> None:
    for folder in (settings.home / "credentials", Path(settings.lake) / "energy_daily"):
        shutil.move(folder, tmp_path / folder.name)
        folder.symlink_to(tmp_path / folder.name)
    (settings.home / "more").symlink_to(tmp_path / "credentials")
    (settings.home / "back").symlink_to(settings.home)
    (settings.home / "requests").mkdir(exist_ok=True)
    (settings.home / "requests" / "requests").symlink_to(settings.home / "requests")
    back_up(settings, tmp_path / "backup.tar", print)
    other = elsewhere(settings, tmp_path)
    restore_backup(other, tmp_path / "backup.tar")
    assert (other.home / "credentials" / "login").read_text() == "a login"
    assert not (other.home / "more").exists()
    before, after = (Lake(s.lake, tmp_path / "tmp") for s in (settings, other))
    assert after.scan(EnergyDaily).collect().equals(before.scan(EnergyDaily).collect())
    assert before.scan(EnergyDaily).collect().height


def test_an_empty_home_replaces_no_backup(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    target.write_bytes(b"of yesterday")
    shutil.rmtree(settings.home, ignore_errors=True)
    (settings.home / "tmp").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"There is nothing to back up in .* mount its disk"):
        back_up(settings, target, print)
    assert target.read_bytes() == b"of yesterday"


def test_only_the_owner_can_read_a_backup(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert list(saved.parent.glob(".*.part")) == []


def test_a_backup_that_is_cut_short_or_damaged_restores_nothing(
    saved: Path, settings: Settings, tmp_path: Path
) -> None:
    content = saved.read_bytes()
    other = elsewhere(settings, tmp_path)
    place = content.index(b"a login")
    for bad in (content[: len(content) // 2], content[:place] + b"b" + content[place + 1 :], b"nothing"):
        saved.write_bytes(bad)
        with pytest.raises(SunledgerError):
            restore_backup(other, saved)
        assert not other.home.exists()


def test_a_lake_of_files_is_not_left_out_where_the_settings_name_an_object_store(
    saved: Path, settings: Settings, tmp_path: Path
) -> None:
    other = elsewhere(settings, tmp_path).model_copy(update={"lake": "s3://bucket/prefix"})
    with pytest.raises(UsageError, match="holds a lake of files, and SUNLEDGER_LAKE names an object store"):
        restore_backup(other, saved)
    assert not other.home.exists()


def test_a_disk_that_is_too_small_for_what_a_backup_holds_is_named(
    saved: Path, settings: Settings, tmp_path: Path
) -> None:
    """The backup was called unreadable, and another one was to be chosen."""
    other, limits = elsewhere(settings, tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SunledgerError) as caught:
            restore_backup(other, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value).startswith(
        f"{other.home.parent} can't take what the backup holds (File too large)"
    )
    assert list(other.home.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../outside", tarfile.REGTYPE), ("/outside", tarfile.REGTYPE), ("home/link", tarfile.SYMTYPE)],
)
def test_a_strange_archive_writes_nothing(settings: Settings, tmp_path: Path, name: str, kind: bytes) -> None:
    source = tmp_path / "strange.tar"
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    with tarfile.open(source, "w") as archive:
        archive.addfile(entry)
    other = elsewhere(settings, tmp_path)
    with pytest.raises(SunledgerError, match=r"can't be read as a backup.*does not belong in a backup"):
        restore_backup(other, source)
    assert list(other.home.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "listed"),
    [
        ({"path": "home/a\0b"}, b"{}"),
        ({"mtime": "nan"}, b"{}"),
        ({"mtime": "1e400"}, b"{}"),
        ({}, b"[]"),
        ({}, b"[" * 100_000),
    ],
)
def test_an_archive_with_values_that_nothing_can_have_is_no_backup(
    settings: Settings, tmp_path: Path, headers: dict[str, str], listed: bytes
) -> None:
    source = tmp_path / "strange.tar"
    with tarfile.open(source, "w") as archive:
        for name, content, more in (("home/x", b"", headers), ("manifest.json", listed, {})):
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = len(content), more
            archive.addfile(entry, io.BytesIO(content))
    other = elsewhere(settings, tmp_path)
    with pytest.raises(SunledgerError, match="choose another backup file"):
        restore_backup(other, source)
    assert list(other.home.parent.iterdir()) == []


def archive(source: Path, files: dict[str, int], listed: dict[str, str]) -> Path:
    """An archive of empty files, each with its mode, and the list of them that a backup has."""
    text = json.dumps(listed).encode()
    with tarfile.open(source, "w") as tar:
        for name, mode in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            tar.addfile(entry)
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return source


EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("more", ["home/dagster/added", "lake/added", "added"])
def test_what_the_list_does_not_name_is_not_taken(settings: Settings, tmp_path: Path, more: str) -> None:
    source = archive(tmp_path / "added.tar", {"home/x": 0o640, more: 0o640}, {"home/x": EMPTY})
    other = elsewhere(settings, tmp_path)
    with pytest.raises(SunledgerError, match=rf"added\.tar holds {more}, which its list .* choose another"):
        restore_backup(other, source)
    assert list(other.home.parent.iterdir()) == []


def test_a_listed_file_outside_of_the_archive_is_not_looked_at(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"")
    source = archive(
        tmp_path / "strange.tar", {"home/x": 0o640}, {"home/x": EMPTY, str(tmp_path / "outside"): EMPTY}
    )
    with pytest.raises(SunledgerError, match=r"is damaged at .*outside"):
        restore_backup(elsewhere(settings, tmp_path), source)


@pytest.mark.parametrize(("readers", "mode"), [("owner", 0o600), ("group", 0o640), ("all", 0o644)])
def test_the_settings_say_who_may_read_what_was_restored(
    settings: Settings, tmp_path: Path, readers: str, mode: int
) -> None:
    files = {"home/open": 0o6777, "home/closed": 0o600, "home/none": 0, "home/credentials/login": 0o6777}
    source = archive(tmp_path / "open.tar", files, dict.fromkeys(files, EMPTY))
    other = elsewhere(settings, tmp_path).model_copy(update={"readable_by": readers})
    restore_backup(other, source)
    modes = {name: stat.S_IMODE((other.home.parent / name).stat().st_mode) for name in files}
    assert modes == dict(zip(files, (mode, 0o600, 0o600, 0o600), strict=True))
    assert stat.S_IMODE((other.home / "credentials").stat().st_mode) == 0o700


@pytest.mark.parametrize("step", ["gettarinfo", "addfile"])
def test_what_a_run_adds_to_a_file_meanwhile_spoils_no_backup(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """As it does to its record of requests."""
    record = settings.home / "requests" / "run.jsonl"
    record.parent.mkdir(parents=True)
    record.write_text("one\n")
    work = getattr(tarfile.TarFile, step)

    def work_late(*given: Any, **named: Any) -> Any:
        with record.open("a") as file:
            file.write("two\n")
        return work(*given, **named)

    monkeypatch.setattr(tarfile.TarFile, step, work_late)
    back_up(settings, tmp_path / "backup.tar", print)
    other = elsewhere(settings, tmp_path)
    restore_backup(other, tmp_path / "backup.tar")
    assert (other.home / "requests" / "run.jsonl").read_text().startswith("one\n")


@pytest.mark.parametrize("is_older", [False, True])
def test_requests_after_the_backup_are_known_to_be_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_older: bool
) -> None:
    """SMA charges what the home asked for until it was lost, and the backup can't know of it."""
    if is_older:
        # A backup of a version that did not say when it was made.
        monkeypatch.setattr(backup, "time", SimpleNamespace(time=lambda: 0.0))
    begun = dt.datetime.now(dt.UTC)
    three_days_ago = begun - dt.timedelta(days=3)
    (settings.home / "lake").mkdir(parents=True)
    (settings.home / "lake" / "file").write_text("")
    add_lost_days(settings.home, [dt.date(2026, 1, 2)])
    for file in settings.home.rglob("*"):
        os.utime(file, (three_days_ago.timestamp(),) * 2)
    back_up(settings, tmp_path / "backup.tar", print)
    other = elsewhere(settings, tmp_path)
    restore_backup(other, tmp_path / "backup.tar")
    first = three_days_ago if is_older else begun
    days = list_days(first.date(), dt.datetime.now(dt.UTC).date())
    assert read_lost_days(other.home) == {dt.date(2026, 1, 2), *days}
    assert read_lost_days(settings.home) == {dt.date(2026, 1, 2)}


def test_a_backup_of_a_clock_that_was_ahead_hides_no_lost_request(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime.now(dt.UTC)
    today, ahead = now.date(), now + dt.timedelta(days=365)
    (settings.home / "credentials").mkdir(parents=True)
    (settings.home / "credentials" / "login").write_text("a login")
    for days in (-9, -2, 300):
        folder = settings.home / "lake" / "api_requests" / f"asked_date={today + dt.timedelta(days=days)}"
        folder.mkdir(parents=True)
        (folder / "part").write_text("")
    monkeypatch.setattr(backup, "time", SimpleNamespace(time=ahead.timestamp))
    back_up(settings, tmp_path / "backup.tar", print)
    other = elsewhere(settings, tmp_path)
    restore_backup(other, tmp_path / "backup.tar")
    last = dt.datetime.now(dt.UTC).date()
    assert read_lost_days(other.home) == {*list_days(today - dt.timedelta(days=2), last)}


def test_a_file_that_a_killed_writer_left_under_two_names_is_restored_as_two(
    settings: Settings, tmp_path: Path
) -> None:
    log = settings.home / "lake" / "plants" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("{}")
    os.link(log / "00000000000000000000.json", log / ".00000000000000000000.json.0a1b2c3d.new")
    back_up(settings, tmp_path / "backup.tar", print)
    other = elsewhere(settings, tmp_path)
    assert restore_backup(other, tmp_path / "backup.tar") == 2
    assert {file.read_text() for file in (Path(other.lake) / "plants" / "_delta_log").iterdir()} == {"{}"}


def test_a_restore_never_overwrites_and_a_backup_never_holds_itself(saved: Path, settings: Settings) -> None:
    with pytest.raises(UsageError, match="is not empty"):
        restore_backup(settings, saved)
    with pytest.raises(UsageError, match="inside of the folder to back up"):
        back_up(settings, settings.home / "backup.tar", print)


def test_records_that_are_locked_are_waited_for_with_a_bound(
    stored: RunContext, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped with the lock of one of Dagster's files had a backup wait forever, without a word."""
    monkeypatch.setattr(database_copy, "PATIENCE_S", 0.6)
    monkeypatch.setattr(database_copy, "TELL_FROM_S", 0.3)
    records, told = settings.home / "dagster" / "runs.db", list[str]()
    records.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(records, isolation_level=None)) as other:
        other.execute("CREATE TABLE runs (id)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            SunledgerError, match=r"has locked .*runs\.db for 0\.6 s, so no backup was written"
        ):
            back_up(settings, tmp_path / "backup.tar", told.append)
    assert [f"{records}. Waiting" in one for one in told] == [True]
    assert not (tmp_path / "backup.tar").exists()


def test_damaged_records_are_backed_up_as_they_are(settings: Settings, tmp_path: Path) -> None:
    """It was called a bug of the program, and there was no backup of the lake."""
    records, told = settings.home / "dagster" / "runs.db", list[str]()
    records.parent.mkdir(parents=True)
    records.write_bytes(backup.SQLITE + b"x" * 5000)
    back_up(settings, tmp_path / "backup.tar", told.append)
    assert [f"{records} can't be read as a database" in one for one in told] == [True]
    other = elsewhere(settings, tmp_path)
    restore_backup(other, tmp_path / "backup.tar")
    assert (other.home / "dagster" / "runs.db").read_bytes() == records.read_bytes()


@pytest.mark.parametrize("said", ["unable to open database file", "disk I/O error"])
def test_records_on_a_disk_that_is_read_only_or_full_are_backed_up_with_their_log(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Just where a backup is needed most sound records were called damaged, and stored without their last runs."""
    records, told = settings.home / "dagster" / "runs.db", list[str]()
    records.parent.mkdir(parents=True)
    with closing(sqlite3.connect(records)) as writing:
        writing.execute("PRAGMA journal_mode = WAL")
        writing.execute("CREATE TABLE runs (id)")
        writing.commit()
        # What is committed is in the log alone, whose index would have to be written beside it.
        with monkeypatch.context() as refusing:
            refusing.setattr(sqlite3, "connect", partial(_refuse_beside, records, said, sqlite3.connect))
            back_up(settings, tmp_path / "backup.tar", told.append)
    assert told == []
    other = elsewhere(settings, tmp_path)
    restore_backup(other, tmp_path / "backup.tar")
    with closing(sqlite3.connect(other.home / "dagster" / "runs.db")) as restored:
        assert restored.execute("SELECT * FROM runs").fetchall() == []


def _refuse_beside(
    refused: Path, said: str, connect: Callable[[Path], sqlite3.Connection], path: Path
) -> sqlite3.Connection:
    if path == refused:
        raise sqlite3.OperationalError(said)
    return connect(path)


def test_a_folder_without_room_for_a_copy_of_records_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another disk than that of the backup; the records were called damaged."""
    records, connect = settings.home / "dagster" / "runs.db", sqlite3.connect
    records.parent.mkdir(parents=True)
    with closing(connect(records)) as writing:
        writing.execute("CREATE TABLE runs (id)")

    def connect_small(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        if path.name == "copy.db":
            connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_small)
    with pytest.raises(
        SunledgerError, match=r"no room for a copy of .*runs\.db in .* name another folder in TMPDIR"
    ):
        back_up(settings, tmp_path / "backup.tar", print)
    assert not (tmp_path / "backup.tar").exists()


class Unreadable(io.RawIOBase):
    """An open file that the disk can't read."""

    def __init__(self, path: Path) -> None:
        self._file, self.name = path.open("rb", buffering=0), str(path)

    def fileno(self) -> int:
        return self._file.fileno()

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def close(self) -> None:
        self._file.close()
        super().close()


def test_a_backup_names_what_the_disk_can_not_read(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the backup was to be checked."""
    bad = settings.home / "known-tables.json"
    bad.parent.mkdir(parents=True)
    bad.write_text("of no matter")
    monkeypatch.setattr(
        backup,
        "_copy_if_changing",
        lambda *_: SimpleNamespace(open=lambda _: io.BufferedReader(Unreadable(bad))),
    )
    with pytest.raises(
        SunledgerError, match=rf"was not written, because {bad} can't be read or written \(Input/output"
    ):
        back_up(settings, tmp_path / "backup.tar", print)


def test_a_home_has_its_name_once_all_of_it_is_on_the_disk(
    saved: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut right after a restore left the names of 205 files that were empty."""
    other, looks = elsewhere(settings, tmp_path), []
    monkeypatch.setattr(os, "sync", lambda: looks.append(other.home.exists()))
    restore_backup(other, saved)
    assert looks == [False, True]


def test_a_home_that_is_a_volume_is_filled_and_its_lake_comes_last(
    saved: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a mount point, or a link, leads to can't be exchanged; a new volume has folders of the image or its own."""
    volume, other = tmp_path / "volume", elsewhere(settings, tmp_path)
    for folder in ("lost+found", "dagster", "lake"):
        (volume / folder).mkdir(parents=True)
    (volume / "lost+found" / "block").write_text("of the file system")
    other.home.parent.mkdir()
    other.home.symlink_to(volume)
    (settings.home / "known-tables.json").write_text("[]")
    back_up(settings, saved, print)
    moved, move = list[str](), shutil.move

    def note_move(part: Path, place: Path) -> None:
        moved.append(Path(place).name)
        move(part, place)

    monkeypatch.setattr(shutil, "move", note_move)
    restore_backup(other, saved)
    # At first the lake comes to the rest of the home, beside both.
    assert (moved[0], moved[1], moved[-1]) == ("lake", "known-tables.json", "lake")
    assert other.home.is_symlink()
    assert (volume / "lost+found" / "block").exists()
    assert not list(volume.glob(".sunledger-restore-*"))
    stored = Lake(settings.lake, tmp_path / "tmp").scan(EnergyDaily).collect()
    assert Lake(other.lake, tmp_path / "tmp").scan(EnergyDaily).collect().equals(stored)
    with pytest.raises(UsageError, match="is not empty"):
        restore_backup(other, saved)
