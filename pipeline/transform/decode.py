"""Answers of a measurement set to columns, by an engine: no loop over rows or keys.

DuckDB reads the JSON of a whole batch of answers at once. It is lenient: an absent key is null, and so is a value
that is not a number. So what it read is counted against the keys in the text; where the numbers differ, and only there,
the answers are looked at closely, and nothing is lost silently.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl

from pipeline.transform.answer_bounds import KEY_MARK, build_batch, find_large, sort_out
from pipeline.transform.answer_text import DETAIL_CHARACTERS, MOST_UNKNOWN, list_buffers, mend_texts
from pipeline.transform.array_fields import (
    ELEMENT,
    count_marks,
    count_marks_in_row,
    drop_values,
    name_array_column,
    take_other_form,
)
from pipeline.transform.json_engine import open_engine, run_on

# What the count would not notice: a key with white space before its colon, and booleans, which DuckDB reads as 1 and 0.
UNCOUNTED = r"[ \t\r\n]:|true|false"
# Bytes that are looked through at once: they and what is found in them stay in a core's cache.
LOOK_BYTES = 2**17
# The envelope in front of the rows is short: its resolution and its keys are looked for in this many characters.
ENVELOPE = 2048
# Unknown fields are read too once they were seen, so that the count holds again. Their names go into a query.
ORDINARY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
MOST_EXTRA = 32

BAD_ANSWER = {"answer": pl.UInt32, "reason": pl.String}
BAD_VALUE = {"row": pl.UInt32, "field": pl.String, "index": pl.String, "detail": pl.String}


# Every cell of every row: its key and its value as JSON. A row's own text is not carried along with each of its cells,
# which would take the square of its size.
CELLS = """
SELECT answer, place, has_doubles, unnest(names) AS field, unnest(cells) AS value
FROM (
    SELECT answer, place, names, json_extract(object, '$.*') AS cells,
           len(list_distinct(names)) < len(names) AS has_doubles
    FROM (
        SELECT *, json_keys(object) AS names
        FROM (
            SELECT answer, unnest(list) AS object, generate_subscripts(list, 1) - 1 AS place
            FROM (SELECT answer, from_json(body, '{"set": ["JSON"]}').set AS list FROM batch)
        )
    )
    WHERE len(names) > 0
)
"""


_NUMBERS = "('DOUBLE', 'BIGINT', 'UBIGINT', 'HUGEINT', 'NULL')"

# Every cell that is unknown, or of the wrong type, or of a row in which a key comes twice.
_ODD_CELLS = f"""
SELECT answer, place, field, value::VARCHAR AS detail, type = 'ARRAY' AS is_array,
       CASE WHEN type IN ('ARRAY', 'OBJECT') THEN NULL ELSE try_cast(value->>'$' AS DOUBLE) END AS number,
       CASE WHEN type = 'ARRAY'
            THEN from_json(value, '[{{"index": "VARCHAR", "value": "DOUBLE"}}]') END AS elements,
       CASE WHEN list_contains($arrays, field) THEN type IN ('ARRAY', 'NULL')
            WHEN type IN {_NUMBERS} THEN true
            ELSE try_cast(value->>'$' AS DOUBLE) IS NOT NULL END AS is_right
FROM (SELECT *, json_type(value) AS type FROM ({CELLS}))
WHERE has_doubles OR NOT is_right AND field <> 'time' OR NOT list_contains($known, field)
"""  # noqa: S608 - our own text

# Every element of an array that is no object with a number and a text or number to name it, or that says more.
_ODD_ELEMENTS = f"""
SELECT answer, place, field, position, json_extract_string(element, '$.index') AS index, element::VARCHAR AS detail,
       list_filter(names, lambda name: name NOT IN ('index', 'value')) AS strange,
       type = 'OBJECT' AND len(list_distinct(names)) = len(names)
       AND coalesce(json_type(element, '$.index'), 'NULL') IN ('VARCHAR', {_NUMBERS[1:-1]})
       AND (coalesce(json_type(element, '$.value'), 'NULL') IN {_NUMBERS}
            OR json_type(element, '$.value') = 'VARCHAR'
               AND try_cast(json_extract_string(element, '$.value') AS DOUBLE) IS NOT NULL) AS is_right
