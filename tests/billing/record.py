"""Rows of the record of requests, and of PU, from the few values that matter."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from pipeline.run.context import RunContext
from schemas import ApiRequests, BillingUnits, polars_schema

NO_MOVES = pl.DataFrame(schema={"plant_id": pl.String, "old_id": pl.String, "moved_on": pl.Date})
USUAL: dict[str, Any] = {
    "plant_id": "11",
    "device_id": "",
    "endpoint": "measurements",
    "set_type": "EnergyBalance",
    "period": "Day",
    "request_date": "",
    "attempt": 1,
    "status": 200,
    "error": None,
    "bytes": 1,
    "elapsed_ms": 1.0,
}


def at(text: str) -> dt.datetime:
    """A moment in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def request(moment: str, **values: Any) -> dict[str, Any]:
    """A row of api_requests: a plant's measurements, answered, unless told otherwise."""
    asked = at(moment)
    name = f"{moment}-{values}"
    return USUAL | {"request_id": name, "asked_at": asked, "asked_date": asked.date()} | values


def record(*rows: dict[str, Any]) -> pl.DataFrame:
    """A frame of api_requests."""
    return pl.DataFrame(list(rows), schema=polars_schema(ApiRequests))


def store(runtime: RunContext, *rows: dict[str, Any]) -> None:
    """Add rows to the lake's record."""
    for (day,), part in record(*rows).group_by("asked_date"):
        assert isinstance(day, dt.date)
        runtime.lake.append(ApiRequests, {"asked_date": day}, part)


def listed(*rows: tuple[str, str, float | None]) -> pl.DataFrame:
    """What SMA listed: plant, day, capacity in kW."""
    names = {"plant_id": pl.String, "listed_on": pl.String, "capacity_kw": pl.Float64}
    return pl.DataFrame(rows, names, orient="row").with_columns(pl.col("listed_on").str.to_date())


def unit(plant: str, month: str, fee: str | None, **values: Any) -> dict[str, Any]:
    """A row of billing_units: 50 kW, asked once, unless told otherwise."""
    first = dt.date.fromisoformat(f"{month}-01")
    amount = None if fee is None else Decimal(fee)
    return {
        "plant_id": plant,
        "month": first,
        "capacity_kw": None if fee is None else 50.0,
        "capacity_as_of": None if fee is None else first,
        "capacity_class": None if fee is None else "20-99",
        "n_requests": 1,
        "n_device_requests": 0,
        "first_request": at(f"{month}-02"),
        "last_request": at(f"{month}-02"),
        "base_eur": amount,
        "capacity_eur": None if fee is None else Decimal(0),
        "fee_eur": amount,
        "currency": "EUR",
        "pricing": "no_capacity" if fee is None else "priced",
        "price_valid_from": dt.date(2020, 1, 1),
        "price_source": "a test",
    } | values


def units(*rows: dict[str, Any]) -> pl.DataFrame:
    """A frame of billing_units, sorted."""
    return pl.DataFrame(list(rows), schema=polars_schema(BillingUnits)).sort("plant_id", "month")
