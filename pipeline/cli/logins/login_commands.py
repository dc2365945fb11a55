"""`sunledger login` and `logout`: the login of the code flow."""

from typing import Annotated

import typer

from pipeline.cli.run_options import CREDENTIAL


def run_login(
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
    credential: Annotated[str | None, CREDENTIAL] = None,
) -> None:
    """Log in with the code flow (SMA_FLOW=code), in which a user grants access to the plants that the user owns."""
    from pipeline.cli.logins.login import log_in_here
    from pipeline.sma.auth.code_login import LoginOptions

    log_in_here(LoginOptions(port, offline=offline, pkce=pkce, wait_s=wait), credential, browser=browser)


def run_logout(
    *,
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Delete the stored login without revoking it at SMA.")
    ] = False,
    credential: Annotated[str | None, CREDENTIAL] = None,
) -> None:
    """Log out of the code flow: revoke the login at SMA and delete it here."""
    from pipeline.cli.logins.login import log_out_here

    log_out_here(credential, local_only=local_only)
