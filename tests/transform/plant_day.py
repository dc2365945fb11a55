"""A plant's day in minutes from midnight: its rows, what was known of it, and its figures."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipeline.transform.daily import summarize_day
from schemas import EnergyDaily, polars_schema
from schemas.quantities import ENERGY_BALANCE
from warehouse.frames import validate

DAY = dt.date(2025, 7, 9)
START = dt.datetime(2025, 7, 9, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
QUANTITIES = [each.column for each in ENERGY_BALANCE.powers]
SCHEMA = {
    "plant_id": pl.String,
    "interval_start": pl.Datetime("us", "UTC"),
    "interval_end": pl.Datetime("us", "UTC"),
    "bridged_s": pl.Int32,
    "flagged": pl.Boolean,
    "suspect": pl.Boolean,
    **{f"{name}_{unit}": pl.Float64 for name in QUANTITIES for unit in ("w", "kwh")},
}


@dataclass(frozen=True)
class Span:
    """An interval row: minutes from midnight, and mean powers of the quantities that it has."""

    begin: int
    end: int
    watts: Mapping[str, float] = field(default_factory=lambda: {"pv_generation": 1000.0})
    flagged: bool = False
    bridged_s: int | None = 0


@dataclass(frozen=True)
class Asked:
    """What was known of a plant when it was asked, in minutes from midnight."""

    sunrise: int | None = 240
    sunset: int | None = 1200
    start_up: int | None = None
    ended: int | None = None
    final: bool = True
    expects: tuple[str, ...] = ("pv_generation",)
    hours: int = 24


def moment(minutes: int | None) -> dt.datetime | None:
    return None if minutes is None else START + minutes * MINUTE


def frame(spans: Sequence[Span], plant: str = "1") -> pl.DataFrame:
    rows = []
    for span in spans:
        values = {f"{name}_w": watts for name, watts in span.watts.items()}
        values |= {
            f"{name}_kwh": watts * (span.end - span.begin) / 60_000 for name, watts in span.watts.items()
        }
        times = {"interval_start": moment(span.begin), "interval_end": moment(span.end)}
        rows.append({"plant_id": plant, **times, "flagged": span.flagged, "suspect": False} | values)
        rows[-1]["bridged_s"] = span.bridged_s
    return pl.DataFrame(rows, schema=SCHEMA)


def asked(**plants: Asked) -> pl.DataFrame:
    times = ("day_start", "day_end", "sunrise", "sunset", "start_up", "ended")
    rows = [
        {
            "plant_id": plant,
            "day_start": START,
            "day_end": START + known.hours * HOUR,
            "sunrise": moment(known.sunrise),
            "sunset": moment(known.sunset),
            "start_up": moment(known.start_up),
            "ended": moment(known.ended),
            "final": known.final,
            "expects": list(known.expects),
        }
        for plant, known in plants.items()
    ]
    schema = {
        "plant_id": pl.String,
        **dict.fromkeys(times, pl.Datetime("us", "UTC")),
        "final": pl.Boolean,
        "expects": pl.List(pl.String),
    }
    return pl.DataFrame(rows, schema=schema)


def summary(spans: Sequence[Span], known: Asked | None = None) -> dict[str, object]:
    """The day's row of one plant."""
    figures = summarize_day(
        [frame(spans)], asked(**{"1": known or Asked()}), keys=["plant_id"], quantities=QUANTITIES
    )
    named = figures.rows.with_columns(local_date=pl.lit(DAY), timezone=pl.lit("UTC"))
    daily = named.select(polars_schema(EnergyDaily).names())
    validate(EnergyDaily, daily, {"local_date": DAY})
    (row,) = daily.rows(named=True)
    return row


def every(step: int, begin: int = 0, end: int = 1440, **watts: float) -> list[Span]:
    values = watts or {"pv_generation": 1000.0}
    return [Span(at, at + step, values) for at in range(begin, end, step)]


def figures(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("covered_h", "expected_h", "coverage", "largest_gap_min", "status"))
