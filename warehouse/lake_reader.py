"""Reading the lake: one Delta table per model, by parts, snapshots and row groups."""

import json
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from pipeline.common.slow_stores import watch_store
from pipeline.common.store_faults import translate_store_faults
from schemas import Table, polars_schema, storage
from warehouse.integrity.digests import FOLDER as DIGESTS
from warehouse.integrity.digests import RecordStore
from warehouse.integrity.stray_files import move_bad_hint, move_strays
from warehouse.integrity.unreadable_log import translate_log_errors
from warehouse.lake_log import LOG, sync_version
from warehouse.lake_table import LakeTable
from warehouse.lake_trace import note_look
from warehouse.object_store import DELTA_RETRIES, LONGEST_CALL_S, POLARS_RETRIES, ObjectStore
from warehouse.part_folders import Part, cut_table_path, find_folder, name_folders, parse_part
from warehouse.spool import SharedMemory
from warehouse.stored_rows import read_row_groups
from warehouse.version_looks import VersionLooks
from warehouse.whole_tables import WholeTables

# Where a file says what its rows were made from.
FACTS = b"sunledger"
Read = TypeVar("Read")
ARROW_TYPES = {pl.String: pa.string(), pl.Binary: pa.binary()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The active files of one version of a table: absolute paths, or s3 addresses."""

    version: int
    files: tuple[str, ...]


class LakeReader:
    """The tables below one folder or s3 prefix; parts wait for their commit in the local folder `scratch`."""

    def __init__(
        self,
        root: str,
        scratch: Path,
        storage_options: Mapping[str, str] | None = None,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`tell` gets what a person should know of the lake itself, as a sentence."""
        self.root = root.rstrip("/")
        self.remote = "://" in self.root
        self.tell = tell
        self._told: set[str] = set()
        self.scratch = scratch
        # What waits for its commit, of all parts that are open at once.
        self.memory = SharedMemory()
        self.storage_options = dict(storage_options or {})
        self._delta_options = {**DELTA_RETRIES, **self.storage_options} if self.remote else None
        # Reading a log from its start costs milliseconds, going on where one was costs next to nothing.
        # A handle moves with its table's version, so each thread has its own.
        self._tables = threading.local()
        self._looks = VersionLooks(self.root, self._open_files_below) if self.remote else None
        self._whole = WholeTables()

    def tell_once(self, sentence: str) -> None:
        """Tell a person what holds for many tables, at the first of them."""
        if sentence not in self._told:
            self._told.add(sentence)
            self.tell(sentence)

    def watch_store(self) -> AbstractContextManager[None]:
        """Where the lake is on an object store: within the block a person is informed if that does not answer."""
        return watch_store(self.root, LONGEST_CALL_S) if self.remote else nullcontext()

    def find_uri(self, model: type[Table]) -> str:
        """Where the model's table is."""
        return f"{self.root}/{storage(model).table}"

    def read_batches(
        self, model: type[Table], part: Part | None = None, *, columns: Collection[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The stored rows of a part in the order of the key, about a row group at a time. Raises DamagedError."""
        _, uris = self._look_at(model, part)
        yield from self.read_files(model, uris, columns)

    def scan(self, model: type[Table], snapshot: Snapshot | None = None) -> pl.LazyFrame:
        """All active rows as a lazy frame in the model's columns, of one snapshot (default: the newest).

        Lists of plants, devices and the like are read once for each change of them. Raises DamagedError.
        """
        chosen = snapshot or self.take_snapshot(model)
        if not chosen.files:
            return pl.LazyFrame(schema=polars_schema(model))
        self.check_files(model, chosen.files)
        if storage(model).partition:
            return self._scan_files(model, chosen)
        with self.watch_store():
            return self._whole.scan(model, chosen.files, lambda: self._scan_files(model, chosen))

    def read_whole(self, model: type[Table]) -> pl.DataFrame:
        """All rows of a table that is replaced whole, in memory. Raises DamagedError."""
        chosen = self.take_snapshot(model)
        if not chosen.files:
            return build_empty_frame(model)
        self.check_files(model, chosen.files)
        with self.watch_store():
            return self._whole.read(model, chosen.files, lambda: self._scan_files(model, chosen))

    def _scan_files(self, model: type[Table], chosen: Snapshot) -> pl.LazyFrame:
        schema = polars_schema(model)
        partition = storage(model).partition
        return pl.scan_parquet(
            list(chosen.files),
            hive_partitioning=bool(partition),
            hive_schema={name: schema[name] for name in partition} or None,
            missing_columns="insert",
            schema={name: dtype for name, dtype in schema.items() if name not in partition},
            storage_options={**POLARS_RETRIES, **self.storage_options} if self.remote else None,
        ).select(schema.names())

    def take_snapshot(self, model: type[Table], part: Part | None = None) -> Snapshot:
        """The newest version and its active files, of one part or of the whole table; -1 if it was never written.

        Raises UnreadableLogError.
        """
        version, uris = self._look_at(model, part)
        # delta-rs writes local paths as the paths of URLs, which nothing else can open.
        paths = uris if self.remote else [unquote(uri) for uri in uris]
        return Snapshot(version, tuple(sorted(paths)))

    def _look_at(self, model: type[Table], part: Part | None) -> tuple[int, list[str]]:
        """The newest version and the addresses of a part's active files; -1 and none if the table was never written.

        That it was not is something that a work has found too.
        """
        table = self.open(model)
        if table is None:
            note_look(model, name_folders(model, part or {}), ())
            return -1, []
        return table.version(), table.list_file_uris(part or {})

    def find_version(self, model: type[Table]) -> int:
        """The newest version of the table; -1 if it was never written. Raises UnreadableLogError."""
        table = self.open(model)
        return -1 if table is None else table.version()

    def list_parts(self, model: type[Table], within: Part | None = None) -> list[dict[str, str]]:
        """The parts that hold rows, as text values of the partition columns, sorted; only those of `within`, if given.

        Raises UnreadableLogError.
        """
        _, uris = self._look_at(model, within)
        folders = {find_folder(cut_table_path(model, uri)) for uri in uris}
        # A table without partition columns has no parts.
        found = (dict(folder.split("=", 1) for folder in each.split("/")) for each in folders if each)
        return sorted(found, key=lambda part: tuple(part.values()))

    def list_names(self, model: type[Table], folders: str) -> tuple[str, ...]:
        """The paths inside the table of the active files of a part, which is named by its folders (`name_folders`)."""
        table = self.open(model)
        return () if table is None else tuple(table.list_names(folders))

    def open(self, model: type[Table]) -> LakeTable | None:
        """The model's table at its newest version; None if it was never written.

        Raises UnreadableLogError.
        """
        tables: dict[str, LakeTable] = self._tables.__dict__
        uri = self.find_uri(model)
        held = tables.get(uri)
        if self._looks and not self._looks.may_have_changed(uri, -1 if held is None else held.version()):
            return held
        try:
            if held is None:
                # Many steps look for tables that most lakes do not have.
                return self.open_anew(model) if self.remote or os.path.isdir(f"{uri}/{LOG}") else None  # noqa: PTH112
            self._read_log(model, held.refresh)
        except TableNotFoundError:
            tables.pop(uri, None)
        if self._looks:
            self._looks.note_listing(uri)
        return tables.get(uri)

    def open_anew(self, model: type[Table], version: int | None = None, *, whole: bool = False) -> LakeTable:
        """The model's table as its log says now, whatever this process read of it before; or a version.

        With `whole` delta-rs reads all of the log, as other tools do, and not its beginning alone. Raises
        TableNotFoundError and UnreadableLogError.
        """
        uri = self.find_uri(model)
        if not self.remote:
            move_bad_hint(uri, self.tell_once)
        table = self._read_log(model, lambda: self._open_at(model, uri, version, whole))
        if version is None:
            self._tables.__dict__[uri] = table
            if self._looks:
                self._looks.note_listing(uri)
        return table

    def _open_at(self, model: type[Table], uri: str, version: int | None, whole: bool) -> LakeTable:
        if version is None and not (whole or self.remote):
            return LakeTable.open_folder(model, uri)
        return LakeTable(model, uri, DeltaTable(uri, version=version, storage_options=self._delta_options))

    def _read_log(self, model: type[Table], read: Callable[[], Read]) -> Read:
        """What delta-rs reads of the table's log, again where something had to be moved out of its way."""
        with translate_log_errors(model), self.watch_store():
            try:
                return read()
            except OSError:
                if self.remote or not move_strays(Path(self.find_uri(model)), self.tell_once):
                    raise
                return read()

    def open_or_create(self, model: type[Table]) -> LakeTable:
        """The model's table at its newest version, created empty if need be. Raises UnreadableLogError."""
        table = self.open(model)
        if table is not None:
            return table
        # Created first and separately: of two racing first writers that create by writing, one fails.
        if not self.remote:
            Path(self.find_uri(model)).mkdir(parents=True, exist_ok=True)
        uri = self.find_uri(model)
        try:
            with translate_store_faults(), self.watch_store():
                created = DeltaTable.create(
                    uri,
                    build_arrow_schema(model),
                    mode="ignore",
                    partition_by=list(storage(model).partition),
                    storage_options=self._delta_options,
                )
                sync_version(uri, 0)
        except CommitFailedError:
            # Another run created it between the look that found nothing and this commit.
            return self.open_anew(model)
        table = self._tables.__dict__[uri] = LakeTable(model, uri, created)
        if self._looks:
            self._looks.note_listing(uri)
        return table

    def read_files(
        self,
        model: type[Table],
        uris: Collection[str],
        columns: Collection[str] | None = None,
        *,
        checked: bool = False,
    ) -> Iterator[pl.DataFrame]:
        """The rows of active files of the model's table, a row group at a time: the unit of memory.

        Each file is compared with its digest before. With `checked` the caller has done that, and the checksums of the
        pages are compared instead. Raises DamagedError.

        The files are opened one by one: a dataset over them reads ahead, and takes longer to set up than the day of
        a small fleet takes to read.
        """
        schema = polars_schema(model)
        types = pl.Schema({name: schema[name] for name in schema if columns is None or name in columns})
        files, rows = self.open_files(model), storage(model).row_group
        if not checked:
            self.check_files(model, uris)
        for uri in uris:
            path = cut_table_path(model, uri)
            values = parse_part(path, schema)
            local = None if self.remote else Path(self.find_uri(model), path)
            with files.open_input_file(path) as source:
                yield from read_row_groups(source, types, values, rows, local=local, checked=checked)

    def name_stored_files(self, model: type[Table], part: Part) -> str:
        """The names of the part's active files, as a `PartChange` names them; empty where nothing is stored."""
        _, uris = self._look_at(model, part)
        return " ".join(cut_table_path(model, uri) for uri in uris)

    def read_facts(self, model: type[Table], part: Part) -> dict[str, str]:
        """What the part's rows were said to be made from; empty where nothing is stored or was said.

        Raises DamagedError and UnreadableLogError.
        """
        _, uris = self._look_at(model, part)
        return self.read_facts_of(model, uris)

    def read_facts_of(self, model: type[Table], uris: Collection[str]) -> dict[str, str]:
        """What the rows of active files of the model's table were said to be made from. Raises DamagedError."""
        self.check_files(model, uris)
        facts: dict[str, str] = {}
        for uri in uris:
            with self.open_files(model).open_input_file(cut_table_path(model, uri)) as source:
                metadata = pq.read_metadata(source).metadata or {}
            facts |= json.loads(metadata.get(FACTS, b"{}"))
        return facts

    def read_rows_of(
        self, model: type[Table], stored: str, columns: Collection[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The rows of files that `stored` named once, replaced or not, a row group at a time.

        `stored` is a text of `name_stored_files`. Raises DamagedError, and FileNotFoundError where a file is gone.
        """
        uris = [f"{self.find_uri(model)}/{name}" for name in stored.split()]
        yield build_empty_frame(model, columns)
        yield from self.read_files(model, uris, columns)

    def check_files(self, model: type[Table], uris: Collection[str]) -> None:
        """Compare files of the model's table that are about to be read with what was written, where that is known.

        Raises DamagedError.
        """

    def trust_file(self, model: type[Table], path: str) -> None:
        """Take a file that this process has just written to the model's table for what was written."""

    def open_files(self, model: type[Table]) -> pafs.FileSystem:
        """The file system that paths inside the model's table belong to."""
        return self._open_files_below(self.find_uri(model))

    def open_root(self) -> pafs.FileSystem:
        """The file system that paths inside the lake belong to."""
        return self._open_files_below(self.root)

    def open_records(self, model: type[Table]) -> RecordStore:
        """The digests of the model's table, which are kept apart from it."""
        return RecordStore(
            self._open_files_below(f"{self.root}/{DIGESTS}/{storage(model).table}"), remote=self.remote
        )

    def _open_files_below(self, uri: str) -> pafs.FileSystem:
        if not self.remote:
            return pafs.SubTreeFileSystem(uri, pafs.LocalFileSystem())
        below = uri.removeprefix(self.root).strip("/")
        return pafs.SubTreeFileSystem(below, self._objects) if below else self._objects

    @cached_property
    def _objects(self) -> pafs.FileSystem:
        """All objects of the lake, by one client: to make one takes 5 ms, and its connections are used again."""
        return pafs.PyFileSystem(ObjectStore(self.root, options=self._delta_options or {}))


@lru_cache
def build_arrow_schema(model: type[Table]) -> pa.Schema:
    """The model's columns as Delta stores them."""
    fields = []
    for name, dtype in polars_schema(model).items():
        plain = ARROW_TYPES.get(dtype.base_type())
        fields.append(pa.field(name, plain or pl.Series([], dtype=dtype).to_arrow().type))
    return pa.schema(fields)


def build_empty_frame(model: type[Table], columns: Collection[str] | None = None) -> pl.DataFrame:
    """No rows, in these columns or all of them, in the model's order."""
    return _keep_empty_frame(model, None if columns is None else frozenset(columns)).clone()


@lru_cache
def _keep_empty_frame(model: type[Table], columns: frozenset[str] | None) -> pl.DataFrame:
    schema = polars_schema(model).items()
    return pl.DataFrame(schema={name: kind for name, kind in schema if columns is None or name in columns})
