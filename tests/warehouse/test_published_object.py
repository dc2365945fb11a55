"""The published file as an object: readers see the old one or the new one, and an older one never comes last."""

import datetime as dt
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from schemas import EnergyBalanceIntervals, EnergyDaily
from tests.small_lake import NOW, make_frame
from tests.warehouse.object_stores import Store
from warehouse.lake import Lake
from warehouse.object_store import open_store
from warehouse.published_file.lake_script import find_lake_script
from warehouse.published_file.open_published import connect
from warehouse.published_file.publication_base import take_base
from warehouse.published_file.publish import publish
from warehouse.published_file.publish_object import publish_object
from warehouse.published_file.published_object import DamagedObjectError, PublishedObject

FIRST = dt.date(2021, 10, 1)
DAYS = 9
SUM = "SELECT sum(pv_generation_kwh) FROM energy_daily"


def environment(store: Store) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": store.address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }


def put_day(lake: Lake, number: int, kwh: float) -> None:
    day = FIRST + dt.timedelta(days=number)
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    for model, more in ((EnergyDaily, {}), (EnergyBalanceIntervals, {"interval_end": noon})):
        rows = [{"plant_id": plant, "local_date": day, "pv_generation_kwh": kwh} | more for plant in "ab"]
        lake.replace(model, {"local_date": day}, [make_frame(model, rows)])


