"""Plants, devices and measurement sets as a run's beginning fetches them, by the steps alone."""

from pipeline.extract.fetch import fetch_devices, fetch_measurement_sets, fetch_plants
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.tables.inventory_tables import write_devices, write_measurement_sets, write_plants


def refresh_lists(runtime: RunContext) -> Notices:
    """Fetch the lists and write their tables, each before the one that is asked for by it; what there is to say."""
    found = Notices()
    for step in (
        fetch_plants,
        write_plants,
        fetch_devices,
        write_devices,
        fetch_measurement_sets,
        write_measurement_sets,
    ):
        found.add(step(runtime).notices)
    return found
