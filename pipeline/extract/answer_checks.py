"""Checks that an answer fits its request: readable, of bounded size, and for the requested plant and device."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import polars as pl

from pipeline.common.errors import PermanentError, SmaError, TransientError
from pipeline.common.text import shorten_text
from pipeline.sma.requests import Answer, Failure, Request, find_plant
from pipeline.transform.answer_bounds import TOO_LARGE, find_unreadable
from pipeline.transform.answer_text import MOST_KEYS, MOST_ROWS, is_too_deep
from pipeline.transform.lists.broken_lists import PLANTS, parse_list

LISTS: Final = frozenset({"plants", "devices", "sets"})
# The envelope of measurements stands before the rows, or after them, and is short.
ENVELOPE_BYTES, TAIL_BYTES = 2**16, 2048
ID_SHOWN = 100
_PLANT = re.compile(rb'"plantId"\s*:\s*"?([^",}\s]*)')
_DEVICE = re.compile(rb'"deviceId"\s*:\s*"?([^",}\s]*)')


def find_fault(answer: Answer) -> Failure | None:
    """The reason to reject the answer, as far as the answer alone shows it; otherwise None.

    The rows of measurements are looked at in larger batches: `find_faults`.
    """
    request = answer.request
    if request.endpoint == "measurements":
        head, tail = _cut_envelope(answer.body)
        plant, device = (_find_first(name, head) or _find_first(name, tail) for name in (_PLANT, _DEVICE))
        return _find_other_owner(answer, plant, device)
    beyond = is_too_deep(answer.body)
    if request.endpoint != PLANTS:
        beyond |= answer.body.count(b'":') > MOST_KEYS
    # In the list of all plants, one that is too deep must not cost the others.
    content = None if beyond and request.endpoint != PLANTS else parse_list(answer.body, request.endpoint)
    if beyond and content is None:
        return _build_failure(answer, _BEYOND)
    if not isinstance(content, dict):
        return _build_failure(answer, _OTHER)
    entries = content.get(request.endpoint)
    if request.endpoint in LISTS and not isinstance(entries, list):
        return _build_failure(answer, _OTHER)
    if isinstance(entries, list) and len(entries) > MOST_ROWS:
        return _build_failure(answer, _BEYOND)
    device = _take_name(content, "device", "deviceId")
    # The envelope names the plant, and so may each entry.
    named = {_take_name(content, "plant", "plantId"), *_list_plants_of_entries(answer)}
    faults = [_find_other_owner(answer, plant, device) for plant in sorted(named, key=str)]
    return next((fault for fault in faults if fault), None)


def find_faults(answers: Sequence[Answer]) -> Mapping[int, Failure]:
    """The same for the rows of measurements, by the answer's position."""
    bodies = pl.Series("body", [answer.body for answer in answers], dtype=pl.Binary)
    return {
        place: _build_failure(answers[place], _BEYOND if reason == TOO_LARGE else _OTHER)
        for place, reason in find_unreadable(bodies).items()
    }


_OTHER: Final = (
    "but not with {endpoint}: run it again later, and if this happens again, check SMA_MONITORING_URL."
)
_BEYOND: Final = (
    "but with more rows, fields or levels than any answer of SMA, so it was not read: run it again later, and if this "
    "happens again, tell SMA."
)


def _find_other_owner(answer: Answer, plant: str | None, device: str | None) -> Failure | None:
    """A failure if the answer names another plant or device than the request or its redirect."""
    request = answer.request
    # Nearly every answer names who was asked for. A path takes longer to build than all other checks.
    if plant and request.plant_id and plant.lower() != request.plant_id.lower():
        moved = urlsplit(answer.target).path != request.path
        new_id = find_plant(answer.target) or ""
        # A device that moved belongs to a plant whose new id is not in the redirect.
        if not (moved and request.device_id) and plant.lower() != new_id.lower():
            return _build_failure(
                answer,
                f"with data of plant {shorten_text(plant, ID_SHOWN)}, which was not requested: {_TELL}",
            )
    if device and request.device_id:
        known = (name.lower() for name in (request.device_id, _find_device(answer.target)))
        if device.lower() not in known:
            return _build_failure(
                answer,
                f"with data of device {shorten_text(device, ID_SHOWN)}, which was not requested: {_TELL}",
            )
    return None


_TELL: Final = "nothing of it is stored. Run it again later, and if this happens again, tell SMA."


def _find_device(target: str) -> str:
    parts = urlsplit(target).path.split("/")
    return unquote(parts[parts.index("devices") + 1]) if "devices" in parts[:-1] else ""


def _list_plants_of_entries(answer: Answer) -> set[str]:
    """The plants that an answer of one plant names anywhere; nearly all name none or one."""
    if not answer.request.plant_id:
        return set()
    return {
        name.decode("utf-8", "replace")
        for name in set(_PLANT.findall(answer.body))
        if name not in {b"", b"null"}
    }


def _cut_envelope(body: bytes) -> tuple[bytes, bytes]:
    """What of a body stands before its rows, and its end where it has rows."""
    rows = body.find(b'"set"')
    return (
        (body[:ENVELOPE_BYTES], b"") if rows < 0 else (body[:rows], body[max(rows, len(body) - TAIL_BYTES) :])
    )


def _find_first(name: re.Pattern[bytes], head: bytes) -> str | None:
    found = name.search(head)
    return found[1].decode("utf-8", "replace") if found else None


def _take_name(content: Mapping[str, Any], part: str, key: str) -> str | None:
    inner = content.get(part)
    found = inner.get(key) if isinstance(inner, dict) else None
    return str(found) if isinstance(found, str | int) else None


def _build_failure(answer: Answer, why: str) -> Failure:
    """What further requests depend on may be readable at another try; a day with unreadable answers is missing."""
    request: Request = answer.request
    kind: type[SmaError] = TransientError if request.endpoint in LISTS else PermanentError
    said = why.replace("{endpoint}", request.endpoint)
    separator = ", " if said.startswith("but") else " "
    error = kind(
        f"GET {request.path} answered {answer.status}{separator}{said}",
        path=request.path,
        status=answer.status,
    )
    return Failure(request, error, answer.attempts)
