"""Clocks of the published file: those of the plants' zones come along, whatever the reader's DuckDB knows."""

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from pipeline.common.local_time import find_local_day
from schemas import EnergyBalanceIntervals, Plants
from tests.small_lake import put
from warehouse.lake import Lake
from warehouse.published_file.macros import MACROS
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import PublishedFile, publish

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
# Winnipeg's and Havana's clocks did not go back in 2026, which the locked DuckDB does not know; the others skip or
# repeat a midnight, are half an hour off, or left out a day.
ZONES = (
    "America/Winnipeg",
    "America/Havana",
    "Europe/Berlin",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
HOUR = dt.timedelta(hours=1)
ONE_O_CLOCK = dt.datetime(2026, 11, 1, 13)  # noqa: DTZ001 - a wall clock
ELSEWHERE = "Asia/Tokyo"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("clocks")
    lake = Lake(str(root / "lake"), root / "scratch")
    put(lake, Plants, [{"plant_id": zone, "name": zone, "timezone": zone} for zone in ZONES])
    start = dt.datetime(2026, 11, 1, 18, tzinfo=dt.UTC)
    row = {"plant_id": ZONES[0], "local_date": dt.date(2026, 11, 1), "interval_start": start}
    put(lake, EnergyBalanceIntervals, [row | {"interval_end": start + HOUR}])
    publish(lake, root / "sunledger.duckdb", now=NOW, version="1")
    with connect(root / "sunledger.duckdb") as connection:
        yield connection


@pytest.mark.parametrize("zone", [*ZONES, ELSEWHERE])
def test_a_clock_shows_what_the_product_goes_by(db: duckdb.DuckDBPyConnection, zone: str) -> None:
    """Every hour of two years, and the file's own table in place of the driver's."""
    moments = pl.datetime_range(
        dt.datetime(2025, 6, 1, tzinfo=dt.UTC),
        dt.datetime(2027, 6, 1, tzinfo=dt.UTC),
        HOUR,
        time_unit="us",
        eager=True,
    ).alias("shown")
    db.register("moments", moments.to_frame().to_arrow())
    found = db.execute("SELECT shown, local_time(shown, ?) FROM moments ORDER BY shown", [zone]).fetchall()
    known = ZoneInfo(zone)
    wrong = [(at, clock) for at, clock in found if at.astimezone(known).replace(tzinfo=None, fold=0) != clock]
    assert wrong == []
    assert len(found) == len(moments)


@pytest.mark.parametrize("zone", [*ZONES, ELSEWHERE])
@pytest.mark.parametrize("first", [dt.date(2011, 12, 1), dt.date(2021, 1, 1), dt.date(2026, 10, 1)])
def test_a_day_begins_and_lasts_as_the_product_has_it(
    db: duckdb.DuckDBPyConnection, zone: str, first: dt.date
) -> None:
    query = (
        "SELECT day::DATE, day_start(day, $zone), day_hours(day, $zone) "
        "FROM generate_series($first, $first + INTERVAL 400 DAY, INTERVAL 1 DAY) AS days(day)"
    )
    found = db.execute(query, {"zone": zone, "first": first}).fetchall()
    known = [find_local_day(day, zone) for day, *_ in found]
    wrong = [
        (day, start, hours)
        for (day, start, hours), local in zip(found, known, strict=True)
        if (start, hours) != (local.start, local.hours)
    ]
    assert wrong == []
    assert len(found) == 401


def test_the_view_of_power_shows_the_same_clock(db: duckdb.DuckDBPyConnection) -> None:
    assert db.execute("SELECT local_start FROM v_power").fetchall() == [(ONE_O_CLOCK,)]
    day = "power_of_day('America/Winnipeg', DATE '2026-11-01')"
    assert db.execute(f"SELECT local_start FROM {day}").fetchall() == [(ONE_O_CLOCK,)]


@pytest.mark.parametrize("name", ["timezone", "since", "until", "utc_offset_s", "zone", "moment"])
def test_a_column_of_any_name_may_be_asked_for(db: duckdb.DuckDBPyConnection, name: str) -> None:
    """A macro's arguments are text put into it: they must not be taken for columns of its own table."""
    rows = f"(VALUES ('Europe/Berlin'), ('America/Havana')) AS rows({name})"
    moment = "TIMESTAMPTZ '2026-11-05 12:00:00+00'"
    found = db.execute(f"SELECT hour(local_time({moment}, {name})) FROM {rows} ORDER BY ALL").fetchall()
    assert found == [(8,), (13,)]


def test_the_macros_serve_where_a_query_needs_them(db: duckdb.DuckDBPyConnection) -> None:
    """In aggregates, groups, filters and orders; and for a year that the table does not reach."""
    at = "interval_start, timezone"
    query = (
        f"SELECT local_day({at}), max(local_time({at})) FROM v_power WHERE local_month({at}) = DATE '2026-11-01' "
        f"GROUP BY local_day({at}) ORDER BY local_day({at})"
    )
    assert db.execute(query).fetchall() == [(dt.date(2026, 11, 1), ONE_O_CLOCK)]
    far = db.execute("SELECT hour(local_time(TIMESTAMPTZ '2090-01-01 12:00:00+00', 'Europe/Berlin'))")
    assert far.fetchall() == [(13,)]
    with pytest.raises(duckdb.Error, match="Mars/Olympus"):
        db.execute("SELECT local_time(now(), 'Mars/Olympus')").fetchall()
    assert {macro.name for macro in MACROS} >= {"local_time", "local_day", "local_month"}


@pytest.mark.long
def test_a_home_without_plants_has_no_clocks(empty: PublishedFile) -> None:
    with connect(empty.path) as db:
        assert db.execute("SELECT count(*) FROM _clocks").fetchall() == [(0,)]
