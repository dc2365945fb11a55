"""The rows of a stored file, a row group at a time, in the columns and types that a reader wants."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

# From so many bytes on polars reads a local file in a third to two thirds of the time; of a smaller one in the same.
LARGE_BYTES: Final = 2**15


def read_row_groups(
    source: pa.NativeFile,
    types: pl.Schema,
    of_part: Mapping[str, Any],
    rows: int,
    *,
    local: Path | None,
    checked: bool,
) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file in frames of `rows` rows, with the columns of `types`.

    What a file does not have is a value of its part, or null in a column that is younger than the file. With `checked`
    the checksums of the pages are compared. `local` is where the file is on this machine (None: in a store).
    """
    with pq.ParquetFile(source, pre_buffer=local is None, page_checksum_verification=checked) as file:
        stored = file.schema_arrow.names
        # Without any column, the number of rows would be lost.
        kept = [name for name in types if name in stored] or stored[:1]
        if local and not checked and source.size() >= LARGE_BYTES:
            found = pl.scan_parquet(local, glob=False, hive_partitioning=False).select(kept)
            for begin in range(0, file.metadata.num_rows, rows):
                # polars reads only the row groups of these rows.
                yield _fit_frame(found.slice(begin, rows).collect(), types, of_part)
            return
        for batch in file.iter_batches(rows, columns=kept):
            yield _fit_frame(cast("pl.DataFrame", pl.from_arrow(batch)), types, of_part)


def _fit_frame(frame: pl.DataFrame, types: pl.Schema, of_part: Mapping[str, Any]) -> pl.DataFrame:
    """The frame in these columns and types. Of a small file each query would cost more than its rows."""
    if frame.schema == types:
        return frame
    others = [
        pl.lit(of_part.get(name), dtype=dtype).alias(name)
        for name, dtype in types.items()
        if name not in frame.columns
    ]
    odd = [
        pl.col(name).cast(types[name])
        for name, dtype in frame.schema.items()
        if name in types and dtype != types[name]
    ]
    return frame.with_columns(*others, *odd).select(types.names())