FROM (
    SELECT *, json_type(element) AS type, json_keys(element) AS names
    FROM (
        SELECT answer, place, field, unnest(list) AS element, generate_subscripts(list, 1) - 1 AS position
        FROM (
            SELECT answer, place, field, from_json(value, '["JSON"]') AS list
            FROM ({CELLS}) WHERE json_type(value) = 'ARRAY' AND list_contains($arrays, field)
        )
    )
)
WHERE type <> 'NULL' AND (NOT is_right OR len(strange) > 0)
"""  # noqa: S608 - our own text

_RESOLUTIONS = """
SELECT answer, CASE WHEN json_valid(body) THEN json_extract_string(body, '$.resolution') END AS resolution
FROM batch ORDER BY answer
"""


_ARRAY = [{"index": "VARCHAR", "value": "DOUBLE"}]


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """What a batch of answers holds. `answer` is always the answer's place in the batch.

    `rows`: answer, raw_time, then one column a field: Float64, or a list of index and value (an array); in the order of
    the answers and of their rows. A field that may be either has a second column for its arrays (`name_array_column`).
    `resolution`: the declared resolution of each answer in the batch, null where there is none.
    `bad_answers`: answer, reason (`not_utf8`, `not_json`, `wrong_shape`, `too_large`).
    `bad_values`: row (place in `rows`, where the value is null), field, index (of an array's element) and detail of
    each value that is not a number, or that its row gives twice and differently.
    `unknown_fields`: fields of rows that the set is not known to have.
    `texts`: answer and body of each answer as text, for who wants to read more of it.
    """

    rows: pl.DataFrame
    resolution: pl.Series
    bad_answers: pl.DataFrame
    bad_values: pl.DataFrame
    unknown_fields: tuple[str, ...]
    texts: pl.DataFrame


class Decoder:
    """Reads answers of sets with the given fields, some of them arrays, in the thread that made it.

    A number where an array is expected is the value of the first element, and an array of one element where a number
    is expected is that number: SMA was seen to send either. The arrays of fields in `either`, which else are numbers,
    are kept as well, whatever their length.
    """

    def __init__(
        self, fields: Sequence[str], arrays: Collection[str] = (), either: Collection[str] = ()
    ) -> None:
        self.fields = tuple(fields)
        self.arrays = tuple(name for name in fields if name in arrays)
        self.either = tuple(name for name in fields if name in either)
        # Fields that were not known: whether each is an array.
        self.extra: dict[str, bool] = {}
        self.engine = open_engine()

    def decode(self, bodies: pl.Series) -> DecodedBatch:
        """Columns of all bodies (Binary), and what could not be read."""
        batch = build_batch(bodies)
        good, bad = batch, pl.DataFrame(schema=BAD_ANSWER)
        try:
            plain = not batch["body"].null_count() and not find_large(batch).height
            rows = self._decode_rows(good) if plain else None
        except duckdb.InvalidInputException:
            rows = None
        if rows is None:
            batch = batch.with_columns(mend_texts(batch["body"]))
            good, bad = sort_out(batch, batch)
            rows = self._decode_rows(good)
        suspects = self._find_suspects(good, rows)
        values, unknown = pl.DataFrame(schema=BAD_VALUE), set[str]()
        if suspects.height:
            readable, shapeless = sort_out(suspects, suspects)
            bad = pl.concat([bad, shapeless]).sort("answer")
            rows = rows.join(shapeless, on="answer", how="anti", maintain_order="left")
            rows, values, unknown = self._look_closely(readable, rows)
        unknown |= {name for name in rows.columns if name in self.extra and rows[name].count()}
        rows = rows.select("answer", "raw_time", *self.fields, *map(name_array_column, self.either))
        told = tuple(sorted(unknown)[:MOST_UNKNOWN])
        return DecodedBatch(rows, self._read_resolution(batch), bad, values, told, batch)

    def _decode_rows(self, batch: pl.DataFrame) -> pl.DataFrame:
        """answer, raw_time, the known fields as numbers or arrays of them, the extra ones as text or arrays."""
        known = {name: _ARRAY if name in self.arrays else "DOUBLE" for name in self.fields}
        extra = {name: _ARRAY if is_array else "VARCHAR" for name, is_array in self.extra.items()}
        shape = json.dumps({"set": [{"time": "VARCHAR", **known, **extra}]})
        query = f"SELECT answer, unnest(from_json(body, '{shape}').set, recursive := true) FROM batch"  # noqa: S608
        found = run_on(query, batch).rename({"time": "raw_time"})
        if not self.either:
            return found
        return found.with_columns(
            pl.lit(None, ELEMENT).alias(name_array_column(name)) for name in self.either
        )

    def _find_suspects(self, batch: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """The answers to be looked at closely: those without rows, and those with a key that is unaccounted for."""
        # Rows come in the order of their answers.
        if rows["answer"].set_sorted().n_unique() == batch.height:
            return self._find_unaccounted(batch, rows)
        # No rows: an empty list, which is normal, or no list at all.
        silent = batch.join(rows, on="answer", how="anti", maintain_order="left")
        others = batch.join(silent, on="answer", how="anti", maintain_order="left")
        return pl.concat([silent, self._find_unaccounted(others, rows)]).sort("answer")

    def _find_unaccounted(self, batch: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """The answers with a key that neither became a value of a row nor stands in the envelope before the rows.

        Nothing is read without a mark in the text, so no answer has fewer marks than values, and the sums of the batch
        are enough, unless something in it escapes the count.
        """
        texts = batch.select("answer", "body", envelope=_extract_envelope())
        values = ["raw_time", *self.fields, *self.extra]
        # Rows can't begin within the envelope.
        early = pl.col("envelope").str.contains("[", literal=True)
        escapes = early | pl.col("body").str.contains(UNCOUNTED)
        outside = pl.col("envelope").str.count_matches(KEY_MARK, literal=True).sum()
        escaped, expected = texts.select(escaped=escapes.any(), expected=outside).row(0)
        if not escaped:
            expected += sum(count_marks(rows[name]) for name in values)
            if _count_key_marks(batch["body"]) == expected:
                return batch.clear()
        in_row = pl.sum_horizontal(count_marks_in_row(name, rows.schema[name]) for name in values)
        read = rows.select("answer", read=in_row).group_by("answer").agg(pl.col("read").sum())
        odd = (
            early | (_count_behind(UNCOUNTED) > 0) | (_count_behind(KEY_MARK) != pl.col("read").fill_null(0))
        )
        checked = texts.join(read, on="answer", how="left", maintain_order="left").select(odd)
        return batch.filter(checked.to_series())

    def _look_closely(
        self, batch: pl.DataFrame, rows: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame, set[str]]:
        """The rows with null for each bad value of these answers, the bad values, and the unknown fields."""
        known = ["time", *self.fields]
        cells = run_on(_ODD_CELLS, batch, known=known, arrays=list(self.arrays))
        strange = cells.filter(~pl.col("field").is_in(known))
        self._learn(dict(strange.group_by("field").agg(pl.col("is_array").all()).rows()))
        begins = rows.with_row_index("row").group_by("answer").agg(pl.col("row").min())
        odd = (
            _find_row(cells.filter(pl.col("field").is_in(known)), begins)
            .group_by("row", "field", maintain_order=True)
            .agg(
                pl.col("detail").unique().sort(),
                pl.col("is_right").all(),
                pl.col("number", "elements").first(),
            )
            .filter(~pl.col("is_right") & (pl.col("field") != "time") | (pl.col("detail").list.len() > 1))
        )
        rows, bad = self._take_other_forms(rows, odd)
        bad = bad.with_columns(
            pl.col("detail").list.eval(pl.element().str.head(DETAIL_CHARACTERS)).list.join(" and "),
            index=pl.lit(None, pl.String),
        )
        for (field,), found in bad.group_by("field"):
            column = "raw_time" if field == "time" else str(field)
            here = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(found["row"].implode())
            rows = rows.with_columns(pl.when(~here).then(column).alias(column))
        values = [bad.filter(pl.col("field") != "time").select(*BAD_VALUE)]
        names = set(strange["field"])
        if self.arrays or self.either:
            rows, elements, more = self._look_at_elements(batch, rows, begins)
            values.append(elements)
            names |= more
        return rows, pl.concat(values), names

    def _take_other_forms(self, rows: pl.DataFrame, odd: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows with what came in the other form than expected, and the odd cells that have no form at all."""
        once = pl.col("detail").list.len() == 1
        only = pl.col("elements").list.first().struct.field("value")
        one = pl.when(pl.col("elements").list.len() == 1).then(only)
        number = pl.when(pl.col("field").is_in(self.arrays)).then("number").otherwise(one)
        kept = pl.col("field").is_in(self.either) & pl.col("elements").is_not_null()
        found = odd.with_columns(number=pl.when(once).then(number), is_kept=once & kept)
        taken = found.filter(pl.col("number").is_not_null() | pl.col("is_kept"))
        for (name,), cells in taken.group_by("field"):
            rows = take_other_form(rows, str(name), cells)
            if name in self.either:
                rows = take_other_form(rows, name_array_column(str(name)), cells)
        return rows, odd.join(taken, on=["row", "field"], how="anti", maintain_order="left")

    def _look_at_elements(
        self, batch: pl.DataFrame, rows: pl.DataFrame, begins: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame, set[str]]:
        """The rows with null for each bad value of an array, the bad values, and the unknown keys of elements."""
        odd = run_on(_ODD_ELEMENTS, batch, arrays=[*self.arrays, *self.either])
        keys = odd.explode("strange").drop_nulls("strange").select(pl.col("field") + "." + pl.col("strange"))
        bad = _find_row(odd.filter(~pl.col("is_right")), begins)
        for (field,), found in bad.group_by("field"):
            column = name_array_column(str(field)) if field in self.either else str(field)
            rows = rows.with_columns(drop_values(rows[column], found))
        shown = bad.with_columns(pl.col("detail").str.head(DETAIL_CHARACTERS)).select(*BAD_VALUE)
        return rows, shown, set(keys.to_series())

    def _learn(self, unknown: Mapping[str, bool]) -> None:
        """Read these fields (arrays: true) from now on, as far as their names fit into a structure of DuckDB."""
        taken = {name.lower() for name in ("answer", "time", "raw_time", *self.fields, *self.extra)}
        for name in sorted(unknown):
            if ORDINARY_NAME.fullmatch(name) and name.lower() not in taken and len(self.extra) < MOST_EXTRA:
                taken.add(name.lower())
                self.extra[name] = unknown[name]

    def _read_resolution(self, batch: pl.DataFrame) -> pl.Series:
        """The declared resolution of each answer; it may also stand behind the rows."""
        declared = pl.col("body").str.head(ENVELOPE).str.extract(r'"resolution"\s*:\s*"(\w+)"')
        found = batch.select(resolution=declared).to_series()
        if not found.null_count():
            return found
        late = run_on(_RESOLUTIONS, batch)["resolution"]
        return found.zip_with(found.is_not_null(), late)


def _find_row(found: pl.DataFrame, begins: pl.DataFrame) -> pl.DataFrame:
    """`row`, the place among all rows, of what was found at a place within an answer."""
    placed = found.join(begins, on="answer", maintain_order="left")
    return placed.with_columns(pl.col("row") + pl.col("place").cast(pl.UInt32))


def _extract_envelope() -> pl.Expr:
    """What stands before the rows, with the name of their list; nothing where that name doesn't come early."""
    halves = pl.col("body").str.head(ENVELOPE).str.splitn('"set"', 2).struct
    return pl.when(halves[1].is_not_null()).then(halves[0] + '"set":').otherwise(pl.lit(""))


def _count_behind(pattern: str) -> pl.Expr:
    """How often the pattern stands behind the envelope."""
    body, envelope = (pl.col(text).str.count_matches(pattern).cast(pl.Int64) for text in ("body", "envelope"))
    return body - envelope


def _count_key_marks(texts: pl.Series) -> int:
    """How often `KEY_MARK` stands in the texts, where they lie: to copy them costs more than to count.

    It takes a third of what a search takes, with a hit every 25 bytes.
    """
    quote, colon = KEY_MARK.encode()
    found = 0
    for text in list_buffers(texts):
        whole = np.frombuffer(text, np.uint8)
        for start in range(0, len(whole), LOOK_BYTES):
            piece = whole[start : start + LOOK_BYTES + 1]
            found += int(np.count_nonzero((piece[:-1] == quote) & (piece[1:] == colon)))
    return found
