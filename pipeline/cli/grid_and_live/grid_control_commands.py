"""`sunledger grid`: which plants take a limit of feed-in, and to order, cancel, list and follow such limits."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.exit_codes import FAILED, IN_PART
from pipeline.common.errors import UsageError

if TYPE_CHECKING:
    from pipeline.cli.grid_and_live.grid_work import GridWork
    from pipeline.extract.grid_orders import OrderOutcome

app = typer.Typer(
    help="Limit what plants feed in, by SMA's GridControl API. Off by default: SUNLEDGER_GRID_CONTROL.",
    no_args_is_help=True,
)
PLANTS = typer.Argument(metavar="PLANT", help="Ids of plants. Default: all of your plants.")
SEND = typer.Option("--send", help="Really send it. Without this option nothing is sent.")
YES = typer.Option("--yes", help="Send without a question, for scripts.")
FOLLOW = typer.Option("--follow", help="Follow the orders until they have ended.")


@app.command("eligible")
def run_eligible(plants: Annotated[list[str] | None, PLANTS] = None) -> None:
    """Ask SMA which plants take FeedInLimit, and why the others do not."""
    from pipeline.cli.grid_and_live.grid_work import open_work

    with open_work(plants) as work:
        work.show_eligibility()


@app.command("schedule")
def run_schedule(
    plants: Annotated[
        list[str] | None, typer.Argument(metavar="PLANT", help="Ids of the plants to limit.")
    ] = None,
    *,
    limit_kw: Annotated[
        float | None,
        typer.Option("--limit-kw", metavar="KW", help="What each plant may feed in at most; 0 for nothing."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start", metavar="TIME", help="When it begins, with an offset: 2026-06-01T10:00+02:00, or …Z."
        ),
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", metavar="HOURS", help="How long it holds, such as 2 or 0.25.")
    ] = None,
    asked_by: Annotated[
        str,
        typer.Option("--asked-by", help="Who asked for it: grid_operator, energy_trader, manual or static."),
    ] = "manual",
    supersede: Annotated[
        bool,
        typer.Option(
            "--supersede",
            help="Replace other commands in the time of this limit, but none of a grid operator.",
        ),
    ] = False,
    resend: Annotated[
        str | None,
        typer.Option(
            "--resend", metavar="KEY", help="Send an order again that SMA does not list, with its key."
        ),
    ] = None,
    send: Annotated[bool, SEND] = False,
    yes: Annotated[bool, YES] = False,
    follow: Annotated[bool, FOLLOW] = False,
) -> None:
    """Order a limit of feed-in (FeedInLimit) for plants. A dry run, unless --send is given."""
    from pipeline.cli.grid_and_live.grid_work import open_work

    if resend is not None:
        if plants or limit_kw is not None or start is not None or hours is not None or supersede:
            raise UsageError("--resend takes plant, limit and time from the order: leave them out.")
        with open_work(None) as work:
            _end(work, [work.resend(resend, send=send, yes=yes)], send=send, follow=follow)
        return
    if not plants or limit_kw is None or start is None or hours is None:
        raise UsageError(
            "A limit needs plants, --limit-kw, --start and --hours, as in: sunledger grid schedule 5000000 "
            "--limit-kw 3 --start 2026-06-01T10:00+02:00 --hours 2"
        )
    with open_work(plants) as work:
        orders = work.plan_orders(limit_kw, start, hours, asked_by)
        outcomes = work.schedule(orders, supersede=supersede, send=send, yes=yes)
        _end(work, outcomes, send=send, follow=follow)


@app.command("cancel")
def run_cancel(
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="Keys of orders, as 'grid list' shows.")],
    *,
    send: Annotated[bool, SEND] = False,
    yes: Annotated[bool, YES] = False,
) -> None:
    """Cancel orders, and say in which state they really are then. A dry run, unless --send is given."""
    from pipeline.cli.grid_and_live.grid_work import open_work

    with open_work(None) as work:
        _end(work, work.cancel(keys, send=send, yes=yes), send=send, follow=False)


@app.command("list")
def run_grid_list(
    plants: Annotated[list[str] | None, PLANTS] = None,
    *,
    read: Annotated[bool, typer.Option("--read", help="Read the plants' schedules from SMA first.")] = False,
    follow: Annotated[bool, FOLLOW] = False,
) -> None:
    """List orders that are not over, and commands that SMA has. Sends nothing without --read or --follow."""
    from pipeline.cli.grid_and_live.grid_work import open_work

    with open_work(plants) as work:
        if follow:
            work.follow(None)
        work.show_orders(read=read)


def _end(work: "GridWork", outcomes: "list[OrderOutcome]", *, send: bool, follow: bool) -> None:
    """Follow the orders that SMA has; the exit code is 1 where none is as wanted, and 3 where one is not."""
    done = [one.key for one in outcomes if one.done]
    completed = not (send and follow and done) or work.follow(done)
    if not done:
        raise typer.Exit(FAILED)
    if len(done) < len(outcomes) or not completed:
        raise typer.Exit(IN_PART)
