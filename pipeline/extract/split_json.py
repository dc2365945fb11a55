"""Splits answers that span several days into the part of each day. No value is read or changed.

The pieces of an answer are the envelope as it came, with the rows of one day as they came, so that a day of a week's
answer is stored, read and verified like an answer of that day. Measurements are split as bytes, which takes a tenth of
reading them; of logs, whose entries have no order to rely on, an engine makes new lists of the same entries.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from pipeline.transform.answer_text import decode_whole_texts
from pipeline.transform.json_engine import run_on

# A row as SMA writes it: its time comes first, and without an offset.
ROW_START = b'{"time":"'
TIME_KEY = b'"time"'
LABEL_BYTES = len("2025-03-28T06:55:00")
SET_START = re.compile(rb'"set"\s*:\s*\[\s*')
WHITE_AND_COMMA = b", \t\r\n"
# The entries of each log by the number of bounds at or before their time: odd numbers lie within a span. An entry
# without a time that can be read goes to the first day, where it is reported.
_ENTRIES = """
WITH readable AS (
    SELECT * FROM batch WHERE CASE WHEN json_valid(body) THEN json_type(body, '$.logs') = 'ARRAY' ELSE false END
), entries AS (
    SELECT log, entry, place,
        CASE WHEN regexp_matches(coalesce(entry->>'timestamp', ''), '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d')
        THEN len(list_filter(bounds, lambda bound: bound <= left(entry->>'timestamp', 19))) ELSE 1 END AS slot
    FROM (
        SELECT log, bounds, unnest(list) AS entry, generate_subscripts(list, 1) AS place
        FROM (SELECT log, bounds, from_json(body, '{"logs": ["JSON"]}').logs AS list FROM readable)
    )
), lists AS (
    SELECT log, slot, count(*) AS count, '[' || string_agg(entry::VARCHAR, ',' ORDER BY place) || ']' AS list
    FROM entries GROUP BY log, slot
), slots AS (
    SELECT log, body, unnest(range(1, len(bounds), 2)) AS slot FROM readable
)
SELECT log, coalesce(count, 0) AS count,
       json_merge_patch(body::JSON, json_object('logs', coalesce(list, '[]')::JSON))::VARCHAR AS piece
