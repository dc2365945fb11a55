"""Quarters of an hour in the published file: their energies as they were packed, local time, and plants left out."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.common.local_time import UTC_US
from pipeline.transform.hourly import pack_quarters, summarize_quarters, unpack_quarters
from schemas import Plants, QuarterHours, polars_schema
from schemas.quantities import ENERGY_BALANCE
from tests.small_lake import put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish
from warehouse.questions import load_questions

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
AUTUMN = dt.date(2021, 10, 31)
NOW = dt.datetime(2021, 11, 2, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2021, 10, 30, 22, tzinfo=dt.UTC)
BERLIN = "Europe/Berlin"


def intervals(plant: str, ends: list[tuple[int, float]]) -> pl.DataFrame:
    """Rows of a plant by the minutes of the day at which they end and their power in kW, one after the other."""
    begins = [0, *(end for end, _ in ends)]
    frame = pl.DataFrame(
        {
            "plant_id": plant,
            "interval_start": [MIDNIGHT + dt.timedelta(minutes=begin) for begin in begins[: len(ends)]],
            "interval_end": [MIDNIGHT + dt.timedelta(minutes=end) for end, _ in ends],
            "kwh": [kw * (end - begin) / 60 for begin, (end, kw) in zip(begins, ends, strict=False)],
        },
        schema={
            "plant_id": pl.String(),
            "interval_start": UTC_US,
            "interval_end": UTC_US,
            "kwh": pl.Float64(),
        },
    )
    # Each quantity another share, so that none follows from the others; diesel is not there.
    shares = {name: number / 7 for number, name in enumerate(QUANTITIES, 1) if name != "diesel_generation"}
    return frame.select(
        "plant_id",
        "interval_start",
        "interval_end",
        *(
            (pl.col("kwh") * shares[n] if n in shares else pl.lit(None, pl.Float64)).alias(f"{n}_kwh")
            for n in QUANTITIES
        ),
    ).with_columns(grid_consumption_kwh=frame["kwh"])


ROWS = pl.concat(
    [
        intervals("gap", [(7, 10.0)]),
        intervals("steady", [(15 * number, 10.0) for number in range(1, 101) if number not in (40, 41)]),
        intervals("uneven", [(10, 10.0), (40, 10.0), (45, 10.0), (60, 10.0), (90, 20.0), (100, 10.0)]),
    ]
)
PLANTS = pl.DataFrame(
    {"plant_id": ["gap", "silent", "steady", "uneven", "yours no more"], "timezone": BERLIN}
)


@pytest.fixture(scope="module")
def quarters() -> pl.DataFrame:
    found = summarize_quarters([ROWS], PLANTS, AUTUMN, QUANTITIES)
    packed = pack_quarters(found, QUANTITIES).with_columns(local_date=pl.lit(AUTUMN))
    return packed.select(polars_schema(QuarterHours).names())


@pytest.fixture(scope="module")
def db(
    quarters: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    root: Path = tmp_path_factory.mktemp("quarters")
    lake = Lake(str(root / "lake"), root / "scratch")
    left = {"yours no more": AUTUMN}
    put(
        lake,
        Plants,
        [
            {"plant_id": plant, "name": plant.title(), "timezone": BERLIN, "excluded_from": left.get(plant)}
            for plant in PLANTS["plant_id"]
        ],
    )
    lake.replace(QuarterHours, {"local_date": AUTUMN}, [quarters])
    publish(lake, root / "sunledger.duckdb", now=NOW, version="1")
    with connect(root / "sunledger.duckdb") as connection:
        yield connection


@pytest.mark.long
def test_the_file_has_each_energy_to_the_last_bit(
    db: duckdb.DuckDBPyConnection, quarters: pl.DataFrame
) -> None:
    found = db.execute("FROM energy_quarter_hourly ORDER BY plant_id, quarter_start").pl()
    wanted = unpack_quarters(quarters).select(found.columns)
    assert found.with_columns(pl.col("quarter_start").cast(UTC_US)).equals(wanted)
    assert found.filter(plant_id="uneven")["self_consumption_kwh"].sum() > 0


def test_the_autumn_day_has_a_hundred_quarters_by_the_plants_clock(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute(
        "SELECT plant_name, count(*), count(DISTINCT local_start), count(*) FILTER (covered_h = 0) "
        "FROM v_energy_quarter_hourly GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("Gap", 100, 96, 99),
        ("Silent", 100, 96, 100),
        ("Steady", 100, 96, 0),
        ("Uneven", 100, 96, 93),
    ]


def test_a_quarter_s_peak_is_of_the_time_that_its_rows_cover(db: duckdb.DuckDBPyConnection) -> None:
    """An interval over several quarters gives each its share; of seven minutes alone there is no peak."""
    found = db.execute(load_questions()[19].query).fetchall()
    assert [(plant, kw, str(start)) for plant, kw, start in found] == [
        ("Steady", 10.0, "2021-10-31 00:00:00"),
        ("Uneven", 20.0, "2021-10-31 01:00:00"),
    ]
