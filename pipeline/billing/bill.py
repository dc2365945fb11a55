"""What a year costs: PU and invoices up to now, a forecast to its end, what could be saved. Makes no API calls."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from pipeline.billing.invoices import build_invoices
from pipeline.billing.lost_requests import explain_lower_bound
from pipeline.billing.prices import CENTS, PriceList
from pipeline.billing.requested_units import count_units, find_current_month, read_capacities, read_moves
from pipeline.billing.units import add_capacity, find_unanswered_systems, move_to_new_ids
from pipeline.billing.unused_units import find_unused_units
from pipeline.common.calendar_months import find_month_before
from pipeline.run.context import RunContext
from pipeline.run.plants import find_excluded_plants, list_plant_ids_of_newest
from schemas import ApiRequests, DeviceEnergyDaily, EnergyDaily, Plants, Table, columns
from warehouse.lake import Lake

UNPRICED = "unpriced"
DECEMBER = 12
COST = ("plant_id", "month", "capacity_class", "fee_eur")


@dataclass(frozen=True, slots=True)
class Bill:
    """A year's costs as of `month`, the current one.

    `classes` has a row for each month and class (class "unpriced": no capacity or no price): month, capacity_class,
    pu, fee_eur, and expected_pu, expected_eur, which include what is there already. `invoices` are rows of that table
    with the forecast in them. `unused` has a row for each system with PU that no report made use of: plant_id, name,
    pu, of_pu, fee_eur, why. `unpriced` are systems, `n_unanswered` counts those that were asked for and never answered.
    `lower_bound` says that requests of the year are lost.
    """

    year: int
    month: dt.date
    first_month: dt.date | None
    currency: str
    sources: tuple[str, ...]
    classes: pl.DataFrame
    invoices: pl.DataFrame
    unused: pl.DataFrame
    unpriced: tuple[str, ...]
    n_unanswered: int
    expected_systems: int
    lower_bound: str

    @property
    def unused_eur(self) -> Decimal:
        """What the PU that no report made use of cost, as far as they are priced."""
        return Decimal(self.unused["fee_eur"].sum())


def build_bill(runtime: RunContext, prices: PriceList, year: int, *, forecast: bool) -> Bill:
    """The bill of a year, by all requests that are stored at this moment."""
    lake, month = runtime.lake, find_current_month(runtime, prices)
    units, moves = count_units(runtime, prices), read_moves(runtime.lake)
    excluded = set(find_excluded_plants(runtime)["plant_id"])
    listed = (list_plant_ids_of_newest(runtime) or frozenset()) - excluded
    more = expect_units(units, listed, moves, month, year)
    if not forecast:
        more = more.clear()
    expected = prices.add_fees(add_capacity(more, read_capacities(lake, more)))
    priced = expected.select(COST)
    every = pl.concat([units.select(COST), priced])
    # A Live plan costs every month until it ends, whoever is asked for.
    until = max(month, dt.date(year, DECEMBER, 1)) if forecast else month
    found = build_invoices(every, prices, until)
    of_year = pl.col("month").dt.year() == year
    ours = units.filter(of_year)
    sources = pl.concat([ours["price_source"], expected.filter(of_year)["price_source"]])
    unanswered = find_unanswered_systems(lake.scan(ApiRequests), moves, prices)
    return Bill(
        year=year,
        month=month,
        first_month=min(units["month"], default=None),
        currency=prices.currency,
        sources=tuple(sources.drop_nulls().unique(maintain_order=True)),
        classes=_sum_classes(ours.select(COST), priced.filter(of_year)),
        invoices=found.filter(pl.col("year") == year),
        unused=_find_unused(lake, ours, moves, prices),
        unpriced=tuple(every.filter(of_year, pl.col("fee_eur").is_null())["plant_id"].unique().sort()),
        n_unanswered=unanswered.filter(of_year)["plant_id"].n_unique(),
        expected_systems=find_expected_systems(units, listed, moves, month).height,
        lower_bound=explain_lower_bound(
            runtime.settings.home, [dt.date(year, m, 1) for m in range(1, DECEMBER + 1)]
        ),
    )


def expect_units(
    units: pl.DataFrame, listed: Collection[str], moves: pl.DataFrame, month: dt.date, year: int
) -> pl.DataFrame:
    """plant_id and month of the PU that are still to come in a year: none in a year that is over.

    The systems of `find_expected_systems` are expected in every month from the current one, `month`, on in which they
    were not asked for yet.
    """
    systems = find_expected_systems(units, listed, moves, month)
    first, last = max(month, dt.date(year, 1, 1)), dt.date(year, DECEMBER, 1)
    months = pl.DataFrame({"month": pl.date_range(first, last, "1mo", eager=True) if first <= last else []})
    return (
        systems.join(months.cast({"month": pl.Date}), how="cross")
        .join(units, on=["plant_id", "month"], how="anti")
        .sort("plant_id", "month")
    )


def find_expected_systems(
    units: pl.DataFrame, listed: Collection[str], moves: pl.DataFrame, month: dt.date
) -> pl.DataFrame:
    """plant_id of who was asked for in the running month or in the one before, and is in SMA's newest list.

    A system that was asked for by the id that it had before it moved (`moves` as in `count_asked_systems`) is expected
    by its new one.
    """
    before = find_month_before(month)
    lately = units.filter(pl.col("month").is_in([before, month])).select("plant_id", month=pl.lit(month))
    moved = move_to_new_ids(lately, moves)
    return moved.filter(pl.col("plant_id").is_in(list(listed))).select("plant_id").unique()


def _sum_classes(ours: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """PU and fees by month and class, smallest class first, unpriced last."""
    marked = pl.concat([ours.with_columns(there=True), more.with_columns(there=False)])
    name = pl.when(pl.col("fee_eur").is_null()).then(pl.lit(UNPRICED)).otherwise("capacity_class")
    there = pl.col("there")
    return (
        marked.group_by("month", name.alias("capacity_class"))
        .agg(
            pu=there.sum(),
            fee_eur=pl.col("fee_eur").filter(there).sum().cast(CENTS),
            expected_pu=pl.len(),
            expected_eur=pl.col("fee_eur").sum().cast(CENTS),
        )
        .sort(
            "month",
            pl.col("capacity_class") == UNPRICED,
            pl.col("capacity_class").str.extract(r"^(\d+)").cast(pl.Int64),
        )
    )


def _find_unused(lake: Lake, units: pl.DataFrame, moves: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """Systems with PU of no use, the dearest first."""
    reported = pl.concat([_scan_days_with_energy(lake, model) for model in (EnergyDaily, DeviceEnergyDaily)])
    found = find_unused_units(units, lake.scan(ApiRequests), reported, moves, prices)
    names = lake.scan(Plants).select("plant_id", "name").collect()
    return (
        found.group_by("plant_id")
        .agg(
            pu=pl.len(),
            fee_eur=pl.col("fee_eur").sum().cast(CENTS),
            why=pl.col("why").unique().sort().str.join("; "),
        )
        .join(units.group_by("plant_id").agg(of_pu=pl.len()), on="plant_id")
        .join(names, on="plant_id", how="left")
        .sort(["fee_eur", "plant_id"], descending=[True, False])
    )


def _scan_days_with_energy(lake: Lake, model: type[Table]) -> pl.LazyFrame:
    energies = [column.name for column in columns(model) if column.unit == "kWh"]
    has_energy = pl.any_horizontal(pl.col(energies).is_not_null())
    return lake.scan(model).filter(has_energy).select("plant_id", "local_date")
