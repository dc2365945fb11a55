"""What the months with limits of power are made from."""

import datetime as dt
from collections.abc import Callable

import polars as pl

from pipeline.run.context import RunContext
from pipeline.tables.limited_months import find_without_meter
from schemas import QuarterHours, columns, polars_schema

DAYS = [dt.date(2026, 6, 14), dt.date(2026, 6, 15)]


def store(runtime: RunContext, day: dt.date, **feed_in: float | None) -> pl.DataFrame:
    """A quarter hour of each plant, with its feed-in."""
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    facts = {"local_date": day, "quarter_start": noon, "local_start": noon.replace(tzinfo=None)}
    fill = {pl.String: "x", pl.Boolean: False, pl.Float64: 0.0, pl.Int64: 0}
    rows = [
        {
            column.name: None if column.nullable else fill.get(type(column.dtype))
            for column in columns(QuarterHours)
        }
        | facts
        | {"plant_id": plant, "grid_feed_in_kwh": kwh}
        for plant, kwh in feed_in.items()
    ]
    frame = pl.DataFrame(rows, schema=polars_schema(QuarterHours))
    runtime.lake.replace(QuarterHours, {"local_date": day}, [frame])
    return frame


def test_a_plant_whose_meter_was_down_for_some_days_has_one(new_runtime: Callable[..., RunContext]) -> None:
    runtime = new_runtime()
    store(runtime, DAYS[0], down=1.0, none=None, well=1.0)
    seen = store(runtime, DAYS[1], down=None, none=None, well=1.0)
    assert find_without_meter(runtime, seen) == ["none"]
