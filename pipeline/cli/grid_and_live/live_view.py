"""Live values for a person: a table that renews itself on a terminal, a line for each answer elsewhere."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.cli.console import list_item, out, say
from pipeline.common.text import escape_controls
from pipeline.extract.live_session import LivePlant

# What fits beside each other on a terminal; the table has all columns.
_SHOWN = {
    "PV": "pv_generation_w",
    "feed-in": "grid_feed_in_w",
    "from grid": "grid_consumption_w",
    "consumption": "total_consumption_w",
}
_CHARGE = "battery_state_of_charge_pct"


class LiveView:
    """Shows a session. Use it as a context, which gives the terminal back whatever ends it."""

    def __init__(self, plants: Sequence[LivePlant] = ()) -> None:
        self._live = Live(console=out, auto_refresh=False, transient=False) if out.is_terminal else None
        # Why a plant is not called at all was said before.
        self._told = {plant.plant_id: plant.ended for plant in plants}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, plants: Sequence[LivePlant], called: Sequence[LivePlant]) -> None:
        """Renew the table, or print a line for each plant of `called` with new values, and each problem once."""
        for plant in plants:
            problem = plant.ended or plant.problem
            if problem and self._told.get(plant.plant_id) != problem:
                say(problem)
            self._told[plant.plant_id] = problem
        if self._live:
            self._live.update(draw_plants(plants), refresh=True)
            return
        for plant in called:
            if plant.newest and not plant.problem:
                values = ", ".join(f"{name} {cell}" for name, cell in _list_cells(plant) if cell != "-")
                list_item(
                    f"{plant.newest.read_at:%Y-%m-%d %H:%M:%S} UTC {plant.plant_id} {plant.name}: {values}"
                )


def draw_plants(plants: Sequence[LivePlant]) -> Table:
    """A row for each plant with its newest values, and when they are of."""
    drawn = Table(box=box.SIMPLE_HEAD)
    for heading in ("plant", "read (UTC)"):
        drawn.add_column(heading)
    for heading in (*_SHOWN, "battery"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("state")
    for plant in plants:
        read = f"{plant.newest.read_at:%H:%M:%S}" if plant.newest else "-"
        cells = [cell for _, cell in _list_cells(plant)]
        row = [plant.name, read, *cells, _describe_state(plant)]
        drawn.add_row(*(Text(escape_controls(cell)) for cell in row))
    return drawn


def _list_cells(plant: LivePlant) -> list[tuple[str, str]]:
    values = plant.newest.values if plant.newest else {}
    charge = values.get(_CHARGE)
    powers = [(name, _format_power(values.get(column))) for name, column in _SHOWN.items()]
    return [*powers, ("battery", "-" if charge is None else f"{charge:.0f} %")]


def _format_power(watts: float | None) -> str:
    return "-" if watts is None else f"{watts:,.0f} W"


def _describe_state(plant: LivePlant) -> str:
    if plant.ended:
        return "ended"
    if plant.problem:
        return "no answer"
    return (plant.newest.status or "") if plant.newest else "waiting"
