"""The commands of `sunledger`. Each says what it did; an error is one sentence that ends with what to do.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 done in part (the command lists what is missing).
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
from sandbox.cli import app as sandbox_app

if TYPE_CHECKING:
    from pipeline.run.context import RunContext
    from pipeline.run.notices import Notices
    from pipeline.transform.sun.fleet_verdict import SolarTime

FAILED, IN_PART = 1, 3
# A list longer than a screen is not read; the table quarantine holds the rest.
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

    # The command that needs a wrong setting reports it.
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


_GROUPS = typer.Option(
    "--group",
    metavar="NAME",
    help="Group of plants in SUNLEDGER_PLANT_ATTRIBUTES. Repeat the option for more groups. Default: all plants.",
)
_YES = typer.Option("--yes", help="Accept the PU that this adds to the month's bill, without a question.")


class Format(StrEnum):
    """The formats in which rows are printed or saved."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option(help="Folder for all files of the demo. The demo empties it first.")
    ] = Path("demo"),
) -> None:
    """Run the whole pipeline against the embedded sandbox, with real recordings and a simulated fleet."""
    from pipeline.cli.demo import run  # noqa: PLC0415 - commands load what they need

    with Bars() as bars:
        run(folder, bars)


@app.command()
def backfill(
    *,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day to fetch.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day to fetch.")],
    plants: Annotated[
        list[str] | None,
        typer.Option(help="Plant id. Repeat the option for more plants. Default: all plants."),
    ] = None,
    groups: Annotated[list[str] | None, _GROUPS] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            help="Measurement set, or: all. Repeat the option for more sets. Default: SUNLEDGER_SETS."
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Also fetch final days again that are stored already, and today's lists of plants and devices.",
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
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Fetch what is missing of these days from SMA, turn power into energy, and publish the result."""
    from pipeline.billing import load_prices  # noqa: PLC0415

    begin, end = _parse_day("--from", first), _parse_day("--to", last)
    with _open_runtime(plants, sets, groups=groups, again=again) as runtime:
        _check_days(runtime, begin, end)
        runtime.settings.require_credentials()
        # Publishing needs the price list. A wrong one must stop the run before requests have cost fees.
        load_prices(runtime.settings.prices)
        # Dagster takes seconds to load, so mistakes in options are reported first.
        from assets.runs import record_runs  # noqa: PLC0415
        from pipeline.cli.completeness import show_completeness  # noqa: PLC0415
        from pipeline.cli.plan import refuse_beyond_limits  # noqa: PLC0415
        from pipeline.cli.spending import agree_on_fleet, parse_eur  # noqa: PLC0415
        from pipeline.common.day_availability import list_days  # noqa: PLC0415
        from pipeline.run.sets import check_sets  # noqa: PLC0415
        from pipeline.tables.interval_tables import judge_times  # noqa: PLC0415
        from pipeline.tables.zone_corrections import list_other_zones  # noqa: PLC0415

        amount = parse_eur("--max-eur", max_eur)
        refuse_beyond_limits(runtime, begin, end, max_requests, amount)
        with record_runs(runtime, command="backfill", days=(begin, end)) as runs:
            with Bars() as bars:
                runtime.progress = bars
                runs.refresh_plants()
            # Outside of the progress bars, because it may ask a person.
            agree_on_fleet(runtime, yes=yes, max_eur=amount, since=begin)
            with Bars() as bars:
                runtime.progress = bars
                runs.refresh_devices()
                check_sets(runtime)
                try:
                    runs.fetch_days(begin, end)
                finally:
                    # Also after a failure, because the days finished before it are whole; but not after an interrupt.
                    if SIGNALS.received is None:
                        say_all(runs.publish())
        days = (end - begin).days + 1
        sent = runtime.session.requests_sent
        say(
            f"Fetched {pluralize(days, 'day')} with {pluralize(sent, 'request')} and published "
            f"{runtime.settings.warehouse}."
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
        list[str] | None,
        typer.Option(help="Plant id. Repeat the option for more plants. Default: all plants."),
    ] = None,
    groups: Annotated[list[str] | None, _GROUPS] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Fetch the lists of plants, devices and measurement sets again, also those that were fetched today."""
    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.billing import load_prices  # noqa: PLC0415
    from pipeline.cli.spending import agree_on_fleet  # noqa: PLC0415
    from pipeline.tables.zone_corrections import list_other_zones  # noqa: PLC0415

    with _open_runtime(plants, groups=groups, again=True) as runtime:
        runtime.settings.require_credentials()
        load_prices(runtime.settings.prices)
        with record_runs(runtime, command="refresh") as runs:
            with Bars() as bars:
                runtime.progress = bars
                runs.refresh_plants()
            agree_on_fleet(runtime, yes=yes)
            with Bars() as bars:
                runtime.progress = bars
                runs.refresh_devices()
        say(
            f"The lists were fetched with {pluralize(runtime.session.requests_sent, 'request')} and are up to date."
        )
        runs.notices.add(list_other_zones(runtime))
        _tell_missing(runs.notices)


@app.command()
def plan(
    *,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day to fetch.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day to fetch.")],
    plants: Annotated[
        list[str] | None,
        typer.Option(help="Plant id. Repeat the option for more plants. Default: all plants."),
    ] = None,
    groups: Annotated[list[str] | None, _GROUPS] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            help="Measurement set, or: all. Repeat the option for more sets. Default: SUNLEDGER_SETS."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Plan a backfill with --again.")] = False,
) -> None:
    """Show how many requests, minutes, bytes, PU and EUR a backfill needs, before any request that costs is sent."""
    from pipeline.cli.plan import make_plan, show_plan  # noqa: PLC0415

    with _open_runtime(plants, sets, groups=groups, again=again) as runtime:
        show_plan(make_plan(runtime, _parse_day("--from", first), _parse_day("--to", last)))


@app.command()
def reconcile(
    *,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Month to compare. It must be over.")
    ] = None,
    year: Annotated[
        int | None,
        typer.Option("--year", help="Year to compare month by month, instead of --month. It must be over."),
    ] = None,
    plants: Annotated[
        list[str] | None,
        typer.Option(help="Plant id. Repeat the option for more plants. Default: all plants."),
    ] = None,
    groups: Annotated[list[str] | None, _GROUPS] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Fetch SMA's figures again, although they are stored already.")
    ] = False,
    max_requests: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop before the first request if the month or year needs more requests than this."
        ),
    ] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Compare a month or year with SMA's own figures, by one request per plant. Differences are shown, never
    corrected.
    """
    from pipeline.cli.invoice import parse_month_option as month_of  # noqa: PLC0415
    from pipeline.cli.reconcile import run_month, run_year  # noqa: PLC0415

    if (month is None) == (year is None):
        raise UsageError("The command needs either --month or --year: give one of them.")
    with _open_runtime(plants, groups=groups, again=again) as runtime:
        if month is not None:
            notices = run_month(runtime, month_of("--month", month), max_requests, yes=yes)
        elif year is not None:
            notices = run_year(runtime, year, max_requests, yes=yes)
        _tell_missing(notices)


@app.command()
def rebuild(
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="YYYY-MM-DD", help="First day. Default: the first stored day."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day. Default: the last stored day.")
    ] = None,
) -> None:
    """Rebuild days from the stored answers without a request to SMA, for instance after an update, and publish."""

    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.cli.completeness import show_completeness  # noqa: PLC0415
    from pipeline.tables.incomplete_days import (  # noqa: PLC0415
        count_days_of_other_basis,
        list_days_with_answers,
        list_stored_days,
    )
    from pipeline.tables.zone_corrections import list_other_zones  # noqa: PLC0415

    with _open_runtime(None) as runtime:
        stored = list_stored_days(runtime)
        if not stored:
            raise SunledgerError(
                "There is nothing to rebuild, because no day is stored yet: fetch days with 'sunledger backfill' first."
            )
        begin = _parse_day("--from", first) if first else stored[0]
        end = _parse_day("--to", last) if last else stored[-1]
        _check_days(runtime, begin, end)
        days = [day for day in stored if begin <= day <= end]
        if not days:
            raise UsageError(
                f"No day from {begin} to {end} is stored: choose from the stored days {stored[0]} to {stored[-1]}."
            )
        if n_days := count_days_of_other_basis(runtime, begin, end):
            say(
                f"{pluralize(n_days, 'day')} of these were fetched with another SMA_TIME_BASIS. All times are read "
                f"with the present one, {runtime.settings.sma_time_basis}."
            )
        if gone := sorted(set(days) - list_days_with_answers(runtime)):
            days = [day for day in days if day not in gone]
            say(
                f"The answers of {pluralize(len(gone), 'day')} are no longer stored (the first: {gone[0]}), so the "
                "tables of these days stay as they are."
            )
        with record_runs(runtime, command="rebuild", days=(begin, end)) as runs:
            runs.remake(days)
            say_all(runs.publish())
        verb = "was" if len(days) == 1 else "were"
        say(f"{pluralize(len(days), 'day')} from {begin} to {end} {verb} rebuilt.")
        say(f"Published {runtime.settings.warehouse}.")
        whole = show_completeness(runtime, days)
        runs.notices.add(list_other_zones(runtime))
        _tell_missing(runs.notices)
        if not whole:
            raise typer.Exit(IN_PART)


@app.command()
def publish() -> None:
    """Build a new DuckDB file from the lake and replace the published file with it."""
    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.tables.incomplete_days import list_stored_days  # noqa: PLC0415
    from warehouse.publish import FIRST_DAYS  # noqa: PLC0415

    with _open_runtime(None) as runtime, record_runs(runtime, command="publish") as runs:
        say_all(runs.publish())
        say(f"Published {runtime.settings.warehouse}.")
        if not list_stored_days(runtime):
            say(f"The published file is empty, because no day is stored yet: {FIRST_DAYS}")
        _tell_missing(runs.notices)


@app.command()
def verify() -> None:
    """Read every stored part and the published file, and compare them with the digests of what was written."""
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from pipeline.ops.set_aside import describe_set_aside  # noqa: PLC0415
    from warehouse.known_tables import KnownTables  # noqa: PLC0415
    from warehouse.lake import Lake  # noqa: PLC0415
    from warehouse.verify import (  # noqa: PLC0415
        verify_lake,
        verify_published,
        verify_tables,
        verify_versions,
    )

    settings = load_settings()
    # Opens no runtime, which would store the record of requests at its end: this way a full disk can be verified too.
    lake = Lake(settings.lake, settings.home / "tmp", tell=say)
    parts = faults = 0
    known = KnownTables(settings.home, settings.warehouse)
    known.check_lake(lake)
    checked = (
        verify_lake(lake),
        verify_tables(lake, known),
        verify_published(settings.warehouse),
        verify_versions(lake, settings.warehouse),
    )
    for found in chain(*checked):
        parts += 1
        if found.fault:
            faults += 1
            list_item(f"{found.place}: {found.fault}")
    say(f"Read {pluralize(parts, 'part')} and found {pluralize(faults, 'fault')}.")
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
            help="Name of a machine that is no longer in use; its runs are ended too. Repeat the option for more.",
        ),
    ] = None,
    lost_lake: Annotated[
        bool,
        typer.Option(
            "--lost-lake",
            help="Make a new lake where the former one is gone for good, from what the published file and SMA still "
            "have.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Change nothing; only list what is damaged, and what the repair would do and cost.",
        ),
    ] = False,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Repair damaged tables that verify finds, unreadable records of runs, and runs whose process has died."""
    from pipeline.cli.repair import build_dry_run_parts, build_parts, run  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    if not settings.home.is_dir():
        raise UsageError(
            f"The folder {settings.home} does not exist: set SUNLEDGER_HOME to the home that is to be repaired."
        )
    parts = build_parts(lost_host or [], yes=yes, lost_lake=lost_lake)
    if not run(settings, build_dry_run_parts() if dry_run else parts):
        raise typer.Exit(FAILED)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(help="SQL query. Default: queries are read from standard input.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format", help="Format of the printed rows (table or csv), or of the file of --output."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write all rows to this .csv, .parquet or .xlsx file instead of printing them.",
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", help="File that the query may read besides the warehouse. Repeat the option for more."
        ),
    ] = None,
) -> None:
    """Query the published warehouse. The query can write nothing, and read no file that --file does not name."""
    from pipeline.cli.sql import run_interactive, save_rows, show_rows  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from warehouse.publish import FIRST_DAYS, connect, has_days  # noqa: PLC0415
    from warehouse.read_only import check_readable_files, restrict  # noqa: PLC0415

    granted = check_readable_files(files or [])
    with connect(load_settings().warehouse) as connection:
        if output is not None:
            save_rows(connection, sys.stdin.read() if query is None else query, output, form, granted)
            return
        restrict(connection, granted)
        if not has_days(connection):
            say(f"The warehouse holds no day yet: {FIRST_DAYS}")
        if query is None and sys.stdin.isatty():
            run_interactive(connection, form or Format.TABLE)
        else:
            show_rows(connection, sys.stdin.read() if query is None else query, form or Format.TABLE)