@pytest.fixture(scope="session")
def nine_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in a folder."""
    home = tmp_path_factory.mktemp("days")
    lake = Lake(str(home / "lake"), home / "tmp")
    for number in range(DAYS):
        put_day(lake, number, 1.0)
    return Path(lake.root)


@pytest.fixture
def lake(
    store: Store,
    nine_days: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Lake:
    """A copy of that lake in a bucket."""
    for name, value in environment(store).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    bucket = store.put_lake(nine_days, "published", request.node)
    return Lake(f"s3://{bucket}/lake", tmp_path / "tmp")


def target_of(lake: Lake, home: Path, told: list[str] | None = None) -> PublishedObject:
    address = f"{lake.root.removesuffix('/lake')}/reports/fleet.duckdb"
    tell = print if told is None else told.append
    return PublishedObject(address, home / "sunledger.duckdb", tell)


def read(target: PublishedObject, query: str = SUM) -> object:
    assert target.fetch() is not None
    with connect(target.file) as connection:
        return connection.execute(query).fetchall()[0][0]


@pytest.mark.long
def test_machines_share_an_object(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, reader = (target_of(lake, tmp_path / name) for name in ("one", "two", "reader"))
    assert first.fetch() is None
    done = publish_object(lake, first, now=NOW, version="1")
    # Seven days of detail are in the file, and the days of the reports all are.
    assert (done.tables["energy_daily"], done.tables["energy_balance_intervals"]) == (2 * DAYS, 2 * 7)
    # Some tables of detail have no files at all: nothing is written to a folder that is called like the store.
    assert not Path("s3:").exists()
    assert read(reader) == 2.0 * DAYS
    with connect(reader.file) as connection:
        assert connection.execute("SELECT detail, detail_first_day FROM _meta").fetchall() == [
            ("7d", FIRST + dt.timedelta(days=DAYS - 7))
        ]
        assert connection.execute("SELECT count(*) FROM energy_balance_intervals").fetchall() == [(14,)]
    # Another machine goes on from the object, and reads of the lake what changed alone.
    put_day(lake, 3, 5.0)
    put_day(lake, DAYS, 1.0)
    bases, asked = [], []

    def take(*args: object) -> object:
        bases.append(take_base(*args))  # type: ignore[arg-type]
        return bases[-1]

    def scan(self: Lake, model: object, snapshot: object = None) -> pl.LazyFrame:
        asked.extend(snapshot.files if snapshot else ())  # type: ignore[attr-defined]
        return real(self, model, snapshot)  # type: ignore[arg-type]

    real = Lake.scan
    monkeypatch.setattr("warehouse.published_file.publish.take_base", take)
    monkeypatch.setattr(Lake, "scan", scan)
    publish_object(lake, second, now=NOW, version="1")
    assert bases != [None]
    assert {re.search(r"local_date=([\d-]+)", file)[1] for file in asked} == {"2021-10-04", "2021-10-10"}  # type: ignore[index]
    assert read(reader) == 2.0 * (DAYS + 1) + 8.0
    # Nobody has to download what is there.
    monkeypatch.setattr(PublishedObject, "_download", lambda *_: pytest.fail("downloaded again"))
    assert read(reader) == read(second) == 2.0 * (DAYS + 1) + 8.0
    # Nor to put it again where nothing is new.
    monkeypatch.setattr(PublishedObject, "put", lambda *_: pytest.fail("put again"))
    assert not publish_object(lake, second, now=NOW, version="1").renewed


@pytest.mark.long
def test_script_names_the_files_of_all_days(lake: Lake, tmp_path: Path) -> None:
    put_day(lake, 3, 5.0)
    target = target_of(lake, tmp_path / "one")
    publish_object(lake, target, now=NOW, version="1")
    reader = target_of(lake, tmp_path / "two")
    reader.fetch()
    script = find_lake_script(reader.file).read_text()
    view = next(line for line in script.splitlines() if 'VIEW "lake"."energy_balance_intervals"' in line)
    files = re.findall(r"'(s3://[^']+\.parquet)'", view)
    assert len(files) == DAYS
    rows = pl.read_parquet(files, hive_partitioning=True)
    assert (rows.height, rows["pv_generation_kwh"].sum()) == (2 * DAYS, 2.0 * DAYS + 8.0)
    # DuckDB takes the script as it is, once the files are where it can read them.
    local = tmp_path / "files"
    for file in files:
        place = local / file.removeprefix("s3://")
        place.parent.mkdir(parents=True)
        pl.read_parquet(file).write_parquet(place)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA lake")
        connection.execute(view.replace("s3://", f"{local}/"))
        query = "SELECT count(*), sum(pv_generation_kwh), max(local_date) FROM lake.energy_balance_intervals"
        newest = FIRST + dt.timedelta(days=DAYS - 1)
        assert connection.execute(query).fetchall() == [(2 * DAYS, 2.0 * DAYS + 8.0, newest)]


@pytest.mark.long
def test_older_publication_never_comes_last(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    slow, quick = target_of(lake, tmp_path / "slow", told), target_of(lake, tmp_path / "quick")
    builds = []

    def publish_late(*args: object, **kwargs: object) -> object:
        done = publish(*args, **kwargs)  # type: ignore[arg-type]
        builds.append(done)
        if len(builds) == 1:
            # The lake goes on, and another machine publishes it before this one puts what it read before.
            put_day(lake, 0, 9.0)
            publish_object(lake, quick, now=NOW, version="1")
        return done

    monkeypatch.setattr("warehouse.published_file.publish_object.publish", publish_late)
    publish_object(lake, slow, now=NOW, version="1")
    assert read(target_of(lake, tmp_path / "reader")) == 2.0 * DAYS + 16.0
    assert "Another process has published" in told[-1]


SUNLEDGER = Path(sys.executable).with_name("sunledger")


class Publisher:
    """The real program in a home of its own, publishing that lake to the target."""

    def __init__(self, lake: Lake, home: Path) -> None:
        self.home = home
        home.mkdir(exist_ok=True)
        own = {
            "SUNLEDGER_HOME": str(home),
            "SUNLEDGER_LAKE": lake.root,
            "SUNLEDGER_PUBLISH_TARGET": target_of(lake, home).address,
        }
        with (home / "said.txt").open("w") as said:
            self.process = subprocess.Popen(
                [SUNLEDGER, "publish"], cwd=home, env=os.environ | own, stdout=said, stderr=subprocess.STDOUT
            )

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def wait(self) -> str:
        """What it said."""
        code, said = self.process.wait(300), (self.home / "said.txt").read_text()
        assert code == 0, said
        return said

    def kill_when(self, is_due: Callable[[], bool]) -> None:
        """Kill it in the moment in which that is true."""
        end = time.monotonic() + 300
        while not is_due():
            assert not self.is_over(), (self.home / "said.txt").read_text()
            assert time.monotonic() < end
            time.sleep(0.002)
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(60) == -signal.SIGKILL


@pytest.mark.long
def test_a_reader_between_publication_and_put_does_not_bring_the_older_one_back(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_of(lake, tmp_path / "one")
    publish_object(lake, target, now=NOW, version="1")
    put_day(lake, 3, 5.0)
    real, read_by = PublishedObject.put, [target_of(lake, tmp_path / "one")]

    def put(self: PublishedObject, etag: str | None, built: str) -> bool:
        # A reader with the same copy comes once, and finds that the copy is not what the object holds.
        if read_by:
            read_by.pop().fetch()
        return real(self, etag, built)

    monkeypatch.setattr(PublishedObject, "put", put)
    publish_object(lake, target, now=NOW, version="1")
    assert read(target_of(lake, tmp_path / "other")) == 2.0 * DAYS + 8.0


@pytest.mark.long
def test_an_object_that_somebody_else_wrote_is_built_from_nothing(lake: Lake, tmp_path: Path) -> None:
    target, told = target_of(lake, tmp_path / "one"), []
    publish_object(lake, target, now=NOW, version="1")
    folder, _, name = target.address.rpartition("/")
    store = open_store(folder, {})
    found = store.get(name)
    attributes = dict(found.attributes)
    store.put(name, bytes(found.bytes())[:-4096], attributes=attributes)
    other = target_of(lake, tmp_path / "other", told)
    with pytest.raises(DamagedObjectError, match="run 'sunledger publish'"):
        other.fetch()
    publish_object(lake, other, now=NOW, version="1")
    assert "is built from nothing" in " ".join(told)
    assert read(target) == 2.0 * DAYS


@pytest.mark.long
def test_killed_and_simultaneous_publications_leave_a_whole_object(lake: Lake, tmp_path: Path) -> None:
    home = tmp_path / "home"
    file = home / "sunledger.duckdb"
    publish_object(lake, target_of(lake, home), now=NOW, version="1")
    reader = target_of(lake, tmp_path / "reader")
    assert read(reader) == 2.0 * DAYS
    etag = reader.fetch()
    put_day(lake, 0, 5.0)
    # While the file is built, and right after it took its place on this machine, before or while it is put.
    Publisher(lake, home).kill_when(lambda: any(".new-" in path.name for path in home.iterdir()))
    assert (reader.fetch(), read(reader)) == (etag, 2.0 * DAYS)
    before = file.stat().st_ino
    Publisher(lake, home).kill_when(lambda: file.stat().st_ino != before)
    assert read(reader) in {2.0 * DAYS, 2.0 * DAYS + 8.0}
    put_day(lake, 1, 5.0)
    # Two machines at once: what is there at last is of the newest state of the lake, and both say that it is published.
    both = [Publisher(lake, home), Publisher(lake, tmp_path / "other")]
    assert all("Published s3://" in one.wait() for one in both)
    assert read(reader) == 2.0 * DAYS + 16.0
    assert read(reader, "SELECT count(*) FROM v_energy_daily") == 2 * DAYS
