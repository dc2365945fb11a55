"""The gate in front of every request that makes a PU: what it would add to the month's bill, and whether it may.

A PU is one system in one month of asking, so only the first request of a system in a month costs anything. A plant that
counts in the month already is let through. Others need somebody's consent: a person's on the command line, a run's tag,
or the monthly limit of the settings. Consent is kept by month in `$SUNLEDGER_HOME/spending`, so that processes that run
at once share one limit, and nobody is asked twice for the same PU.
"""

import datetime as dt
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

import orjson
import polars as pl

from pipeline.billing.prices import MONTHS_A_YEAR, TIMES, Price, PriceList, load_prices
from pipeline.billing.requested_units import read_capacities, read_moves
from pipeline.billing.units import add_capacity, count_asked_systems, move_to_new_ids
from pipeline.common.calendar_months import find_month_before
from pipeline.common.errors import ConfigurationError, SunledgerError, UsageError
from pipeline.common.files.regular_files import list_regular_names
from pipeline.common.local_time import ONE_DAY
from pipeline.common.settings import Settings, name_variable
from pipeline.common.text import pluralize
from pipeline.run.allowance import MAX_EUR
from pipeline.run.context import RunContext
from pipeline.sma.auth.private_documents import change_document, open_document
from schemas import ApiRequests, Plants

LIMIT = name_variable("max_eur_per_month")
# Below SUNLEDGER_HOME; in a cluster these records are in PostgreSQL.
FOLDER = "spending"
CENT = Decimal("0.01")
Decision = TypeVar("Decision")
_MOST_DECISIONS = 10


class CostNotAllowedError(UsageError):
    """Requests would add PU to a bill that nobody has agreed to."""


@dataclass(frozen=True, slots=True)
class NewUnits:
    """The PU that asking for some plants adds to the bill of a month.

    `plants` has plant_id, fee_eur (null where SMA lists no AC capacity) and reckoned_eur (the fee, or then the largest
    base fee), in the order in which a limit lets them through. `counted` plants of those asked about are on the bill
    already. `spent_eur` is the bill without the new PU. Amounts are in `currency`.
    """

    month: dt.date
    plants: pl.DataFrame
    counted: int
    spent_eur: Decimal
    currency: str
    price_source: str

    @property
    def eur(self) -> Decimal:
        """What the new PU add, at most."""
        return Decimal(self.plants["reckoned_eur"].sum() or 0).quantize(CENT)

    @property
    def ids(self) -> frozenset[str]:
        """The plants that are new on the bill."""
        return frozenset(self.plants["plant_id"])

    def describe(self) -> str:
        """What is added, as a sentence."""
        count = self.plants.height
        plants, sum_ = pluralize(count, "plant"), f"{self.eur} {self.currency}"
        text = f"Requests for {plants} add {count} PU to {self.month:%Y-%m}: {sum_}"
        text += f" ({self.price_source})."
        unknown = self.plants.filter(pl.col("fee_eur").is_null())
        if unknown.height:
            text += (
                f" The fee of {pluralize(unknown.height, 'plant')} without AC power in SMA's list (the first: "
                f"{unknown['plant_id'][0]}) is assumed as {unknown['reckoned_eur'][0]} each."
            )
        if self.counted:
            text += f" {pluralize(self.counted, 'plant')} more cost nothing, because the month's bill has them already."
        return text


@dataclass(frozen=True, slots=True)
class Admission:
    """Which plants may be asked for in a month, and the PU that were not let through; None where all were."""

    plants: frozenset[str]
    month: dt.date
    refused: NewUnits | None = None


def find_new_units(
    runtime: RunContext,
    plants: Collection[str],
    month: dt.date | None = None,
    listed: pl.DataFrame | None = None,
) -> NewUnits:
    """The PU that asking for these plants would add to the month, by default to the current one. Makes no API calls.

    `listed` are plants that are not in the lake yet: plant_id, listed_on, capacity_kw. Raises ConfigurationError where
    the price list can't be read, or begins later.
    """
    prices = load_prices(runtime.settings.prices)
    month = month or prices.invoicing.find_month(runtime.now())
    known = _Book(runtime.settings, month).read() | read_counted_plants(runtime, prices, month)
    return _price_new_units(runtime, prices, month, plants, known, listed)