@app.command()
def backup(
    file: Annotated[
        Path,
        typer.Argument(help="Backup file to write. An earlier file is replaced once the new one is whole."),
    ],
) -> None:
    """Write all state (lake, records, logins) into one file that only you can read."""
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from pipeline.ops.backup import back_up  # noqa: PLC0415

    settings = load_settings()
    files, size = back_up(settings, file)
    say(
        f"Wrote {pluralize(files, 'file')} ({size / 1e6:,.1f} MB) to {file.absolute()}. The backup holds secrets: "
        "store it as safely as a password."
    )
    if "://" in settings.lake:
        say(
            f"The backup does not hold the lake at {settings.lake}: back up that bucket with its provider's tools."
        )


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Backup file that 'sunledger backup' has written.")],
) -> None:
    """Restore a backup into an empty SUNLEDGER_HOME and publish it."""
    from assets.mend_records import mend_records  # noqa: PLC0415
    from assets.runs import record_runs  # noqa: PLC0415
    from pipeline.ops.backup import restore as put_back  # noqa: PLC0415

    with _open_runtime(None) as runtime:
        files = put_back(runtime.settings, file)
        # A backup also holds the damage that its records had when it was made.
        for sentence in mend_records(runtime.settings):
            say(sentence)
        # Views of the published file contain paths of the lake's files, so they must be built again in the new place.
        with record_runs(runtime, command="restore") as runs:
            say_all(runs.publish())
        say(
            f"Restored {pluralize(files, 'file')} into {runtime.settings.home} and published "
            f"{runtime.settings.warehouse}."
        )


