"""Checks of the files that a user brings: invoices, prices, thresholds, irradiation, fleets, settings."""

import datetime as dt
import math
from pathlib import Path

import polars as pl

from pipeline.billing.invoice_file import read_invoice
from pipeline.billing.prices import load_prices
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings, load_settings, name_variable
from pipeline.run.supplied_files.fleet_membership import read_fleet
from pipeline.run.supplied_files.supplied_irradiation import IRRADIATION, read_supplied_irradiation
from pipeline.run.supplied_files.supplied_limits import LIMITS, read_supplied_limits
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from tests.fuzz.properties import (
    TODAY,
    assert_speaks,
    choose,
    read_as_file,
)
from tests.transform.answers import FETCHED


def check_invoice(data: bytes) -> None:
    """An invoice: every line a plant, a month and an exact amount."""

    def read(path: Path) -> None:
        found = read_invoice(path, "EUR", TODAY)
        lines = found.lines
        assert lines.height
        assert (
            lines.null_count().select("line", "plant_id", "month", "amount_eur").sum_horizontal().item() == 0
        )
        assert lines["month"].max() <= TODAY  # type: ignore[operator]
        assert (lines["month"].dt.day() == 1).all()

    read_as_file(data, ".csv", read)


def check_prices(data: bytes) -> None:
    """A price list: prices that price."""

    def read(path: Path) -> None:
        prices = load_prices(path)
        units = pl.DataFrame(
            {
                "month": [dt.date(2026, 10, 1)] * 2,
                "capacity_kw": [50.0, None],
                "capacity_class": ["20-99", None],
            },
            schema={"month": pl.Date, "capacity_kw": pl.Float64, "capacity_class": pl.String},
        )
        fees = prices.add_fees(units)["fee_eur"].drop_nulls()
        assert (fees >= 0).all()
        prices.invoicing.find_month(FETCHED)

    read_as_file(data, ".toml", read)


def check_thresholds(data: bytes) -> None:
    """Thresholds of the quality rules: numbers."""

    def read(path: Path) -> None:
        limits = read_thresholds(path)
        assert all(math.isfinite(getattr(limits, name)) for name in limits.__dataclass_fields__)

    read_as_file(data, ".toml", read)


def check_irradiation(data: bytes) -> None:
    """A file of irradiation, CSV or Parquet: rows within the bounds of nature, or an error."""

    def read(path: Path) -> None:
        rows = read_supplied_irradiation(load_settings(env_file=None, irradiation=path))
        assert rows.schema == IRRADIATION
        assert rows["w_per_m2"].is_between(0, 2_000).all()
        assert (rows["interval_end"] > rows["interval_start"]).all()

    read_as_file(data, ".parquet" if data.startswith(b"PAR1") else ".csv", read)


def check_limits(data: bytes) -> None:
    """A file of limits, CSV or TOML: rows with one value each and an end after their start, or an error."""

    def read(path: Path) -> None:
        rows = read_supplied_limits(load_settings(env_file=None, curtailment_limits=path))
        assert rows.schema == LIMITS
        assert (rows["limit_end"] > rows["limit_start"]).all()
        assert (rows["limit_kw"].is_null() != rows["limit_percent"].is_null()).all()
        assert rows["limit_percent"].drop_nulls().is_between(0, 100).all()

    read_as_file(data, ".toml" if b"[[" in data else ".csv", read)


def check_fleet_file(data: bytes) -> None:
    """A file that names plants, and what it makes of a list of them."""

    def read(path: Path) -> None:
        settings = load_settings(env_file=None, exclude_plants=f"@{path}", include_plants="")
        found = read_fleet(settings)
        plants = pl.DataFrame(
            {"plant_id": ["1", "2"], "name": ["Roof*", "\\E.+(["], "migrated_from": [None, "3"]},
            schema=dict.fromkeys(("plant_id", "name", "migrated_from"), pl.String),
        )
        assert set(found.find_excluded(plants)["plant_id"]) <= {"1", "2"}
        found.list_unknown(plants)

    read_as_file(data, ".txt", read)


def check_settings_file(data: bytes) -> None:
    """A file `.env`."""
    read_as_file(data, ".env", lambda path: _settle(load_settings(env_file=path)))


def check_settings(data: bytes) -> None:
    """Values of settings, a line each for one setting after another."""
    names = [name for name in Settings.model_fields if name != "home"]
    lines = data.decode("utf-8", "replace").replace("\0", "").split("\n")
    given = {names[(choose(data, 1, len(names)) + n) % len(names)]: line for n, line in enumerate(lines[:4])}
    try:
        _settle(
            load_settings(
                env_file=None,
                **{name_variable(n) if n.startswith("sma_") else n: v for n, v in {}.items()},
                **given,
            )
        )
    except SunledgerError as error:
        assert_speaks(error)


def _settle(settings: Settings) -> None:
    """Use what commands use first."""
    read_fleet(settings)
    assert "secret" not in repr(settings.sma_client_secret)
    assert settings.first_day >= dt.date.min
