"""Which answers of a batch have the shape and the size of an answer, and why the others have not."""

from typing import Final

import msgspec
import polars as pl
import pyarrow as pa

from pipeline.transform.answer_text import (
    MOST_FIELDS,
    MOST_KEYS,
    MOST_ROWS,
    decode_texts,
    is_too_deep,
    list_buffers,
    mend_texts,
)
from pipeline.transform.json_engine import run_on

# What stands between a key and its value.
KEY_MARK = '":'

# Answers larger than this are counted before they are read: a plant's day of minutes is smaller.
LARGE_BYTES = 2**19
TOO_LARGE = "too_large"

ROWS_KEY: Final = b'"set"'
ROWS_BEGIN: Final = ord("[")


class _RowsText(msgspec.Struct):
    """The rows of an answer as text; of a key that comes twice the last one."""

    rows: msgspec.Raw = msgspec.field(name="set")


# It goes through all of an answer, keeps nothing of it, and accepts less than the engine does.
_ROWS_READER: Final = msgspec.json.Decoder(_RowsText)

# What is wrong with an answer is found out after its type, and keys are listed only where the text could hold a second
# list of rows.
_REASONS = """
SELECT answer, CASE
    WHEN body IS NULL THEN 'not_utf8'
    WHEN TRY(json_type(body, '$.set')) IS NOT DISTINCT FROM 'ARRAY' THEN CASE
        WHEN NOT doubtful THEN NULL
        WHEN len(list_filter(json_keys(body), lambda name: name = 'set')) > 1 THEN 'wrong_shape'
    END
    WHEN NOT json_valid(body) THEN 'not_json'
    ELSE 'wrong_shape'
END AS reason
FROM batch ORDER BY answer
"""

_LENGTHS = "SELECT answer, json_array_length(body, '$.set') AS n_rows FROM batch"
# How many fields the widest row of each answer has.
_WIDTHS = """
SELECT answer, list_max(list_transform(list, lambda object: len(json_keys(object)))) AS n_fields
FROM (SELECT answer, from_json(body, '{"set": ["JSON"]}').set AS list FROM batch)
"""


def find_unreadable(bodies: pl.Series) -> dict[int, str]:
    """The places of bodies (Binary) that are not a JSON object with a list of rows, or beyond all bounds, and why."""
    batch = build_batch(bodies)
    # Nearly every answer is right, which a quick reader can tell. The engine judges the others.
    right = pl.Series([_is_right(body) for body in list_buffers(batch["body"])], dtype=pl.Boolean)
    batch = batch.filter(~right)
    if not batch.height:
        return {}
    _, bad = sort_out(batch, find_large(batch))
    if bad.height:
        _, bad = sort_out(batch.with_columns(mend_texts(batch["body"])), find_large(batch))
    return dict(bad.rows())


def build_batch(bodies: pl.Series) -> pl.DataFrame:
    """A batch of bodies (Binary): `answer`, the place of each, and `body`, its text, null where it is not UTF-8."""
    return pl.DataFrame({"body": decode_texts(bodies)}).with_row_index("answer")


def find_large(batch: pl.DataFrame) -> pl.DataFrame:
    """The answers whose rows and keys have to be counted before they are read."""
    return batch.filter(pl.col("body").str.len_bytes() > LARGE_BYTES)


def sort_out(batch: pl.DataFrame, suspects: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The answers of the right shape and size, and the others with the reason; the size only of the suspects.

    What is beyond the bounds of an answer is found before the engine parses it, as far as the text alone can tell.
    """
    keys = pl.col("body").str.count_matches(KEY_MARK, literal=True)
    deep = [body is not None and is_too_deep(body.encode()) for body in suspects["body"]]
    beyond = suspects.filter(pl.Series(deep, dtype=pl.Boolean) | (keys > MOST_KEYS))["answer"]
    rest = batch.filter(~pl.col("answer").is_in(beyond.implode()))
    kinds = run_on(_REASONS, rest.with_columns(_could_have_two_lists())).drop_nulls("reason")
    shaped = suspects.join(rest, on="answer", how="semi").join(kinds, on="answer", how="anti")
    if shaped.height:
        long = run_on(_LENGTHS, shaped).filter(pl.col("n_rows") > MOST_ROWS)["answer"]
        narrow = shaped.filter(~pl.col("answer").is_in(long.implode()))
        wide = run_on(_WIDTHS, narrow).filter(pl.col("n_fields") > MOST_FIELDS)["answer"]
        beyond = pl.concat([beyond, long, wide])
    if beyond.len():
        large = pl.DataFrame({"answer": beyond}).with_columns(reason=pl.lit(TOO_LARGE))
        kinds = pl.concat([kinds, large]).sort("answer")
    return batch.join(kinds, on="answer", how="anti", maintain_order="left"), kinds


def _is_right(body: pa.Buffer) -> bool:
    """Whether an answer that is not large is surely JSON with one list of rows: no is no verdict."""
    if body.size > LARGE_BYTES:
        return False
    try:
        rows = pa.py_buffer(_ROWS_READER.decode(body).rows)
    except (msgspec.MsgspecError, RecursionError):
        return False
    # A list that is not the last one would stand before it, under the same key, which may have signs that are escaped.
    envelope = body.slice(0, rows.address - body.address).to_pybytes()
    return rows[0] == ROWS_BEGIN and envelope.count(ROWS_KEY) == 1 and b"\\" not in envelope


def _could_have_two_lists() -> pl.Expr:
    """Whether the text of a body could hold the key of the rows twice, also where a sign of it is escaped."""
    body = pl.col("body")
    behind = body.str.splitn('"set"', 2).struct[1]
    more = behind.str.contains('"set"', literal=True).fill_null(value=False)
    return (more | body.str.contains("\\", literal=True)).alias("doubtful")