def allow_units(runtime: RunContext, found: NewUnits) -> None:
    """Keep a person's consent to these PU. Raises SunledgerError where it can't be written."""
    book = _Book(runtime.settings, found.month)
    with book.lock():
        book.change(lambda agreed: (agreed | found.ids, None))


def check_agreements(settings: Settings, now: dt.datetime) -> None:
    """Read what was agreed to in each month. Raises SunledgerError for the first file that is none of ours."""
    months = {now.date().replace(day=1)}
    for name in list_regular_names(settings.home / FOLDER):
        with suppress(ValueError):
            months.add(dt.datetime.strptime(name, "%Y-%m.json").replace(tzinfo=dt.UTC).date())
    for month in sorted(months):
        _Book(settings, month).read()


def admit(runtime: RunContext, plants: Iterable[str], listed: pl.DataFrame | None = None) -> Admission:
    """Let through the plants that may be asked for: those that cost nothing more, and new PU within the limits.

    What is let through counts against the limits from now on, whether SMA answers or not. `listed` is as in
    `find_new_units`.
    """
    wanted = frozenset(plants)
    prices, month, fault = _read_month(runtime)
    book = _Book(runtime.settings, month)
    if wanted <= book.read():
        return Admission(wanted, month)
    if prices is None:
        raise fault or ConfigurationError(
            "The price list can't be read: correct it, or set SUNLEDGER_PRICES."
        )

    def let_through(agreed: frozenset[str]) -> tuple[frozenset[str], tuple[NewUnits, pl.DataFrame]]:
        known = agreed | read_counted_plants(runtime, prices, month)
        found = _price_new_units(runtime, prices, month, wanted, known, listed)
        fitting = _select_within_limits(runtime, found)
        return known | set(fitting["plant_id"]), (found, fitting)

    with book.lock():
        found, fitting = book.change(let_through)
        runtime.allowance.spend(_sum(fitting))
    return _build_admission(wanted, found, fitting)


def look_ahead(runtime: RunContext, plants: Iterable[str]) -> Admission:
    """What `admit` would say, with nothing let through and nothing kept."""
    wanted = frozenset(plants)
    month = load_prices(runtime.settings.prices).invoicing.find_month(runtime.now())
    if wanted <= _Book(runtime.settings, month).read():
        return Admission(wanted, month)
    found = find_new_units(runtime, wanted, month)
    return _build_admission(wanted, found, _select_within_limits(runtime, found))


def _build_admission(wanted: frozenset[str], found: NewUnits, fitting: pl.DataFrame) -> Admission:
    """All plants, without the new PU that do not fit."""
    rest = found.plants.join(fitting, on="plant_id", how="anti", maintain_order="left")
    if not rest.height:
        return Admission(wanted, found.month)
    let_through = len(wanted) - rest.height
    refused = replace(found, plants=rest, counted=let_through, spent_eur=found.spent_eur + _sum(fitting))
    return Admission(wanted - refused.ids, found.month, refused)


class MonthGate:
    """Stands before each try of the requests for plants that were let through. Threads may share it.

    A request may wait for minutes, for the budget or after a refusal, and be sent in another month than it was planned.
    """

    def __init__(self, runtime: RunContext, admission: Admission) -> None:
        self._runtime, self._plants, self._month = runtime, admission.plants, admission.month
        self._prices = _read_month(runtime)[0]
        self._turn = threading.Lock()

    def check(self) -> None:
        """Return where the month is the one for which the plants were let through, or the new one has them as well.

        Raises CostNotAllowedError unless all of their PU may be made.
        """
        if self._is_current():
            return
        with self._turn:
            if self._is_current():
                return
            admission = admit(self._runtime, self._plants)
            if admission.refused:
                raise build_refusal(self._runtime, admission.refused)
            self._month = admission.month

    def _is_current(self) -> bool:
        return _find_month(self._prices, self._runtime.now()) == self._month


