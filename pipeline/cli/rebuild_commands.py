"""`sunledger rebuild` and `publish`: tables and the published file from what is stored, without a request to SMA."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import say, say_all
from pipeline.cli.exit_codes import FAILED, IN_PART
from pipeline.cli.outcome_notices import tell_missing
from pipeline.cli.run_options import check_days_of_run, open_runtime, parse_day
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.text import pluralize

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline.run.context import RunContext


def run_rebuild(
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="YYYY-MM-DD", help="First day. Default: the first stored day."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day. Default: the last stored day.")
    ] = None,
) -> None:
    """Rebuild days from the stored answers without a request to SMA, for instance after an update, and publish."""
    from assets.runs import record_runs
    from pipeline.cli.completeness_summary import show_completeness
    from pipeline.tables.incomplete_days import count_days_of_other_basis
    from pipeline.tables.zone_corrections import list_other_zones

    with open_runtime(None, reuse=False) as runtime:
        begin, end, stored = _choose_days(runtime, first, last)
        if n_days := count_days_of_other_basis(runtime, begin, end):
            say(
                f"{pluralize(n_days, 'day')} of these were fetched with another SMA_TIME_BASIS. All times are read "
                f"with the current one, {runtime.settings.sma_time_basis}."
            )
        days = _leave_out_removed(runtime, stored)
        if not days:
            say("Nothing was rebuilt.")
            raise typer.Exit(FAILED)
        with record_runs(runtime, command="rebuild", days=(begin, end)) as runs:
            runs.remake(days)
            say_all(runs.publish())
        verb = "was" if len(days) == 1 else "were"
        say(f"{pluralize(len(days), 'day')} from {begin} to {end} {verb} rebuilt.")
        say(f"Published {runtime.settings.published_place}.")
        whole = show_completeness(runtime, days)
        runs.notices.add(list_other_zones(runtime))
        tell_missing(runs.notices)
        if not whole:
            raise typer.Exit(IN_PART)


def _choose_days(
    runtime: "RunContext", first: str | None, last: str | None
) -> tuple["dt.date", "dt.date", list["dt.date"]]:
    """The first and the last day to rebuild, and the stored days from one to the other.

    Raises UsageError where none of them is stored, and SunledgerError where none is stored at all.
    """
    from pipeline.tables.incomplete_days import list_stored_days

    stored = list_stored_days(runtime)
    if not stored:
        raise SunledgerError(
            "There is nothing to rebuild, because no day is stored yet: fetch days with 'sunledger backfill' first."
        )
    begin = parse_day("--from", first) if first else stored[0]
    end = parse_day("--to", last) if last else stored[-1]
    check_days_of_run(runtime, begin, end)
    days = [day for day in stored if begin <= day <= end]
    if not days:
        raise UsageError(
            f"No day from {begin} to {end} is stored: choose from the stored days {stored[0]} to {stored[-1]}."
        )
    return begin, end, days


def _leave_out_removed(runtime: "RunContext", days: "Sequence[dt.date]") -> list["dt.date"]:
    """The days whose answers are still stored; says which are not."""
    from pipeline.tables.incomplete_days import list_days_with_answers
    from warehouse.removed_answers import AnswerRetention

    gone = sorted(set(days) - list_days_with_answers(runtime))
    if gone:
        say(
            f"The answers of {pluralize(len(gone), 'day')} are no longer stored (the first: {gone[0]}), so the "
            "tables of these days stay as they are."
        )
        if said := AnswerRetention(runtime.lake).describe():
            say(said)
    return [day for day in days if day not in gone]


def run_publish(
    *,
    detail: Annotated[
        str | None,
        typer.Option(
            metavar="31d|month|all|none",
            help="Detail to copy into the file, so that it can be read anywhere: the last days (31d), the newest day's "
            "month, all, or none. Default: SUNLEDGER_DETAIL.",
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Build the file from nothing, also what did not change since the last publication."
        ),
    ] = False,
) -> None:
    """Build a new DuckDB file from the lake and replace the published file with it."""
    from assets.runs import record_runs
    from pipeline.tables.incomplete_days import list_stored_days
    from warehouse.published_file.detail import describe_detail
    from warehouse.published_file.open_published import FIRST_DAYS, connect
    from warehouse.published_file.publish import forget_published
    from warehouse.published_file.published_object import DamagedObjectError, open_target

    with (
        open_runtime(None, overrides={"detail": detail} if detail else None) as runtime,
        record_runs(runtime, command="publish") as runs,
    ):
        if full:
            # The file to be forgotten is the newest: a copy of it that comes later would be gone on from.
            if target := open_target(runtime.settings, say):
                with suppress(DamagedObjectError):
                    target.fetch()
            forget_published(runtime.settings.warehouse, say)
        say_all(runs.publish())
        say(f"Published {runtime.settings.published_place}.")
        with connect(runtime.settings.warehouse) as published:
            ((held, first),) = published.execute("SELECT detail, detail_first_day FROM _meta").fetchall()
        if said := describe_detail(held, first):
            say(said)
        if not list_stored_days(runtime):
            say(f"The published file is empty, because no day is stored yet: {FIRST_DAYS}")
        tell_missing(runs.notices)
