"""Reads lists of which a part is not JSON: one plant's wrong number must not cost the list of all plants.

SMA's lists are the only way to the rest: without the list of plants nobody is asked for anything. So what is not JSON
in an entry becomes null; an entry that is still unreadable is left out; each is reported. A list that was cut
off is not read, because the entries that it lacks would count as gone.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import polars as pl

from pipeline.transform.answer_text import DETAIL_CHARACTERS, decode_whole_texts, is_too_deep, mend_body
from pipeline.transform.json_engine import run_on

PLANTS: Final = "plants"
# A larger list is not repaired: the list of 10,000 plants has 10 MB, and each of its signs may be a token.
MOST_MENDED: Final = 2**24
# Texts that are parsed to find out whether the engine can read them: for a small fleet's lists a query costs more than
# to read them. Of larger ones the parsed content would take memory.
MOST_PARSED: Final = 2**16
# An entry stands in a list, and the list in an object.
DEPTH_OF_ENTRIES: Final = 2
_STRUCTURE: Final = "[]{},:"
_CLOSES: Final = {"[": "]", "{": "}"}
# A text that nothing closes is one token up to the end, so that each character is looked at once.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_WORD = re.compile(r"true|false|null|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_WRONG_ESCAPE = re.compile(r'(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\u?')
_ID = re.compile(r'"(?:plantId|deviceId)"\s*:\s*"?([^",}\s]{1,100})')


@dataclass(frozen=True, slots=True)
class OddPart:
    """What of a list was replaced (`kept`: the rest of its entry is read) or left out, and the id of the entry."""

    entry_id: str
    detail: str
    kept: bool


@dataclass(frozen=True, slots=True)
class MendedList:
    """The text of a list that can be read, and what of it could not."""

    text: str
    odd: tuple[OddPart, ...] = ()


def parse_list(body: bytes, envelope: str) -> Any:
    """Read the body of a list or log as leniently as `decode_lists` does; None where it can't be read."""
    doubtful = _is_doubtful(body, envelope)
    if not doubtful:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    text = mend_body(body)
    content = None if doubtful else _parse(text)
    if content is None and (found := mend_list(text, envelope)):
        content = _parse(found.text)
    return content


def decode_lists(bodies: pl.Series, envelope: str) -> pl.Series:
    """The bodies (Binary) of lists or logs as text that the engine reads; what can't be read is left as it is."""
    texts = decode_whole_texts(bodies)
    places = _find_doubtful(texts, envelope)
    if not places:
        return texts
    mended = [mend_list(texts[place], envelope) for place in places]
    return texts.scatter(
        places, [found.text if found else texts[place] for place, found in zip(places, mended, strict=True)]
    )


def find_odd_parts(answers: pl.DataFrame, envelope: str) -> pl.DataFrame:
    """plant_id, device_id, entry_id, detail and kept: what of these lists or logs could not be read."""
    texts = decode_whole_texts(answers["body"])
    rows = []
    for place in _find_doubtful(texts, envelope):
        found = mend_list(texts[place], envelope)
        owner = answers["plant_id"][place], answers["device_id"][place]
        rows += [(*owner, odd.entry_id, odd.detail, odd.kept) for odd in (found.odd if found else ())]
    texts_of = dict.fromkeys(("plant_id", "device_id", "entry_id", "detail"), pl.String)
    return pl.DataFrame(rows, {**texts_of, "kept": pl.Boolean}, orient="row")


def mend_list(text: str, envelope: str) -> MendedList | None:
    """The list with what can be read of it; None where it is cut off, is not a list, or nothing of it can be read."""
    if len(text) > MOST_MENDED:
        return None
    tokens = _TOKEN.findall(text)
    lists = _find_lists(tokens, envelope)
    if not lists:
        return None
    around: list[str] = []
    entries: list[str] = []
    odd: list[OddPart] = []
    last = 0
    for begin, end in lists:
        around += tokens[last:begin]
        last = end
        for entry in _split_entries(tokens[begin:end]):
            mended, told = _mend_entry(entry)
            entries += mended
            odd += told
    head = _parse(" ".join(_replace_odd([*around, *tokens[last:]])[0]))
    if not isinstance(head, dict) or (odd and not entries):
        return None
    others = json.dumps({name: value for name, value in head.items() if name != envelope})[1:-1]
    listed = f'"{envelope}":[{",".join(entries)}]'
    return MendedList("{" + ", ".join(filter(None, (others, listed))) + "}", tuple(odd))