def build_refusal(runtime: RunContext, refused: NewUnits, ways: Sequence[str] = ()) -> CostNotAllowedError:
    """The error for PU that nobody has agreed to: what they cost, and how to agree, by default all ways of a run."""
    what = "it" if refused.plants.height == 1 else "them"
    return CostNotAllowedError(
        f"{refused.describe()} {explain_limit(runtime, refused)} No request was sent for {what}. "
        f"{_suggest_cure(runtime, refused, ways)}"
    )


def explain_limit(runtime: RunContext, refused: NewUnits) -> str:
    """Which limit is in the way, as a sentence."""
    if _exceeds_month_limit(runtime, refused):
        limit = runtime.settings.max_eur_per_month
        return (
            f"{LIMIT}={limit} does not allow that: {refused.month:%Y-%m} has cost {refused.spent_eur} so far."
        )
    if runtime.allowance.max_eur is not None:
        return f"The run's tag {MAX_EUR}: {runtime.allowance.max_eur} does not allow that amount."
    return "Nobody has accepted this cost."


def _suggest_cure(runtime: RunContext, refused: NewUnits, ways: Sequence[str]) -> str:
    leave_out = "exclude plants with SUNLEDGER_EXCLUDE_PLANTS"
    if _exceeds_month_limit(runtime, refused):
        return f"Raise the limit, choose fewer plants, or {leave_out}."
    tag = f"give the run in Dagster the tag {MAX_EUR}: {_round_up(runtime.allowance.added_eur + refused.eur)}"
    if runtime.allowance.max_eur is not None:
        return f"To accept it, {tag}; or {leave_out}."
    agree = ", ".join(ways or ("repeat the command with --yes", tag))
    return f"To accept it, {agree}, or set {LIMIT} to what a month may cost; or {leave_out}."


def _exceeds_month_limit(runtime: RunContext, refused: NewUnits) -> bool:
    limit = runtime.settings.max_eur_per_month
    return limit is not None and refused.spent_eur + refused.eur > limit


def read_counted_plants(runtime: RunContext, prices: PriceList, month: dt.date) -> frozenset[str]:
    """The systems that are on the month's bill by the requests that are stored."""
    # A day more, because the zone that decides on the month need not be UTC, which the record is kept in.
    requests = runtime.lake.scan(ApiRequests).filter(pl.col("asked_date") >= month - ONE_DAY)
    asked = count_asked_systems(requests, read_moves(runtime.lake), prices)
    return frozenset(asked.filter(pl.col("month") == month)["plant_id"])


def _price_new_units(
    runtime: RunContext,
    prices: PriceList,
    month: dt.date,
    plants: Collection[str],
    known: frozenset[str],
    listed: pl.DataFrame | None,
) -> NewUnits:
    wanted, price = frozenset(plants), prices.require_price(month)
    billed = _take_new_ids(runtime, known, month)
    known |= billed
    fees = _estimate_fees(runtime, prices, month, wanted | known, listed)
    before = read_counted_plants(runtime, prices, find_month_before(month))
    seen = runtime.lake.scan(Plants).select("plant_id", "first_seen").collect()
    # A plant that is new to the fleet must not push out one that was asked for all along.
    new = (
        fees.filter(pl.col("plant_id").is_in(sorted(wanted - known)))
        .join(seen, on="plant_id", how="left")
        .sort(~pl.col("plant_id").is_in(sorted(before)), "first_seen", "plant_id", nulls_last=True)
        .drop("first_seen")
    )
    spent = fees.filter(pl.col("plant_id").is_in(sorted(billed)))
    return NewUnits(month, new, len(wanted & known), _sum(spent), price.currency, price.source)


def _take_new_ids(runtime: RunContext, plants: frozenset[str], month: dt.date) -> frozenset[str]:
    """The systems of these ids: one that moved was agreed to by its old id, and is on the bill once, by its new one."""
    asked = pl.DataFrame({"plant_id": sorted(plants)}, {"plant_id": pl.String}).with_columns(
        month=pl.lit(month)
    )
    return frozenset(move_to_new_ids(asked, read_moves(runtime.lake))["plant_id"])


