"""Reading the lake: one Delta table per model, by parts, snapshots and row groups."""

import datetime as dt
import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias, cast
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from pipeline.common.errors import ConfigurationError
from schemas import Table, storage
from warehouse.frames import polars_schema

Part: TypeAlias = Mapping[str, dt.date | str]

# delta-rs takes these for parts of a URL, and panics or looks elsewhere.
NO_FOLDER = re.compile(r"[\[\]%]")
PLAIN = re.compile(r"[A-Za-z0-9_-]+")
# Where a file says what its rows were made from.
FACTS = b"sunledger"
ARROW_TYPES = {pl.String: pa.string(), pl.Binary: pa.binary()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The active files of one version of a table: absolute paths, or s3 addresses."""

    version: int
    files: tuple[str, ...]


class LakeReader:
    """The tables below one folder or s3 prefix; parts wait for their commit in the local folder `scratch`."""

    def __init__(self, root: str, scratch: Path, storage_options: Mapping[str, str] | None = None) -> None:
        if odd := NO_FOLDER.search(root):
            raise ConfigurationError(
                f"The lake can't be at {root}: Delta can't open a folder with {odd[0]!r} in its name. "
                f"Set SUNLEDGER_LAKE or SUNLEDGER_HOME to another one."
            )
        self.root = root.rstrip("/")
        self.scratch = scratch
        self.storage_options = dict(storage_options or {})
        # Reading a log from its start costs milliseconds, going on where one was costs next to nothing.
        # A handle moves with its table's version, so each thread has its own.
        self._tables = threading.local()

    def uri(self, model: type[Table]) -> str:
        """Where the model's table is."""
        return f"{self.root}/{storage(model).table}"

    def batches(
        self, model: type[Table], part: Part | None = None, *, columns: Collection[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The stored rows of a part in the order of the key, about a row group at a time."""
        table = self.open(model)
        if table is not None:
            yield from self.rows(model, file_uris(table, part or {}), columns)

    def scan(self, model: type[Table], snapshot: Snapshot | None = None) -> pl.LazyFrame:
        """All active rows as a lazy frame in the model's columns, of one snapshot (default: the newest)."""
        schema = polars_schema(model)
        chosen = snapshot or self.snapshot(model)
        if not chosen.files:
            return pl.LazyFrame(schema=schema)
        partition = storage(model).partition
        return pl.scan_parquet(
            list(chosen.files),
            hive_partitioning=bool(partition),
            hive_schema={name: schema[name] for name in partition} or None,
            missing_columns="insert",
            schema={name: dtype for name, dtype in schema.items() if name not in partition},
            storage_options=self.storage_options or None,
        ).select(schema.names())

    def snapshot(self, model: type[Table], part: Part | None = None) -> Snapshot:
        """The newest version and its active files, of one part or of the whole table."""
        table = self.open(model)
        if table is None:
            return Snapshot(-1, ())
        uris = table.file_uris(file_pruning_predicate=_predicate(part or {}))
        # delta-rs writes local paths as the paths of URLs, which nothing else can open.
        paths = uris if "://" in self.root else [unquote(uri) for uri in uris]
        return Snapshot(table.version(), tuple(sorted(paths)))

    def parts(self, model: type[Table]) -> list[dict[str, str]]:
        """The parts that hold rows, as text values of the partition columns, sorted."""
        table = self.open(model)
        found: list[dict[str, str]] = [] if table is None else table.partitions()
        return sorted(found, key=lambda part: tuple(part.values()))

    def open(self, model: type[Table]) -> DeltaTable | None:
        """The model's table at its newest version; None if it was never written."""
        tables: dict[str, DeltaTable] = self._tables.__dict__
        uri = self.uri(model)
        try:
            if uri in tables:
                tables[uri].update_incremental()
            else:
                tables[uri] = DeltaTable(uri, storage_options=self.storage_options or None)
        except TableNotFoundError:
            return None
        return tables[uri]

    def open_or_create(self, model: type[Table]) -> DeltaTable:
        """The model's table at its newest version, created empty if need be."""
        table = self.open(model)
        if table is not None:
            return table
        # Created first and separately: of two racing first writers that create by writing, one fails.
        if "://" not in self.root:
            Path(self.uri(model)).mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(
            self.uri(model),
            arrow_schema(model),
            mode="ignore",
            partition_by=list(storage(model).partition),
            storage_options=self.storage_options or None,
        )

    def rows(
        self, model: type[Table], uris: Collection[str], columns: Collection[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The rows of active files of the model's table, a row group at a time: the unit of memory.

        The files are opened one by one: a dataset over them reads ahead, and takes longer to set up than the day of
        a small fleet takes to read.
        """
        schema = polars_schema(model)
        wanted = [name for name in schema if columns is None or name in columns]
        types = pl.Schema({name: schema[name] for name in wanted})
        files, remote = self.files(model), "://" in self.root
        for uri in uris:
            path = path_inside(model, uri)
            values = _part_of(path, schema)
            with files.open_input_file(path) as source, pq.ParquetFile(source, pre_buffer=remote) as file:
                stored = file.schema_arrow.names
                # A column that is younger than the file is not in it. Without any, the number of rows would be lost.
                kept = [name for name in wanted if name in stored] or stored[:1]
                for batch in file.iter_batches(storage(model).row_group, columns=kept):
                    frame = cast("pl.DataFrame", pl.from_arrow(batch))
                    others = [pl.lit(values.get(name)).alias(name) for name in wanted if name not in kept]
                    yield frame.with_columns(others).select(wanted).cast(types)

    def stored(self, model: type[Table], part: Part) -> str:
        """The names of the part's active files, as a `Change` names them; empty where nothing is stored."""
        table = self.open(model)
        return " ".join(path_inside(model, uri) for uri in file_uris(table, part)) if table else ""

    def facts(self, model: type[Table], part: Part) -> dict[str, str]:
        """What the part's rows were said to be made from; empty where nothing is stored or was said."""
        table = self.open(model)
        return self.facts_of(model, file_uris(table, part)) if table else {}

    def facts_of(self, model: type[Table], uris: Collection[str]) -> dict[str, str]:
        """What the rows of active files of the model's table were said to be made from."""
        facts: dict[str, str] = {}
        for uri in uris:
            with self.files(model).open_input_file(path_inside(model, uri)) as source:
                metadata = pq.read_metadata(source).metadata or {}
            facts |= json.loads(metadata.get(FACTS, b"{}"))
        return facts

    def rows_of(
        self, model: type[Table], stored: str, columns: Collection[str] | None = None
    ) -> pl.DataFrame | None:
        """The rows of files that `stored` named once, replaced or not; None when one is gone by now."""
        uris = [f"{self.uri(model)}/{name}" for name in stored.split()]
        try:
            return pl.concat([empty_frame(model, columns), *self.rows(model, uris, columns)])
        except FileNotFoundError:
            return None

    def files(self, model: type[Table]) -> pafs.FileSystem:
        """The file system that paths inside the model's table belong to."""
        if "://" not in self.root:
            return pafs.SubTreeFileSystem(self.uri(model), pafs.LocalFileSystem())
        handler = DeltaStorageHandler(self.uri(model), options=self.storage_options or None)
        return pafs.PyFileSystem(handler)


@lru_cache
def arrow_schema(model: type[Table]) -> pa.Schema:
    """The model's columns as Delta stores them."""
    fields = []
    for name, dtype in polars_schema(model).items():
        plain = ARROW_TYPES.get(dtype.base_type())
        fields.append(pa.field(name, plain or pl.Series([], dtype=dtype).to_arrow().type))
    return pa.schema(fields)


def empty_frame(model: type[Table], columns: Collection[str] | None = None) -> pl.DataFrame:
    """No rows, in these columns or all of them, in the model's order."""
    schema = polars_schema(model).items()
    return pl.DataFrame(schema={name: kind for name, kind in schema if columns is None or name in columns})


def path_inside(model: type[Table], uri: str) -> str:
    """A file's path inside the model's table."""
    # Local paths come as the paths of URLs. Names of parts and files need no quotes either way.
    return unquote(uri).rpartition(f"/{storage(model).table}/")[2]


def _part_of(path: str, schema: pl.Schema) -> dict[str, dt.date | str]:
    """The values of the part that a file belongs to, from its folders."""
    texts = dict(folder.split("=", 1) for folder in path.split("/")[:-1])
    return {n: dt.date.fromisoformat(v) if schema[n] == pl.Date else v for n, v in texts.items()}


def file_uris(table: DeltaTable, part: Part) -> list[str]:
    """The active files of a part in the order of their names, which is that of parts by date."""
    return sorted(table.file_uris(file_pruning_predicate=_predicate(part)))


def _predicate(part: Part) -> str | None:
    """The part as SQL; None for a table that is replaced whole.

    Values stand in SQL and in paths, so they are plain words: our own dates and table names.
    """
    for name, value in part.items():
        if not PLAIN.fullmatch(str(value)):
            raise ValueError(f"{name}={value!r} cannot name a part: use letters, digits, '_' and '-'.")
    return " AND ".join(f"{name} = '{value}'" for name, value in part.items()) or None
