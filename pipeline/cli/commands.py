"""The commands of `sunledger`. Each says what it did; errors are one sentence with the cure.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part (what is missing is listed).
"""

import datetime as dt
import sys
from contextlib import suppress
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.billing import app as billing_app
from pipeline.cli.consent import app as consent_app
from pipeline.cli.console import Bars, list_item, out, say, say_all
from pipeline.cli.exports import export, pack
from pipeline.cli.months import close, reopen
from pipeline.cli.plants import list_plants
from pipeline.cli.report import report
from pipeline.cli.ui import ui
from pipeline.common.errors import ConfigurationError, SunledgerError, UsageError
from pipeline.common.signals import SIGNALS
from pipeline.common.text import pluralize
from pipeline.tables.incomplete_days import (
    count_days_of_other_basis,
    list_days_with_answers,
    list_stored_days,
)
from sandbox.cli import app as sandbox_app

if TYPE_CHECKING:
    from pipeline.run.context import Runtime
    from pipeline.run.notices import Notices
    from pipeline.transform.sun.fleet_verdict import SolarTime

FAILED, IN_PART = 1, 3
# More than a screen of missing things helps nobody: the rest is in the table quarantine.
MISSING_SHOWN = 20


app = typer.Typer(
    help="An energy warehouse for fleets of SMA solar plants.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _prepare() -> None:
    from pipeline.common.file_modes import limit_readers  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415

    # A setting that is wrong is told by the command that needs it.
    with suppress(ConfigurationError):
        settings = load_settings()
        limit_readers(settings.home, settings.readable_by)


app.add_typer(sandbox_app, name="sandbox")
app.add_typer(consent_app, name="consent")
app.add_typer(billing_app, name="billing")
app.command()(export)
app.command()(pack)
app.command()(close)
app.command("open")(reopen)
app.command("plants")(list_plants)
app.command()(report)
app.command()(ui)


_YES = typer.Option("--yes", help="Agree to what it adds to this month's bill, without being asked.")


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes; emptied first.")] = Path("demo"),
) -> None:
    """Run the whole pipeline on the embedded sandbox: real recordings and a simulated fleet."""
    from pipeline.cli.demo import run  # noqa: PLC0415 - commands load what they need

    with Bars() as bars:
        run(folder, bars)


