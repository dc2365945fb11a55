"""What the months with limits of power are made from."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipeline.run.context import RunContext
from pipeline.tables.curtailment_tables import build_bounds
from pipeline.tables.limited_months import find_without_meter, list_limited_months
from schemas import Plants, QuarterHours, columns, polars_schema
from tests.whole_days import refresh

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


def test_a_share_of_the_power_is_of_what_the_plant_had_then(
    new_runtime: Callable[..., RunContext], tmp_path: Path
) -> None:
    """SMA listed 3 kW in May, 10 kW up to 14 June and 4 kW from then on: by the plant's own clock, that of Brisbane."""
    runtime = new_runtime()
    for day in DAYS:
        store(runtime, day, a=1.0)
    file = tmp_path / "limits.csv"
    file.write_text(
        "plant_id,limit_start,limit_end,limit_percent,kind,asked_by\n"
        "11,2026-05-31T00:00:00Z,2026-07-01T00:00:00Z,50,feed_in,grid_operator\n"
        # On 15 June from eight to nine in the morning, while UTC has the 14th.
        "11,2026-06-14T22:00:00Z,2026-06-14T23:00:00Z,25,feed_in,manual\n"
    )
    runtime.settings = runtime.settings.model_copy(update={"curtailment_limits": file})
    refresh(runtime)
    former = [{"until": "2026-05-31", "ac_power_kw": 3.0}, {"until": str(DAYS[0]), "ac_power_kw": 10.0}]
    reduced = runtime.lake.read_whole(Plants).with_columns(
        ac_power_kw=pl.lit(4.0), former_powers=pl.lit(json.dumps(former))
    )
    runtime.lake.replace(Plants, {}, [reduced])
    (month,) = list_limited_months(runtime)
    more = dt.datetime(2026, 5, 31, 14, tzinfo=dt.UTC)
    cut = dt.datetime(2026, 6, 14, 14, tzinfo=dt.UTC)
    assert month.limits.select("limit_start", "limit_end", "limit_w").rows() == [
        (dt.datetime(2026, 5, 31, tzinfo=dt.UTC), more, 1500.0),
        (more, cut, 5000.0),
        (cut, dt.datetime(2026, 7, 1, tzinfo=dt.UTC), 2000.0),
        (*(dt.datetime(2026, 6, 14, hour, tzinfo=dt.UTC) for hour in (22, 23)), 1000.0),
    ]
    bounds = build_bounds(month.limited, month.dates)
    assert bounds.select("local_date", "rated_w").rows() == [(DAYS[0], 10_000.0), (DAYS[1], 4_000.0)]
