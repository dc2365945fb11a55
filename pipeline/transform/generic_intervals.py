"""Decodes answers for sets that have no table of their own: every value becomes a row, whatever its field and type.

Nothing is known of the fields, so nothing but the time is judged, by the same rules as everywhere.
"""

import polars as pl

from pipeline.common.local_time import MergedHour, TimeBasis
from pipeline.transform import row_rules
from pipeline.transform.decode import CELLS, DecodedBatch
from pipeline.transform.intervals import BAD_VALUE, SetTransform
from pipeline.transform.json_engine import run_on
from pipeline.transform.thresholds import Thresholds
from schemas import OtherIntervals
from schemas.base import FINITE
from schemas.quantities import MeasurementSet

# An element without an index is named by its position; an element without a value is itself the value.
_CELLS = f"""
SELECT answer, place, field, element, try_cast(json AS DOUBLE) AS number, kind,
       CASE WHEN kind = 'VARCHAR' THEN json->>'$' ELSE json::VARCHAR END AS text
FROM (
    SELECT *, json_type(json) AS kind
    FROM (
        SELECT answer, place, field, NULL AS element, value AS json
        FROM ({CELLS}) WHERE field <> 'time' AND json_type(value) <> 'ARRAY'
        UNION ALL
        SELECT answer, place, field, coalesce(nullif(item->>'$.index', ''), '#' || position) AS element,
               CASE WHEN json_exists(item, '$.value') THEN item->'$.value' ELSE item END AS json
        FROM (
            SELECT answer, place, field, unnest(list) AS item, generate_subscripts(list, 1) AS position
            FROM (
                SELECT answer, place, field, from_json(value, '["JSON"]') AS list
                FROM ({CELLS}) WHERE field <> 'time' AND json_type(value) = 'ARRAY'
            )
        )
    )
)
WHERE kind <> 'NULL'
ORDER BY answer, place, field, element
"""  # noqa: S608 - our own text
NUMBERS = ["DOUBLE", "BIGINT", "UBIGINT", "HUGEINT"]


class OtherTransform(SetTransform):
    """Turns raw answers of one such set into rows of `other_intervals`."""

    def __init__(
        self, name: str, basis: TimeBasis, merged_hour: MergedHour = "gap", limits: Thresholds | None = None
    ) -> None:
        super().__init__(MeasurementSet(name, ()), OtherIntervals, basis, merged_hour, limits)

    def _find_step(self) -> pl.Expr:
        """The start of an interval is not stored in this table, so an unknown resolution does not set rows aside."""
        return pl.coalesce(super()._find_step(), pl.duration(hours=1))

    def _number_cells(self, rows: pl.DataFrame, decoded: DecodedBatch) -> tuple[pl.DataFrame, pl.DataFrame]:
        """All values of these rows, and the repeated values of a field or of an index of an array."""
        readable = decoded.texts.join(decoded.bad_answers, on="answer", how="anti", maintain_order="left")
        found = run_on(_CELLS, readable)
        begins = decoded.rows.with_row_index("row").group_by("answer").agg(pl.col("row").min())
        number = pl.col("number").is_between(-FINITE, FINITE) & pl.col("kind").is_in(NUMBERS)
        values = (
            found.join(begins, on="answer", maintain_order="left")
            .select(
                pl.col("row") + pl.col("place").cast(pl.UInt32),
                "field",
                "element",
                double=~pl.struct("answer", "place", "field", "element").is_first_distinct(),
                value=pl.when(number).then("number"),
                value_text=pl.when(~number).then("text"),
            )
        )  # fmt: skip
        own = rows.with_columns(pl.col("device_id").replace("", None), set_type=pl.lit(self.set.name))
        cells = own.join(values, on="row", maintain_order="left_right").with_row_index("cell")
        lost = cells.filter("double").with_columns(
            cell=pl.lit(None, pl.UInt32),
            detail=pl.coalesce(pl.format("index {}", "element"), "value_text"),
            reason=pl.lit(row_rules.DUPLICATE),
        )
        return cells.filter(~pl.col("double")), lost.select(*BAD_VALUE)
