"""A script of views over the lake's files in an object store, for readers whose DuckDB has httpfs.

A view in the published file could reach them too, but not where that extension or the network is missing. So the file
is complete without them, and the script beside it gives the detail of all days to those who want it.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.common.files.atomic_files import write_file
from schemas import Table, storage
from warehouse.ddl import create_file_view
from warehouse.lake import Lake, Snapshot

# The schema of the views, so that none hides a table of the published file.
LAKE_SCHEMA = "lake"
_HEAD = """\
-- Detail of all days, as views of files in {root}, for DuckDB with httpfs and a secret for the store:
--   INSTALL httpfs; LOAD httpfs;
--   CREATE SECRET (TYPE s3, KEY_ID '...', SECRET '...', REGION '...');
-- The files are those of one publication and stay for a week after they were replaced: take the script again with it.
CREATE SCHEMA IF NOT EXISTS {schema};
"""


def find_lake_script(target: Path) -> Path:
    """Where the script of a published file is: `sunledger.lake.sql` beside `sunledger.duckdb`."""
    return target.with_suffix(".lake.sql")


def write_lake_script(lake: Lake, snapshots: Mapping[type[Table], Snapshot], target: Path) -> None:
    """Write the script beside the published file, with the active files of each detail table. Raises OSError."""
    views = [
        create_file_view(model, [snapshot.files] if snapshot.files else [], schema=LAKE_SCHEMA, by_name=True)
        for model, snapshot in snapshots.items()
        if storage(model).published == "view"
    ]
    head = _HEAD.format(root=lake.root, schema=LAKE_SCHEMA)
    write_file(find_lake_script(target), "".join([head, *(f"{view};\n" for view in views)]).encode())
