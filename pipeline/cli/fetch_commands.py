"""`sunledger backfill`, `refresh`, `plan` and `reconcile`: the commands that send requests to SMA or plan them."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import Bars, say, say_all
from pipeline.cli.exit_codes import IN_PART
from pipeline.cli.outcome_notices import tell_missing, tell_shard_end, tell_unknown
from pipeline.cli.run_options import (
    FIRST_DAY,
    GROUPS,
    LAST_DAY,
    PLANTS,
    SETS,
    SHARD,
    YES,
    check_days_of_run,
    open_runtime,
    parse_day,
    parse_month_option,
)
from pipeline.common.errors import UsageError
from pipeline.common.signals import SIGNALS
from pipeline.common.text import pluralize

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from assets.run_control.spared_runs import SparedRuns
    from assets.runs import Runs
    from pipeline.run.context import RunContext


def run_backfill(
    *,
    first: Annotated[str, FIRST_DAY],
    last: Annotated[str, LAST_DAY],
    plants: Annotated[list[str] | None, PLANTS] = None,
    groups: Annotated[list[str] | None, GROUPS] = None,
    sets: Annotated[list[str] | None, SETS] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Fetch again what is stored already: days that are final, and today's lists of plants and devices.",
        ),
    ] = False,
    max_requests: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop before the first request if the backfill needs more requests than this."
        ),
    ] = None,
    max_eur: Annotated[
        str | None,
        typer.Option(
            metavar="EUR",
            help="Accept up to this amount on the month's bill; stop before the first request if the backfill costs "
            "more.",
        ),
    ] = None,
    shard: Annotated[str | None, SHARD] = None,
    yes: Annotated[bool, YES] = False,
) -> None:
    """Fetch from SMA what these days still lack, turn power into energy, and publish the result."""
    from pipeline.billing import load_prices

    begin, end = parse_day("--from", first), parse_day("--to", last)
    with open_runtime(plants, sets, groups=groups, again=again, shard=shard) as runtime:
        check_days_of_run(runtime, begin, end)
        runtime.settings.require_credentials()
        # Publishing needs the price list. A wrong one must stop the run before requests have cost fees.
        load_prices(runtime.settings.prices)
        # The rest takes a second to load, so mistakes in options are reported first.
        from assets.run_control.spared_runs import open_spared_runs
        from pipeline.cli.bills.backfill_plan import refuse_beyond_limits
        from pipeline.cli.bills.cost_consent import agree_on_fleet, parse_eur
        from pipeline.run.measurement_sets import check_sets

        amount = parse_eur("--max-eur", max_eur)
        refuse_beyond_limits(runtime, begin, end, max_requests, amount)
        with open_spared_runs(runtime, command="backfill", days=(begin, end)) as runs:
            _refresh_lists(runtime, runs, partial(agree_on_fleet, yes=yes, max_eur=amount, since=begin))
            with Bars() as bars:
                runtime.progress = bars
                check_sets(runtime)
                if runtime.shard is not None and (lacking := runs.fetch_answers(begin, end)):
                    tell_shard_end(runtime, len(lacking))
                    tell_missing(runs.notices)
                    return
                _make_and_publish(runtime, runs, begin, end)
        _report_backfill(runtime, runs, begin, end)


def _make_and_publish(
    runtime: "RunContext", runs: "Runs | SparedRuns", begin: "dt.date", end: "dt.date"
) -> None:
    """Fetch the days and make their tables, or only make them where shards have fetched all; then publish."""
    from pipeline.common.day_availability import list_days

    try:
        if runtime.shard is None:
            runs.fetch_days(begin, end)
        else:
            runs.remake(list_days(begin, end))
    finally:
        # Also after a failure, because the days finished before it are whole; but not after an interrupt.
        if SIGNALS.received is None:
            say_all(runs.publish())


def _report_backfill(
    runtime: "RunContext", runs: "Runs | SparedRuns", begin: "dt.date", end: "dt.date"
) -> None:
    """Say what was fetched and what is missing. Raises typer.Exit where the days are not whole."""
    from pipeline.cli.completeness_summary import show_completeness
    from pipeline.common.day_availability import list_days
    from pipeline.tables.interval_tables import judge_times
    from pipeline.tables.zone_corrections import list_other_zones

    days = list_days(begin, end)
    say(
        f"Fetched {pluralize(len(days), 'day')} with {pluralize(runtime.session.requests_sent, 'request')} and "
        f"published {runtime.settings.published_place}."
    )
    whole = show_completeness(runtime, days)
    tell_unknown(runs.notices)
    runs.notices.add(list_other_zones(runtime))
    tell_missing(runs.notices, judge_times(runtime, begin, end))
    if not whole:
        raise typer.Exit(IN_PART)


def run_refresh(
    *,
    plants: Annotated[list[str] | None, PLANTS] = None,
    groups: Annotated[list[str] | None, GROUPS] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Fetch the devices and sets of all plants now, and not only of those whose turn it is "
            "(SUNLEDGER_LISTS_CYCLE_DAYS) and of new and changed ones.",
        ),
    ] = False,
    yes: Annotated[bool, YES] = False,
) -> None:
    """Fetch the list of plants, and the devices and sets of those that may have changed or that --plants names."""
    from assets.runs import record_runs
    from pipeline.billing import load_prices
    from pipeline.cli.bills.cost_consent import agree_on_fleet
    from pipeline.tables.zone_corrections import list_other_zones

    everything |= bool(plants or groups)
    with open_runtime(plants, groups=groups, again=everything) as runtime:
        runtime.settings.require_credentials()
        load_prices(runtime.settings.prices)
        with record_runs(runtime, command="refresh") as runs:
            _refresh_lists(runtime, runs, partial(agree_on_fleet, yes=yes))
        sent = pluralize(runtime.session.requests_sent, "request")
        up_to_date = "" if runs.notices.missing else " and are up to date"
        say(f"The lists were fetched with {sent}{up_to_date}.")
        if not everything and runtime.settings.lists_cycle_days > 1:
            say(
                "Devices and sets of plants that seem unchanged are fetched in turn, once for each plant in "
                f"{runtime.settings.lists_cycle_days} days; 'sunledger refresh --all' fetches them all now."
            )
        tell_unknown(runs.notices)
        runs.notices.add(list_other_zones(runtime))
        tell_missing(runs.notices)


def _refresh_lists(
    runtime: "RunContext", runs: "Runs | SparedRuns", agree_on_cost: "Callable[[RunContext], bool]"
) -> None:
    """Refresh the list of plants, which makes no PU, get consent, and refresh all other lists."""
    with Bars() as bars:
        runtime.progress = bars
        runs.refresh_plants()
    # Outside of the progress bars, because it may ask a person.
    may_know_moves = agree_on_cost(runtime)
    with Bars() as bars:
        runtime.progress = bars
        if may_know_moves:
            runs.refresh_plants_again()
        runs.refresh_devices()


def run_plan(
    *,
    first: Annotated[str, FIRST_DAY],
    last: Annotated[str, LAST_DAY],
    plants: Annotated[list[str] | None, PLANTS] = None,
    groups: Annotated[list[str] | None, GROUPS] = None,
    sets: Annotated[list[str] | None, SETS] = None,
    again: Annotated[bool, typer.Option("--again", help="Plan a backfill with --again.")] = False,
) -> None:
    """Show how many requests, minutes, bytes, PU and EUR a backfill needs, before any request that SMA charges."""
    from pipeline.cli.bills.backfill_plan import make_plan, show_plan, show_today

    with open_runtime(plants, sets, groups=groups, again=again) as runtime:
        show_plan(make_plan(runtime, parse_day("--from", first), parse_day("--to", last)))
        if not plants and not groups:
            show_today(runtime)


def run_reconcile(
    *,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Month to compare. It must be over.")
    ] = None,
    year: Annotated[
        int | None,
        typer.Option("--year", help="Year to compare month by month, instead of --month. It must be over."),
    ] = None,
    plants: Annotated[list[str] | None, PLANTS] = None,
    groups: Annotated[list[str] | None, GROUPS] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Fetch SMA's figures again, although they are stored already.")
    ] = False,
    max_requests: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop before the first request if the month or year needs more requests than this."
        ),
    ] = None,
    yes: Annotated[bool, YES] = False,
) -> None:
    """Compare a month or year with SMA's own figures, one request a plant. Differences are shown, never corrected."""
    from pipeline.cli.reconcile import run_month, run_year

    if (month is None) == (year is None):
        raise UsageError("The command needs either --month or --year: give one of them.")
    with open_runtime(plants, groups=groups, again=again) as runtime:
        if month is not None:
            notices = run_month(runtime, parse_month_option("--month", month), max_requests, yes=yes)
        elif year is not None:
            notices = run_year(runtime, year, max_requests, yes=yes)
        tell_missing(notices)
