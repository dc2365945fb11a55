"""A lake that is gone as a whole, or a table of which nothing is left: no command takes what is left for a sound home.

The real program works on a small SMA, since the damage is seen between commands.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from schemas import TABLES, Table, storage
from tests.programs import run
from tests.small_sma import SmallSma, listed, serving
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect

DAYS = ("--from", "2026-06-10", "--to", "2026-06-11")
NO_SMA = {"SMA_MONITORING_URL": "http://127.0.0.1:9"}
CURE = "restore a backup"
LOST = "is lost: it has none of the"


@pytest.fixture(scope="module")
def sma() -> Iterator[SmallSma]:
    with serving(SmallSma([listed("11", "Europe/Berlin"), listed("12", "Europe/Berlin")])) as served:
        yield served


@pytest.fixture(scope="module")
def whole(sma: SmallSma, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    code, said = run(folder, "backfill", *DAYS, **sma.settings)
    assert code == 0, said
    return folder


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole / "home", tmp_path / "home", symlinks=True)
    return tmp_path


def list_names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def read(home: Path, model: type[Table]) -> pl.DataFrame:
    return Lake(str(home / "home" / "lake"), home / "home" / "tmp").scan(model).collect()


def read_days(home: Path) -> list[tuple[object, ...]]:
    with connect(home / "home" / "sunledger.duckdb") as connection:
        return connection.execute("SELECT plant_id, local_date FROM energy_daily ORDER BY ALL").fetchall()


COMMANDS = [
    ("publish",),
    ("backfill", *DAYS),
    ("refresh",),
    ("rebuild",),
    ("close", "2026-06", "--anyway"),
    ("reconcile", "--month", "2026-06"),
    ("verify",),
    ("backup", "kept.tar"),
    ("repair",),
    ("repair", "--dry-run"),
]


@pytest.mark.long
@pytest.mark.parametrize("emptied", [False, True], ids=["moved away", "emptied"])
def test_every_command_refuses_a_lake_that_is_gone(home: Path, sma: SmallSma, emptied: bool) -> None:
    published, lake = read_days(home), home / "home" / "lake"
    (home / "kept.tar").write_bytes(b"an earlier backup")
    lake.rename(home / "elsewhere")
    if emptied:
        lake.mkdir()
    asked = len(sma.asked)
    for words in COMMANDS:
        code, said = run(home, *words, **sma.settings)
        assert code == 1, (words, said)
        assert LOST in said, (words, said)
        assert CURE in said, (words, said)
        assert "Traceback" not in said, (words, said)
        assert "bug" not in said, (words, said)
    # A publication would have put an empty file there, and a lake with any table would look sound.
    assert read_days(home) == published
    assert list_names(lake) == []
    assert (home / "kept.tar").read_bytes() == b"an earlier backup"
    assert len(sma.asked) == asked
    if emptied:
        lake.rmdir()
    (home / "elsewhere").rename(lake)
    for command in ("verify", "publish", "repair"):
        code, said = run(home, command, **sma.settings)
        assert code == 0, (command, said)


@pytest.mark.long
def test_the_doctor_says_once_that_the_lake_is_gone(home: Path, sma: SmallSma) -> None:
    shutil.rmtree(home / "home" / "lake")
    code, said = run(home, "doctor", "--ask-plants", "0", **sma.settings)
    assert (code, said.count(LOST)) == (1, 1), said
    assert "budget      skipped until this passes: folders" in said
    assert CURE in said


@pytest.mark.long
def test_a_home_of_an_earlier_version_is_judged_by_its_published_file(home: Path, sma: SmallSma) -> None:
    (home / "home" / "known-tables.json").unlink()
    shutil.rmtree(home / "home" / "lake")
    code, said = run(home, "publish", **sma.settings)
    assert (code, LOST in said) == (1, True), said


@pytest.mark.long
def test_a_repair_names_each_table_of_a_lost_lake(home: Path, whole: Path, sma: SmallSma) -> None:
    shutil.rmtree(home / "home" / "lake")
    _, said = run(home, "repair", **sma.settings)
    for model in TABLES:
        if Lake(str(whole / "home" / "lake"), home / "tmp").take_snapshot(model).version >= 0:
            assert f" {storage(model).table} " in said


@pytest.mark.long
@pytest.mark.waits
def test_a_lake_that_is_gone_for_good_is_made_again_from_the_published_file_and_sma(
    home: Path, whole: Path, sma: SmallSma
) -> None:
    shutil.rmtree(home / "home" / "lake")
    code, said = run(home, "repair", "--lost-lake", **sma.settings | NO_SMA)
    # What nothing has any more is named: without SMA these are the answers, and the rows that are made of them.
    assert code == 1, said
    for table in ("raw_energy_balance 2026-06-10", "raw_energy_balance 2026-06-11", "raw_plants"):
        assert table in said.rpartition("can't be rebuilt yet")[2], said
    assert "energy_balance_intervals 2026-06-10" in said
    assert read_days(home) == read_days(whole)
    code, said = run(home, "repair", **sma.settings)
    assert code == 0, said
    for command in ("verify", "rebuild", "publish"):
        code, said = run(home, command, **sma.settings)
        assert code == 0, (command, said)
    for model in TABLES:
        if storage(model).table in {"raw_energy_balance", "energy_balance_intervals", "energy_daily"}:
            kept = [name for name in read(whole, model).columns if name not in storage(model).volatile]
            kept = [name for name in kept if name not in {"target", "request_date"}]
            assert read(home, model).select(kept).equals(read(whole, model).select(kept)), model


@pytest.mark.long
def test_requests_whose_record_is_lost_with_all_its_copies_are_seen(home: Path, sma: SmallSma) -> None:
    for gone in ("lake/api_requests", "lake/_digests/api_requests"):
        shutil.rmtree(home / "home" / gone)
    (home / "home" / "sunledger.duckdb").unlink()
    for words in (("verify",), ("publish",), ("backfill", *DAYS)):
        code, said = run(home, *words, **sma.settings)
        assert (code, "api_requests: the table is lost" in said, "sunledger repair" in said) == (
            1,
            True,
            True,
        ), said
    code, said = run(home, "repair", **sma.settings)
    assert (code, "the record of requests of that day is lost" in said) == (1, True), said
    for command in ("verify", "publish"):
        code, said = run(home, command, **sma.settings)
        assert code == 0, (command, said)
    code, said = run(home, "billing", **sma.settings)
    assert "are a lower bound: SMA may charge more" in said, (code, said)


@pytest.mark.long
def test_the_list_of_tables_is_made_again_where_it_is_damaged(home: Path, sma: SmallSma) -> None:
    known = home / "home" / "known-tables.json"
    was = known.read_text()
    known.write_text("[")
    code, said = run(home, "publish", **sma.settings)
    assert code == 0, said
    assert json.loads(known.read_text()) == json.loads(was)
