"""The lake: one Delta table per model, and the only way to write one: replace a part, whole or not at all.

A part is what the model's partition columns name, usually a plant-local day. Its new rows are validated,
sorted, spooled and compared with what is stored; equal rows commit nothing; different ones become one Delta
commit, so a reader, a kill or a full disk sees the old part or the new one and nothing between. Rows flow
through in chunks, so memory follows the chunk and not the part.

Business rules stay out: this module knows models, parts and files.
"""

import datetime as dt
import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, cast
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction

from pipeline.common.errors import ConfigurationError, SunledgerError
from schemas import Table, storage
from warehouse.frames import Digest, place, polars_schema, sort, validate
from warehouse.spool import Spool

Part: TypeAlias = Mapping[str, dt.date | str]

# Level 3 is the measured best point of zstd: 9 costs three times the CPU for 7 % of the bytes.
ZSTD_LEVEL = 3
# A commit is refused whenever another run committed to the same table in between, and is cheap to try again.
ATTEMPTS = 100
LONGEST_PAUSE_S = 0.1
# delta-rs takes these for parts of a URL, and panics or looks elsewhere.
NO_FOLDER = re.compile(r"[\[\]%]")
PLAIN = re.compile(r"[A-Za-z0-9_-]+")
# Where a file says what its rows were made from.
FACTS = b"sunledger"
ARROW_TYPES = {pl.String: pa.string(), pl.Binary: pa.binary()}


class EmptyPartError(SunledgerError):
    """An empty frame would have replaced rows."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a part: rows it holds now of those written, and whether anything was committed."""

    rows: int
    changed: bool
    version: int


