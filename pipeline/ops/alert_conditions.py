"""Conditions that raise alerts, read from the lake: access, new and lost plants, late days, cost. Calls no API."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator

import polars as pl

from pipeline.billing import load_prices, spending
from pipeline.billing.requested_units import find_current_month
from pipeline.common.credentials import find_flow, read_credentials
from pipeline.common.errors import ConfigurationError, SunledgerError
from pipeline.common.finding import Finding
from pipeline.common.local_time import ONE_DAY
from pipeline.common.text import pluralize
from pipeline.extract.consent_refresh import find_concern, read_owners
from pipeline.ops.alerts import Concern
from pipeline.ops.checks import check_budget, check_closed_days, judge_freshness
from pipeline.run.context import RunContext
from pipeline.run.plants import find_excluded_plants, list_own_plants, list_plant_ids_of_newest
from pipeline.sma.consents.access_problems import GONE_FOR, explain_gone_plant
from schemas import BillingUnits, Consents, Plants
from warehouse.published_file.publication_lag import find_lag

# An event raises an alert within minutes after it was noticed; an older event needs none.
EVENT_DAYS = 3
# The longest run ends within a day.
UNPUBLISHED_FOR = ONE_DAY


def collect_concerns(runtime: RunContext) -> list[Concern]:
    """All that the lake gives reason to tell; nothing before plants are known.

    Where the credentials can't be read, that alone: no run can begin, and nobody knows whose lists of plants count.
    """
    try:
        read_credentials(runtime.settings)
    except ConfigurationError as fault:
        return [Concern("credentials", "The credentials can't be used", str(fault))]
    if not runtime.lake.list_parts(Plants) and list_plant_ids_of_newest(runtime) is None:
        return []
    sources: list[Callable[[RunContext], Iterator[Concern]]] = [
        _judge_access,
        _judge_plants,
        _judge_consents,
        lambda r: _raise_severe("late", "Days are missing", check_closed_days(r)),
        lambda r: _raise_severe("stale", "No new data", judge_freshness(r)),
        lambda r: _raise_any("refused", "SMA refuses requests", check_budget(r)),
        _judge_money,
        _judge_refusals,
        _judge_publication,
    ]
    return [found for source in sources for found in source(runtime)]


def _judge_access(runtime: RunContext) -> Iterator[Concern]:
    """No plant at all, or owners who have not accepted."""
    text = find_concern(runtime)
    if text and not _list_gone_plants(runtime).height:
        yield Concern("access", "Access to plants", text)


def _judge_plants(runtime: RunContext) -> Iterator[Concern]:
    why = explain_gone_plant(find_flow(runtime.settings), read_owners(runtime.settings))
    for plant, name in _list_gone_plants(runtime).select("plant_id", "name").rows():
        yield Concern(f"gone:{plant}", f"Plant {plant} ({name}) is gone", f"{why[0].upper()}{why[1:]}.")
    plants = runtime.lake.scan(Plants).select("plant_id", "name", "first_seen").collect()
    mine = ~pl.col("plant_id").is_in(find_excluded_plants(runtime)["plant_id"].to_list())
    # The first list of all is no news.
    later = pl.col("first_seen") > pl.col("first_seen").min()
    news = plants.filter(later, mine, pl.col("first_seen") >= _find_since(runtime))
    for (day,), new in news.group_by("first_seen", maintain_order=True):
        ids = new["plant_id"].sort().to_list()
        digest = hashlib.sha256(",".join(ids).encode()).hexdigest()[:12]
        text = (
            f"SMA first listed these plants on {day}: {', '.join(ids)}. They are fetched now and count as PU."
        )
        yield Concern(f"event:new-plants:{digest}", f"{len(ids)} new plants", text)


def _judge_consents(runtime: RunContext) -> Iterator[Concern]:
    rows = runtime.lake.scan(Consents).filter(
        pl.col("changed_at").dt.date() >= _find_since(runtime), pl.col("previous_state").is_not_null()
    )
    for owner, at, state, before in (
        rows.select("owner_hash", "changed_at", "state", "previous_state").collect().rows()
    ):
        text = (
            f"The consent of owner {owner} changed from {before} to {state}. 'sunledger consent list' shows whose "
            "consent it is."
        )
        yield Concern(f"event:consent:{owner}:{at.isoformat()}", f"A consent is {state}", text)


def _judge_money(runtime: RunContext) -> Iterator[Concern]:
    limit = runtime.settings.alert_eur
    if limit is None:
        return
    month = _find_billed_month(runtime)
    units = runtime.lake.scan(BillingUnits).filter(pl.col("month") == month)
    spent = units.select(pl.col("fee_eur").sum()).collect().item() or 0
    if spent > limit:
        text = f"The PU of {month:%Y-%m} cost {spent:.2f} EUR so far, more than SUNLEDGER_ALERT_EUR={limit}: look at "
        text += "'sunledger billing' for the plants, and stop schedules that fetch plants you don't need."
        yield Concern(f"money:{month}", "PU cost more than expected", text)


def _find_billed_month(runtime: RunContext) -> dt.date:
    try:
        return find_current_month(runtime, load_prices(runtime.settings.prices))
    except SunledgerError:
        # A price list that can't be read has a check of its own.
        return runtime.find_today().replace(day=1)


def _judge_refusals(runtime: RunContext) -> Iterator[Concern]:
    """Plants that no run may ask for, because their PU of this month are beyond what was agreed to."""
    try:
        refused = spending.look_ahead(runtime, list_own_plants(runtime)["plant_id"]).refused
    except SunledgerError:
        # Without plants nobody is left out; a price list that can't be read has a check of its own.
        return
    if refused is not None:
        title = f"{pluralize(refused.plants.height, 'plant')} not fetched because of the cost"
        yield Concern(f"spending:{refused.month:%Y-%m}", title, str(spending.build_refusal(runtime, refused)))


def _judge_publication(runtime: RunContext) -> Iterator[Concern]:
    """Rows of days that nobody can read yet. Of an object this machine may have an old copy; its job has an alert."""
    settings = runtime.settings
    if settings.published_object is not None:
        return
    lag = find_lag(runtime.lake, settings.warehouse)
    # If the moment is not known, it is so long ago that the entry of the log is gone.
    if lag is not None and (lag.since is None or runtime.now() - lag.since > UNPUBLISHED_FOR):
        text = f"{settings.published_place} is {lag.describe()}: unless a run is at work, which publishes at its end, "
        yield Concern(
            "unpublished",
            "What is published is old",
            f"{text}run 'sunledger publish', which says why it fails.",
        )


def _list_gone_plants(runtime: RunContext) -> pl.DataFrame:
    """Plants that were listed within the last month and are no longer listed."""
    ids = list_plant_ids_of_newest(runtime) or frozenset()
    recent = pl.col("last_seen") >= runtime.find_today() - GONE_FOR
    plants = runtime.lake.scan(Plants).filter(recent).select("plant_id", "name").collect()
    mine = plants.join(find_excluded_plants(runtime), on="plant_id", how="anti")
    return mine.filter(~pl.col("plant_id").is_in(list(ids))).sort("plant_id")


def _find_since(runtime: RunContext) -> dt.date:
    return runtime.find_today() - EVENT_DAYS * ONE_DAY


def _raise_severe(name: str, title: str, finding: Finding) -> Iterator[Concern]:
    if finding.severe:
        yield Concern(name, title, finding.text)


def _raise_any(name: str, title: str, finding: Finding) -> Iterator[Concern]:
    if not finding.passed:
        yield Concern(name, title, finding.text)
