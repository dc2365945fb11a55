"""Consent to cost on the command line: what a command adds to the month's bill, and whether a person agrees."""

import datetime as dt
import sys
from collections.abc import Collection
from decimal import Decimal

import polars as pl
import typer

from pipeline.billing.live_plan import LiveBook, LivePlan
from pipeline.billing.spending import LIMIT, CostNotAllowedError, allow_units, build_refusal, find_new_units
from pipeline.cli.console import err, say
from pipeline.common.errors import UsageError
from pipeline.common.text import pluralize
from pipeline.extract.consent_refresh import refresh_consents
from pipeline.extract.fetch import fetch_plants
from pipeline.extract.moved_plants import find_possible_moves
from pipeline.run.allowance import parse_limit
from pipeline.run.context import RunContext
from pipeline.run.plants import list_own_plants, list_plant_ids_of_newest
from pipeline.tables.inventory_tables import write_plants


def know_plants(runtime: RunContext) -> bool:
    """Fetch the list of plants if none is stored. Returns whether it was fetched, which is free: it names no system."""
    if list_plant_ids_of_newest(runtime) is not None:
        return False
    runtime.settings.require_credentials()
    fetch_plants(runtime)
    refresh_consents(runtime)
    write_plants(runtime)
    return True


def agree_on_fleet(
    runtime: RunContext, *, yes: bool, max_eur: Decimal | None = None, since: dt.date | None = None
) -> bool:
    """Ask as `agree` does for all plants of the run: those that are yours today, or were on the day `since`.

    Returns whether somebody agreed to ask for the old ids of plants that may have moved, which the list of plants does.
    """
    plants = list_own_plants(runtime, min(since or runtime.find_today(), runtime.find_today()))
    ids = plants["plant_id"].to_list()
    left = None if max_eur is None else max_eur - find_new_units(runtime, ids).eur
    agree(runtime, ids, yes=yes, max_eur=max_eur)
    return _agree_on_moves(runtime, yes=yes, max_eur=left)


def _agree_on_moves(runtime: RunContext, *, yes: bool, max_eur: Decimal | None) -> bool:
    """Ask for consent to the PU of plants that left the list and may have moved; whether there is one.

    Old ids are not on the bill of a month that began since, so they were not asked for with the list. Without consent
    the command goes on, and they are plants that SMA no longer lists.
    """
    if runtime.settings.max_eur_per_month is not None:
        return False
    found = find_new_units(runtime, find_possible_moves(runtime))
    within = max_eur is not None and found.eur <= max_eur
    if not found.plants.height or not (within or yes or may_ask()):
        return False
    say(
        f"{pluralize(found.plants.height, 'Classic plant')} (the first: {found.plants['plant_id'][0]}) left SMA's list "
        "while others came, and may have moved to new ids, which SMA names in its answers for the old ones. "
        f"{found.describe()} A plant that moved is one PU with its new id."
    )
    if not (within or yes or _confirm()):
        return False
    allow_units(runtime, found)
    return True


def agree(
    runtime: RunContext,
    plants: Collection[str],
    *,
    yes: bool,
    max_eur: Decimal | None = None,
    capacities: pl.DataFrame | None = None,
) -> None:
    """Say which PU requests for the plants add to this month's bill, and get consent to them.

    The settings' limit, the options `yes` or `max_eur`, or a person on the terminal consents. Prints nothing where
    nothing is added. `capacities` is as in `find_new_units`. Raises CostNotAllowedError without
    consent.
    """
    found = find_new_units(runtime, plants, listed=capacities)
    if not found.plants.height:
        return
    limit = runtime.settings.max_eur_per_month
    if limit is not None and found.spent_eur + found.eur > limit:
        raise build_refusal(runtime, found)
    within = limit is not None or (max_eur is not None and found.eur <= max_eur)
    if not (within or yes or may_ask()):
        raise build_refusal(runtime, found, ("repeat the command with --yes",))
    say(found.describe())
    if not (within or yes or _confirm()):
        raise CostNotAllowedError("You did not accept the cost, so no request was sent for these plants.")
    allow_units(runtime, found)


def agree_on_live(runtime: RunContext, plan: LivePlan, book: LiveBook, plants: int, *, yes: bool) -> None:
    """Say what a session of so many plants takes out of the Live plan, and get consent to its price once a month.

    Raises CostNotAllowedError without consent.
    """
    say(plan.describe(plants, runtime.now()))
    if book.has_agreed(plan):
        return
    limit = runtime.settings.max_eur_per_month
    if limit is not None:
        spent = find_new_units(runtime, ()).spent_eur
        if spent + plan.eur > limit:
            raise CostNotAllowedError(
                f"{LIMIT}={limit} does not allow the plan's {plan.eur} {plan.currency}: {plan.month:%Y-%m} has cost "
                f"{spent} so far. No call was made. Raise the limit, or use 'sunledger backfill'."
            )
    elif not (yes or may_ask()):
        raise CostNotAllowedError(
            f"Nobody has accepted the plan's {plan.eur} {plan.currency} for {plan.month:%Y-%m}, so no call was made. "
            f"To accept it, repeat the command with --yes, or set {LIMIT} to what a month may cost."
        )
    elif not (yes or _confirm()):
        raise CostNotAllowedError("You did not accept the cost, so no call was made.")
    book.agree(plan)


def parse_eur(option: str, text: str | None) -> Decimal | None:
    """The amount that an option names. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_limit(text)
    except ValueError:
        raise UsageError(f"{option} {text} is not an amount: write it as 120 or 120.50.") from None


def may_ask() -> bool:
    """Whether a person is at the terminal, which needs both input and output to be one."""
    return sys.stdin.isatty() and err.is_terminal


def _confirm() -> bool:
    try:
        return typer.confirm("Do you accept this cost?", err=True)
    except typer.Abort:
        err.print()
        return False
