"""The commands of `sunledger`. Each says what it did; an error is one sentence that ends with what to do.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 done in part (the command lists what is missing).
"""

from contextlib import suppress

import typer

from pipeline.cli.backup_commands import backup, restore
from pipeline.cli.billing_commands import app as billing_app
from pipeline.cli.consent_commands import app as consent_app
from pipeline.cli.demo_command import demo
from pipeline.cli.exports import export, pack
from pipeline.cli.fault_commands import doctor, repair, verify
from pipeline.cli.fetch_commands import backfill, plan, reconcile, refresh
from pipeline.cli.login_commands import login, logout
from pipeline.cli.months import close, reopen
from pipeline.cli.plant_commands import list_plants
from pipeline.cli.query_commands import sql
from pipeline.cli.rebuild_commands import publish, rebuild
from pipeline.cli.report_commands import report
from pipeline.cli.ui import ui
from pipeline.common.errors import ConfigurationError
from sandbox.command_line import app as sandbox_app

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
app.command()(demo)
app.command()(backfill)
app.command()(refresh)
app.command()(plan)
app.command()(reconcile)
app.command()(rebuild)
app.command()(publish)
app.command()(verify)
app.command()(repair)
app.command()(sql)
app.command()(backup)
app.command()(restore)
app.command()(login)
app.command()(logout)
app.command()(doctor)
