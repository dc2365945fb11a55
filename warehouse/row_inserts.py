"""Puts rows from frames into a table of a DuckDB file, in the order of its key."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from schemas import Table, polars_schema, storage
from warehouse.ddl import quote_identifier, quote_text


def put_few_rows(
    connection: duckdb.DuckDBPyConnection, place: Path, model: type[Table], frames: Iterator[pl.DataFrame]
) -> None:
    """As `put_rows`, by Parquet files at `place`: for a day or a few."""
    files: list[str] = []
    for frame in frames:
        files.append(f"{place}-{len(files)}.parquet")
        frame.write_parquet(files[-1], compression="uncompressed")
    if files:
        names = ", ".join(map(quote_text, files))
        source = f"read_parquet([{names}], hive_partitioning = false)"
        connection.execute(
            f"INSERT INTO {quote_identifier(storage(model).table)} FROM {source}{_write_order(model)}"
        )
    for name in files:
        Path(name).unlink()


def _write_order(model: type[Table]) -> str:
    key = ", ".join(quote_identifier(name) for name in storage(model).key)
    return f" ORDER BY {key}" if key else ""


def put_rows(
    connection: duckdb.DuckDBPyConnection,
    model: type[Table],
    frames: Iterator[pl.DataFrame],
    *,
    in_order: bool = True,
) -> None:
    """Fill a new table by Arrow, in the order of the key (DuckDB sorts, and spills to disk where it must).

    Without `in_order` the rows stay as they come, and no more of them are in memory than come at once.
    """
    layout = pl.CompatLevel.oldest()
    shape = polars_schema(model).to_frame().to_arrow(compat_level=layout).schema
    failures: list[Exception] = []
    kept = _keep_failure(frames, failures)
    batches = (batch for frame in kept for batch in frame.to_arrow(compat_level=layout).to_batches())
    connection.register("incoming", pa.RecordBatchReader.from_batches(shape, batches))
    try:
        order = _write_order(model) if in_order else ""
        connection.execute(f"INSERT INTO {quote_identifier(storage(model).table)} FROM incoming{order}")
    except duckdb.Error:
        # Of what goes wrong while the lake is read, DuckDB passes on the text alone.
        if failures:
            raise failures[0] from None
        raise
    connection.unregister("incoming")


def _keep_failure(frames: Iterator[pl.DataFrame], failures: list[Exception]) -> Iterator[pl.DataFrame]:
    try:
        yield from frames
    except Exception as fault:
        failures.append(fault)
        raise
