"""Programs that open the published file for writing: no publication is changed by what was done to an earlier one."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from schemas import EnergyDaily
from tests.home_template import HomeTemplate
from tests.small_lake import FIRST, NOW, make_frame
from warehouse.lake import Lake
from warehouse.published_file.open_published import NotPublishedError, connect
from warehouse.published_file.publication import find_content_damage, is_recorded
from warehouse.published_file.publish import publish

# Opens a file for writing, and runs each line that it is sent.
CLIENT = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    try:
        connection.execute(line)
        print("done", flush=True)
    except duckdb.Error as fault:
        print(str(fault).splitlines()[0], flush=True)
"""
UPDATE = "UPDATE energy_daily SET pv_generation_kwh = 999"


class Client:
    """A program in a process of its own that has the file open for writing."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def run(self, statement: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{statement}\n")
        self.process.stdin.flush()
        return self.said()

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def writing(file: Path) -> Iterator[Client]:
    command = [sys.executable, "-c", CLIENT, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        client = Client(process)
        try:
            assert client.said() == "open"
            yield client
        finally:
            client.kill()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    """What each test publishes first: nothing is new in that then."""
    return HomeTemplate(
        tmp_path_factory.mktemp("clients"), lambda home: put(open_lake(home), place_file(home), 1.0)
    )


def open_lake(home: Path) -> Lake:
    return Lake(str(home / "o'lake"), home / "scratch")


def place_file(home: Path) -> Path:
    return home / "out" / "sunledger.duckdb"


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake(home)


@pytest.fixture
def target(home: Path) -> Path:
    return place_file(home)


def put(lake: Lake, target: Path, kwh: float) -> None:
    row = {"plant_id": "a", "local_date": FIRST, "pv_generation_kwh": kwh}
    lake.replace(EnergyDaily, {"local_date": FIRST}, [make_frame(EnergyDaily, [row])])
    publish(lake, target, now=NOW, version="1")


def put_as_before(lake: Lake, target: Path, kwh: float) -> None:
    """A publication as older versions made it: nothing stands in the way of a log, and there is no record."""
    put(lake, target, kwh)
    for path in target.parent.iterdir():
        if path != target:
            path.unlink()


def shown(target: Path) -> list[float]:
    """What a reader sees that knows nothing of ours. No connection of this process is open then."""
    with duckdb.connect(str(target), read_only=True) as reader:
        return [kwh for (kwh,) in reader.execute("SELECT pv_generation_kwh FROM energy_daily").fetchall()]


@pytest.mark.parametrize("statement", [UPDATE, "CREATE TABLE mine AS SELECT 1 AS a"])
def test_the_log_of_a_killed_client_reaches_no_later_publication(
    lake: Lake, target: Path, statement: str
) -> None:
    put_as_before(lake, target, 1.0)
    with writing(target) as client:
        assert client.run(statement) == "done"
        client.kill()
    assert target.with_name("sunledger.duckdb.wal").is_file()
    put(lake, target, 2.0)
    assert shown(target) == [2.0]
    with connect(target) as db:
        assert db.sql("SELECT pv_generation_kwh FROM energy_daily").fetchall() == [(2.0,)]


def test_a_live_session_on_an_earlier_publication_reaches_no_later_one(lake: Lake, target: Path) -> None:
    put_as_before(lake, target, 1.0)
    with writing(target) as client:
        assert client.run(UPDATE) == "done"
        put(lake, target, 2.0)
        for statement in (UPDATE, "CHECKPOINT", UPDATE, "CREATE TABLE mine AS SELECT 1 AS a", "CHECKPOINT"):
            client.run(statement)
            assert shown(target) == [2.0]
        put(lake, target, 3.0)
        client.run(UPDATE)
        assert shown(target) == [3.0]
    assert shown(target) == [3.0]


def test_a_client_commits_nothing(lake: Lake, target: Path) -> None:
    put(lake, target, 1.0)
    with writing(target) as client:
        assert "Failed to commit" in client.run(UPDATE)
        assert client.run("CHECKPOINT") == "done"
        assert "Failed to commit" in client.run(UPDATE)
    assert shown(target) == [1.0]
    put(lake, target, 2.0)
    assert shown(target) == [2.0]


def test_a_file_that_another_program_changed_is_told_until_the_next_publication(
    lake: Lake, target: Path
) -> None:
    put(lake, target, 1.0)
    # As a script that removes all logs does.
    target.with_name("sunledger.duckdb.wal").unlink()
    with duckdb.connect(str(target)) as theirs:
        theirs.execute(UPDATE)
    assert shown(target) == [999.0]
    with pytest.raises(NotPublishedError, match=r"another program wrote to it.*'sunledger publish'"):
        connect(target)
    put(lake, target, 2.0)
    with connect(target) as db:
        assert db.sql("SELECT pv_generation_kwh FROM energy_daily").fetchall() == [(2.0,)]


@pytest.mark.parametrize("place", [100, -100])
def test_a_flipped_bit_is_found_by_reading_the_whole(lake: Lake, target: Path, place: int) -> None:
    put(lake, target, 1.0)
    assert find_content_damage(target) is None
    content = bytearray(target.read_bytes())
    content[place] ^= 1
    target.write_bytes(content)
    assert find_content_damage(target) is not None


def test_a_file_of_an_older_version_has_no_record_and_opens(lake: Lake, target: Path) -> None:
    put_as_before(lake, target, 1.0)
    assert not is_recorded(target)
    assert find_content_damage(target) is None
    with connect(target) as db:
        assert db.sql("SELECT pv_generation_kwh FROM energy_daily").fetchall() == [(1.0,)]


def test_where_no_links_can_be_made_the_log_is_removed(
    lake: Lake, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, to: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    put_as_before(lake, target, 1.0)
    with writing(target) as client:
        assert client.run(UPDATE) == "done"
        client.kill()
    monkeypatch.setattr(Path, "symlink_to", refuse)
    put(lake, target, 2.0)
    assert shown(target) == [2.0]


def test_a_publication_tells_of_the_log_that_it_removed(lake: Lake, target: Path) -> None:
    put_as_before(lake, target, 1.0)
    target.with_name("sunledger.duckdb.wal").write_bytes(b"left")
    assert publish(lake, target, now=NOW, version="1").had_log
    assert not publish(lake, target, now=NOW, version="1").had_log


def test_a_log_beside_the_file_is_told_until_the_next_publication(lake: Lake, target: Path) -> None:
    put(lake, target, 1.0)
    log = target.with_name("sunledger.duckdb.wal")
    log.unlink()
    with writing(target) as client:
        assert client.run(UPDATE) == "done"
        client.kill()
    assert shown(target) == [999.0]
    with pytest.raises(NotPublishedError, match=r"left .*sunledger\.duckdb\.wal.*'sunledger publish'"):
        connect(target)
    put(lake, target, 2.0)
    assert shown(target) == [2.0]
    assert log.is_symlink()


def test_the_log_beside_a_link_counts_too(lake: Lake, target: Path, tmp_path: Path) -> None:
    link = tmp_path / "sunledger.duckdb"
    link.symlink_to(target)
    put(lake, link, 1.0)
    for name in (link, target):
        assert name.with_name("sunledger.duckdb.wal").is_symlink()
    link.with_name("sunledger.duckdb.wal").unlink()
    link.with_name("sunledger.duckdb.wal").write_bytes(b"as DuckDB 1.2 leaves it")
    with pytest.raises(NotPublishedError, match=r"left "):
        connect(link)


@pytest.mark.long
def test_a_link_in_a_folder_of_others_is_no_hindrance(
    lake: Lake, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "sunledger.duckdb"
    link.symlink_to(target)
    make = Path.symlink_to

    def refuse_there(self: Path, to: Path) -> None:
        if self.parent == link.parent:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        make(self, to)

    monkeypatch.setattr(Path, "symlink_to", refuse_there)
    put(lake, link, 1.0)
    assert shown(link) == [1.0]
    assert target.with_name("sunledger.duckdb.wal").is_symlink()
