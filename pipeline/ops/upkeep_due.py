"""Whether the lake's upkeep is overdue: how many bytes lie there that nothing needs, and for how long already."""

import datetime as dt
from dataclasses import dataclass

from pipeline.common.text import pluralize
from pipeline.run.context import RunContext
from schemas import TABLES, storage
from warehouse.dead_files import KEEP_FILES, find_dead_files, list_shown_files, list_table_files, name_path
from warehouse.part_folders import cut_table_path

# The schedule is daily: after so long it is off or fails.
OVERDUE = dt.timedelta(days=14)
# Fewer bytes are no reason to disturb anybody.
WORTH_BYTES = 100 * 2**20


@dataclass(frozen=True, slots=True)
class DeadBytes:
    """What can be removed of a table: its bytes, those in use, and whether it could have been for `OVERDUE` already."""

    table: str
    dead: int
    live: int
    overdue: bool


def find_dead_bytes(runtime: RunContext) -> list[DeadBytes]:
    """The tables of which something is overdue to be removed, or more bytes can be than are in use.

    Changes nothing. Raises UnreadableLogError, UnknownReadersError, StoreError and OSError, and ValueError for an entry
    of a log that can't be read.
    """
    lake, now, found = runtime.lake, runtime.now(), []
    shown = list_shown_files(runtime.settings.warehouse)
    for model in TABLES:
        table = lake.open(model)
        if table is None:
            continue
        files = list_table_files(lake, model)
        active = {cut_table_path(model, uri) for uri in table.file_uris()}
        sizes = {name_path(info): info.size for info in files.data}
        live = sum(size for path, size in sizes.items() if path in active)
        # Only where much lies beside what is in use, or since long ago, is the log read for when it was replaced.
        aside = [info for info in files.data if name_path(info) not in active]
        oldest_s = min((info.mtime_ns / 1e9 for info in aside if info.mtime_ns), default=now.timestamp())
        is_old = oldest_s < (now - KEEP_FILES - OVERDUE).timestamp()
        if not is_old and sum(info.size for info in aside) <= max(live, WORTH_BYTES):
            continue
        dead = sum(one.bytes for one in find_dead_files(lake, model, files, active, shown, now))
        late = is_old and bool(find_dead_files(lake, model, files, active, shown, now - OVERDUE))
        if late or dead > max(live, WORTH_BYTES):
            found.append(DeadBytes(storage(model).table, dead, live, late))
    return found


def describe_dead_bytes(found: list[DeadBytes]) -> str:
    """What is overdue, as a sentence with its cure; empty where nothing is."""
    if not found:
        return ""
    dead, live = sum(one.dead for one in found), sum(one.live for one in found)
    most = max(found, key=lambda one: one.dead)
    since = f", some of it for over {OVERDUE.days} days" if any(one.overdue for one in found) else ""
    return (
        f"the lake holds {dead / 1e6:,.1f} MB of {pluralize(len(found), 'table')} that nothing needs any more{since}, "
        f"beside {live / 1e6:,.1f} MB in use (the most: {most.table}): run 'sunledger upkeep', and see that the "
        "schedule 'upkeep' is on and its runs succeed."
    )
