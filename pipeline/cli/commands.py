"""The commands of `sunledger`. Each says what it did; an error is one sentence that ends with what to do.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 done in part (the command lists what is missing).
"""

from contextlib import suppress
from typing import Annotated

import typer

from pipeline.cli.backup_commands import run_backup, run_restore
from pipeline.cli.bills.billing_commands import app as billing_app
from pipeline.cli.cluster_commands import app as cluster_app
from pipeline.cli.cluster_commands import run_worker
from pipeline.cli.demos.demo_command import run_demo
from pipeline.cli.exports import run_export, run_pack
from pipeline.cli.fetch_commands import run_backfill, run_plan, run_reconcile, run_refresh
from pipeline.cli.grid_and_live.grid_control_commands import app as grid_app
from pipeline.cli.grid_and_live.live_command import run_live
from pipeline.cli.health.fault_commands import run_doctor, run_repair, run_verify
from pipeline.cli.logins.consent_commands import app as consent_app
from pipeline.cli.logins.login_commands import run_login, run_logout
from pipeline.cli.months import run_close, run_open
from pipeline.cli.plant_commands import run_plants
from pipeline.cli.push_command import run_push
from pipeline.cli.query_commands import run_sql
from pipeline.cli.rebuild_commands import run_publish, run_rebuild
from pipeline.cli.report_commands import run_report
from pipeline.cli.ui import run_ui
from pipeline.cli.upkeep_command import run_upkeep
from pipeline.common.errors import ConfigurationError
from sandbox.command_line import app as sandbox_app

app = typer.Typer(
    help="An energy warehouse for fleets of SMA solar plants.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        from pipeline.common.release import find_release

        typer.echo(f"sunledger {find_release()}")
        raise typer.Exit


@app.callback()
def _prepare(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    from pipeline.common.files.file_modes import limit_readers
    from pipeline.common.settings import load_settings

    # The command that needs a wrong setting reports it.
    with suppress(ConfigurationError):
        settings = load_settings()
        limit_readers(settings.home, settings.readable_by)


app.add_typer(sandbox_app, name="sandbox")
app.add_typer(consent_app, name="consent")
app.add_typer(billing_app, name="billing")
app.add_typer(cluster_app, name="cluster")
app.add_typer(grid_app, name="grid")
app.command("export")(run_export)
app.command("pack")(run_pack)
app.command("close")(run_close)
app.command("open")(run_open)
app.command("plants")(run_plants)
app.command("report")(run_report)
app.command("ui")(run_ui)
app.command("worker")(run_worker)
app.command("demo")(run_demo)
app.command("backfill")(run_backfill)
app.command("refresh")(run_refresh)
app.command("plan")(run_plan)
app.command("reconcile")(run_reconcile)
app.command("rebuild")(run_rebuild)
app.command("live")(run_live)
app.command("publish")(run_publish)
app.command("push")(run_push)
app.command("verify")(run_verify)
app.command("repair")(run_repair)
app.command("upkeep")(run_upkeep)
app.command("sql")(run_sql)
app.command("backup")(run_backup)
app.command("restore")(run_restore)
app.command("login")(run_login)
app.command("logout")(run_logout)
app.command("doctor")(run_doctor)
