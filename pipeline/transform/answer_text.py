"""Decodes bodies of answers to text that all readers accept, and bounds the size of an answer. No value is changed.

One odd character must not cost a whole answer: half a surrogate pair is legal JSON for some writers and an error for
most readers, and so is a bare control character. Both may stand in the name of one plant of a list of thousands.
"""

import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

# An answer beyond these bounds does not come from SMA and would take too much memory. For comparison: a week of minutes
# has 10,080 rows, a row of PowerAc 27 fields, and the list of plants is five levels deep.
MOST_ROWS = 100_000
MOST_FIELDS = 500
MOST_KEYS = 500_000
MOST_DEPTH = 32
# The largest number of names that no table knows, over all answers that are read together.
MOST_UNKNOWN = 1_000
# So much of what can't be read is shown beside its reason.
DETAIL_CHARACTERS = 100

_HALVES = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u[dD][89a-fA-F]).)|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
# Tabs and ends of lines may stand between values, but not within a text: distinguishing them costs more than repairing
# both.
_ODD = r"\\u[dD][89a-fA-F]|[\x00-\x1f]|^\x{feff}"
_CONTROLS = dict.fromkeys(range(0x20), " ")
_NO_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[^\[\]{}"]+', re.DOTALL)
# Arrow has texts as views of 16 bytes: the size; then the text itself, up to this size, or else four bytes of it, the
# buffer in which it stands, and where.
_HELD_BYTES = 12
_DEEPER = np.zeros(256, np.int8)
_DEEPER[list(b"[{")], _DEEPER[list(b"]}")] = 1, -1


def decode_texts(bodies: pl.Series) -> pl.Series:
    """Decode bodies to text; a body that is not UTF-8 becomes null."""
    try:
        return bodies.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(bodies.name, [_replace_invalid(body) for body in bodies], dtype=pl.String)


def list_buffers(texts: pl.Series) -> Iterator[pa.Buffer]:
    """Each text where it lies, in UTF-8, empty for null. Arrow's own values of such a column would be copies."""
    array = texts.fill_null("").to_arrow(compat_level=pl.CompatLevel.newest())
    _, views, *longer = array.buffers()
    all_views = np.frombuffer(views, np.int32).reshape(-1, 4)[array.offset : array.offset + len(array)]
    for number, (size, _, buffer, offset) in enumerate(all_views.tolist(), array.offset):
        held = size <= _HELD_BYTES
        yield views.slice(number * 16 + 4, size) if held else longer[buffer].slice(offset, size)


def mend(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair and a blank for each control character."""
    return _HALVES.sub(lambda found: found[1] or "\\ufffd", text.removeprefix("\ufeff").translate(_CONTROLS))


def mend_texts(texts: pl.Series) -> pl.Series:
    """The texts, with damaged ones repaired."""
    odd = texts.str.contains(_ODD).fill_null(value=False)
    if not odd.any():
        return texts
    return texts.scatter(odd.arg_true(), [mend(text) for text in texts.filter(odd)])


def decode_whole_texts(bodies: pl.Series) -> pl.Series:
    """The bodies of lists and logs as repaired text, with U+FFFD for bytes that are not UTF-8."""
    texts = decode_texts(bodies)
    if texts.null_count():
        texts = pl.Series(bodies.name, [body.decode("utf-8", "replace") for body in bodies], dtype=pl.String)
    return mend_texts(texts)


def mend_body(body: bytes) -> str:
    """The body of a list or log as repaired text, as `decode_whole_texts` has it."""
    return mend(body.decode("utf-8", "replace"))


def is_too_deep(body: bytes) -> bool:
    """Whether a JSON text is nested more deeply than `MOST_DEPTH`; most have fewer brackets than that."""
    return body.count(b"[") + body.count(b"{") > MOST_DEPTH and measure_depth(body) > MOST_DEPTH


def measure_depth(body: bytes) -> int:
    """The nesting depth of lists and objects in a JSON text."""
    brackets = np.frombuffer(_NO_BRACKET.sub(b"", body), np.uint8)
    return int(np.cumsum(_DEEPER[brackets], dtype=np.int64).max(initial=0))


def _replace_invalid(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