@app.command()
def login(
    *,
    browser: Annotated[
        bool, typer.Option(help="Open the login page in a browser, or only print its address.")
    ] = True,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the redirect address. 0 takes any free port.")
    ] = 0,
    offline: Annotated[
        bool,
        typer.Option(
            help="Ask SMA for a login that does not expire. Without this it expires after at most 30 days."
        ),
    ] = True,
    pkce: Annotated[
        bool, typer.Option(help="Send a PKCE challenge. Leave it out only if SMA's answer asks for that.")
    ] = True,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to wait for the answer of the browser.")] = 600,
) -> None:
    """Log in with the code flow (SMA_FLOW=code), in which a user grants access to the plants that the user owns."""
    from pipeline.cli.login import log_in_here  # noqa: PLC0415
    from pipeline.sma.auth.code_login import LoginOptions  # noqa: PLC0415

    log_in_here(LoginOptions(port, offline=offline, pkce=pkce, wait_s=wait), browser=browser)


@app.command()
def logout(
    *,
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Delete the stored login without revoking it at SMA.")
    ] = False,
) -> None:
    """Log out of the code flow: revoke the login at SMA and delete it here."""
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
            help="Number of plants of which one clear day is fetched to test the time basis, by two requests each. "
            "SMA bills these plants for this month. Default: at most 3 plants, and only plants that are billed for "
            "this month already.",
        ),
    ] = None,
    yes: Annotated[bool, _YES] = False,
) -> None:
    """Check everything that a run needs. Each line says whether a check passed, and if not, what to do."""
    from pipeline.cli.doctor import run  # noqa: PLC0415

    if not run(ask_plants, yes=yes):
        raise typer.Exit(FAILED)


