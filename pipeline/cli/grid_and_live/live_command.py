"""`sunledger live`: near-time values of some plants, for ten minutes."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import say, say_all
from pipeline.cli.exit_codes import FAILED, IN_PART
from pipeline.cli.run_options import open_runtime
from pipeline.common.text import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.extract.live_session import LivePlant


def run_live(
    plants: Annotated[list[str], typer.Argument(metavar="PLANT", help="Ids of the plants to show.")],
    *,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Accept the month's price of the booked Live plan, without a question."),
    ] = False,
) -> None:
    """Show near-time values of plants for ten minutes, and store them in the table live_readings."""
    import time

    from pipeline.billing.live_plan import LiveBook, read_live_plan
    from pipeline.cli.bills.cost_consent import agree_on_live, know_plants
    from pipeline.cli.grid_and_live.live_view import LiveView
    from pipeline.common.errors import SunledgerError
    from pipeline.extract.live_session import LiveSession, list_live_plants
    from pipeline.run.plants import list_own_plants
    from pipeline.sma.budget.file_store import Moment

    with open_runtime(plants) as runtime:
        book = LiveBook(
            runtime.settings.home,
            lambda: Moment.of(time.monotonic(), runtime.now().timestamp()),
            runtime.tell,
        )
        plan = read_live_plan(runtime, book)
        runtime.settings.require_credentials()
        know_plants(runtime)
        chosen = list_live_plants(list_own_plants(runtime))
        eligible = sum(not plant.ended for plant in chosen)
        say_all(plant.ended for plant in chosen if plant.ended)
        if not eligible:
            raise typer.Exit(FAILED)
        if not plan.left:
            raise SunledgerError(plan.describe_exhaustion())
        agree_on_live(runtime, plan, book, eligible, yes=yes)
        with LiveView(chosen) as view:
            LiveSession(runtime, plan, book, chosen, view.show).run()
        _end_session(chosen)


def _end_session(plants: "Sequence[LivePlant]") -> None:
    """Say what the session brought; the exit code is 1 where it brought nothing, and 3 where a plant is missing."""
    readings, calls = sum(plant.readings for plant in plants), sum(plant.calls for plant in plants)
    say(
        f"The session is over: {pluralize(calls, 'call')} brought {pluralize(readings, 'reading')}, stored in the "
        "table live_readings. 'sunledger publish' puts them into the published file."
    )
    if not readings:
        raise typer.Exit(FAILED)
    if any(plant.ended or not plant.readings for plant in plants):
        raise typer.Exit(IN_PART)
