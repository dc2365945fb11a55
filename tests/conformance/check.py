"""What a converter says of the suite's days, beside what is expected: the worst error of each quantity of each day."""

import csv
import datetime as dt
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.transform.daily import summarize_day
from pipeline.transform.intervals import SetTransform
from schemas import EnergyBalanceIntervals, RawAnswers, polars_schema
from schemas.quantities import ENERGY_BALANCE
from tests.conformance.draw import RESOLUTIONS
from tests.conformance.expected import NAMES

Day = Mapping[str, Any]
Key = tuple[str, str]
SQL = Path(__file__).with_name("oracle.sql")
RDTOOLS = Path(__file__).with_name("rdtools.csv")
# Long after every day of the suite, so that nothing in it lies in the future.
FETCHED = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Figures:
    """What a converter says, or should: kWh and covered seconds by day and quantity."""

    kwh: Mapping[Key, float | Fraction]
    covered_s: Mapping[Key, float | Fraction]

    def worst_error(self, exact: "Figures") -> float:
        """The largest relative error of an energy or of the time that it covers."""
        return max(worst_error(exact.kwh, self.kwh), worst_error(exact.covered_s, self.covered_s))


def expected(days: Iterable[Day]) -> Figures:
    """What is right."""
    kwh = {(day["id"], name): each for day in days for name, each in day["expected"]["kwh"].items()}
    covered = {(day["id"], name): each for day in days for name, each in day["expected"]["covered_s"].items()}
    exact = {key: Fraction(each["exact"]) for key, each in kwh.items()}
    return Figures(exact, {key: Fraction(seconds) for key, seconds in covered.items()})


def worst_error(exact: Mapping[Any, float | Fraction], found: Mapping[Any, float | Fraction]) -> float:
    """The largest relative error; infinite where something is missing, or is not zero that should be."""
    if exact.keys() != found.keys():
        return float("inf")
    errors = (_error(value, found[key]) for key, value in exact.items())
    return max(errors, default=float("inf"))


def _error(exact: float | Fraction, found: float | Fraction) -> float:
    if exact == found:
        return 0.0
    if exact == 0 or not math.isfinite(found):
        return float("inf")
    return float(abs(Fraction(found) - Fraction(exact)) / Fraction(abs(exact)))


# ---- this pipeline ---------------------------------------------------------------------------------------------------


