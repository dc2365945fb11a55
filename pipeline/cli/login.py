"""`sunledger login` and `logout`: the code flow on the terminal."""

import asyncio
import webbrowser

from rich.text import Text

from pipeline.cli.console import out, say
from pipeline.common.settings import load_settings
from pipeline.sma.auth.code_login import LoginOptions, log_in, log_out
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.clock import Clock, WaitAnnouncer
from pipeline.sma.consents.access_problems import describe_validity


def log_in_here(options: LoginOptions, *, browser: bool) -> None:
    """Log in, and say how long it lasts. Raises what `log_in` raises."""
    settings = load_settings()

    def show(address: str) -> None:
        opened = browser and webbrowser.open(address)
        say("Sign in and allow access in the browser." if opened else "Open this address in a browser:")
        # The address is for a person to copy: whole, on one line, on standard output.
        out.print(Text(address), soft_wrap=True)
        say(f"Waiting for the answer, up to {options.wait_s / 60:.0f} minutes; Ctrl-C gives up.")

    login = asyncio.run(log_in(settings, options, show, _build_clock()))
    say(f"Logged in. {describe_validity(login)} It is stored in {LoginStore.of(settings).path}.")


def log_out_here(*, local_only: bool) -> None:
    """Log out, and say whether there was a login."""
    was_in = asyncio.run(log_out(load_settings(), local_only=local_only, clock=_build_clock()))
    say("Logged out." if was_in else "Nobody was logged in.")


def _build_clock() -> Clock:
    """A clock whose waits are told."""
    return Clock(announce=WaitAnnouncer(say))
