"""The macro power_of_day: the rows of v_power, whatever the day, the plant and the place of the day's file."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.common.local_time import find_local_day
from schemas import EnergyBalanceIntervals, Plants
from tests.home_template import HomeTemplate
from tests.small_lake import HOSTILE, NOW, make_frame, put
from warehouse.lake import Lake
from warehouse.published_file.clocks import build_clocks
from warehouse.published_file.macros import MACROS, create, read_from_day_file
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

MACRO = next(macro for macro in MACROS if macro.name == "power_of_day")
POWERS = (
    "pv_generation_w",
    "total_consumption_w",
    "grid_feed_in_w",
    "grid_consumption_w",
    "battery_charging_w",
    "battery_discharging_w",
)
# Plant, time zone, minutes of an interval. `new` has rows before it is in the list of plants.
FLEET = (("five", "Europe/Berlin", 5), ("quarter", "Australia/Melbourne", 15), ("new", "UTC", 15))
ORDINARY = dt.date(2021, 10, 6)
# Clocks change in Berlin on the last Sundays of March and October, in Melbourne on the first ones of April and October.
DAYS = (dt.date(2021, 3, 28), dt.date(2021, 4, 4), dt.date(2021, 10, 3), ORDINARY, dt.date(2021, 10, 31))


def rows_of(plant: str, zone: str, minutes: int, day: dt.date, first_w: float = 0.0) -> list[dict[str, Any]]:
    """A day from midnight to midnight; no two of its values are equal."""
    whole, step = find_local_day(day, zone), dt.timedelta(minutes=minutes)
    return [
        {
            "plant_id": plant,
            "local_date": day,
            "interval_start": whole.start + number * step,
            "interval_end": whole.start + (number + 1) * step,
        }
        | {name: first_w + number + place / 10 for place, name in enumerate(POWERS)}
        for number in range((whole.end - whole.start) // step)
    ]


def fleet_of(day: dt.date, first_w: float = 0.0) -> list[dict[str, Any]]:
    return [row for plant in FLEET for row in rows_of(*plant, day, first_w)]


def listed() -> list[dict[str, Any]]:
    return [
        {"plant_id": "five", "name": HOSTILE, "timezone": "Europe/Berlin"},
        {"plant_id": "quarter", "name": "Quarter", "timezone": "Australia/Melbourne"},
    ]


def publish_days(home: Path) -> None:
    lake = Lake(str(home / "o'lake ä"), home / "scratch")
    put(lake, Plants, listed())
    put(lake, EnergyBalanceIntervals, [row for day in DAYS for row in fleet_of(day)])
    publish(lake, home / "sunledger.duckdb", now=NOW, version="1")


def both(db: duckdb.DuckDBPyConnection, plant: str, day: dt.date) -> tuple[Any, Any]:
    """Columns with types, and rows, as the macro and as the view give them."""
    macro = db.execute("FROM power_of_day(?, ?) ORDER BY interval_end", [plant, day])
    found = (macro.description, macro.fetchall())
    view = db.execute(
        "FROM v_power WHERE plant_id = ? AND local_date = ? ORDER BY interval_end", [plant, day]
    )
    return found, (view.description, view.fetchall())


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("days")
    publish_days(root)
    with connect(root / "sunledger.duckdb") as connection:
        yield connection


@pytest.mark.parametrize(
    ("plant", "day", "rows"),
    [
        ("five", ORDINARY, 288),
        ("five", dt.date(2021, 3, 28), 276),
        ("five", dt.date(2021, 10, 31), 300),
        ("quarter", ORDINARY, 96),
        ("quarter", dt.date(2021, 10, 3), 92),
        ("quarter", dt.date(2021, 4, 4), 100),
        ("new", ORDINARY, 96),
        ("nobody", ORDINARY, 0),
        ("five", dt.date(2021, 7, 1), 0),
        ("five", dt.date(1999, 1, 1), 0),
        ("five", dt.date(2099, 1, 1), 0),
    ],
)
def test_it_gives_the_rows_of_the_view(
    db: duckdb.DuckDBPyConnection, plant: str, day: dt.date, rows: int
) -> None:
    macro, view = both(db, plant, day)
    assert macro == view
    assert len(view[1]) == rows


@pytest.mark.parametrize("arguments", ["NULL, DATE '2021-10-06'", "'five', NULL", "'five', 'infinity'::DATE"])
def test_what_is_no_plant_and_no_day_has_no_rows(db: duckdb.DuckDBPyConnection, arguments: str) -> None:
    assert db.execute(f"FROM power_of_day({arguments})").fetchall() == []


def test_an_id_may_be_a_number(db: duckdb.DuckDBPyConnection) -> None:
    assert db.execute("FROM power_of_day(900001, DATE '2021-10-06')").fetchall() == []


@pytest.mark.parametrize("argument", ["plants.plant_id", "plant_id", "power.plant_id", "p.plant_id"])
def test_a_column_is_refused_and_never_taken_for_one_of_the_file(
    db: duckdb.DuckDBPyConnection, argument: str
) -> None:
    alias = argument.rpartition(".")[0] or "plants"
    with pytest.raises(duckdb.BinderException):
        db.execute(f"SELECT count(*) FROM plants AS {alias}, power_of_day({argument}, DATE '2021-10-06')")


@pytest.mark.parametrize("argument", ["listed.plant_id", "plant_id"])
def test_the_macro_of_the_view_takes_a_column_for_what_it_is(
    db: duckdb.DuckDBPyConnection, argument: str
) -> None:
    macro, _ = create(MACRO)
    db.execute(macro.replace("CREATE OR REPLACE MACRO power_of_day", "CREATE OR REPLACE TEMP MACRO rows_of"))
    listed = "(SELECT plant_id FROM plants WHERE plant_id = 'five') AS listed"
    call = f"FROM {listed}, rows_of({argument}, DATE '2021-10-06') AS rows"
    assert db.execute(f"SELECT rows.plant_id, count(*) {call} GROUP BY ALL").fetchall() == [("five", 288)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    return HomeTemplate(tmp_path_factory.mktemp("home"), publish_days)


def test_the_next_publication_has_the_rows_of_now(template: HomeTemplate) -> None:
    home = template.restore()
    lake, target = Lake(str(home / "o'lake ä"), home / "scratch"), home / "sunledger.duckdb"
    later = ORDINARY + dt.timedelta(days=30)
    put(lake, EnergyBalanceIntervals, fleet_of(ORDINARY, 1000.0) + fleet_of(later))
    publish(lake, target, now=NOW, version="1")
    with connect(target) as db:
        for day, least in ((ORDINARY, 1000.0), (later, 0.0)):
            macro, view = both(db, "five", day)
            assert macro == view
            lowest = db.execute("SELECT min(pv_generation_w) FROM power_of_day('five', ?)", [day])
            assert lowest.fetchall() == [(least,)]


def test_names_of_files_may_differ_in_length(tmp_path: Path) -> None:
    days = (ORDINARY, ORDINARY + dt.timedelta(days=2))
    names = ("a.parquet", "longer.parquet")
    files = [tmp_path / f"local_date={day}" / name for day, name in zip(days, names, strict=True)]
    for day, file in zip(days, files, strict=True):
        file.parent.mkdir()
        make_frame(EnergyBalanceIntervals, fleet_of(day)).drop("local_date").write_parquet(file)
    macros = [macro for macro in MACROS if macro.name == "local_time"]
    macros.append(read_from_day_file(MACRO, [str(file) for file in files]))
    with duckdb.connect() as db:
        db.register("listed", make_frame(Plants, listed()).to_arrow())
        db.execute("CREATE TABLE plants AS FROM listed")
        db.register("shown", build_clocks([str(plant["timezone"]) for plant in listed()], NOW).to_arrow())
        db.execute("CREATE TABLE _clocks AS FROM shown")
        for statement in (statement for macro in macros for statement in create(macro)):
            db.execute(statement)
        for day in days:
            assert len(db.execute("FROM power_of_day('quarter', ?)", [day]).fetchall()) == 96


def test_it_needs_that_day_s_file_alone(template: HomeTemplate) -> None:
    home = template.restore()
    for file in Path(home, "o'lake ä", "energy_balance_intervals").rglob("*.parquet"):
        if file.parent.name != f"local_date={ORDINARY}":
            file.unlink()
    with connect(home / "sunledger.duckdb") as db:
        assert len(db.execute("FROM power_of_day('five', ?)", [ORDINARY]).fetchall()) == 288


@pytest.mark.parametrize(
    "files",
    [
        [],
        ["/lake/local_date=2021-10-06/a.parquet", "/lake/local_date=2021-10-06/b.parquet"],
        ["/lake/local_date=2021-10-06/a.parquet", "/lake/elsewhere.parquet"],
    ],
)
def test_where_no_file_is_the_day_s_own_the_view_is_asked(files: list[str]) -> None:
    assert read_from_day_file(MACRO, files) is MACRO