def _find_doubtful(texts: pl.Series, envelope: str) -> list[int]:
    """The places of the texts that the engine can't read, or would read only a part of."""
    doubtful = (texts.str.count_matches(f'"{envelope}"', literal=True) > 1).arg_true().to_list()
    if envelope == PLANTS:
        # These alone are stored with an entry that is too deep, which would end the process of a parser.
        doubtful += [place for place, text in enumerate(texts) if is_too_deep(text.encode())]
    # The engine reads all that is JSON by the letter, and some texts more.
    if texts.str.len_bytes().sum() <= MOST_PARSED and all(map(_is_json, texts)):
        return sorted({*doubtful})
    batch = pl.DataFrame({"body": texts}).with_row_index("answer")
    rest = batch.filter(~pl.col("answer").is_in(doubtful))
    broken = run_on("SELECT answer FROM batch WHERE NOT json_valid(body)", rest)["answer"].to_list()
    return sorted({*doubtful, *broken})


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_doubtful(body: bytes, envelope: str) -> bool:
    """Whether a body may hold its list twice, or a list of plants has an entry that is too deep."""
    return body.count(f'"{envelope}"'.encode()) > 1 or (envelope == PLANTS and is_too_deep(body))


def _find_lists(tokens: Sequence[str], envelope: str) -> list[tuple[int, int]]:
    """Where the entries of each list of that name begin and end; none where brackets do not match."""
    opened: list[str] = []
    found: list[tuple[int, int]] = []
    begin = None
    for place, token in enumerate(tokens):
        if token in _CLOSES:
            opened.append(_CLOSES[token])
            if len(opened) == DEPTH_OF_ENTRIES and tokens[place - 2 : place] == [f'"{envelope}"', ":"]:
                begin = place + 1
        elif token in _CLOSES.values():
            if not opened or opened.pop() != token:
                return []
            if begin is not None and len(opened) == DEPTH_OF_ENTRIES - 1:
                found.append((begin, place))
                begin = None
    return [] if opened else found


def _split_entries(tokens: Sequence[str]) -> Iterator[list[str]]:
    """The tokens of each entry of a list."""
    depth = 0
    entry: list[str] = []
    for sign in tokens:
        depth += (sign in _CLOSES) - (sign in _CLOSES.values())
        if sign == "," and not depth:
            yield entry
            entry = []
        else:
            entry.append(sign)
    if entry:
        yield entry


def _mend_entry(tokens: Sequence[str]) -> tuple[list[str], list[OddPart]]:
    """The entry's text, where it can be read, and what of it could not."""
    text = " ".join(tokens)
    mended, wrong = _replace_odd(tokens)
    known = _ID.search(text)
    entry_id = known[1] if known else ""
    readable = " ".join(mended)
    if is_too_deep(readable.encode()) or _parse(readable) is None:
        return [], [OddPart(entry_id, text[:DETAIL_CHARACTERS], kept=False)]
    return [readable], [OddPart(entry_id, one[:DETAIL_CHARACTERS], kept=True) for one in wrong]


def _replace_odd(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tokens as JSON has them, null for what is none, and what was replaced."""
    good: list[str] = []
    wrong: list[str] = []
    for sign in tokens:
        before = good[-1] if good else ""
        if len(sign) > 1 and sign[0] == '"':
            good.append(_WRONG_ESCAPE.sub(lambda found: found[1] or "\\ufffd", sign))
            wrong += [sign] if good[-1] != sign else []
        elif sign in _STRUCTURE:
            if before == ":" and sign in ",}":
                good.append("null")
                wrong.append("(no value)")
            elif before == "," and sign in "]}":
                good.pop()
            good.append(sign)
        else:
            good.append(sign if _WORD.fullmatch(sign) else "null")
            wrong += [] if _WORD.fullmatch(sign) else [sign]
    return good, wrong


def _parse(text: str) -> Any:
    try:
        # A whole number of thousands of digits is an error for Python, and no number for anybody.
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
