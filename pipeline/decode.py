"""Answers of a measurement set to columns, by an engine: no loop over rows or keys.

DuckDB reads the JSON of a whole batch of answers at once. It is lenient: an absent key is null, and so is a value
that is no number. So what it read is counted against the keys in the text; where the numbers differ, and only there,
the answers are looked at closely, and nothing is lost in silence.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl

# What stands between a key and its value. White space before the colon would only cause a closer look.
KEY_MARK = '":'
# Bytes that are looked through at once: they and what is found in them stay in a core's cache.
LOOK_BYTES = 2**17
# The envelope in front of the rows is short: its resolution and its keys are looked for in this many bytes.
ENVELOPE = 2048

BAD_ANSWER = {"answer": pl.UInt32, "reason": pl.String}
BAD_VALUE = {"answer": pl.UInt32, "raw_time": pl.String, "field": pl.String, "detail": pl.String}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of answers holds. `answer` is always the answer's place in the batch.

    `rows`: answer, raw_time, then one Float64 column a field; in the order of the answers and of their rows.
    `resolution`: the declared resolution of each answer in the batch, null where there is none.
    `bad_answers`: answer, reason (`not_utf8`, `not_json`, `wrong_shape`).
    `bad_values`: answer, raw_time, field, detail of each value that is no number.
    `unknown_fields`: fields of rows that the set is not known to have.
    """

    rows: pl.DataFrame
    resolution: pl.Series
    bad_answers: pl.DataFrame
    bad_values: pl.DataFrame
    unknown_fields: tuple[str, ...]


# An engine belongs to one thread: what is registered in it is this thread's batch.
_engines = threading.local()


class Decoder:
    """Reads answers of sets with the given fields, in the thread that made it."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self.engine = _engine()
        row = {"time": "VARCHAR", **dict.fromkeys(self.fields, "DOUBLE")}
        self.shape = json.dumps({"set": [row]})

    def decode(self, bodies: pl.Series) -> Decoded:
        """Columns of all bodies (Binary), and what could not be read."""
        texts = _texts(bodies)
        batch = pl.DataFrame({"body": texts}).with_row_index("answer")
        try:
            good, bad = batch, pl.DataFrame(schema=BAD_ANSWER)
            if texts.null_count():
                good, bad = self._sort_out(batch)
            rows = self._rows(good)
        except duckdb.InvalidInputException:
            good, bad = self._sort_out(batch)
            rows = self._rows(good)
        if rows["answer"].n_unique() < good.height:
            # No rows: an empty list, which is normal, or no list at all.
            silent = good.join(rows, on="answer", how="anti", maintain_order="left")
            bad = pl.concat([bad, self._sort_out(silent)[1]]).unique().sort("answer")
            # An answer without a list of rows has no name of one either, which the count takes for granted.
            good = good.join(bad, on="answer", how="anti", maintain_order="left")
        values, unknown = pl.DataFrame(schema=BAD_VALUE), tuple[str, ...]()
        if not self._accounted(good, rows):
            values, unknown = self._look_closely(good)
        resolution = texts.str.head(ENVELOPE).str.extract(r'"resolution"\s*:\s*"(\w+)"')
        return Decoded(rows, resolution, bad, values, unknown)

    def _rows(self, batch: pl.DataFrame) -> pl.DataFrame:
        query = f"SELECT answer, unnest(from_json(body, '{self.shape}').set, recursive := true) FROM batch"  # noqa: S608
        return self._sql(query, batch).rename({"time": "raw_time"})

    def _accounted(self, batch: pl.DataFrame, rows: pl.DataFrame) -> bool:
        """Whether every key of the text became a value of a row, or stands in the envelope before the rows."""
        # Up to the name of the list of rows, and that name itself.
        before = batch["body"].str.head(ENVELOPE).str.splitn('"set"', 2).struct[0]
        envelope = int(before.str.count_matches(KEY_MARK, literal=True).sum()) + batch.height
        read = sum(rows.height - rows[name].null_count() for name in ("raw_time", *self.fields))
        return _key_marks(batch["body"]) == envelope + read

    def _sort_out(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The answers of the right shape, and the others with the reason."""
        kinds = self._sql(
            """
            SELECT answer, CASE
                WHEN body IS NULL THEN 'not_utf8'
                WHEN NOT json_valid(body) THEN 'not_json'
                WHEN json_type(body, '$.set') IS DISTINCT FROM 'ARRAY' THEN 'wrong_shape'
            END AS reason
            FROM batch ORDER BY answer
            """,
            batch,
        )
        return batch.filter(kinds["reason"].is_null()), kinds.drop_nulls("reason")

    def _look_closely(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Every known field whose value is no number, and every unknown field."""
        cells = self._sql(
            """
            SELECT answer, raw.row->>'time' AS raw_time, cell.key AS field, left(cell.value::VARCHAR, 100) AS detail
            FROM (SELECT answer, unnest(from_json(body, '{"set": ["JSON"]}').set) AS row FROM batch) AS raw,
                 json_each(raw.row) AS cell
            WHERE cell.key <> 'time' AND cell.type NOT IN ('NULL', 'DOUBLE', 'BIGINT', 'UBIGINT', 'HUGEINT')
               OR cell.key NOT IN (SELECT unnest($fields))
            """,
            batch,
            fields=["time", *self.fields],
        )
        known = pl.col("field").is_in(self.fields)
        # A number in quotes was read as the number that it is.
        number = pl.col("detail").str.strip_chars('"').cast(pl.Float64, strict=False).is_not_null()
        return cells.filter(known & ~number), tuple(sorted(cells.filter(~known)["field"].unique()))

    def _sql(self, query: str, batch: pl.DataFrame, **values: object) -> pl.DataFrame:
        # In the layout that polars itself has, which the engine reads where it lies.
        self.engine.register("batch", batch.to_arrow(compat_level=pl.CompatLevel.newest()))
        try:
            return self.engine.execute(query, values or None).pl()
        finally:
            # The engine outlives the batch.
            self.engine.unregister("batch")


def _engine() -> duckdb.DuckDBPyConnection:
    """This thread's in-memory engine: to start one costs more than to read a small fleet's day."""
    if not hasattr(_engines, "engine"):
        _engines.engine = duckdb.connect(config={"threads": 1})
    engine: duckdb.DuckDBPyConnection = _engines.engine
    return engine


def _key_marks(texts: pl.Series) -> int:
    """How often `KEY_MARK` stands in the texts: a third of what a search for it costs, with a hit every 25 bytes."""
    _, _, buffer = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
    whole = np.frombuffer(buffer or b"", np.uint8)
    quote, colon = KEY_MARK.encode()
    found = 0
    for start in range(0, len(whole), LOOK_BYTES):
        piece = whole[start : start + LOOK_BYTES + 1]
        found += int(np.count_nonzero((piece[:-1] == quote) & (piece[1:] == colon)))
    return found


def _texts(bodies: pl.Series) -> pl.Series:
    """The bodies as text; null where they are not UTF-8."""
    try:
        return bodies.cast(pl.String)
    except pl.exceptions.ComputeError:
        readable = [_utf8(body) for body in bodies]
        return pl.Series(bodies.name, readable, dtype=pl.String)


def _utf8(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
