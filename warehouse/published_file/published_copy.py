"""The published file as a second copy of tables that it holds: which parts of it are still what the lake had."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from schemas import Table, polars_schema, storage
from warehouse.lake import Part
from warehouse.lake_log import REPAIR, LogState, TableLog
from warehouse.lake_reader import LakeReader
from warehouse.part_folders import find_folder
from warehouse.published_file.foreign_publication import is_of_other_lake
from warehouse.published_file.open_published import NotPublishedError, check_published, connect
from warehouse.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class PublishedCopy:
    """A published file that is as it was published; `versions` has the version of each table that it shows."""

    connection: duckdb.DuckDBPyConnection
    versions: Mapping[str, int]
    published_at: str

    def read_version(self, model: type[Table]) -> int:
        """The version of the lake's table that the file has a copy of; -1 where it has none."""
        kept = storage(model)
        return self.versions.get(kept.table, -1) if kept.published == "native" else -1

    def read_rows(self, model: type[Table], part: Part) -> pl.DataFrame:
        """The rows of a part, in the columns and the order of the model."""
        names, kept = polars_schema(model), storage(model)
        wanted = " AND ".join(f"{quote_identifier(name)} = ?" for name in part) or "true"
        columns = ", ".join(map(quote_identifier, names))
        query = f"SELECT {columns} FROM {quote_identifier(kept.table)} WHERE {wanted}"  # noqa: S608 - names of our own
        found = self.connection.execute(query, list(part.values())).pl()
        return found.cast(dict(names)).sort(list(kept.key)) if kept.key else found.cast(dict(names))  # type: ignore[arg-type]

    def list_folders(self, model: type[Table]) -> list[str]:
        """The parts of a table that the file has rows of, as the lake names their folders."""
        kept = storage(model)
        if not kept.partition:
            return [""]
        names = ", ".join(map(quote_identifier, kept.partition))
        query = f"SELECT DISTINCT {names} FROM {quote_identifier(kept.table)} ORDER BY ALL"  # noqa: S608 - names of our own
        parts = self.connection.execute(query).fetchall()
        return ["/".join(f"{n}={v}" for n, v in zip(kept.partition, part, strict=True)) for part in parts]


@contextmanager
def open_published_copy(path: Path, lake: LakeReader) -> Iterator[PublishedCopy | None]:
    """The published file to read from; None where there is none that is whole, or where it is of another lake."""
    if is_of_other_lake(path, lake):
        yield None
        return
    try:
        check_published(path)
        connection = connect(path)
    except (NotPublishedError, duckdb.Error):
        yield None
        return
    with connection:
        connection.execute("SET enable_progress_bar = false")
        ((versions, at),) = connection.execute(
            "SELECT source_versions, strftime(published_at, '%Y-%m-%d %H:%M UTC') FROM _meta"
        ).fetchall()
        yield PublishedCopy(connection, json.loads(versions), at)


def is_current(version: int, log: TableLog, state: LogState, folder: str) -> bool:
    """Whether the copy of `version` has what the part in that folder last held: nothing replaced it since.

    A damaged entry after that version may have.
    """
    if version < 0 or any(damaged > version for damaged in log.damaged):
        return False
    return state.replaced_at.get(folder, -1) <= version and not _was_repaired_since(version, log, folder)


def _was_repaired_since(version: int, log: TableLog, folder: str) -> bool:
    """Whether an earlier repair wrote an entry after the version in the place of one that it could not read."""
    for of, actions in log.actions.items():
        if of > version and any(one.get("commitInfo", {}).get("operation") == REPAIR for one in actions):
            named = {find_folder(said["path"]) for one in actions for said in one.values() if "path" in said}
            if not named or folder in named:
                return True
    return False
