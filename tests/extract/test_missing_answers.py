"""What some days still lack: those of a small fleet are looked at together, those of a large one day by day."""

import datetime as dt
from collections.abc import Callable, Sequence

import polars as pl
import pytest

from pipeline.extract import missing_answers
from pipeline.extract.missing_answers import plan_missing
from pipeline.extract.request_plan import FetchPlan
from pipeline.run.context import RunContext
from pipeline.run.plants import select_days_in_operation, select_in_operation
from schemas import Devices, Plants, RawPv, storage
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, fetch, refresh

New = Callable[..., RunContext]
WEEK = tuple(MONDAY + dt.timedelta(days=n) for n in range(7))
DEVICE = "110"


@pytest.fixture
def begun(new_runtime: New, sma: ScriptedSma) -> RunContext:
    """Monday is stored, the inverter of plant 11 went with Tuesday's end."""
    sma.devices["11"] = [{"deviceId": DEVICE, "name": "Inverter", "isActive": True}]
    first = new_runtime()
    refresh(first)
    fetch(first, MONDAY)
    ended = dt.datetime.combine(WEEK[2], dt.time())
    mine = pl.col("device_id") == DEVICE
    devices = first.lake.read_whole(Devices).with_columns(
        deactivated_at=pl.when(mine).then(pl.lit(ended)).otherwise("deactivated_at")
    )
    first.lake.replace(Devices, {}, [devices])
    runtime = new_runtime(again=False)
    moment = NOW + dt.timedelta(days=30)
    runtime.now = lambda: moment
    return runtime


def list_days(plans: Sequence[FetchPlan], device: str) -> set[dt.date]:
    found = (one for plan in plans for one in plan.requests if one.request.device_id == device)
    return {day for one in found for day in one.days}


def test_days_that_are_planned_together_lack_what_each_of_them_lacks(
    begun: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[tuple[dt.date, ...]] = []

    def look(plants: pl.DataFrame, days: Sequence[dt.date], now: dt.datetime) -> pl.DataFrame:
        looks.append(tuple(days))
        return select_days_in_operation(plants, days, now)

    monkeypatch.setattr(missing_answers, "select_days_in_operation", look)
    together = list(plan_missing(begun, WEEK))
    assert set(looks) == {WEEK}
    looks.clear()
    # Two plants: one day makes two rows.
    monkeypatch.setattr(missing_answers, "PLANT_DAYS_AT_ONCE", 2)
    assert list(plan_missing(begun, WEEK)) == together
    assert set(looks) == {(day,) for day in WEEK}
    assert list_days(together, "") == {*WEEK[1:]}
    assert list_days(together, DEVICE) == {TUESDAY}
    (of_device,) = (plan for plan in together if storage(plan.model).table == storage(RawPv).table)
    assert of_device.days[MONDAY].with_rows
    assert not of_device.days[TUESDAY].with_rows


def test_plants_of_several_days_are_those_of_each(begun: RunContext) -> None:
    """Also where a plant has other hours, began or left within these days, or on a day that has not begun."""
    plants = begun.lake.read_whole(Plants)
    several = pl.concat(
        [
            plants,
            plants.with_columns(
                plant_id="x" + pl.col("plant_id"),
                timezone=pl.lit("Pacific/Auckland"),
                start_up=pl.lit(dt.datetime(2021, 10, 6, 12, tzinfo=dt.UTC), pl.Datetime("us", "UTC")),
                excluded_from=pl.lit(WEEK[4]),
            ),
        ]
    )
    now = dt.datetime(2021, 10, 9, 18, tzinfo=dt.UTC)
    found = select_days_in_operation(several, WEEK, now)
    each = [
        select_in_operation(several, day, now).with_columns(local_date=pl.lit(day)).select(found.columns)
        for day in WEEK
    ]
    keys = ["local_date", "plant_id"]
    assert found.sort(keys).equals(pl.concat(each).sort(keys))
    assert 0 < found.height < several.height * len(WEEK)