@app.command()
def backfill(
    *,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day.")],
    plants: Annotated[
        list[str] | None, typer.Option(help="Only this plant id; repeat it for more. Default: all plants.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(help="Only this measurement set; repeat it for more, or: all. Default: SUNLEDGER_SETS."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask again for what is stored and final, and for today's lists.")
    ] = False,
    max_requests: Annotated[
        int | None, typer.Option(min=1, help="Refuse a backfill that needs more requests.")
    ] = None,
    max_eur: Annotated[
        str | None,
        typer.Option(
            metavar="EUR", help="Agree to what it adds to this month's bill up to this, and refuse it beyond."
        ),
    ] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Fetch what the days lack from SMA, turn power into energy, publish."""
    from pipeline.billing import load_prices  # noqa: PLC0415

    begin, end = _parse_day("--from", first), _parse_day("--to", last)
    with _open_runtime(plants, sets, again=again) as runtime:
        _check_days(runtime, begin, end)
        runtime.settings.require_credentials()
        # Needed at the end, when a wrong one would cost fees: so looked at before the first request.
        load_prices(runtime.settings.prices)
        # Dagster takes seconds to load: a mistake is told before.
        from assets.runs import record_runs  # noqa: PLC0415
        from pipeline.cli.completeness import show_completeness  # noqa: PLC0415
        from pipeline.cli.plan import refuse_beyond_limits  # noqa: PLC0415
        from pipeline.cli.spending import agree_on_fleet, parse_amount  # noqa: PLC0415
        from pipeline.common.day_availability import list_days  # noqa: PLC0415
        from pipeline.run.sets import check_sets  # noqa: PLC0415
        from pipeline.tables.interval_tables import judge_times  # noqa: PLC0415
        from pipeline.tables.zone_corrections import list_other_zones  # noqa: PLC0415

        amount = parse_amount("--max-eur", max_eur)
        refuse_beyond_limits(runtime, begin, end, max_requests, amount)
        with record_runs(runtime, command="backfill", days=(begin, end)) as runs:
            with Bars() as bars:
                runtime.progress = bars
                runs.plants()
            # Outside of the bars: it may ask a person.
            agree_on_fleet(runtime, yes=yes, max_eur=amount, since=begin)
            with Bars() as bars:
                runtime.progress = bars
                runs.devices()
                check_sets(runtime)
                try:
                    runs.days(begin, end)
                finally:
                    # Also after a failure: what was finished before it is whole. Who interrupts wants the end.
                    if SIGNALS.received is None:
                        say_all(runs.publish())
        days = (end - begin).days + 1
        sent = runtime.session.requests_sent
        say(
            f"{pluralize(days, 'day')} done with {pluralize(sent, 'request')}; published {runtime.settings.warehouse}."
        )
        whole = show_completeness(runtime, list_days(begin, end))
        _tell_unknown(runs.notices)
        runs.notices.add(list_other_zones(runtime))
        solar_time = judge_times(runtime, begin, end)
        _tell_missing(runs.notices, solar_time)
        if not whole:
            raise typer.Exit(IN_PART)


@app.command()
def refresh(
    *,
    plants: Annotated[
        list[str] | None, typer.Option(help="Only this plant id; repeat it for more. Default: all plants.")
    ] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Ask SMA for plants, devices and measurement sets only, also for those that were asked for today."""
    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.cli.spending import agree_on_fleet  # noqa: PLC0415
    from pipeline.tables.zone_corrections import list_other_zones  # noqa: PLC0415

    with _open_runtime(plants, again=True) as runtime:
        runtime.settings.require_credentials()
        with record_runs(runtime, command="refresh") as runs:
            with Bars() as bars:
                runtime.progress = bars
                runs.plants()
            agree_on_fleet(runtime, yes=yes)
            with Bars() as bars:
                runtime.progress = bars
                runs.devices()
        say(f"The lists are up to date after {pluralize(runtime.session.requests_sent, 'request')}.")
        runs.notices.add(list_other_zones(runtime))
        _tell_missing(runs.notices)


@app.command()
def plan(
    *,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day.")],
    plants: Annotated[
        list[str] | None, typer.Option(help="Only this plant id; repeat it for more. Default: all plants.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(help="Only this measurement set; repeat it for more, or: all. Default: SUNLEDGER_SETS."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="As for a backfill that asks again.")] = False,
) -> None:
    """Say what a backfill will take - requests, minutes, bytes, PU, EUR - before one that costs is sent."""
    from pipeline.cli.plan import make_plan, show_plan  # noqa: PLC0415

    with _open_runtime(plants, sets, again=again) as runtime:
        show_plan(make_plan(runtime, _parse_day("--from", first), _parse_day("--to", last)))


@app.command()
def reconcile(
    *,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="The month; it must be over.")
    ] = None,
    year: Annotated[
        int | None, typer.Option("--year", help="Or a year: its months, by SMA's figures of the year.")
    ] = None,
    plants: Annotated[
        list[str] | None, typer.Option(help="Only this plant id; repeat it for more. Default: all plants.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask again for what is stored and final.")] = False,
    max_requests: Annotated[
        int | None, typer.Option(min=1, help="Refuse a month or year that needs more requests.")
    ] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Compare a month or year with SMA's own figures, one request a plant; differences are shown, never repaired."""
    from pipeline.cli.invoice import parse_month as month_of  # noqa: PLC0415
    from pipeline.cli.reconcile import run_month, run_year  # noqa: PLC0415

    if (month is None) == (year is None):
        raise UsageError("Give either --month or --year.")
    with _open_runtime(plants, again=again) as runtime:
        if month is not None:
            notices = run_month(runtime, month_of("--month", month), max_requests, yes=yes)
        elif year is not None:
            notices = run_year(runtime, year, max_requests, yes=yes)
        _tell_missing(notices)


@app.command()
def rebuild(
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="YYYY-MM-DD", help="First day. Default: the first stored one."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day. Default: the last stored one.")
    ] = None,
) -> None:
    """Make days again from the stored answers, without asking SMA, and publish: after an update, for instance."""

    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.cli.completeness import show_completeness  # noqa: PLC0415
    from pipeline.tables.zone_corrections import list_other_zones  # noqa: PLC0415

    with _open_runtime(None) as runtime:
        stored = list_stored_days(runtime)
        if not stored:
            raise SunledgerError("No day is stored yet: fetch some first with 'sunledger backfill'.")
        begin = _parse_day("--from", first) if first else stored[0]
        end = _parse_day("--to", last) if last else stored[-1]
        _check_days(runtime, begin, end)
        days = [day for day in stored if begin <= day <= end]
        if not days:
            raise UsageError(
                f"No day from {begin} to {end} is stored: the stored ones are from {stored[0]} to {stored[-1]}."
            )
        if n_days := count_days_of_other_basis(runtime, begin, end):
            say(
                f"{pluralize(n_days, 'day')} of these were asked for with another SMA_TIME_BASIS than "
                f"{runtime.settings.sma_time_basis}, which is set now and by which all times are read."
            )
        if gone := sorted(set(days) - list_days_with_answers(runtime)):
            days = [day for day in days if day not in gone]
            say(
                f"The answers of {pluralize(len(gone), 'day')} are not stored any more (the first: {gone[0]}): what "
                "was made from them stays as it is."
            )
        with record_runs(runtime, command="rebuild", days=(begin, end)) as runs:
            runs.remake(days)
            say_all(runs.publish())
        verb = "was" if len(days) == 1 else "were"
        say(f"{pluralize(len(days), 'day')} from {begin} to {end} {verb} made again.")
        say(f"Published {runtime.settings.warehouse}.")
        whole = show_completeness(runtime, days)
        runs.notices.add(list_other_zones(runtime))
        _tell_missing(runs.notices)
        if not whole:
            raise typer.Exit(IN_PART)


@app.command()
def publish() -> None:
    """Build the DuckDB file from the lake and swap it in."""
    from assets.runs import record_runs  # noqa: PLC0415
    from warehouse.publish import FIRST_DAYS  # noqa: PLC0415

    with _open_runtime(None) as runtime, record_runs(runtime, command="publish") as runs:
        say_all(runs.publish())
        say(f"Published {runtime.settings.warehouse}.")
        if not list_stored_days(runtime):
            say(f"No day is stored yet, so it is empty: {FIRST_DAYS}")
        _tell_missing(runs.notices)


@app.command()
def verify() -> None:
    """Read every stored part and the published file again, and compare them with what was written."""
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from pipeline.ops.set_aside import describe_set_aside  # noqa: PLC0415
    from warehouse.lake import Lake  # noqa: PLC0415
    from warehouse.verify import verify_lake, verify_published, verify_versions  # noqa: PLC0415

    settings = load_settings()
    # Without a runtime, which would store the record of requests at its end: a full disk can be verified too.
    lake = Lake(settings.lake, settings.home / "tmp", tell=say)
    parts = faults = 0
    checked = (
        verify_lake(lake),
        verify_published(settings.warehouse),
        verify_versions(lake, settings.warehouse),
    )
    for found in chain(*checked):
        parts += 1
        if found.fault:
            faults += 1
            list_item(f"{found.place}: {found.fault}")
    say(f"{pluralize(parts, 'part')} read, {faults} with a fault.")
    if aside := describe_set_aside(settings):
        say(aside)
    if faults:
        raise typer.Exit(FAILED)


@app.command()
def repair(
    *,
    lost_host: Annotated[
        list[str] | None,
        typer.Option(
            "--lost-host",
            metavar="HOST",
            help="A machine that is not in use any more: its runs are ended too; repeat it for more.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what is damaged, and what mending it would do and cost."),
    ] = False,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Mend what an accident has left: what verify finds, records that can't be read, runs whose process has died."""
    from pipeline.cli.repair import build_dry_run_parts, build_parts, run  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    if not settings.home.is_dir():
        raise UsageError(f"There is nothing at {settings.home}: set SUNLEDGER_HOME to the home to repair.")
    if not run(settings, build_dry_run_parts() if dry_run else build_parts(lost_host or [], yes=yes)):
        raise typer.Exit(FAILED)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(help="A query; without one they are read from input.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="How rows are printed (table or csv), or the format of --output."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write all rows to this .csv, .parquet or .xlsx file."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", help="A file of yours that the query may read; repeat it for more. No other is."
        ),
    ] = None,
) -> None:
    """Query the published warehouse: it is read, and nothing else is read or written."""
    from pipeline.cli.sql import run_interactive, save_rows, show_rows  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from warehouse.publish import FIRST_DAYS, connect, has_days  # noqa: PLC0415
    from warehouse.read_only import readable_files, restrict  # noqa: PLC0415

    granted = readable_files(files or [])
    with connect(load_settings().warehouse) as connection:
        if output is not None:
            save_rows(connection, sys.stdin.read() if query is None else query, output, form, granted)
            return
        restrict(connection, granted)
        if not has_days(connection):
            say(f"The warehouse has no day yet: {FIRST_DAYS}")
        if query is None and sys.stdin.isatty():
            run_interactive(connection, form or Format.TABLE)
        else:
            show_rows(connection, sys.stdin.read() if query is None else query, form or Format.TABLE)


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="Where to; replaced when it is whole.")]) -> None:
    """Write all state - lake, records, logins - into one file that only you can read."""
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from pipeline.ops.backup import back_up  # noqa: PLC0415

    settings = load_settings()
    files, size = back_up(settings, file)
    say(
        f"{pluralize(files, 'file')}, {size / 1e6:,.1f} MB in {file.absolute()}. "
        "It holds secrets: keep it as you keep passwords."
    )
    if "://" in settings.lake:
        say(f"The lake at {settings.lake} is not part of it: keep its versions by the store's own means.")


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file that 'sunledger backup' wrote.")]) -> None:
    """Put the state of a backup into an empty SUNLEDGER_HOME, and publish it."""
    from assets.mend_records import mend_records  # noqa: PLC0415
    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.ops.backup import restore as put_back  # noqa: PLC0415

    with _open_runtime(None) as runtime:
        files = put_back(runtime.settings, file)
        # A backup carries what was wrong with the records when it was made.
        for sentence in mend_records(runtime.settings):
            say(sentence)
        # Views of the published file name files of the lake by their place.
        with record_runs(runtime, command="restore") as runs:
            say_all(runs.publish())
        say(
            f"Put {pluralize(files, 'file')} back into {runtime.settings.home}; published {runtime.settings.warehouse}."
        )


