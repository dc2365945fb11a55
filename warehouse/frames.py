"""Checks a frame against its model: types, rules, order and identity; and digests that compare frames.

All checks run on eager frames: pandera looks at names and types only of a lazy one.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import polars as pl

from pipeline.common.errors import SunledgerError
from schemas import Table, polars_schema, storage
from schemas.base import list_declared
from schemas.without_pandas import pandera_errors

# Whether a column surely keeps a rule.
Rule: TypeAlias = Callable[[pl.Series], bool]

SAMPLE = 5
FEW = 100


class BadFrameError(SunledgerError):
    """A frame breaks its table's contract, so nothing was written."""


def validate(model: type[Table], frame: pl.DataFrame, part: Mapping[str, Any]) -> None:
    """Raise BadFrameError naming table, part, column, rule and a sample unless the frame fits its model.

    pandera is the judge, but it asks polars several times for every column (25 ms for the smallest frame, 0.7 us a
    row for large ones). So the model's rules are first looked at column by column, a hundredth of that; only a
    frame that may break one goes to pandera, which finds and names what is wrong.
    """
    if not _fits_surely(model, frame):
        try:
            model.to_schema().validate(frame, lazy=True)
        except pandera_errors.SchemaErrors as faults:
            raise BadFrameError(_explain(model, part, frame, faults.failure_cases)) from None
    if not frame.height:
        return
    for name, value in part.items():
        column = frame.get_column(name)
        # The ends of a column show at a tenth of the cost that it has this value alone.
        if not column.null_count() and column.min() == value == column.max():
            continue
        stray = column.filter(column.ne_missing(value))
        if stray.len():
            raise BadFrameError(
                f"{name_place(model, part)}: {stray.len()} rows belong to another part: {name} is "
                f"{stray.head(SAMPLE).to_list()}. Nothing was written."
            )


def _fits_surely(model: type[Table], frame: pl.DataFrame) -> bool:
    """Whether every rule of the model holds; False where one is broken, in doubt, or of a kind not known here."""
    expected = _read_contract(model)
    # Lists of names and types: to compare schemas costs ten times that.
    if expected is None or frame.columns != expected.names or frame.dtypes != expected.types:
        return False
    # Column by column: the same rules as one polars expression take thirty times as long to plan as to compute.
    return not frame.height or all(rule(frame.get_column(name)) for name, rule in expected.rules)


class _Contract(NamedTuple):
    """What a model says of the columns of a frame."""

    names: list[str]
    types: list[pl.DataType]
    rules: list[tuple[str, Rule]]


@lru_cache
def _read_contract(model: type[Table]) -> _Contract | None:
    """The model's columns, and all of its rules on nulls and values; None if it has a rule of another kind.

    Like pandera's, a check looks at values only; whether a null is allowed is a rule of its own.
    """
    schema = polars_schema(model)
    rules: list[tuple[str, Rule]] = []
    for name, (_, field) in list_declared(model).items():
        if not field.nullable:
            rules.append((name, _has_no_null))
        bounds: dict[str, Any] = {}
        for check in field.checks:
            if check.name in _BOUNDS:
                bounds |= check.statistics
            elif check.name == "isin":
                rules.append((name, partial(_is_in, **check.statistics)))
            else:
                return None
        if bounds:
            rules.append((name, partial(_is_between, **bounds)))
    return _Contract(schema.names(), schema.dtypes(), rules)


def _has_no_null(column: pl.Series) -> bool:
    return column.null_count() == 0


def _is_between(column: pl.Series, min_value: Any = None, max_value: Any = None) -> bool:
    """Whether no value is surely below the one bound or above the other; a NaN is above any."""
    least: Any = column.min()
    if least is None:
        return True
    if min_value is not None and not least >= min_value:
        return False
    if max_value is None:
        return True
    # The largest value of a column with a NaN is not NaN, but its sum is. And where no value is negative, none is
    # larger than the sum, which a bound of any quantity mostly is: then one look is enough.
    total = column.sum() if column.dtype.is_float() else None
    if total is not None and least >= 0 and total <= max_value:
        return True
    most: Any = column.max()
    return bool(most <= max_value) and not (total is not None and math.isnan(total))


