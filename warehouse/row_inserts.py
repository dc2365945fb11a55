"""Puts rows from frames into a table of a DuckDB file, in the order of its key.

They go by Parquet files that are removed again. DuckDB holds on to most of what it is given as Arrow until the
transaction ends: 2 million rows of detail took 600 MB so, and take 140 by files, with less CPU time.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq

from schemas import Table, columns, storage
from warehouse.quoting import quote_identifier, quote_text

# Files that wait on the disk until they are inserted, where nothing is sorted: some 100 MB.
FILES_AT_ONCE = 16
# Rows of a group of such a file, of which DuckDB reads one at a time.
ROWS_AT_ONCE = 30_000
# What a value takes in memory while it is sorted, most of them numbers.
VALUE_BYTES = 8


def put_rows(
    connection: duckdb.DuckDBPyConnection,
    place: Path,
    model: type[Table],
    frames: Iterable[pl.DataFrame | pl.LazyFrame],
    *,
    in_order: bool = True,
    prepare: Callable[[int], None] = lambda _: None,
) -> None:
    """Add the rows of all frames to the table, in the order of the key, by files whose names begin with `place`.

    DuckDB sorts, and spills to disk where it must: before, `prepare` gets about the bytes that are sorted. Without
    `in_order` the rows stay as they come, and no more than some frames wait on the disk. A lazy frame is never in
    memory as a whole.
    """
    files: list[Path] = []
    for frame in frames:
        files.append(place.with_name(f"{place.name}-{len(files)}.parquet"))
        frame.lazy().sink_parquet(
            files[-1], compression="uncompressed", statistics=False, row_group_size=ROWS_AT_ONCE
        )
        if not in_order and len(files) == FILES_AT_ONCE:
            _insert_files(connection, model, files)
            files = []
    if files:
        if in_order:
            rows = sum(pq.read_metadata(file).num_rows for file in files)
            prepare(rows * len(columns(model)) * VALUE_BYTES)
        _insert_files(connection, model, files, _write_order(model) if in_order else "")


def _insert_files(
    connection: duckdb.DuckDBPyConnection, model: type[Table], files: list[Path], order: str = ""
) -> None:
    names = ", ".join(quote_text(str(file)) for file in files)
    source = f"read_parquet([{names}], hive_partitioning = false)"
    connection.execute(f"INSERT INTO {quote_identifier(storage(model).table)} FROM {source}{order}")
    for file in files:
        file.unlink()


def _write_order(model: type[Table]) -> str:
    key = ", ".join(quote_identifier(name) for name in storage(model).key)
    return f" ORDER BY {key}" if key else ""