def _parse_day(option: str, text: str) -> dt.date:
    with suppress(ValueError):
        day = dt.date.fromisoformat(text)
        # Python also accepts 20261031 and 2026-W44-6, which are usually typing errors.
        if day.isoformat() == text:
            return day
    raise UsageError(f"{option} {text} is not a day: write it as YYYY-MM-DD, for instance 2026-10-31.")


def _open_runtime(
    plants: list[str] | None,
    sets: list[str] | None = None,
    *,
    groups: list[str] | None = None,
    again: bool = False,
) -> "RunContext":
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from pipeline.run.context import RunContext  # noqa: PLC0415
    from pipeline.run.plant_attributes import find_members  # noqa: PLC0415

    wanted = frozenset(word for plant in plants or [] for word in plant.split(",") if word)
    if plants and not wanted:
        raise UsageError("The option --plants is empty: give a plant id, for instance --plants 5000000.")
    settings = load_settings(sets=",".join(sets)) if sets else load_settings()
    chosen = frozenset(groups or [])
    # A group that does not exist is reported before anything begins.
    find_members(settings, sorted(chosen), "--group")
    return RunContext(settings, only_plants=wanted, only_groups=chosen, again=again, tell=say)


def _check_days(runtime: "RunContext", first: dt.date, last: dt.date) -> None:
    from pipeline.common.day_availability import check_days  # noqa: PLC0415

    check_days(first, last, runtime.settings.first_day, runtime.now())