def _is_in(column: pl.Series, allowed_values: Iterable[Any]) -> bool:
    # Of few values, a list costs a hundredth of a query.
    if column.len() <= FEW:
        return {*column.to_list()} <= {*allowed_values, None}
    # Nearly all values are one of them, and to compare with one costs a tenth of finding all that there are. Nulls are
    # equal to nothing, so they are left out with the first one.
    left = column
    for value in allowed_values:
        left = left.filter(left != value)
        if not left.len():
            break
    return not left.len()


# The checks of pandera's that bound a value on either side.
_BOUNDS: Final = ("greater_than_or_equal_to", "less_than_or_equal_to")


def sort(model: type[Table], frame: pl.DataFrame, part: Mapping[str, Any]) -> pl.DataFrame:
    """The frame sorted by the model's key. Raise BadFrameError if two rows share one.

    One comparison with the row before costs a nanosecond a row, a sort or a hash a hundred: most frames come
    sorted, so look first.
    """
    key = storage(model).key
    if not key:
        return frame
    if frame.height <= 1 or _is_rising(frame, key):
        return frame
    frame = frame.sort(key, nulls_last=False)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in key)
    twice = frame.with_row_index("_row").filter(same & (pl.col("_row") > 0))
    if twice.height:
        raise BadFrameError(
            f"{name_place(model, part)}: {twice.height} rows repeat the key ({', '.join(key)}), "
            f"for instance {twice.select(key).head(2).rows()}. Nothing was written."
        )
    return frame


def _is_rising(frame: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether each row's key is above that of the row before. A null is below all values, and equals a null alone."""
    # The rows that equal the one before in all columns so far; column by column, as a query costs more than some rows.
    level: pl.Series | None = None
    for name in key:
        column = frame.get_column(name)
        now, before = column.slice(1), column.head(frame.height - 1)
        below, same = now < before, now == before
        if column.null_count():
            below, same = below.fill_null(now.is_null() & before.is_not_null()), now.eq_missing(before)
        if (below if level is None else below & level).any():
            return False
        level = same if level is None else same & level
        if not level.any():
            return True
    return False


@dataclass(slots=True)
class RowsDigest:
    """A digest of the rows in a set of frames, independent of their order and of their division into frames.

    Each row is hashed and the hashes are summed, so memory does not grow. Valid within one process.
    """

    columns: tuple[str, ...]
    rows: int = 0
    total: int = 0

    @classmethod
    def of(cls, model: type[Table]) -> "RowsDigest":
        """An empty digest over the columns that count as facts."""
        kept = storage(model)
        return cls(tuple(c for c in polars_schema(model) if c not in {*kept.volatile, *kept.partition}))

    def add(self, frame: pl.DataFrame) -> None:
        """Add the frame's rows to the digest."""
        hashes = frame.select(self.columns).hash_rows(0).to_numpy()
        self.rows += frame.height
        self.total = (self.total + int(np.add.reduce(hashes, dtype=np.uint64))) % 2**64


def name_place(model: type[Table], part: Mapping[str, Any]) -> str:
    """Table and part as a message names them: `pv_intervals 2021-10-05`."""
    return " ".join([storage(model).table, *(str(value) for value in part.values())])


def _explain(model: type[Table], part: Mapping[str, Any], frame: pl.DataFrame, cases: pl.DataFrame) -> str:
    first = cases.row(0, named=True)
    column, rule = first["column"], first["check"]
    same = cases.filter(pl.col("column").eq_missing(column) & pl.col("check").eq_missing(rule))
    sample = same["failure_case"].head(SAMPLE).to_list()
    name = column if column in frame.columns else first["failure_case"]
    detail = f"column {name}: rule '{rule}' is broken"
    if column in frame.columns and first["index"] is not None:
        detail += f" in {same.height} of {frame.height} rows, for instance {sample}"
    else:
        detail += f": {sample[0]}"
    others = cases.select("column", "check").unique().height - 1
    more = f" ({others} more rules are broken.)" if others > 0 else ""
    return f"{name_place(model, part)}: {detail}. Nothing was written.{more}"
