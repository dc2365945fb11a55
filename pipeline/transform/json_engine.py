"""DuckDB as a reader of JSON: one engine a thread, which takes a batch of answers and gives columns."""

import threading
from typing import Final

import duckdb
import polars as pl
import pyarrow as pa

# Texts that the engine takes at once: it parses all of them before it reads the first one's rows.
PIECE_BYTES = 2**20
# Rows that the engine hands over at once: more than a batch of answers usually has, as frames in pieces cost time in
# every later step; and so few that columns fit into memory that was just in use, and need no pages of their own.
ROWS_AT_ONCE = 2**16
# By itself the engine keeps what a query has freed, 100 MB after the list of 10,000 plants. Threads of its allocator
# give that back soon after; to do so within the query (`allocator_bulk_deallocation_flush_threshold`) makes a batch of
# answers take twice the CPU time, because each piece of it gets new pages.
CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "allocator_background_threads": True,
}

# An engine belongs to one thread: what is registered in it is this thread's batch.
_engines = threading.local()


def run_on(query: str, batch: pl.DataFrame, **values: object) -> pl.DataFrame:
    """The query's rows over `batch`, by this thread's engine.

    `batch` has a column `body` of texts, and the query names it `batch`; `values` are the query's parameters by name.
    """
    engine = open_engine()
    engine.register("batch", _cut_batch(batch))
    try:
        return engine.execute(query, values or None).pl(ROWS_AT_ONCE).rechunk()
    finally:
        # The engine outlives the batch.
        engine.unregister("batch")


def open_engine() -> duckdb.DuckDBPyConnection:
    """This thread's in-memory engine: to start one costs more than to read a small fleet's day."""
    if not hasattr(_engines, "engine"):
        _engines.engine = duckdb.connect(config=CONFIG)
        # Otherwise times with an offset come in the machine's zone.
        _engines.engine.execute("SET TimeZone = 'UTC'")
        # A process without a script of its own is taken for a console, which gets a bar for what takes seconds.
        _engines.engine.execute("SET enable_progress_bar = false")
    engine: duckdb.DuckDBPyConnection = _engines.engine
    return engine


def _cut_batch(batch: pl.DataFrame) -> pa.Table:
    """The batch where it lies, cut so that what the engine parses of it at once stays in a core's cache."""
    table = batch.to_arrow(compat_level=pl.CompatLevel.newest())
    size = int(batch["body"].str.len_bytes().sum())
    answers = max(1, PIECE_BYTES * batch.height // max(1, size))
    return pa.Table.from_batches(table.to_batches(max_chunksize=answers), table.schema)