def _estimate_fees(
    runtime: RunContext,
    prices: PriceList,
    month: dt.date,
    plants: Collection[str],
    listed: pl.DataFrame | None,
) -> pl.DataFrame:
    """plant_id, fee_eur and reckoned_eur of each plant in the month."""
    units = pl.DataFrame({"plant_id": sorted(plants)}, {"plant_id": pl.String}).with_columns(
        month=pl.lit(month)
    )
    known = read_capacities(runtime.lake, units)
    if listed is not None:
        known = pl.concat([known, listed.select(known.columns)])
    priced = prices.add_fees(add_capacity(units, known))
    largest = pl.lit(_find_largest_base(prices.require_price(month)), priced.schema["fee_eur"])
    return priced.select("plant_id", "fee_eur", reckoned_eur=pl.coalesce("fee_eur", largest))


def _find_largest_base(price: Price) -> Decimal:
    """The base fee of the dearest class for one PU: nobody knows the class of a plant without a capacity."""
    amount = max(price.base.values()) * TIMES[price.base_period] / MONTHS_A_YEAR
    return amount.quantize(CENT, ROUND_HALF_UP)


def _select_within_limits(runtime: RunContext, found: NewUnits) -> pl.DataFrame:
    """The new plants, from the first one on, whose PU the limits have room for: none where there is no limit at all."""
    limit, left = runtime.settings.max_eur_per_month, runtime.allowance.left_eur
    rooms = [] if limit is None else [limit - found.spent_eur]
    rooms += [] if left is None else [left]
    if not rooms:
        return found.plants.clear()
    return found.plants.filter(pl.col("reckoned_eur").cum_sum() <= min(rooms))


def _read_month(runtime: RunContext) -> tuple[PriceList | None, dt.date, SunledgerError | None]:
    """The price list and the month in which a request of now is charged; without a list UTC's month, and the fault."""
    try:
        prices = load_prices(runtime.settings.prices)
    except ConfigurationError as fault:
        # A plant that counts already costs nothing more, whatever the prices are.
        return None, _find_month(None, runtime.now()), fault
    return prices, _find_month(prices, runtime.now()), None


def _find_month(prices: PriceList | None, now: dt.datetime) -> dt.date:
    return now.date().replace(day=1) if prices is None else prices.invoicing.find_month(now)


def _sum(plants: pl.DataFrame) -> Decimal:
    return Decimal(plants["reckoned_eur"].sum() or 0).quantize(CENT)


def _round_up(amount: Decimal) -> int:
    """The amount without cents, rounded up: a limit that a person writes."""
    return int(amount) + (amount != int(amount))


class _Book:
    """The plants whose PU of one month were agreed to, or are on its bill."""

    def __init__(self, settings: Settings, month: dt.date) -> None:
        self._document = open_document(settings, f"{month:%Y-%m}.json", FOLDER)

    def read(self) -> frozenset[str]:
        """Raises SunledgerError for a file that is none of ours."""
        return self._parse(self._document.read())

    def change(self, decide: Callable[[frozenset[str]], tuple[frozenset[str], Decision]]) -> Decision:
        """Replace the plants by what `decide` makes of those that are there, and return what else it says.

        Where others have written meanwhile it is decided again. Raises SunledgerError as `read`, and where others
        changed it each time.
        """

        def make(before: bytes | None) -> tuple[bytes, Decision]:
            plants, decision = decide(self._parse(before))
            return orjson.dumps(sorted(plants)), decision

        def build_error(clause: str) -> SunledgerError:
            return SunledgerError(f"{clause}: nothing was let through. Run this again.")

        return change_document(self._document, make, _MOST_DECISIONS, build_error)

    def _parse(self, content: bytes | None) -> frozenset[str]:
        if content is None:
            return frozenset()
        try:
            plants = orjson.loads(content)
        except orjson.JSONDecodeError:
            plants = None
        if not isinstance(plants, list):
            raise SunledgerError(
                f"{self._document.place} does not hold a list of plants: delete it. PU of that month that are not in "
                "the record of requests will then need consent again."
            )
        return frozenset(map(str, plants))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The right to write it, held by one process at a time."""
        with self._document.lock():
            yield
