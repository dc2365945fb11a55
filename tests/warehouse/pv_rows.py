"""Good rows of `pv_intervals` for a part of the lake."""

import datetime as dt

import polars as pl

from schemas import polars_schema
from schemas.core import PvIntervals

DAY = dt.date(2021, 10, 5)
PART = {"local_date": DAY}


def pv(*, plants: str = "ab", rows: int = 3, watts: float = 1000.0, day: dt.date = DAY) -> pl.DataFrame:
    """A good frame of `pv_intervals`: 5-minute rows from 10:00 UTC."""
    start = dt.datetime(day.year, day.month, day.day, 10, tzinfo=dt.UTC)
    step = dt.timedelta(minutes=5)
    return pl.DataFrame(
        [
            {
                "plant_id": plant,
                "device_id": "1",
                "local_date": day,
                "interval_start": start + i * step,
                "interval_end": start + (i + 1) * step,
                "interval_basis": "previous_row",
                "flagged": False,
                "suspect": False,
                "pv_generation_w": watts,
                "pv_generation_kwh": watts / 12000,
            }
            for plant in plants
            for i in range(rows)
        ],
        schema=polars_schema(PvIntervals),
    )
