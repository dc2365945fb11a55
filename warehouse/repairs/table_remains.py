"""What is left of a damaged table: its files, what its log and records say that it held, and its first entry."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem

from pipeline.common.files.regular_files import walk_regular_files
from schemas import Table, polars_schema, storage
from warehouse.integrity.digests import StoredFile, digest_of
from warehouse.lake_log import LOG, Action, LogState, TableLog, read_log, replay
from warehouse.lake_reader import build_arrow_schema
from warehouse.part_folders import find_part
from warehouse.repairs.repair_records import RecordedTable, is_foreign


def list_data_files(folder: Path) -> set[str]:
    """The Parquet files of a table, by their paths in it."""
    files = (file.relative_to(folder) for file in walk_regular_files(folder) if file.suffix == ".parquet")
    return {file.as_posix() for file in files if LOG not in file.parts}


def names_part(model: type[Table], folder: str) -> bool:
    """Whether a folder of the model's table can hold one of its parts: another program may leave files elsewhere."""
    return find_part(f"{folder}/".removeprefix("/"), polars_schema(model)).keys() == set(
        storage(model).partition
    )


def find_target(log: TableLog, recorded: RecordedTable) -> LogState:
    """What the table held by the newest whole record and the commits of ours after it; without one, by its log."""
    if recorded.version < 0:
        return replay(log)
    later = {
        v: actions for v, actions in log.actions.items() if v > recorded.version and not is_foreign(actions)
    }
    return replay(TableLog(log.folder, log.version, {recorded.version: recorded.actions, **later}))


def find_content(known: StoredFile, lying: Iterable[Path]) -> Path | None:
    """The file that has what was written, by its size and digest."""
    for file in lying:
        if (
            file.stat().st_size == known.bytes
            and digest_of(LocalFileSystem(), str(file)).digest == known.digest
        ):
            return file
    return None


def build_first_actions(model: type[Table]) -> list[Action]:
    """What the first entry of the model's table says: its columns and its partition."""
    with tempfile.TemporaryDirectory() as folder:
        DeltaTable.create(
            folder, build_arrow_schema(model), mode="ignore", partition_by=list(storage(model).partition)
        )
        return [
            action
            for action in read_log(Path(folder) / LOG).actions[0]
            if {"protocol", "metaData"} & set(action)
        ]
