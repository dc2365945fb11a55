"""Publishes what is stored, with the settings of the run: the step of the asset `warehouse`."""

from typing import Any

from pipeline.common.release import find_release
from pipeline.run.context import RunContext
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.plants import mark_excluded
from pipeline.tables.inventory_tables import write_plant_attributes
from warehouse.published_file.publish import PublishedFile, publish
from warehouse.published_file.publish_object import publish_object
from warehouse.published_file.published_object import PublishedObject
from warehouse.verification.known_tables import KnownTables

# The step's name.
WAREHOUSE = "warehouse"
LOG_REMOVED = (
    "A program had opened the previous published file for writing. The new file does not hold its changes: let every "
    "program open the file read-only."
)


def publish_stored(runtime: RunContext, notices: Notices, target: PublishedObject | None) -> PublishedFile:
    """Publish the lake. `notices` gets what a person should know of it. Raises PublishError."""
    # What this run has asked for so far belongs into what it publishes.
    notices.add(runtime.store_requests().build_notices(runtime.find_today()))
    # The settings may have changed since the list of plants was made.
    mark_excluded(runtime)
    write_plant_attributes(runtime)
    settings, lake = runtime.settings, runtime.lake
    options: dict[str, Any] = {
        "now": runtime.now(),
        "version": find_release(),
        "own_tables": settings.own_tables,
        "detail": settings.detail,
    }
    published = (
        publish_object(lake, target, **options) if target else publish(lake, settings.warehouse, **options)
    )
    KnownTables(settings.home, settings.warehouse).record(lake)
    today = str(runtime.find_today())
    notices.add(Notices.of([MissingItem(today, one.name, "", one.reason) for one in published.left_out]))
    return published
