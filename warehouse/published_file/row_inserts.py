"""Puts rows from frames into a table of a DuckDB file, in the order of its key.

They go by Parquet files that are removed again. DuckDB holds on to most of what it is given as Arrow until the
transaction ends: 2 million rows of detail took 600 MB so, and take 140 by files, with less CPU time.
"""

from collections.abc import Iterable, Iterator
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
# What is sorted at once: DuckDB takes three times as much for it, and more rows than fit would be written again.
SORTED_BYTES = 16 * 2**20


def put_rows(
    connection: duckdb.DuckDBPyConnection,
    place: Path,
    model: type[Table],
    frames: Iterable[pl.DataFrame | pl.LazyFrame],
    *,
    in_order: bool = True,
) -> int:
    """Add the rows of all frames to the table, in the order of the key, by files whose names begin with `place`.

    DuckDB sorts, the rows of some plants after those of others. Without `in_order` the rows stay as they come, and no
    more than some frames wait on the disk. A lazy frame is never in memory as a whole. Returns about how many bytes the
    rows take in memory.
    """
    files: list[Path] = []
    rows = 0
    for frame in frames:
        files.append(place.with_name(f"{place.name}-{len(files)}.parquet"))
        frame.lazy().sink_parquet(
            files[-1], compression="uncompressed", statistics=False, row_group_size=ROWS_AT_ONCE
        )
        if not in_order and len(files) == FILES_AT_ONCE:
            rows += _insert_files(connection, model, files, [""])
            files = []
    if files:
        rows += _insert_files(connection, model, files, _sort_in_parts(model, files) if in_order else [""])
    return rows * len(columns(model)) * VALUE_BYTES


def _insert_files(
    connection: duckdb.DuckDBPyConnection, model: type[Table], files: list[Path], choices: Iterable[str]
) -> int:
    """Insert what each of these clauses chooses of the files, remove them, and return how many rows there were."""
    rows = 0
    names = ", ".join(quote_text(str(file)) for file in files)
    source = f"read_parquet([{names}], hive_partitioning = false)"
    for choice in choices:
        connection.execute(f"INSERT INTO {quote_identifier(storage(model).table)} FROM {source}{choice}")
        ((added,),) = connection.fetchall()
        rows += added
    for file in files:
        file.unlink()
    return rows


def _sort_in_parts(model: type[Table], files: list[Path]) -> Iterator[str]:
    """SQL that chooses the rows of all files in the order of the key, about `SORTED_BYTES` of them each time."""
    key = storage(model).key
    order = f" ORDER BY {', '.join(map(quote_identifier, key))}" if key else ""
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    parts = rows * len(columns(model)) * VALUE_BYTES // SORTED_BYTES + 1
    if parts == 1 or not key:
        yield order
        return
    first = pl.col(key[0])
    found = pl.scan_parquet(files, hive_partitioning=False).group_by(first).len().sort(first)
    part = (pl.col("len").cum_sum() - pl.col("len")) * parts // rows
    bounds = (
        found.group_by(part.alias("part"))
        .agg(first.min().alias("from"), first.max().alias("to"))
        .sort("part")
    )
    for _, least, most in bounds.collect().iter_rows():
        name, ends = quote_identifier(key[0]), (quote_text(str(end)) for end in (least, most))
        yield f" WHERE {name} BETWEEN {' AND '.join(ends)}{order}"
