"""Converts arrays in an answer's rows, with an index and a value for each input or stack, to separate rows."""

from collections.abc import Sequence
from functools import reduce

import polars as pl

from pipeline.transform import row_rules

ELEMENT = pl.List(pl.Struct({"index": pl.String, "value": pl.Float64}))
ASIDE = {
    "row": pl.UInt32,
    "field": pl.String,
    "index": pl.String,
    "value": pl.Float64,
    "reason": pl.String,
}
KEY = ["row", "index"]
# The index for a number in place of an array; SMA gives this name to the first input or stack.
FIRST_INDEX = "A"


def name_array_column(name: str) -> str:
    """The name of the column for the arrays of a field that may be a number or an array."""
    return f"{name}[]"


def take_other_form(rows: pl.DataFrame, column: str, cells: pl.DataFrame) -> pl.DataFrame:
    """The rows with the contents of these cells in the column's type. `cells` has row, number, elements and is_kept."""
    first = pl.struct(index=pl.lit(FIRST_INDEX, pl.String), value=pl.col("number"))
    of_number = pl.when(pl.col("number").is_not_null()).then(pl.concat_list(first))
    form = pl.when("is_kept").then("elements").otherwise(of_number)
    value = form if rows.schema[column] == ELEMENT else pl.col("number")
    held = pl.DataFrame({"row": pl.int_range(rows.height, dtype=pl.UInt32, eager=True)})
    found = held.join(cells.select("row", value=value), on="row", how="left", maintain_order="left")["value"]
    return rows.with_columns(pl.coalesce(column, found).alias(column))


def count_marks(column: pl.Series) -> int:
    """The number of keys that were read into this column: the field's own and those of an array's elements."""
    if column.dtype != ELEMENT:
        return column.count()
    inside = column.explode().struct
    return column.count() + inside.field("index").count() + inside.field("value").count()


def count_marks_in_row(name: str, dtype: pl.DataType) -> pl.Expr:
    """The same count as `count_marks`, for each row."""
    own = pl.col(name).is_not_null().cast(pl.UInt32)
    if dtype != ELEMENT:
        return own
    element = pl.element().struct
    both = element.field("index").count() + element.field("value").count()
    return own + pl.col(name).list.eval(both).list.first().fill_null(0)


def drop_values(column: pl.Series, bad: pl.DataFrame) -> pl.Series:
    """The array with null for the values at the places in `bad`, which has row and position in the row's array."""
    held = pl.DataFrame({"row": pl.int_range(column.len(), dtype=pl.UInt32, eager=True), "element": column})
    long = held.filter(pl.col("element").list.len() > 0).explode("element")
    here = bad.select("row", pl.col("position").cast(pl.Int64), is_bad=True)
    repaired = (
        long.with_columns(position=pl.int_range(pl.len()).over("row"))
        .join(here, on=["row", "position"], how="left", maintain_order="left")
        .with_columns(value=pl.when(pl.col("is_bad").is_null()).then(pl.col("element").struct.field("value")))
        .select("row", repaired=pl.struct(pl.col("element").struct.field("index"), "value"))
        .group_by("row", maintain_order=True)
        .agg("repaired")
    )
    found = held.join(repaired, on="row", how="left", maintain_order="left")
    return found.select(pl.coalesce("repaired", "element").alias(column.name)).to_series()


def unnest_elements(rows: pl.DataFrame, arrays: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The arrays of these rows in long form, and the values that belong to no index.

    `rows` has row (rising) and the arrays. The first frame has row, index and a column for each array, sorted by row
    and index, no two alike; null where an array has no such index. The second has row, field, index, value, reason:
    an element without an index, and all but the first of those that share one.
    """
    parts, aside = [], [pl.DataFrame(schema=ASIDE)]
    for name in arrays:
        good, odd = _unnest(rows, name)
        parts.append(good)
        aside.append(odd.with_columns(field=pl.lit(name)).select(*ASIDE))
    return reduce(_join_by_index, parts), pl.concat(aside)


def _unnest(rows: pl.DataFrame, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """row, index and the array's values, sorted; and what has no index or one that is taken."""
    filled = rows.select("row", name).filter(pl.col(name).list.len() > 0)
    long = filled.explode(name).unnest(name)
    same = pl.col("row") == pl.col("row").shift(1)
    rising = ~same | (pl.col("index") > pl.col("index").shift(1))
    plain = pl.col("index").is_not_null() & (pl.col("index") != "")
    odd = long.clear().with_columns(reason=pl.lit(""))
    if not long.select((rising.slice(1).all() & plain.all()).fill_null(value=False)).item():
        said = long.filter(pl.any_horizontal(pl.col("index", "value").is_not_null()))
        double = ~pl.struct(KEY).is_first_distinct()
        reason = (
            pl.when(~plain).then(pl.lit(row_rules.NO_INDEX)).when(double).then(pl.lit(row_rules.DUPLICATE))
        )
        judged = said.with_columns(reason=reason)
        odd = judged.drop_nulls("reason")
        long = judged.filter(pl.col("reason").is_null()).drop("reason").sort(KEY)
    return long.rename({"value": name}), odd


def _join_by_index(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Both frames joined by row and index. Most arrays of a row have the same indexes in the same order."""
    if left.height == right.height and left.select(KEY).equals(right.select(KEY)):
        return left.hstack(right.drop(KEY))
    both = left.join(right, on=KEY, how="left", maintain_order="left")
    others = right.join(left, on=KEY, how="anti")
    if not others.height:
        return both
    return pl.concat([both, others], how="diagonal").sort(KEY)
