"""`sunledger upkeep`: removes files of the lake that nothing needs any more."""

from typing import Annotated

import typer


def run_upkeep(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; only list what can be removed, by table.")
    ] = False,
) -> None:
    """Remove files of the lake that were replaced over 7 days ago, old log entries, and old answers if set so."""
    from pipeline.cli.console import say, show_table
    from pipeline.cli.run_options import open_runtime
    from pipeline.ops.upkeep import keep_up_lake

    with open_runtime(None) as runtime:
        outcome = keep_up_lake(runtime, say, dry_run=dry_run)
    headings = ("table", "days of answers", "files", "bytes", "log entries", "bytes of log")
    rows = [(table, *(f"{number:,}" for number in numbers)) for table, *numbers in outcome.list_rows()]
    if rows:
        show_table("", [(heading, heading != "table") for heading in headings], rows)
    say(outcome.describe(dry_run=dry_run))
    if dry_run:
        say("This was a dry run, so nothing was changed.")
    outcome.raise_faults()