def _tell_unknown(notices: "Notices") -> None:
    """Report once a run which fields of SMA's answers the tables do not have."""
    for table, names in sorted(notices.unknown_fields.items()):
        shown = ", ".join(sorted(names)[:MISSING_SHOWN])
        say(f"Notice: SMA sends fields that no table has. They are kept unchanged in {table}: {shown}.")
    if notices.odd_facts:
        say(
            f"Notice: {pluralize(notices.odd_facts, 'fact')} of plants and devices in SMA's lists can't be read. "
            "Unreadable numbers are stored as null, and names without their broken characters. Look at the table "
            "quarantine (source plants and devices) for each."
        )


def _tell_missing(notices: "Notices", solar_time: "SolarTime | None" = None) -> None:
    """List what is missing in this run, and last that its times contradict the sun, for then all figures are wrong."""
    n_missing = len(notices.missing)
    if n_missing:
        out.print(
            f"Done in part: {pluralize(n_missing, 'item')} {'is' if n_missing == 1 else 'are'} missing."
        )
    for item in sorted(notices.missing)[:MISSING_SHOWN]:
        plant = f" plant {item.plant_id}" if item.plant_id else ""
        list_item(f"  {item.day} {item.table}{plant}: {item.reason}")
    if n_missing > MISSING_SHOWN:
        out.print(f"  and {n_missing - MISSING_SHOWN} more: look at the table quarantine for the rest.")
    fits = solar_time is None or solar_time.agrees
    if solar_time is not None and not fits:
        out.print(
            f"The times of these days contradict the position of the sun. {solar_time.describe()}",
            soft_wrap=True,
        )
    if n_missing or not fits:
        raise typer.Exit(IN_PART)
