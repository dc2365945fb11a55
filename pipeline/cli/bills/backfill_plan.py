"""The plan of a backfill on the terminal, and its refusal."""

import datetime as dt
from decimal import Decimal

from pipeline.billing import load_prices
from pipeline.billing.spending import allow_units, find_new_units
from pipeline.cli.bills.cost_consent import know_plants
from pipeline.cli.console import out, say, show_table
from pipeline.common.calendar_months import find_next_month
from pipeline.common.day_availability import check_days
from pipeline.common.text import format_money, pluralize
from pipeline.extract.backfill_estimate import Plan, plan_backfill, refuse_beyond
from pipeline.extract.today_plan import plan_turn
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import check_sets
from pipeline.run.plants import list_own_plants
from pipeline.run.today_turn import TurnOf

MB = 1e6


def make_plan(runtime: RunContext, first: dt.date, last: dt.date) -> Plan:
    """Plan these days with the settings' price list. On a new home this fetches the list of plants."""
    check_days(first, last, runtime.settings.first_day, runtime.now())
    if know_plants(runtime):
        say("No list of plants was stored, so it was fetched from SMA, which is free.")
    found = plan_backfill(runtime, first, last, load_prices(runtime.settings.prices))
    if found.never_asked < found.plants:
        check_sets(runtime)
    return found


def refuse_beyond_limits(
    runtime: RunContext, first: dt.date, last: dt.date, max_requests: int | None, max_eur: Decimal | None
) -> None:
    """Raise UsageError if a backfill of these days needs more than allowed; without limits nothing is planned.

    An amount that also covers the next month is consent to the PU of that month.
    """
    if max_requests is None and max_eur is None:
        return
    found = make_plan(runtime, first, last)
    refuse_beyond(found, max_requests, max_eur)
    if max_eur is not None and found.next_month_eur:
        next_month = find_next_month(found.month)
        allow_units(
            runtime,
            find_new_units(runtime, list_own_plants(runtime, first)["plant_id"].to_list(), next_month),
        )


def show_today(runtime: RunContext) -> None:
    """Print which plants' current day the schedule `today` leaves out, if any."""
    turn = plan_turn(runtime, runtime.now())
    if turn is not None and turn.turn_of is not TurnOf.NOBODY:
        out.print(f"The schedule today: {turn.describe()}")


def show_plan(found: Plan) -> None:
    """Print the plan: its requests, the time they take, and what they cost."""
    _show_requests(found)
    if found.shares:
        _show_shares(found)
    minutes = (
        "not known, because SMA_REQUESTS_PER_5_MIN is not set"
        if found.minutes is None
        else f"{found.minutes:,.1f}"
    )
    out.print(f"Minutes under the request budget: {minutes}")
    out.print(f"Size of the answers: about {found.bytes / MB:,.0f} MB, uncompressed.")
    _show_costs(found)


def _show_requests(found: Plan) -> None:
    if found.never_asked:
        out.print(
            f"The devices and sets of {pluralize(found.never_asked, 'plant')} are not known yet, so only requests for "
            "their EnergyBalance and logs are counted; requests for their devices will be added. PU and amounts are "
            "complete."
        )
    rows = [(name.removeprefix("raw_"), f"{count:,}") for name, count in found.requests.items() if count]
    show_table(
        f"{pluralize(found.days, 'day')} of {pluralize(found.plants, 'plant')}; no request that SMA charges was sent",
        [("requests for", False), ("requests", True)],
        [*rows, ("all", f"{found.total_requests:,}")],
    )
    if found.requests["lists"] > found.lists_each_day:
        out.print(
            f"About {found.lists_each_day:,} of the requests for lists are needed each day; the others are needed now, "
            "because plants or devices are new, or their lists may have changed."
        )
    counts = ", ".join(f"{count:,} for {name}" for name, count in found.reconciling.items() if count)
    if counts:
        out.print(f"A later 'sunledger reconcile' needs further requests: {counts}.")


def _show_shares(found: Plan) -> None:
    """Print what each credential does of the plan."""
    heads = ("requests", "minutes", "PU", "new PU")
    show_table(
        "by credential, side by side",
        [("credential", False), *((head, True) for head in heads)],
        [
            (one.name, f"{one.requests:,}", _format_minutes(one.minutes), str(one.pu), str(one.new_pu))
            for one in found.shares
        ],
    )


def _format_minutes(minutes: float | None) -> str:
    return "no budget set" if minutes is None else f"{minutes:,.1f}"


def _show_costs(found: Plan) -> None:
    heads = ("PU", found.currency, "new PU", f"new {found.currency}")
    show_table(
        f"PU of {found.month:%Y-%m}, the month of the requests ({found.price_source})",
        [("AC power", False), *((head, True) for head in heads)],
        [
            (
                f"{cost.capacity_class} kW",
                str(cost.pu),
                format_money(cost.eur),
                str(cost.new_pu),
                format_money(cost.new_eur),
            )
            for cost in found.classes
        ],
    )
    if found.next_month_eur:
        out.print(
            "The backfill will not finish before the month ends, so the next month may cost up to "
            f"{format_money(found.next_month_eur)} {found.currency} more."
        )
    if found.unpriced:
        out.print(
            f"{pluralize(len(found.unpriced), 'plant')} without AC power "
            f"{'has' if len(found.unpriced) == 1 else 'have'} no price: {', '.join(found.unpriced[:5])}"
        )
