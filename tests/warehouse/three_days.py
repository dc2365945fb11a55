"""Three days of an answer and a figure, one of them replaced: rows to write, and what readers of them shall find."""

import datetime as dt

import polars as pl

from schemas import EnergyDaily, RawEnergyBalance, Table
from tests.small_lake import make_frame
from warehouse.lake import Lake

DAYS = [dt.date(2021, 10, day) for day in (1, 2, 3)]
# The second day was replaced by the fourth commit; its first file lies there still.
NEWEST = {DAYS[0]: 1.0, DAYS[1]: 20.0, DAYS[2]: 3.0}
MODELS: list[type[Table]] = [RawEnergyBalance, EnergyDaily]
ANSWER = {"status": 200, "attempts": 1, "time_basis": "utc"}


def frame_of(model: type[Table], day: dt.date, value: float) -> pl.DataFrame:
    row = {"plant_id": "a", "local_date": day}
    more = {"pv_generation_kwh": value} if model is EnergyDaily else {"body": str(value).encode(), **ANSWER}
    return make_frame(model, [row | more])


def values(lake: Lake, model: type[Table]) -> dict[dt.date, float]:
    name = "pv_generation_kwh" if model is EnergyDaily else "body"
    return {day: float(value) for day, value in lake.scan(model).select("local_date", name).collect().rows()}