def pipeline_rows(days: Sequence[Day]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interval rows and daily rows of all days by the real path: decode, transform, daily; plant_id is the day's id."""
    intervals, daily = [], []
    for some in _group_calls(days):
        rows, asked = _intervals(some)
        intervals.append(rows)
        quantities = [f.column for f in ENERGY_BALANCE.powers]
        summary = summarize_day([rows], asked, keys=["plant_id"], quantities=quantities).rows
        date = dt.date.fromisoformat(some[0]["local_date"])
        daily.append(summary.with_columns(local_date=pl.lit(date)))
    return pl.concat(intervals), pl.concat(daily)


def interval_rows(days: Sequence[Day]) -> pl.DataFrame:
    """The interval rows alone, in the same order."""
    return pl.concat(_intervals(some)[0] for some in _group_calls(days))


def _group_calls(days: Sequence[Day]) -> Iterator[list[Day]]:
    """The days that one call can do, call by call."""
    return (list(alike) for _, alike in groupby(sorted(days, key=_in_order), key=_of_one_call))


def pipeline(daily: pl.DataFrame) -> Figures:
    """What the pipeline's daily rows say."""
    known = {
        (row["plant_id"], name): (row[f"{name}_kwh"], row[f"{name}_covered_h"])
        for row in daily.iter_rows(named=True)
        for name in NAMES.values()
        if row[f"{name}_kwh"] is not None
    }
    hours = {key: covered * 3600 for key, (_, covered) in known.items()}
    return Figures({key: kwh for key, (kwh, _) in known.items()}, hours)


def _of_one_call(day: Day) -> tuple[str, str, str]:
    return day["local_date"], day["plant"]["time_basis"], day["plant"]["merged_hour"]


def _in_order(day: Day) -> tuple[str, ...]:
    return *_of_one_call(day), day["id"]


def _intervals(days: Sequence[Day]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interval rows of days that one call can do, and what `summarize_day` must know of them."""
    plant, date = days[0]["plant"], dt.date.fromisoformat(days[0]["local_date"])
    transform = SetTransform(
        ENERGY_BALANCE, EnergyBalanceIntervals, plant["time_basis"], plant["merged_hour"]
    )
    places = pl.DataFrame(
        {
            "plant_id": [day["id"] for day in days],
            "timezone": [day["plant"]["timezone"] for day in days],
            "rated_w": [float(day["plant"]["rated_w"]) for day in days],
        }
    ).with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("latitude", "longitude", "peak_w"))
    frames = (batch.rows for batch in transform.transform_day([_raw(days)], places, date))
    nothing = dict.fromkeys(("sunrise", "sunset", "start_up", "ended"))
    asked = places.select("plant_id").with_columns(
        day_start=pl.Series([_moment(day["expected"]["day_start"]) for day in days]),
        day_end=pl.Series([_moment(day["expected"]["day_end"]) for day in days]),
        final=pl.lit(value=True),
        expects=pl.lit(["pv_generation"]),
        **{name: pl.lit(value, pl.Datetime("us", "UTC")) for name, value in nothing.items()},
    )
    return pl.concat([pl.DataFrame(schema=polars_schema(EnergyBalanceIntervals)), *frames]), asked


def _raw(days: Sequence[Day]) -> pl.DataFrame:
    """The answers as the raw lake holds them, sorted by plant."""
    answers = [
        {"plant_id": day["id"], "request_date": f"{number:04}", "body": json.dumps(answer).encode()}
        for day in days
        for number, answer in enumerate(day["answers"])
    ]
    schema = polars_schema(RawAnswers)
    known = {"device_id": "", "fetched_at": FETCHED, "final": True}
    given = pl.DataFrame(
        answers, schema={name: schema[name] for name in ("plant_id", "request_date", "body")}
    )
    filled = given.with_columns(**{name: pl.lit(value) for name, value in known.items()})
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in filled.columns
    ]
    return filled.with_columns(missing).select(pl.col(name).cast(schema[name]) for name in schema.names())


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


# ---- rdtools ---------------------------------------------------------------------------------------------------------


def rdtools() -> dict[Key, float]:
    """kWh by rdtools as committed, where it gives a figure."""
    with RDTOOLS.open(newline="") as file:
        return {(row["id"], row["quantity"]): float(row["kwh"]) for row in csv.DictReader(file) if row["kwh"]}


def without_rows_behind_gaps(rows: pl.DataFrame) -> dict[Key, float]:
    """The pipeline's kWh without rows behind a gap, of which rdtools counts nothing."""
    first = pl.col("plant_id") != pl.col("plant_id").shift(1)
    counted = (pl.col("interval_basis") != "resolution") | first.fill_null(value=True)
    energies = [pl.when(counted).then(pl.col(f"{name}_kwh")).sum().alias(name) for name in NAMES.values()]
    sums = rows.group_by("plant_id").agg(energies)
    return {
        (row["plant_id"], name): row[name] for row in sums.iter_rows(named=True) for name in NAMES.values()
    }


# ---- SQL -------------------------------------------------------------------------------------------------------------


def sql(days: Iterable[Day]) -> Figures:
    """What the window query in oracle.sql says."""
    cases = pl.DataFrame(
        [
            {
                "id": day["id"],
                "local_date": dt.date.fromisoformat(day["local_date"]),
                "timezone": day["plant"]["timezone"],
                "time_basis": day["plant"]["time_basis"],
                "merged_hour": day["plant"]["merged_hour"],
                "resolution_s": RESOLUTIONS[day["plant"]["resolution"]],
                "answers": json.dumps(day["answers"]),
            }
            for day in days
        ]
    )
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("cases", cases.to_arrow())
        rows = engine.execute(SQL.read_text()).fetchall()
    return Figures(
        {(day, name): kwh for day, name, kwh, _ in rows}, {(day, name): s for day, name, _, s in rows}
    )
