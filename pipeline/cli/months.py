"""`sunledger close` and `sunledger open`: months whose figures stay as they are."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.run_options import parse_month_option
from pipeline.common.text import pluralize

if TYPE_CHECKING:
    from pipeline.run.context import RunContext


def run_close(
    month: Annotated[
        str | None,
        typer.Argument(
            metavar="YYYY-MM", help="Month to close. Without it, the command lists the closed months."
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the closed months and their adjustments.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Close the month although it is not complete. The command says what is missing."
        ),
    ] = False,
) -> None:
    """Close a month: its figures no longer change, and later changes of its days become adjustments."""
    from pipeline.cli.console import say
    from pipeline.common.settings import load_settings
    from pipeline.run.context import RunContext
    from pipeline.tables.month_close import AlreadySoError, close_month, find_doubts
    from pipeline.tables.reconciliation_tables import write_reconciliation

    with RunContext(load_settings(), tell=say) as runtime:
        if month is None or listing:
            _show(runtime)
            return
        first = parse_month_option("MONTH", month)
        # The figures must include days that no run has added up yet, so they are added up before the month closes.
        _add_up(runtime)
        write_reconciliation(runtime, first)
        doubts = find_doubts(runtime, first)
        try:
            plants = close_month(runtime, first, anyway=anyway)
        except AlreadySoError:
            if not _publish_late(runtime, first, closed=True):
                raise
            return
        _publish(runtime, "close")
        for doubt in doubts:
            say(doubt.text)
        say(f"Closed {month} with {pluralize(plants, 'plant')}. Later changes go into the table adjustments.")


def run_open(month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="Closed month to open.")]) -> None:
    """Open a closed month: its figures are computed from its days again, and its adjustments are removed."""
    from pipeline.cli.console import say
    from pipeline.common.settings import load_settings
    from pipeline.run.context import RunContext
    from pipeline.tables.month_close import AlreadySoError, open_month

    with RunContext(load_settings(), tell=say) as runtime:
        first = parse_month_option("MONTH", month)
        try:
            open_month(runtime, first)
        except AlreadySoError:
            if not _publish_late(runtime, first, closed=False):
                raise
            return
        _add_up(runtime)
        _publish(runtime, "open")
        say(f"Opened {month}. Its figures are computed from its days again.")


def _publish(runtime: "RunContext", command: str) -> None:
    from assets.runs import record_runs
    from pipeline.cli.console import say_all

    with record_runs(runtime, command=command) as runs:
        say_all(runs.publish())


def _publish_late(runtime: "RunContext", month: dt.date, *, closed: bool) -> bool:
    """Publish a month that was closed or opened before, where its publication failed then; whether that was so."""
    from pipeline.cli.console import say
    from warehouse.published_file.open_published import find_published_closing

    is_shown = find_published_closing(runtime.settings.warehouse, month) is True
    if is_shown is closed:
        return False
    if not closed:
        _add_up(runtime)
    command, done = ("close", "closed") if closed else ("open", "opened")
    _publish(runtime, command)
    say(f"{month:%Y-%m} was {done} before, and the published file did not show it. It was published now.")
    return True


def _add_up(runtime: "RunContext") -> None:
    """Write every table of months from its days."""
    from pipeline.tables.energy_tables import write_energy_monthly
    from pipeline.tables.hourly_tables import write_profile_monthly
    from pipeline.tables.kpi_tables import write_kpi_monthly

    for step in (write_energy_monthly, write_kpi_monthly, write_profile_monthly):
        step(runtime)


def _show(runtime: "RunContext") -> None:
    from pipeline.cli.console import say, show_table
    from pipeline.tables.month_close import list_closed_months

    found = list_closed_months(runtime)
    if not found.height:
        say("No month is closed.")
        return
    columns = [
        ("month", False),
        ("closed (UTC)", False),
        ("plants", True),
        ("PV kWh", True),
        ("plants adjusted", True),
        ("PV adjustment kWh", True),
    ]
    rows = [
        (
            f"{month:%Y-%m}",
            f"{at:%Y-%m-%d %H:%M}",
            str(plants),
            f"{pv or 0:,.1f}",
            str(adjusted),
            f"{kwh:+,.3f}",
        )
        for month, at, plants, pv, adjusted, kwh in found.iter_rows()
    ]
    show_table("Closed months", columns, rows)
