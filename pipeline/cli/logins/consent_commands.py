"""`sunledger consent`: ask owners for consent, show the states of consents, wait for answers."""

from typing import Annotated

import typer

from pipeline.cli.run_options import CREDENTIAL

app = typer.Typer(
    help="Ask owners for their consent by e-mail (custom flow), and show the state of each consent."
)
By = Annotated[str | None, CREDENTIAL]
Emails = Annotated[list[str], typer.Argument(metavar="EMAIL", help="E-mail addresses of the owners.")]


@app.command("request")
def run_request(emails: Emails, credential: By = None) -> None:
    """Have SMA ask owners for consent by e-mail. It can be repeated at any time, for instance for new plants."""
    from pipeline.cli.logins.owners import request_consents

    _leave(request_consents(emails, credential))


@app.command("status")
def run_status(emails: Emails, credential: By = None) -> None:
    """Ask SMA for the current state of each consent."""
    from pipeline.cli.logins.owners import ask_states

    _leave(ask_states(emails, credential))


@app.command("list")
def run_list(credential: By = None) -> None:
    """Show the stored states of all owners without a request to SMA."""
    from pipeline.cli.logins.owners import show_states

    _leave(show_states(credential))


@app.command("watch")
def run_watch(
    wait: Annotated[
        float,
        typer.Option(min=0, help="Minutes after which waiting ends. 0 waits until every owner has answered."),
    ] = 0,
    credential: By = None,
) -> None:
    """Wait until every owner has answered. Asks SMA as often as it allows, and prints each change at once."""
    from pipeline.cli.logins.owners import watch_states

    _leave(watch_states(wait, credential))


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)
