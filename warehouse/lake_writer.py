"""Writes a part of the lake, completely or not at all, and only where rows changed.

New rows are validated, sorted, spooled and compared with what is stored; equal rows commit nothing; different ones
become one Delta commit, so a reader, a kill or a full disk sees the old part or the new one and nothing between. Rows
flow through in chunks, so memory follows the chunk and not the part.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from pipeline.common.errors import SunledgerError
from pipeline.common.files.atomic_files import sync_file
from pipeline.common.store_faults import translate_store_faults
from schemas import Table, columns, storage
from schemas.base import Layer
from warehouse.frames import RowsDigest, name_place, sort, validate
from warehouse.integrity.digest_chain import Chain, commit_facts
from warehouse.integrity.digests import DigestingSink
from warehouse.lake_holds import check_held_part, note_held_writing
from warehouse.lake_lock import take_write_turn
from warehouse.lake_reader import (
    FACTS,
    LakeReader,
    build_arrow_schema,
    build_empty_frame,
)
from warehouse.lake_trace import note_writing
from warehouse.part_change import PartChange
from warehouse.part_folders import Part, name_folders
from warehouse.spool import Spool

# The measured best levels of zstd: of answers, which repeat long stretches, the lowest one makes the smallest files.
ZSTD_LEVELS: Mapping[Layer, int] = {"raw": 1, "core": 2, "report": 2}
# A commit is refused if another run has committed to the same table in the meantime; retrying it is cheap.
ATTEMPTS = 100
LONGEST_PAUSE_S = 0.1


class EmptyPartError(SunledgerError):
    """An empty frame would have replaced rows."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The outcome of a part: how many of the written rows it holds now, and whether anything was committed."""

    rows: int
    changed: bool
    version: int