FROM slots LEFT JOIN lists USING (log, slot) ORDER BY log, slot
"""
_COMMA, _QUOTE = ord(","), ord('"')

Places: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


@dataclass(frozen=True, slots=True)
class Span:
    """The labels of one day in the API: after `begin`, up to and including `end` (a row's time is its end)."""

    begin: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class Pieces:
    """The body of each span, and how many rows it has; how many rows lie before the first and after the last span.

    `edges` has the labels of each span's first and last row as they were sent (None: no rows); empty for logs.
    """

    bodies: tuple[bytes, ...]
    rows: tuple[int, ...]
    before: int
    after: int
    edges: tuple[tuple[bytes, bytes] | None, ...] = ()


def cut_rows(body: bytes, spans: Sequence[Span]) -> Pieces | None:
    """The rows of each span; None for a body that does not have the plain form or whose days are not in order.

    The newest day may come first. The spans follow each other and do not overlap. Rows between two spans belong to
    none. What a body outside of the plain form holds can still be asked for by the day.
    """
    opening = SET_START.search(body)
    if opening is None:
        return None
    start = opening.end()
    places = _find_row_starts(body, start)
    if not len(places):
        nothing = body[start:].startswith(b"]")
        return Pieces((body,) * len(spans), (0,) * len(spans), 0, 0) if nothing else None
    finish = _find_end_of_rows(body, start, places)
    labels = _read_labels(body, places)
    # A row whose time is elsewhere would count as a part of the row before it and go to the day of that row.
    if finish is None or labels is None or body.count(TIME_KEY, start, finish) != len(places):
        return None
    # Odd slots are spans; even slots are before, between and after them. Within a day the order does not matter,
    # because
    # labels go back where clocks do.
    bounds = np.array([label for span in spans for label in (span.begin, span.end)], f"S{LABEL_BYTES}")
    slots = np.searchsorted(bounds, labels)
    falling = bool(slots[0] > slots[-1])
    order = -slots if falling else slots
    if (order[1:] < order[:-1]).any():
        return None
    wanted = np.arange(1, len(bounds), 2) * (-1 if falling else 1)
    firsts, lasts = (np.searchsorted(order, wanted, side) for side in ("left", "right"))
    edges = np.append(places, finish)
    envelope, tail = body[:start], body[finish:]
    bodies = [
        envelope + body[edges[first] : edges[last]].rstrip(WHITE_AND_COMMA) + tail
        for first, last in zip(firsts, lasts, strict=True)
    ]
    counts = (lasts - firsts).tolist()
    edge_labels = tuple(
        (bytes(labels[first]), bytes(labels[last - 1])) if last > first else None
        for first, last in zip(firsts, lasts, strict=True)
    )
    before, after = int((slots < 1).sum()), int((slots >= len(bounds)).sum())
    return Pieces(tuple(bodies), tuple(counts), before, after, edge_labels)


def cut_logs(logs: Sequence[tuple[bytes, Sequence[Span]]]) -> list[Pieces | None]:
    """The entries of each log in each of its spans, which here begin with their first moment and end before their last.

    None for a body that is no log.
    """
    if not logs:
        return []
    batch = pl.DataFrame(
        {
            "log": range(len(logs)),
            "body": decode_whole_texts(pl.Series([body for body, _ in logs], dtype=pl.Binary)),
            "bounds": [
                [edge.decode() for span in spans for edge in (span.begin, span.end)] for _, spans in logs
            ],
        },
        schema_overrides={"bounds": pl.List(pl.String)},
    )
    found = run_on(_ENTRIES, batch)
    pieces: list[Pieces | None] = [None] * len(logs)
    for (log,), of_log in found.group_by("log", maintain_order=True):
        bodies = tuple(piece.encode() for piece in of_log["piece"])
        pieces[log] = Pieces(bodies, tuple(of_log["count"]), 0, 0)
    return pieces


def _find_row_starts(body: bytes, start: int) -> Places:
    """The positions of `ROW_START` in the body from `start` on."""
    text = np.frombuffer(body, np.uint8)[start:]
    if len(text) < len(ROW_START) + LABEL_BYTES:
        return np.empty(0, np.int64)
    # The rarest pair of bytes is compared first, so the other bytes are compared in few places only.
    found = np.flatnonzero((text[:-2] == ROW_START[0]) & (text[2:] == ROW_START[2]))
    found = found[found <= len(text) - len(ROW_START) - LABEL_BYTES]
    for offset, sign in enumerate(ROW_START):
        found = found[text[found + offset] == sign]
    return found.astype(np.int64) + start


def _read_labels(body: bytes, places: Places) -> "np.ndarray[tuple[int], np.dtype[np.bytes_]] | None":
    """The label of each row; None where one does not have the plain form."""
    text = np.frombuffer(body, np.uint8)
    signs = text[places[:, None] + (np.arange(LABEL_BYTES + 1) + len(ROW_START))]
    # A quote must follow the label, because a fraction or an offset would be cut off.
    if not (signs[:, LABEL_BYTES] == _QUOTE).all():
        return None
    return np.ascontiguousarray(signs[:, :LABEL_BYTES]).view(f"S{LABEL_BYTES}").ravel()


def _find_end_of_rows(body: bytes, start: int, places: Places) -> int | None:
    """Where the last row ends; None unless all rows follow each other in the list that opened before `start`."""
    text = np.frombuffer(body, np.uint8)
    if places[0] != start or not (text[places[1:] - 1] == _COMMA).all():
        return None
    try:
        rest = body[int(places[-1]) :].decode()
        _, length = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    finish = int(places[-1]) + len(rest[:length].encode())
    return finish if body[finish:].lstrip().startswith(b"]") else None
