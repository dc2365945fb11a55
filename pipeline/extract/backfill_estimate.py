"""Estimates a backfill before any request is sent: requests, minutes, bytes, PU and money."""

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from pipeline.billing import PriceList
from pipeline.billing.requested_units import find_current_month, read_capacities
from pipeline.billing.spending import read_counted_plants
from pipeline.billing.units import add_capacity
from pipeline.common.calendar_months import find_year_start
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.local_time import ONE_DAY
from pipeline.common.text import pluralize
from pipeline.extract.due_lists import count_lists, plan_device_lists, plan_plant_lists, plan_set_lists
from pipeline.extract.missing_answers import plan_missing
from pipeline.extract.request_plan import (
    PlannedRequest,
    collect_series,
    group_by_week,
    plan_measurements,
)
from pipeline.extract.vendor_energies import plan_month_requests, plan_year_requests
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, choose_sets
from pipeline.run.plants import list_own_plants, select_days_in_operation
from pipeline.sma.budget.shared_budget import Budget
from pipeline.sma.requests import Request
from schemas import MeasurementSets, storage
from schemas.base import CAPACITY_CLASSES

# Typical sizes of a day's answer, from recorded answers, for data that was never requested before. A set that is not
# named here counts as `raw_other_sets` does.
TYPICAL_BYTES: Mapping[str, int] = {
    "raw_energy_balance": 75_000,
    "raw_pv": 12_000,
    "raw_battery": 130_000,
    "raw_grid": 20_000,
    "raw_consumption": 13_000,
    "raw_energy_mix": 39_000,
    "raw_ac": 100_000,
    "raw_dc": 50_000,
    "raw_dc_energy": 12_000,
    "raw_sensor": 30_000,
    "raw_energy_values": 75_000,
    "raw_other_sets": 10_000,
    "raw_logs": 500,
    "raw_device_logs": 500,
    "lists": 1_500,
}


@dataclass(frozen=True, slots=True)
class ClassCost:
    """PU of one capacity class in the month of the requests."""

    capacity_class: str
    pu: int
    new_pu: int
    eur: Decimal
    new_eur: Decimal


