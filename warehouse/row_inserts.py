"""Puts rows from frames into a table of a DuckDB file, in the order of its key.

They go by Parquet files that are removed again. DuckDB holds on to most of what it is given as Arrow until the
transaction ends: 2 million rows of detail took 600 MB so, and take 140 by files, with less CPU time.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import polars as pl

from schemas import Table, storage
from warehouse.ddl import quote_identifier, quote_text

# Files that wait on the disk until they are inserted, where nothing is sorted: some 100 MB.
FILES_AT_ONCE = 16


def put_rows(
    connection: duckdb.DuckDBPyConnection,
    place: Path,
    model: type[Table],
    frames: Iterable[pl.DataFrame],
    *,
    in_order: bool = True,
) -> None:
    """Add the rows of all frames to the table, in the order of the key, by files whose names begin with `place`.

    DuckDB sorts, and spills to disk where it must. Without `in_order` the rows stay as they come, and no more than some
    frames wait on the disk.
    """
    files: list[Path] = []
    for frame in frames:
        files.append(place.with_name(f"{place.name}-{len(files)}.parquet"))
        frame.write_parquet(files[-1], compression="uncompressed", statistics=False)
        if not in_order and len(files) == FILES_AT_ONCE:
            _insert_files(connection, model, files)
            files = []
    if files:
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
