"""Is everything there that a run needs? Checks in the order in which a run would fail."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress

from rich.text import Text

from pipeline.access import account, why_none
from pipeline.cli.console import out
from pipeline.cli.login import lasting
from pipeline.errors import SunledgerError
from pipeline.runtime import Runtime
from pipeline.settings import Settings, load_settings
from pipeline.sma.requests import Request
from pipeline.sma.store import LoginStore
from pipeline.sma.tokens import NO_LOGIN
from pipeline.steps.access import look_again, owners_of
from warehouse.publish import connect

# A year of 1,000 plants takes some 2 GB with its raw answers; less than this fills up in a first backfill.
FREE_GB_WANTED = 5

SHOWN_BY = "; 'sunledger consent list' shows them"

Check = tuple[str, Callable[[], str]]


class NotWell(SunledgerError):  # noqa: N818 - reads as the finding that it is
    """A finding with its cure."""


def examine() -> bool:
    """Print a line for each check; whether all passed. What depends on a failed check is not tried."""
    try:
        settings = load_settings()
    except SunledgerError as error:
        _line("settings", str(error), well=False)
        return False
    _line(
        "settings",
        f"environment {settings.sma_environment}, flow {settings.sma_flow}, home {settings.home}",
        well=True,
    )
    well = True
    with Runtime(settings) as runtime:
        for name, check in _checks(runtime):
            try:
                _line(name, check(), well=True)
            except SunledgerError as error:
                _line(name, str(error), well=False)
                well = False
    return well


def _checks(runtime: Runtime) -> Iterator[Check]:
    settings = runtime.settings
    yield "disk", lambda: _disk(settings)
    yield "warehouse", lambda: _warehouse(settings)
    yield "credentials", lambda: _credentials(settings)
    with suppress(SunledgerError):
        settings.require_credentials()
        yield (
            ("login", lambda: _login(settings))
            if settings.sma_flow == "code"
            else (
                "consent",
                lambda: _consent(runtime),
            )
        )
        yield "plants", lambda: _plants(runtime)


def _disk(settings: Settings) -> str:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GB_WANTED:
        raise NotWell(
            f"{free:.1f} GB are free at {place}: make room, or set SUNLEDGER_HOME to a larger disk."
        )
    return f"{free:.0f} GB free at {place}"


def _warehouse(settings: Settings) -> str:
    if not settings.warehouse.exists():
        return f"none yet at {settings.warehouse}; the first backfill publishes it"
    with connect(settings.warehouse) as connection:
        rows = connection.execute("SELECT published_at, first_day, last_day FROM _meta").fetchall()
    return (
        f"{settings.warehouse}, published {rows[0][0]:%Y-%m-%d %H:%M} UTC, days {rows[0][1]} to {rows[0][2]}"
    )


def _credentials(settings: Settings) -> str:
    settings.require_credentials()
    return f"client {settings.sma_client_id}, secret set"


def _login(settings: Settings) -> str:
    login = LoginStore.of(settings).read()
    if not login.refresh_token and not settings.sma_refresh_token.get_secret_value():
        raise NotWell(NO_LOGIN)
    return lasting(login)


def _consent(runtime: Runtime) -> str:
    problem = look_again(runtime)
    if problem is not None:
        raise problem
    owners = owners_of(runtime.settings)
    return f"{account(owners)}{SHOWN_BY if owners else ''}"


def _plants(runtime: Runtime) -> str:
    answer = runtime.session.send(Request.plants())
    count = answer.body.count(b'"plantId"')
    if not count:
        raise NotWell(why_none(runtime.settings.sma_flow, owners_of(runtime.settings)))
    return f"token accepted, {count} plants listed by {runtime.settings.sma_monitoring_url}"


def _line(name: str, text: str, *, well: bool) -> None:
    mark = Text(" ok ", style="green") if well else Text("FAIL", style="bold red")
    out.print(mark, Text(f"{name:12}"), Text(text), soft_wrap=True)
