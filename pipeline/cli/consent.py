"""`sunledger consent`: ask owners, look how their consents stand, wait for their answers."""

from typing import Annotated

import typer

app = typer.Typer(help="Owners' consents (custom flow): ask for them by e-mail, and see how they stand.")
Emails = Annotated[list[str], typer.Argument(metavar="EMAIL...", help="Owners by their e-mail address.")]


@app.command()
def request(emails: Emails) -> None:
    """Have SMA ask owners by e-mail. Repeat it at any time, for instance for plants that came later."""
    from pipeline.cli.owners import request  # noqa: PLC0415 - commands load what they need

    _leave(request(emails))


@app.command()
def status(emails: Emails) -> None:
    """Ask SMA how consents stand now."""
    from pipeline.cli.owners import status  # noqa: PLC0415

    _leave(status(emails))


@app.command("list")
def show_all() -> None:
    """Show what is known here of all owners, without asking SMA."""
    from pipeline.cli.owners import show_all  # noqa: PLC0415

    _leave(show_all())


@app.command()
def watch(
    wait: Annotated[float, typer.Option(min=0, help="Give up after so many minutes; 0: never.")] = 0,
) -> None:
    """Wait until every owner has answered, looking as often as SMA allows; each change is told at once."""
    from pipeline.cli.owners import watch  # noqa: PLC0415

    _leave(watch(wait))


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)