@dataclass(frozen=True, slots=True)
class CredentialShare:
    """What a backfill takes of one of several credentials: requests, minutes (None without a budget) and PU."""

    name: str
    requests: int
    minutes: float | None
    pu: int
    new_pu: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The estimate of a backfill. `minutes` is None without a request budget; new PU are not charged yet this month.

    Credentials work side by side, so it takes as long as the one that is busy longest; `shares` has a row for each of
    several, and none for one.

    `next_month_eur` is what it may add to the next month's bill, because it will not be done before: 0 where it will.
    `never_asked` counts plants of which is not known what they have: their requests are those for EnergyBalance and
    logs, and no device's. `reconciling` are requests that are none of the backfill's: what comparing its months, and
    where the settings say so its years, with SMA's own figures takes afterwards. `lists_each_day` is what lists take on
    an ordinary day, when each plant's are asked for in turn.
    """

    days: int
    plants: int
    requests: Mapping[str, int]
    bytes: int
    minutes: float | None
    month: dt.date
    classes: tuple[ClassCost, ...]
    next_month_eur: Decimal
    unpriced: tuple[str, ...]
    currency: str
    price_source: str
    reconciling: Mapping[str, int]
    never_asked: int
    lists_each_day: int
    shares: tuple[CredentialShare, ...] = ()

    @property
    def total_requests(self) -> int:
        """All requests, without token renewals and retries."""
        return sum(self.requests.values())

    @property
    def new_eur(self) -> Decimal:
        """The largest amount that the backfill adds to invoices."""
        return sum((cost.new_eur for cost in self.classes), self.next_month_eur)


def plan_backfill(runtime: RunContext, first: dt.date, last: dt.date, prices: PriceList) -> Plan:
    """The plan for the days from first to last. Reads the lake and makes no API calls.

    Raises SunledgerError when no plants are known yet.
    """
    plants = _list_known_plants(runtime, first)
    days = [first + i * ONE_DAY for i in range((last - first).days + 1)]
    never_asked = _find_plants_without_sets(runtime, plants)
    counted = _count_requests(runtime, days, never_asked)
    asked_by = _sum_by_credential(runtime, counted.by_plant)
    minutes = _estimate_longest(runtime, asked_by)
    month = find_current_month(runtime, prices)
    price = prices.require_price(month)
    billed = pl.DataFrame(
        {"plant_id": sorted(read_counted_plants(runtime, prices, month))}, {"plant_id": pl.String}
    )
    units = plants.select("plant_id", month=pl.lit(month))
    priced = prices.add_fees(add_capacity(units, read_capacities(runtime.lake, units)))
    return Plan(
        days=len(days),
        plants=plants.height,
        requests=counted.by_table,
        bytes=counted.bytes,
        minutes=minutes,
        month=month,
        classes=_sum_class_costs(priced, billed),
        next_month_eur=_sum_next_month_eur(runtime, prices, plants, minutes or 0.0),
        unpriced=tuple(priced.filter(pl.col("fee_eur").is_null())["plant_id"]),
        currency=price.currency,
        price_source=price.source,
        reconciling=_count_vendor_requests(runtime, days),
        never_asked=never_asked.height,
        shares=_sum_shares(runtime, plants, billed, asked_by),
        lists_each_day=len(runtime.credentials)
        + math.ceil(count_lists(runtime) / runtime.settings.lists_cycle_days),
    )


@dataclass(slots=True)
class _CountedRequests:
    """Requests by table, and by credential and plant, and about how many bytes their answers have."""

    by_table: Counter[str] = field(default_factory=Counter)
    by_plant: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: int = 0

    def add(self, table: str, requests: Sequence[Request], answers: int) -> None:
        """Count requests of a table, which bring so many answers: one for each plant or device and day."""
        self.by_table[table] += len(requests)
        self.by_plant.update((one.credential, one.plant_id) for one in requests)
        self.bytes += answers * TYPICAL_BYTES.get(table, TYPICAL_BYTES["raw_other_sets"])


def _count_requests(
    runtime: RunContext, days: Sequence[dt.date], never_asked: pl.DataFrame
) -> _CountedRequests:
    """All requests of the backfill, with those that plants are expected to need whose sets nobody has asked for yet."""
    counted = _CountedRequests()
    # The list of plants is always requested.
    lists = [*plan_plant_lists(runtime), *plan_device_lists(runtime), *plan_set_lists(runtime)]
    counted.add("lists", lists, len(lists))
    for week in group_by_week(days):
        for part in plan_missing(runtime, week):
            requests = [one.request for one in part.requests]
            counted.add(storage(part.model).table, requests, part.plant_days)
    if expected := _plan_expected_balance(runtime, never_asked, days):
        requests = [one.request for one in expected]
        counted.add(storage(BALANCE.raw).table, requests, sum(len(planned.days) for planned in expected))
    return counted


def _estimate_longest(runtime: RunContext, asked_by: Counter[str]) -> float | None:
    """Minutes until each credential has sent its requests; None where one has no budget that says so."""
    times = [
        _estimate_minutes(asked_by[one.name], one.settings.sma_requests_per_5_min)
        for one in runtime.credentials
    ]
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None


def _sum_by_credential(runtime: RunContext, asked: Counter[tuple[str, str]]) -> Counter[str]:
    """How many requests go by each credential; `asked` counts them by the credential that they name, and by plant."""
    if len(runtime.credentials) == 1:
        return Counter({runtime.credential_names[0]: asked.total()})
    named = runtime.find_credentials({plant for _, plant in asked})
    found = Counter[str]()
    for (credential, plant), count in asked.items():
        found[credential or named.get(plant, "")] += count
    return found


def _sum_shares(
    runtime: RunContext, plants: pl.DataFrame, counted: pl.DataFrame, asked_by: Counter[str]
) -> tuple[CredentialShare, ...]:
    if len(runtime.credentials) == 1:
        return ()
    named = runtime.find_credentials(plants["plant_id"].to_list())
    names = Counter(named.values())
    new = plants.join(counted, on="plant_id", how="anti")["plant_id"]
    new_names = Counter(named.get(plant) for plant in new)
    return tuple(
        CredentialShare(
            name=one.name,
            requests=asked_by[one.name],
            minutes=_estimate_minutes(asked_by[one.name], one.settings.sma_requests_per_5_min),
            pu=names[one.name],
            new_pu=new_names[one.name],
        )
        for one in runtime.credentials
    )


def refuse_beyond(found: Plan, max_requests: int | None, max_eur: Decimal | None) -> None:
    """Raise UsageError if the plan exceeds what is allowed."""
    if max_requests is not None and found.never_asked:
        raise UsageError(
            f"The devices of {pluralize(found.never_asked, 'plant')} are not known, so --max-requests can't be "
            "checked: run 'sunledger refresh' first, or leave the option out. No request that SMA charges was sent."
        )
    if max_requests is not None and found.total_requests > max_requests:
        raise UsageError(
            f"This backfill needs {pluralize(found.total_requests, 'request')}, more than --max-requests "
            f"{max_requests}: choose fewer days or plants, or raise the limit. No request was sent."
        )
    if max_eur is not None and found.new_eur > max_eur:
        raise UsageError(
            f"This backfill adds up to {found.new_eur} {found.currency} to the bill from {found.month:%Y-%m} on, more "
            f"than --max-eur {max_eur}: choose fewer plants, or raise the amount. No request was sent."
        )
    if max_eur is not None and found.unpriced:
        raise UsageError(
            f"The price of {pluralize(len(found.unpriced), 'plant')} without AC power in SMA's list is unknown (the "
            f"first: {found.unpriced[0]}), so --max-eur can't be checked: leave the option out, or choose other "
            "plants. No request was sent."
        )


def _count_vendor_requests(runtime: RunContext, days: Sequence[dt.date]) -> dict[str, int]:
    """How many Month and Year requests the days' months and years take, as far as they are over."""
    today = runtime.find_today()
    months = sorted({day.replace(day=1) for day in days} - {today.replace(day=1)})
    years = sorted({find_year_start(day) for day in days} - {find_year_start(today)})
    counts = {"months": sum(len(plan_month_requests(runtime, month)) for month in months if month < today)}
    if runtime.settings.energy_years == "on":
        counts["years"] = sum(len(plan_year_requests(runtime, year)) for year in years if year < today)
    return counts


