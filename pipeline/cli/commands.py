"""The commands of `sunledger`. Each says what it did; an error is one sentence that ends with what to do.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 done in part (the command lists what is missing).
"""

from collections.abc import Callable
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


# The boxes of `sunledger --help`, each with its commands in the order in which a user meets them.
BEGIN, DAYS, RESULTS, OPERATE = "Begin", "Fetch and make days", "Results and costs", "Operate"
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    BEGIN: {"demo": run_demo, "doctor": run_doctor, "login": run_login, "logout": run_logout},
    DAYS: {
        "plan": run_plan,
        "backfill": run_backfill,
        "refresh": run_refresh,
        "rebuild": run_rebuild,
        "publish": run_publish,
        "reconcile": run_reconcile,
        "live": run_live,
    },
    RESULTS: {
        "sql": run_sql,
        "export": run_export,
        "report": run_report,
        "plants": run_plants,
        "close": run_close,
        "open": run_open,
        "pack": run_pack,
        "push": run_push,
    },
    OPERATE: {
        "ui": run_ui,
        "verify": run_verify,
        "repair": run_repair,
        "upkeep": run_upkeep,
        "backup": run_backup,
        "restore": run_restore,
        "worker": run_worker,
    },
}
GROUPS = {
    "consent": (consent_app, BEGIN),
    "sandbox": (sandbox_app, BEGIN),
    "grid": (grid_app, DAYS),
    "billing": (billing_app, RESULTS),
    "cluster": (cluster_app, OPERATE),
}
for _panel, _commands in COMMANDS.items():
    for _name, _run in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_run)
for _name, (_group, _panel) in GROUPS.items():
    app.add_typer(_group, name=_name, rich_help_panel=_panel)