Differs: TypeAlias = Callable[["Change"], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The active files of one version of a table: absolute paths, or s3 addresses."""

    version: int
    files: tuple[str, ...]


class Change:
    """A part's stored rows and the different ones that are about to replace them."""

    def __init__(
        self,
        lake: "Lake",
        model: type[Table],
        uris: Sequence[str],
        spooled: Callable[[], Iterator[pa.RecordBatch]],
        facts: Mapping[str, str],
    ) -> None:
        self._lake, self._model, self._uris, self._spooled = lake, model, uris, spooled
        self.facts = facts
        # The stored files are never written again, so their names tell this change from every other one of the part.
        self.replaces = " ".join(_inside(self._model, uri) for uri in uris)

    def before(self) -> pl.DataFrame:
        """The stored rows; none at the first writing."""
        found = self._lake.rows(self._model, self._uris)
        return pl.concat([_empty(self._model), *found])

    def after(self) -> pl.DataFrame:
        """The rows that take their place."""
        frames = (cast("pl.DataFrame", pl.from_arrow(batch)) for batch in self._spooled())
        types = polars_schema(self._model)
        return pl.concat([_empty(self._model), *(frame.cast(types) for frame in frames)])

    def facts_before(self) -> dict[str, str]:
        """What the stored rows were said to be made from; empty where nothing was said."""
        return self._lake.facts_of(self._model, self._uris)


class Lake:
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

    def replace(
        self,
        model: type[Table],
        part: Part,
        chunks: Iterable[pl.DataFrame],
        *,
        plants: Collection[str] | None = None,
        devices: Collection[tuple[str, str]] | None = None,
        empty: bool = False,
        facts: Mapping[str, str] | None = None,
        differs: Differs | None = None,
    ) -> Written:
        """Make the part hold exactly the rows of `chunks`: see `Replacement` for all of it."""
        with self.replacement(model, part) as new:
            for chunk in chunks:
                new.add(chunk)
            # Looked at only now: the caller may have found out which ones while the chunks were drawn.
            return new.commit(plants=plants, devices=devices, empty=empty, facts=facts, differs=differs)

    def replacement(self, model: type[Table], part: Part) -> "Replacement":
        """New rows for a part, to be added and then committed; several may be open at once. Use it as a context."""
        return Replacement(self, model, part)

    def append(self, model: type[Table], part: Part, rows: pl.DataFrame) -> Written:
        """Add rows to the part, which is read and written anew. Rows whose key it holds replace those.

        So adding the same rows again, after a kill for instance, changes nothing. Raises BadFrameError as `replace`.
        """
        with self.replacement(model, part) as new:
            new.add(rows.rechunk())
            return new.commit_over(rows.select(storage(model).key))

    def batches(
        self, model: type[Table], part: Part | None = None, *, columns: Collection[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The stored rows of a part in the order of the key, about a row group at a time."""
        table = self.open(model)
        if table is not None:
            yield from self.rows(model, _uris(table, part or {}), columns)

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
            path = _inside(model, uri)
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
        return " ".join(_inside(model, uri) for uri in _uris(table, part)) if table else ""

    def facts(self, model: type[Table], part: Part) -> dict[str, str]:
        """What the part's rows were said to be made from; empty where nothing is stored or was said."""
        table = self.open(model)
        return self.facts_of(model, _uris(table, part)) if table else {}

    def facts_of(self, model: type[Table], uris: Collection[str]) -> dict[str, str]:
        """What the rows of active files of the model's table were said to be made from."""
        facts: dict[str, str] = {}
        for uri in uris:
            with self.files(model).open_input_file(_inside(model, uri)) as source:
                metadata = pq.read_metadata(source).metadata or {}
            facts |= json.loads(metadata.get(FACTS, b"{}"))
        return facts

    def rows_of(
        self, model: type[Table], stored: str, columns: Collection[str] | None = None
    ) -> pl.DataFrame | None:
        """The rows of files that `stored` named once, replaced or not; None when one is gone by now."""
        uris = [f"{self.uri(model)}/{name}" for name in stored.split()]
        try:
            return pl.concat([_empty(model, columns), *self.rows(model, uris, columns)])
        except FileNotFoundError:
            return None

    def files(self, model: type[Table]) -> pafs.FileSystem:
        """The file system that paths inside the model's table belong to."""
        if "://" not in self.root:
            return pafs.SubTreeFileSystem(self.uri(model), pafs.LocalFileSystem())
        handler = DeltaStorageHandler(self.uri(model), options=self.storage_options or None)
        return pafs.PyFileSystem(handler)


class Replacement:
    """The rows that a part is to hold, on their way: added in chunks, then committed whole or not at all."""

    def __init__(self, lake: Lake, model: type[Table], part: Part) -> None:
        self._lake, self._model, self._part = lake, model, part
        self._spool = Spool(arrow_schema(model), lake.scratch)
        self._digest = Digest.of(model)
        self._last: pl.DataFrame | None = None

    def add(self, chunk: pl.DataFrame) -> None:
        """Validate an eager frame in the model's columns, and keep it. Chunks come in the order of the key.

        Raises BadFrameError if a row breaks the model.
        """
        validate(self._model, chunk, self._part)
        frame = sort(self._model, chunk, self._part)
        if not frame.height:
            return
        if self._last is not None:
            sort(self._model, pl.concat([self._last, frame.head(1)]), self._part)
        self._last = frame.tail(1)
        self._digest.add(frame)
        self._spool.add(_arrow(frame, self._spool.schema))

    def commit(
        self,
        *,
        plants: Collection[str] | None = None,
        devices: Collection[tuple[str, str]] | None = None,
        empty: bool = False,
        facts: Mapping[str, str] | None = None,
        differs: Differs | None = None,
    ) -> Written:
        """Replace the stored rows by the added ones.

        `facts` are kept with the rows: what they were made from. `differs` is called with the change before it is
        committed, so whatever it writes is there when the change is; after a kill it may be called again with the same.
        Both are for parts that are replaced whole.

        With `plants`, or with `devices` as (plant_id, device_id), only their rows are replaced and the others' stay
        (they are held in memory). Raises EmptyPartError if there are no rows, stored ones would be lost and `empty`
        was not set. Then, and in any other failure, the stored part stays.
        """
        return self._try(_scope(plants, devices), empty=empty, facts=facts, differs=differs)

    def commit_over(self, old: pl.DataFrame) -> Written:
        """Replace the stored rows that `old` (unique rows of some columns) names; all others stay."""
        return self._try(old, empty=True)

    def _try(
        self,
        old: pl.DataFrame | None,
        *,
        empty: bool,
        facts: Mapping[str, str] | None = None,
        differs: Differs | None = None,
    ) -> Written:
        """Try until no other run was faster, within reason."""
        attempt = _Attempt(self._lake, self._model, self._part, old, self._digest, empty=empty)
        attempt.facts, attempt.differs = facts or {}, differs
        for _ in range(ATTEMPTS):
            try:
                return attempt.commit(self._spool.batches)
            except CommitFailedError:
                time.sleep(random.uniform(0, LONGEST_PAUSE_S))  # noqa: S311 - spreads writers, guards nothing
        raise SunledgerError(
            f"{place(self._model, self._part)}: other runs kept writing to this table, {ATTEMPTS} commits were "
            f"refused. Nothing was written; run it again when they are done."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.__exit__(kind, fault, trace)


class _Attempt:
    """One replacement on its way to the log: compare, write one file, commit at exactly the next version.

    delta-rs may rebase a commit on another that it finds no conflict with, and so accepts two first writes of
    one day. A commit here is a compare-and-swap instead: it is refused when anything was committed since the
    table was read, and tried again. The file is written anew only if somebody else wrote this very part.
    """

    def __init__(
        self,
        lake: Lake,
        model: type[Table],
        part: Part,
        old: pl.DataFrame | None,
        digest: Digest,
        *,
        empty: bool,
    ) -> None:
        """`old` holds the plants, or the keys, whose stored rows are replaced; None means all of the part."""
        self.lake, self.model, self.part, self.old = lake, model, part, old
        self.digest, self.empty = digest, empty
        self.seen: list[str] | None = None
        self.equal = False
        self.action: AddAction | None = None
        self.facts: Mapping[str, str] = {}
        self.differs: Differs | None = None

    def commit(self, spooled: Callable[[], Iterator[pa.RecordBatch]]) -> Written:
        """Commit, or find that nothing changed. Raises CommitFailedError when somebody was faster."""
        table = self.lake.open_or_create(self.model)
        files = _uris(table, self.part)
        if files != self.seen:
            self._prepare(files, spooled)
            self.seen = files
        if self.equal:
            return Written(self.digest.rows, changed=False, version=table.version())
        table.create_write_transaction(
            [self.action] if self.action else [],
            mode="overwrite",
            schema=arrow_schema(self.model),
            partition_by=list(self.part) or None,
            partition_filters=[(name, "=", str(value)) for name, value in self.part.items()] or None,
            commit_properties=CommitProperties(max_commit_retries=0),
        )
        return Written(self.digest.rows, changed=True, version=table.version() + 1)

    def _prepare(self, files: list[str], spooled: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        """Compare with what is stored now in `files`, and write the file that would replace it."""
        stored, kept = self._stored(files)
        self.equal = stored == self.digest
        if self.equal:
            return
        if not self.digest.rows and not self.empty:
            raise EmptyPartError(
                f"{place(self.model, self.part)}: the new data is empty, but {stored.rows} rows are stored. "
                f"They were kept; nothing was written."
            )
        if self.differs is not None:
            self.differs(Change(self.lake, self.model, files, spooled, self.facts))
        if self.digest.rows or kept.height:
            self.action = self._write(_merge(self.model, spooled(), kept))

    def _stored(self, files: list[str]) -> tuple[Digest, pl.DataFrame]:
        """The digest of the rows that would be replaced, and the rows of the part that stay."""
        digest = Digest.of(self.model)
        kept = [_empty(self.model)]
        for frame in self.lake.rows(self.model, files):
            if self.old is None:
                digest.add(frame)
                continue
            names = self.old.columns
            digest.add(frame.join(self.old, on=names, how="semi"))
            kept.append(frame.join(self.old, on=names, how="anti", maintain_order="left"))
        return digest, pl.concat(kept)

    def _write(self, batches: Iterator[pa.RecordBatch]) -> AddAction:
        """Write the part as one Parquet file that no reader sees until it is committed.

        delta-rs's own writer shuffles the batches of a stream, and the order is what makes reading fast.
        """
        folder = "/".join(f"{name}={value}" for name, value in self.part.items())
        path = f"{folder}/part-{uuid.uuid4()}.parquet".removeprefix("/")
        whole = arrow_schema(self.model)
        schema = pa.schema([field for field in whole if field.name not in self.part])
        files = self.lake.files(self.model)
        files.create_dir(folder or ".", recursive=True)
        rows = 0
        with files.open_output_stream(path) as sink:
            with pq.ParquetWriter(
                sink,
                schema,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                use_dictionary=[field.name for field in schema if _repeats(field.type)],
                write_page_checksum=True,
            ) as writer:
                for group in _row_groups(batches, storage(self.model).row_group):
                    writer.write_table(group.select(schema.names))
                    rows += group.num_rows
                if self.facts:
                    writer.add_key_value_metadata({FACTS.decode(): json.dumps(dict(self.facts))})
            size = sink.tell()
        values = {name: str(value) for name, value in self.part.items()}
        return AddAction(path, size, values, time.time_ns() // 10**6, True, json.dumps({"numRecords": rows}))


def _row_groups(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows cut into tables of `rows`, the last one shorter."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(b.num_rows for b in held) >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
    if held:
        yield pa.Table.from_batches(held)


@lru_cache
def arrow_schema(model: type[Table]) -> pa.Schema:
    """The model's columns as Delta stores them."""
    fields = []
    for name, dtype in polars_schema(model).items():
        plain = ARROW_TYPES.get(dtype.base_type())
        fields.append(pa.field(name, plain or pl.Series([], dtype=dtype).to_arrow().type))
    return pa.schema(fields)


def _repeats(dtype: pa.DataType) -> bool:
    """Whether a column of the type is worth a dictionary.

    Measurements are not: with one, a day of EnergyBalance takes 28 % more bytes and 57 % more CPU to write.
    """
    return not (pa.types.is_floating(dtype) or pa.types.is_binary(dtype))


def _empty(model: type[Table], columns: Collection[str] | None = None) -> pl.DataFrame:
    """No rows, in these columns or all of them, in the model's order."""
    schema = polars_schema(model).items()
    return pl.DataFrame(schema={name: kind for name, kind in schema if columns is None or name in columns})


def _merge(
    model: type[Table], spooled: Iterator[pa.RecordBatch], kept: pl.DataFrame
) -> Iterator[pa.RecordBatch]:
    """New rows and kept rows in one order. Both are sorted; a plant that is in both is new in one batch only."""
    if not kept.height:
        yield from spooled
        return
    schema = arrow_schema(model)
    for batch in spooled:
        frame = cast("pl.DataFrame", pl.from_arrow(batch))
        before = pl.col("plant_id") <= frame["plant_id"].max()
        mixed = pl.concat([frame, kept.filter(before)]).sort(storage(model).key or ["plant_id"])
        kept = kept.filter(~before)
        yield from _arrow(mixed, schema).to_batches()
    yield from _arrow(kept, schema).to_batches()


def _arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)


def _scope(
    plants: Collection[str] | None, devices: Collection[tuple[str, str]] | None
) -> pl.DataFrame | None:
    """What is replaced, as a frame to join by; None means all."""
    if devices is not None:
        return pl.DataFrame(list(devices), {"plant_id": pl.String, "device_id": pl.String}, orient="row")
    return None if plants is None else pl.DataFrame({"plant_id": list(plants)}, {"plant_id": pl.String})


def _inside(model: type[Table], uri: str) -> str:
    """A file's path inside the model's table."""
    # Local paths come as the paths of URLs. Names of parts and files need no quotes either way.
    return unquote(uri).rpartition(f"/{storage(model).table}/")[2]


def _part_of(path: str, schema: pl.Schema) -> dict[str, dt.date | str]:
    """The values of the part that a file belongs to, from its folders."""
    texts = dict(folder.split("=", 1) for folder in path.split("/")[:-1])
    return {n: dt.date.fromisoformat(v) if schema[n] == pl.Date else v for n, v in texts.items()}


def _uris(table: DeltaTable, part: Part) -> list[str]:
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
