"""`sunledger verify`, `repair` and `doctor`: the commands that find faults and mend them."""

from typing import Annotated

import typer

from pipeline.cli.console import say
from pipeline.cli.exit_codes import FAILED
from pipeline.cli.run_options import YES
from pipeline.common.errors import UsageError


def run_verify(
    *,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Compare each row, view and macro of the published file with a file built from nothing as well.",
        ),
    ] = False,
) -> None:
    """Read every stored part and the published file, and compare them with the digests of what was written."""
    from pipeline.cli.health.verify_output import COPY, LAKE, Verification
    from pipeline.common.settings import load_settings
    from pipeline.ops.set_aside import describe_set_aside
    from warehouse.lake import Lake
    from warehouse.published_file.published_object import open_target
    from warehouse.removed_answers import AnswerRetention
    from warehouse.verification.full_comparison import compare_with_full
    from warehouse.verification.known_tables import KnownTables
    from warehouse.verification.verify import (
        verify_lake,
        verify_published,
        verify_tables,
        verify_versions,
    )

    settings = load_settings()
    # Opens no runtime, which would store the record of requests at its end: this way a full disk can be verified too.
    lake = Lake(settings.lake, settings.home / "tmp", tell=say)
    done = Verification()
    known = KnownTables(settings.home, settings.warehouse)
    with done.go_on_without(LAKE):
        known.check_lake(lake)
    if target := open_target(settings, say):
        done.fetch(target, lake.root)
    done.add(LAKE, verify_lake(lake))
    done.add(LAKE, verify_tables(lake, known))
    done.add(COPY, verify_published(lake, settings.warehouse))
    done.add(LAKE, verify_versions(lake, settings.warehouse))
    if published:
        done.add(LAKE, compare_with_full(lake, settings.warehouse))
    say(done.describe())
    if aside := describe_set_aside(settings):
        say(aside)
    with done.go_on_without(LAKE):
        if LAKE not in done.gone and (removed := AnswerRetention(lake).describe()):
            say(removed)
    done.raise_lack()
    if done.faults:
        raise typer.Exit(FAILED)


def run_repair(
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
    yes: Annotated[bool, YES] = False,
) -> None:
    """Repair the damaged tables that verify finds and unreadable records of runs, and end runs of dead processes."""
    from pipeline.cli.health.repair_parts import build_dry_run_parts, build_parts, run_repair_parts
    from pipeline.common.settings import load_settings

    settings = load_settings()
    if not settings.home.is_dir():
        raise UsageError(
            f"The folder {settings.home} does not exist: set SUNLEDGER_HOME to the home that is to be repaired."
        )
    parts = build_parts(lost_host or [], yes=yes, lost_lake=lost_lake)
    if not run_repair_parts(settings, build_dry_run_parts() if dry_run else parts):
        raise typer.Exit(FAILED)


def run_doctor(
    *,
    ask_plants: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=20,
            help="Number of plants of which one clear day is fetched to test the time basis, with two requests each. "
            "SMA bills these plants for this month. Default: at most 3 plants, and only plants that are billed for "
            "this month already.",
        ),
    ] = None,
    yes: Annotated[bool, YES] = False,
) -> None:
    """Check everything that a run needs. Each line says whether a check passed, and if not, what to do."""
    from pipeline.cli.health.doctor_output import show_examination

    if not show_examination(ask_plants, yes=yes):
        raise typer.Exit(FAILED)