def _find_plants_without_sets(runtime: RunContext, plants: pl.DataFrame) -> pl.DataFrame:
    """The plants of which no measurement set is known."""
    known = runtime.lake.scan(MeasurementSets).select("plant_id").unique().collect()
    return plants.join(known, on="plant_id", how="anti")


def _plan_expected_balance(
    runtime: RunContext, plants: pl.DataFrame, days: Sequence[dt.date]
) -> list[PlannedRequest]:
    """The requests for EnergyBalance of plants that are assumed to have it; none where it is not chosen."""
    if BALANCE not in choose_sets(runtime.settings) or not plants.height:
        return []
    # A year of a large fleet has millions of plants and days, of which nothing else is needed.
    needed = plants.select("plant_id", "timezone", "start_up", "excluded_from")
    places = select_days_in_operation(needed, days, runtime.now()).with_columns(device_id=pl.lit(""))
    return plan_measurements(collect_series(places), BALANCE.set.name, runtime.settings.sma_time_basis)


def _estimate_minutes(requests: int, in_5_min: int | None) -> float | None:
    """The time that the limiter needs for this number of requests."""
    return requests / Budget(in_5_min).rate / 60 if in_5_min else None


def _sum_next_month_eur(
    runtime: RunContext, prices: PriceList, plants: pl.DataFrame, minutes: float
) -> Decimal:
    """The fees of all plants in the month in which the backfill will end, if that is not the present month."""
    begins, ends = (
        prices.invoicing.find_month(runtime.now() + dt.timedelta(minutes=late)) for late in (0.0, minutes)
    )
    if begins == ends:
        return Decimal(0)
    units = plants.select("plant_id", month=pl.lit(ends))
    priced = prices.add_fees(add_capacity(units, read_capacities(runtime.lake, units)))
    return Decimal(priced["fee_eur"].sum() or 0)


def _list_known_plants(runtime: RunContext, first: dt.date) -> pl.DataFrame:
    try:
        return list_own_plants(runtime, min(first, runtime.find_today()))
    except UsageError:
        raise
    except SunledgerError:
        raise SunledgerError(
            "No plants are stored yet, so nothing can be planned: run 'sunledger plan', which fetches their list."
        ) from None


def _sum_class_costs(priced: pl.DataFrame, asked: pl.DataFrame) -> tuple[ClassCost, ...]:
    fees = priced.filter(pl.col("fee_eur").is_not_null())
    new = fees.join(asked, on="plant_id", how="anti").select("plant_id", new_eur="fee_eur")
    costs = (
        fees.join(new, on="plant_id", how="left")
        .group_by("capacity_class")
        .agg(
            pu=pl.len(),
            new_pu=pl.col("new_eur").count(),
            eur=pl.col("fee_eur").sum(),
            new_eur=pl.col("new_eur").sum(),
        )
    )
    rows = {row["capacity_class"]: row for row in costs.iter_rows(named=True)}
    return tuple(ClassCost(**rows[name]) for name in CAPACITY_CLASSES if name in rows)
