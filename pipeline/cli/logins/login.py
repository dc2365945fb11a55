"""`sunledger login` and `logout`: the code flow on the terminal."""

import asyncio
import webbrowser

from rich.text import Text

from pipeline.cli.console import out, say
from pipeline.common.credentials import select_credentials, take_only_credential
from pipeline.common.settings import Settings, load_settings
from pipeline.sma.auth.code_login import LoginOptions, log_in, log_out
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.clock import Clock, WaitAnnouncer
from pipeline.sma.consents.access_problems import describe_validity


def log_in_here(options: LoginOptions, name: str | None, *, browser: bool) -> None:
    """Log in and say when the login expires. `name` chooses one of several credentials. Raises what `log_in` raises."""
    settings = _choose_settings(name)

    def show(address: str) -> None:
        opened = browser and webbrowser.open(address)
        say("Sign in and allow access in the browser." if opened else "Open this address in a browser:")
        # The address is for a person to copy: whole, on one line, on standard output.
        out.print(Text(address), soft_wrap=True)
        say(
            f"Waiting up to {options.wait_s / 60:.0f} minutes for the answer of the browser. Press Ctrl-C to stop "
            "waiting."
        )

    login = asyncio.run(log_in(settings, options, show, _build_clock()))
    say(
        f"You are logged in. {describe_validity(login)} The login is stored in {LoginStore.of(settings).place}."
    )


def log_out_here(name: str | None, *, local_only: bool) -> None:
    """Log out, and say whether there was a login."""
    was_in = asyncio.run(log_out(_choose_settings(name), local_only=local_only, clock=_build_clock()))
    say("You are logged out." if was_in else "There was no login to end.")


def _choose_settings(name: str | None) -> Settings:
    """The settings of the credential of that name, or of the only one of the code flow."""
    found = select_credentials(load_settings(), name)
    return take_only_credential([one for one in found if one.settings.sma_flow == "code"] or found).settings


def _build_clock() -> Clock:
    """Build a clock that announces its waits."""
    return Clock(announce=WaitAnnouncer(say))
