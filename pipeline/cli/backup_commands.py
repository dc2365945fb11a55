"""`sunledger backup` and `restore`: all state in one file."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import say, say_all
from pipeline.cli.run_options import open_runtime
from pipeline.common.text import pluralize


def run_backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Backup file to write. An earlier file is replaced once the new one is whole.",
        ),
    ],
) -> None:
    """Write all state (lake, records, logins) into one file that only you can read."""
    from pipeline.common.settings import load_settings
    from pipeline.ops.backup import back_up

    settings = load_settings()
    files, size = back_up(settings, file, say)
    say(
        f"Wrote {pluralize(files, 'file')} ({size / 1e6:,.1f} MB) to {file.absolute()}. The backup holds secrets: "
        "store it as safely as a password."
    )
    if "://" in settings.lake:
        say(
            f"The backup does not hold the lake at {settings.lake}: back up that bucket with its provider's tools."
        )


def run_restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Backup file that 'sunledger backup' has written.")
    ],
) -> None:
    """Restore a backup into an empty SUNLEDGER_HOME and publish it."""
    from assets.home_setup.mend_records import mend_records
    from assets.runs import record_runs
    from pipeline.billing.lost_requests import FILE, explain_lower_bound
    from pipeline.billing.spending import LIMIT
    from pipeline.ops.restore import restore_backup as put_back

    with open_runtime(None) as runtime:
        files = put_back(runtime.settings, file)
        say(
            f"Restored {pluralize(files, 'file')} into {runtime.settings.home}. They are published now: if that "
            "fails, run 'sunledger publish'."
        )
        # A backup also holds the damage that its records had when it was made.
        for sentence in mend_records(runtime.settings):
            say(sentence)
        # Views of the published file contain paths of the lake's files, so they must be built again in the new place.
        with record_runs(runtime, command="restore") as runs:
            say_all(runs.publish())
        say(f"Published {runtime.settings.published_place}.")
        if bound := explain_lower_bound(runtime.settings.home):
            say(
                f"{bound} {LIMIT} does not count those requests either. If the home was not used after the backup, "
                f"take these days out of {runtime.settings.home / FILE}."
            )