@app.command()
def login(
    *,
    browser: Annotated[bool, typer.Option(help="Open the browser; else the address is only printed.")] = True,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the redirect address; 0: any free one.")
    ] = 0,
    offline: Annotated[
        bool, typer.Option(help="Ask for a login without end; else it lasts 30 days at most.")
    ] = True,
    pkce: Annotated[
        bool, typer.Option(help="Send PKCE; only to be left out if SMA's answer says so.")
    ] = True,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to wait for the browser.")] = 600,
) -> None:
    """Log in with the code flow (SMA_FLOW=code): a user allows access to the own plants."""
    from pipeline.cli.login import log_in_here  # noqa: PLC0415
    from pipeline.sma.auth.code_login import LoginOptions  # noqa: PLC0415

    log_in_here(LoginOptions(port, offline=offline, pkce=pkce, wait_s=wait), browser=browser)


@app.command()
def logout(
    *,
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Forget the login here without asking SMA.")
    ] = False,
) -> None:
    """End the login of the code flow."""
    from pipeline.cli.login import log_out_here  # noqa: PLC0415

    log_out_here(local_only=local_only)


@app.command()
def doctor(
    *,
    ask_plants: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=20,
            help="Ask so many plants for a clear day, two requests each, though SMA bills them for this month. "
            "Default: at most 3, and only plants that are billed for this month already.",
        ),
    ] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Check everything that a run needs, in order; each line passes or says the cure."""
    from pipeline.cli.doctor import run  # noqa: PLC0415

    if not run(ask_plants, yes=yes):
        raise typer.Exit(FAILED)


def _parse_day(option: str, text: str) -> dt.date:
    with suppress(ValueError):
        day = dt.date.fromisoformat(text)
        # Python also reads 20261031 and 2026-W44-6, which are more often a slip than meant.
        if day.isoformat() == text:
            return day
    raise UsageError(f"{option} {text} is not a day: write it as YYYY-MM-DD, as in 2026-10-31.")


def _open_runtime(
    plants: list[str] | None, sets: list[str] | None = None, *, again: bool = False
) -> "Runtime":
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from pipeline.run.context import Runtime  # noqa: PLC0415

    wanted = frozenset(word for plant in plants or [] for word in plant.split(",") if word)
    if plants and not wanted:
        raise UsageError("--plants names no plant: give an id, as in --plants 5000000.")
    settings = load_settings(sets=",".join(sets)) if sets else load_settings()
    return Runtime(settings, only_plants=wanted, again=again, tell=say)


def _check_days(runtime: "Runtime", first: dt.date, last: dt.date) -> None:
    from pipeline.common.day_availability import check_days  # noqa: PLC0415

    check_days(first, last, runtime.settings.first_day, runtime.now())


def _tell_unknown(notices: "Notices") -> None:
    """Once a run: what SMA sends beyond what the tables have."""
    for table, names in sorted(notices.unknown_fields.items()):
        shown = ", ".join(sorted(names)[:MISSING_SHOWN])
        say(f"Notice: SMA sends fields that no table has, kept in {table} as they came: {shown}.")
    if notices.odd_facts:
        say(
            f"Notice: {pluralize(notices.odd_facts, 'fact')} of plants and devices in SMA's lists can't be read: a "
            "number counts as not given, a name is kept without what is broken in it. The table quarantine names each "
            "(source plants and devices)."
        )


def _tell_missing(notices: "Notices", solar_time: "SolarTime | None" = None) -> None:
    """What the run lacks, and at the very end that its times don't fit the sun: then no figure of it is right."""
    n_missing = len(notices.missing)
    if n_missing:
        out.print(
            f"Done in part: {pluralize(n_missing, 'thing')} {'is' if n_missing == 1 else 'are'} missing."
        )
    for item in sorted(notices.missing)[:MISSING_SHOWN]:
        plant = f" plant {item.plant_id}" if item.plant_id else ""
        list_item(f"  {item.day} {item.table}{plant}: {item.reason}")
    if n_missing > MISSING_SHOWN:
        out.print(f"  and {n_missing - MISSING_SHOWN} more: see the table quarantine.")
    fits = solar_time is None or solar_time.agrees
    if solar_time is not None and not fits:
        out.print(f"The times of these days do not fit the sun. {solar_time.sentence()}", soft_wrap=True)
    if n_missing or not fits:
        raise typer.Exit(IN_PART)
