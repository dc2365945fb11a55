"""Rows to JSON text. An engine writes the text; absent values become absent keys."""

import numpy as np
import polars as pl

from sandbox.series.table import Columns, Floats

DECIMALS = 3
_FINER = {
    "autarkyRate": 5,
    "selfConsumptionRate": 5,
    "pvConsumptionRate": 5,
    "batteryConsumptionRate": 5,
    "gridConsumptionRate": 5,
}
_LETTERS = "ABCDEFGH"


def rows_json(labels: pl.Series, columns: Columns) -> bytes:
    """`[{"time":…,"pvGeneration":4.0},…]`; a NaN leaves its key out."""
    if not len(labels):
        return b"[]"
    frame = pl.DataFrame([labels.alias("time")] + [_series(name, values) for name, values in columns.items()])
    text = frame.write_json().encode()
    for name in frame.columns:
        if frame[name].null_count():
            text = text.replace(b',"' + name.encode() + b'":null', b"")
    return text


def object_json(label: str, columns: Columns) -> bytes:
    """The only row of `columns` as one object."""
    return rows_json(pl.Series("time", [label]), columns)[1:-1]


def _series(name: str, values: Floats) -> pl.Series:
    # Adding zero turns a rounded -0.0 into 0.0.
    rounded = np.round(values, _FINER.get(name, DECIMALS)) + 0.0
    if rounded.ndim == 1:
        series = pl.Series(name, rounded)
        return series.fill_nan(None) if np.isnan(rounded).any() else series
    elements = [
        pl.struct(
            pl.lit(_LETTERS[number]).alias("index"), pl.lit(pl.Series(rounded[:, number])).alias("value")
        )
        for number in range(rounded.shape[1])
    ]
    return pl.select(pl.concat_list(elements).alias(name)).to_series()