class Replacement:
    """The rows that a part is to hold, on their way: added in chunks, then committed whole or not at all."""

    def __init__(self, lake: LakeReader, model: type[Table], part: Part) -> None:
        self._lake, self._model, self._part = lake, model, part
        self._spool = Spool(build_arrow_schema(model), lake.scratch, lake.memory)
        self._digest = RowsDigest.of(model)
        self._last: pl.DataFrame | None = None
        self._attempt: _Attempt | None = None
        self._written: WriteResult | None = None
        self._turn, self._holding = ExitStack(), False

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
        self._spool.add(_convert_to_arrow(frame, self._spool.schema))

    def commit(
        self,
        *,
        plants: Collection[str] | None = None,
        devices: Collection[tuple[str, str]] | None = None,
        empty: bool = False,
        facts: Mapping[str, str] | None = None,
    ) -> WriteResult:
        """Replace the stored rows by the added ones. `facts` are kept with the rows: what they were made from.

        With `plants`, or with `devices` as (plant_id, device_id), only their rows are replaced and the others' stay
        (they are held in memory). Raises EmptyPartError if there are no rows, stored ones would be lost and `empty`
        was not set. Then, and in any other failure, the stored part stays.
        """
        return self._commit(_build_scope(plants, devices), empty=empty, facts=facts)

    def commit_over(self, old: pl.DataFrame) -> WriteResult:
        """Replace the stored rows that `old` (unique rows of some columns) names; all others stay."""
        return self._commit(old, empty=True)

    def find_changes(self, facts: Mapping[str, str] | None = None) -> Iterator[PartChange]:
        """The difference that replacing the whole part makes, to be looked at and then given to `commit_change`.

        Nothing comes where the rows are equal. A second one comes where another run replaced the part in between.
        After a kill before the commit the next run meets the same difference again. `facts` are kept with the rows:
        what they were made from. Raises EmptyPartError as `commit`. What became of it is in `written`.
        """
        attempt = self._attempt = _Attempt(
            self._lake, self._model, self._part, None, self._digest, empty=False
        )
        attempt.facts = facts or {}
        for _ in range(ATTEMPTS):
            if not attempt.compare():
                self._written = attempt.report_unchanged()
                return
            yield PartChange(self._lake, self._model, attempt.files, self._spool.read_batches, attempt.facts)
            if self._written is not None:
                return
        raise self._build_refusal()

    def commit_change(self, change: PartChange) -> None:
        """Replace the part's rows, unless another run replaced them since the change was made."""
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - the change came out of it
        self._take_turn()
        for _ in range(ATTEMPTS):
            try:
                self._written = attempt.commit(self._spool.read_batches)
            except CommitFailedError:
                _pause()
                attempt.compare()
            if self._written is not None or attempt.files != change.files:
                return
        raise self._build_refusal()

    @property
    def written(self) -> WriteResult:
        """The outcome of the part, once nothing comes from `find_changes` any more."""
        assert self._written is not None  # noqa: S101 - set when `find_changes` ends
        return self._written

    def _commit(
        self, old: pl.DataFrame | None, *, empty: bool, facts: Mapping[str, str] | None = None
    ) -> WriteResult:
        """Retry a bounded number of times while other runs commit first."""
        attempt = _Attempt(self._lake, self._model, self._part, old, self._digest, empty=empty)
        attempt.facts = facts or {}
        for _ in range(ATTEMPTS):
            if not attempt.compare():
                return attempt.report_unchanged()
            self._take_turn()
            try:
                return attempt.commit(self._spool.read_batches)
            except CommitFailedError:
                _pause()
        raise self._build_refusal()

    def _take_turn(self) -> None:
        """Prevent repairs from removing an uncommitted file until the replacement is finished."""
        if not self._holding:
            self._holding = True
            self._turn.enter_context(take_write_turn(self._lake.root, self._lake.tell))

    def _build_refusal(self) -> SunledgerError:
        return SunledgerError(
            f"{name_place(self._model, self._part)}: nothing was written, because other runs wrote to this table and "
            f"{ATTEMPTS} commits failed: run it again when they have ended."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.close()
        self._spool.__exit__(kind, fault, trace)


def _pause() -> None:
    time.sleep(random.uniform(0, LONGEST_PAUSE_S))  # noqa: S311 - spreads writers, guards nothing


class _Attempt:
    """One replacement on its way to the log: compare, write one file, commit at exactly the next version.

    A commit is a compare-and-swap: it is refused when anything was committed since the table was read, and then tried
    again here. The file is written again only if somebody else wrote this very part.
    """

    def __init__(
        self,
        lake: LakeReader,
        model: type[Table],
        part: Part,
        old: pl.DataFrame | None,
        digest: RowsDigest,
        *,
        empty: bool,
    ) -> None:
        """`old` holds the plants, or the keys, whose stored rows are replaced; None means all of the part."""
        self.lake, self.model, self.part, self.old = lake, model, part, old
        self.digest, self.empty = digest, empty
        self.facts: Mapping[str, str] = {}
        self.table, self.folders = lake.open_or_create(model), name_folders(model, part)
        self.files: list[str] = []
        self.compared = False
        self.kept = build_empty_frame(model)
        self.equal = False
        self.action: AddAction | None = None
        self.digests: dict[str, str] = {}

    def compare(self) -> bool:
        """Whether the added rows differ from what is stored now. Reads it again only where another run wrote it.

        Raises PartChangedError where `hold_parts` forbids to replace that.
        """
        self.table = self.lake.open_or_create(self.model)
        files = self.table.list_file_uris(self.part)
        if not self.compared or files != self.files:
            stored, self.kept = self._read_stored(files)
            self.equal = stored == self.digest
            if not self.equal:
                check_held_part(self.lake, self.model, self.folders, files)
            if not (self.equal or self.digest.rows or self.empty):
                raise EmptyPartError(
                    f"{name_place(self.model, self.part)}: nothing was written, because the new data is empty but "
                    f"{stored.rows} rows are stored."
                )
            self.files, self.action, self.digests, self.compared = files, None, {}, True
        return not self.equal

    def report_unchanged(self) -> WriteResult:
        """What is said where the rows are equal."""
        return WriteResult(self.digest.rows, changed=False, version=self.table.version())

    def commit(self, spooled: Callable[[], Iterator[pa.RecordBatch]]) -> WriteResult:
        """Commit the compared rows. Raises CommitFailedError if another run committed first."""
        if self.action is None and (self.digest.rows or self.kept.height):
            self.action = self._write(_merge(self.model, spooled(), self.kept))
        chain = Chain(self.lake, self.model)
        before = chain.prepare_commit(self.table.version())
        with translate_store_faults(), self.lake.watch_store():
            version = self.table.commit(
                build_arrow_schema(self.model),
                self.part,
                self.files,
                self.action,
                commit_facts(before, self.digests),
            )
        chain.record_commit(before, version)
        names = [self.action.path] if self.action else []
        note_writing(self.model, self.folders, names)
        note_held_writing(self.lake, self.model, self.folders, names)
        return WriteResult(self.digest.rows, changed=True, version=version)

    def _read_stored(self, files: list[str]) -> tuple[RowsDigest, pl.DataFrame]:
        """The digest of the rows that would be replaced, and the rows of the part that stay."""
        digest = RowsDigest.of(self.model)
        kept = [build_empty_frame(self.model)]
        for frame in self.lake.read_files(self.model, files):
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
        path = f"{self.folders}/part-{uuid.uuid4()}.parquet".removeprefix("/")
        whole = build_arrow_schema(self.model)
        schema = pa.schema([field for field in whole if field.name not in self.part])
        repeating = {column.name for column in columns(self.model) if column.few_values}
        files = self.lake.open_files(self.model)
        if not self.lake.remote:  # An object store has no folders, and lists to find that out.
            files.create_dir(self.folders or ".", recursive=True)
        rows = 0
        with files.open_output_stream(path) as opened:
            sink = DigestingSink(opened, f"{self.lake.find_uri(self.model)}/{path}")
            with pq.ParquetWriter(
                sink,
                schema,
                compression="zstd",
                compression_level=ZSTD_LEVELS[storage(self.model).layer],
                use_dictionary=[
                    field.name for field in schema if field.name in repeating or _has_repeats(field.type)
                ],
                write_statistics=[field.name for field in schema if _has_repeats(field.type)],
                write_page_checksum=True,
            ) as writer:
                for group in _cut_row_groups(batches, storage(self.model).row_group):
                    writer.write_table(group.select(schema.names))
                    rows += group.num_rows
                if self.facts:
                    writer.add_key_value_metadata({FACTS.decode(): json.dumps(dict(self.facts))})
        if not self.lake.remote:
            # A commit is durable. After a power cut it must not name a file that never came onto the disk.
            sync_file(Path(self.lake.find_uri(self.model), path))
        self.digests = {path: sink.digest}
        self.lake.trust_file(self.model, path)
        values = {name: str(value) for name, value in self.part.items()}
        return AddAction(
            path, sink.size, values, time.time_ns() // 10**6, True, json.dumps({"numRecords": rows})
        )


def _cut_row_groups(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
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


def _has_repeats(dtype: pa.DataType) -> bool:
    """Whether a column of the type is worth a dictionary, and statistics by which readers pass over row groups.

    Measurements are not: with one, a day of EnergyBalance takes 28 % more bytes and 57 % more CPU to write.
    """
    return not (pa.types.is_floating(dtype) or pa.types.is_binary(dtype))


def _merge(
    model: type[Table], spooled: Iterator[pa.RecordBatch], kept: pl.DataFrame
) -> Iterator[pa.RecordBatch]:
    """New rows and kept rows in one order. Both are sorted; a plant that is in both is new in one batch only."""
    if not kept.height:
        yield from spooled
        return
    schema = build_arrow_schema(model)
    for batch in spooled:
        frame = cast("pl.DataFrame", pl.from_arrow(batch))
        before = pl.col("plant_id") <= frame["plant_id"].max()
        mixed = pl.concat([frame, kept.filter(before)]).sort(storage(model).key or ["plant_id"])
        kept = kept.filter(~before)
        yield from _convert_to_arrow(mixed, schema).to_batches()
    yield from _convert_to_arrow(kept, schema).to_batches()


def _convert_to_arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)


def _build_scope(
    plants: Collection[str] | None, devices: Collection[tuple[str, str]] | None
) -> pl.DataFrame | None:
    """What is replaced, as a frame to join by; None means all."""
    if devices is not None:
        return pl.DataFrame(list(devices), {"plant_id": pl.String, "device_id": pl.String}, orient="row")
    return None if plants is None else pl.DataFrame({"plant_id": list(plants)}, {"plant_id": pl.String})
