"""The plan of a backfill on the terminal, and its refusal."""

import datetime as dt
from decimal import Decimal

from pipeline.billing import load_prices
from pipeline.billing.spending import allow_units, find_new_units
from pipeline.cli.console import out, say, show_table
from pipeline.cli.spending import know_plants
from pipeline.common.day_availability import check_days
from pipeline.common.text import pluralize
from pipeline.extract.backfill_estimate import Plan, plan_backfill, refuse_beyond
from pipeline.run.context import RunContext
from pipeline.run.plants import list_own_plants
from pipeline.run.sets import check_sets

MB = 1e6


def make_plan(runtime: RunContext, first: dt.date, last: dt.date) -> Plan:
    """The plan for these days by the settings' price list; on a new home it asks for the list of plants."""
    check_days(first, last, runtime.settings.first_day, runtime.now())
    if know_plants(runtime):
        say("SMA was asked for the list of plants, which is free, because none was stored.")
    found = plan_backfill(runtime, first, last, load_prices(runtime.settings.prices))
    if found.never_asked < found.plants:
        check_sets(runtime)
    return found


def refuse_beyond_limits(
    runtime: RunContext, first: dt.date, last: dt.date, max_requests: int | None, max_eur: Decimal | None
) -> None:
    """Raise UsageError if a backfill of these days needs more than allowed; without limits nothing is planned.

    Who allows an amount that covers the next month too has agreed to the PU of that month.
    """
    if max_requests is None and max_eur is None:
        return
    found = make_plan(runtime, first, last)
    refuse_beyond(found, max_requests, max_eur)
    if max_eur is not None and found.next_month_eur:
        next_month = (found.month + dt.timedelta(days=31)).replace(day=1)
        allow_units(
            runtime,
            find_new_units(runtime, list_own_plants(runtime, first)["plant_id"].to_list(), next_month),
        )


def show_plan(found: Plan) -> None:
    """Print the plan."""
    if found.never_asked:
        out.print(
            f"It is not known yet which devices and sets {pluralize(found.never_asked, 'plant')} have: counted are "
            "EnergyBalance and logs of these, and requests for their devices come on top. PU and amounts are complete."
        )
    rows = [(name.removeprefix("raw_"), f"{count:,}") for name, count in found.requests.items() if count]
    show_table(
        f"{pluralize(found.days, 'day')} of {pluralize(found.plants, 'plant')}; nothing that costs was sent",
        [("requests for", False), ("requests", True)],
        [*rows, ("all", f"{found.total_requests:,}")],
    )
    counts = ", ".join(f"{count:,} for {name}" for name, count in found.reconciling.items() if count)
    if counts:
        out.print(
            f"Comparing with SMA's own figures afterwards takes more: {counts} ('sunledger reconcile')."
        )
    minutes = (
        "no budget is set (SMA_REQUESTS_PER_5_MIN)" if found.minutes is None else f"{found.minutes:,.1f}"
    )
    out.print(f"Minutes under the request budget: {minutes}")
    out.print(f"About {found.bytes / MB:,.0f} MB of answers, uncompressed.")
    costs = [
        (
            f"{cost.capacity_class} kW",
            str(cost.pu),
            f"{cost.eur:,.2f}",
            str(cost.new_pu),
            f"{cost.new_eur:,.2f}",
        )
        for cost in found.classes
    ]
    show_table(
        f"PU of {found.month:%Y-%m}, the month of asking ({found.price_source})",
        [
            ("AC power", False),
            ("PU", True),
            (found.currency, True),
            ("new PU", True),
            (f"new {found.currency}", True),
        ],
        costs,
    )
    if found.next_month_eur:
        out.print(
            f"It will not be done before the month ends: up to {found.next_month_eur:,.2f} {found.currency} more "
            f"for the next month."
        )
    if found.unpriced:
        out.print(
            f"{pluralize(len(found.unpriced), 'plant')} without AC power, not priced: {', '.join(found.unpriced[:5])}"
        )
