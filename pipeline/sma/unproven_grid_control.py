"""SMA's GridControl API. NOTHING HERE IS PROVEN: no answer of the real service has been recorded yet.

SMA documents two paths, the command FeedInLimit, and that schedules overwrite older ones. All JSON bodies, the units,
the states, GET and DELETE of schedules, the key that comes back and the names of the standard are assumptions, so all
of them are in this module, and the setting SUNLEDGER_GRID_CONTROL keeps them switched off.

What changes nothing is tried again like other requests. A command or a cancellation is sent once: where no answer
comes, nobody knows what SMA did, and only a look at the plant's schedules tells.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeAlias
from urllib.parse import urlsplit

import httpx
import orjson

from pipeline.common.errors import ConfigurationError, PermanentError, SmaError
from pipeline.common.settings import Settings
from pipeline.sma.client import SmaClient
from pipeline.sma.feed_in_order import Eligibility, FeedInOrder, GridReceipt
from pipeline.sma.http.at_once import collect_results
from pipeline.sma.http.attempt import Outcome
from pipeline.sma.http.error_messages import (
    Call,
    Reply,
    build_last_try_error,
    build_refusal_error,
    read_error_fields,
)
from pipeline.sma.http.retry import is_transient
from pipeline.sma.requests import Request, quote_segment
from schemas.curtailment import ASKED_BY, FEED_IN, GENERATION

Row: TypeAlias = dict[str, Any]

FEED_IN_LIMIT: Final = "FeedInLimit"
_SETTING: Final = "SMA_GRIDCONTROL_URL"
_UNAUTHORIZED: Final = 401
# So many plants are asked about in one check of eligibility.
PLANTS_A_CHECK: Final = 100
_LONGEST_TEXT: Final = 200
# The moments that a table can hold.
_EARLIEST, _LATEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class CommandMeaning:
    """What a command is in IEEE 2030.5: its name, the unit of its value, and what it limits."""

    standard: str
    unit: str
    limits: str


_EXPORT: Final = CommandMeaning("opModExpLimW", "W", FEED_IN)
MEANINGS: Final = {
    FEED_IN_LIMIT: _EXPORT,
    **{
        one.standard: one
        for one in (
            _EXPORT,
            CommandMeaning("opModGenLimW", "W", GENERATION),
            CommandMeaning("opModMaxLimW", "0.01 %", GENERATION),
            CommandMeaning("opModConnect", "switch", GENERATION),
            CommandMeaning("opModEnergize", "switch", GENERATION),
        )
    },
}


@dataclass(frozen=True, slots=True, order=True)
class GridRequest(Request):
    """One request of the GridControl API."""

    schedule_id: str = ""

    @classmethod
    def schedules(cls, plant_id: str) -> Self:
        """GET of the plant's schedules."""
        return cls("grid_schedules", plant_id)

    @classmethod
    def command(cls, plant_id: str) -> Self:
        """POST of a schedule with a command."""
        return cls("grid_command", plant_id)

    @classmethod
    def cancellation(cls, plant_id: str, schedule_id: str) -> Self:
        """DELETE of a schedule."""
        return cls("grid_cancellation", plant_id, schedule_id=schedule_id)

    @property
    def path(self) -> str:
        """The path after the GridControl base. Raises UsageError for an id that cannot be one segment of a path."""
        if self.endpoint == "grid_eligibility":
            return "/v1/plants/eligibilityCheck"
        path = f"/v1/plants/{quote_segment('plant', self.plant_id)}/schedules"
        if self.endpoint != "grid_cancellation":
            return path
        return f"{path}/{quote_segment('schedule', self.schedule_id)}"

    @property
    def params(self) -> tuple[tuple[str, str], ...]:
        """The query: none."""
        return ()

    @property
    def method(self) -> str:
        """The method of HTTP."""
        return {"grid_schedules": "GET", "grid_cancellation": "DELETE"}.get(self.endpoint, "POST")


@dataclass(frozen=True, slots=True)
class GridAnswer:
    """A successful answer as received; `read_at` (UTC) is when it was complete."""

    request: GridRequest
    read_at: dt.datetime
    body: bytes


def check_reading(settings: Settings) -> None:
    """Raise ConfigurationError where the GridControl API is switched off."""
    if settings.grid_control == "off":
        raise ConfigurationError(
            "SUNLEDGER_GRID_CONTROL is off, so no request is sent to the GridControl API. Its requests and answers "
            "were never compared with the real service: read docs/grid-control.md, then set "
            "SUNLEDGER_GRID_CONTROL=read."
        )


def check_commanding(settings: Settings) -> None:
    """Raise ConfigurationError unless commands may be sent to the GridControl API."""
    if settings.grid_control != "command":
        raise ConfigurationError(
            f"SUNLEDGER_GRID_CONTROL is {settings.grid_control}, so 'sunledger grid' does nothing. A command changes "
            "what real plants feed in, and the requests and answers were never compared with the real service: read "
            "docs/grid-control.md, then set SUNLEDGER_GRID_CONTROL=command."
        )


async def ask_grid(
    client: SmaClient, settings: Settings, requests: Sequence[GridRequest]
) -> list[GridAnswer | SmaError]:
    """The results in the order of the requests, SMA_MAX_CONNECTIONS at once. Only requests that change nothing.

    They are admitted by the request budget, and tried again as the client's other requests are.
    """
    check_reading(settings)
    send = partial(_ask_until_answered, client, settings)
    return await collect_results(requests, settings.sma_max_connections, send)


async def check_eligibility(
    client: SmaClient, settings: Settings, plants: Sequence[str]
) -> dict[str, Eligibility]:
    """What SMA says of each plant and FeedInLimit. Raises SmaError, and PermanentError for an unreadable answer."""
    check_commanding(settings)
    found: dict[str, Eligibility] = {}
    for first in range(0, len(plants), PLANTS_A_CHECK):
        asked = list(plants[first : first + PLANTS_A_CHECK])
        body = {"plantIds": asked, "commands": [FEED_IN_LIMIT]}
        answer = await _ask_until_answered(client, settings, GridRequest("grid_eligibility"), body)
        found |= _parse_eligibility(answer.body)
    silent = Eligibility(supported=False, reason="SMA's answer does not name it")
    return {plant: found.get(plant, silent) for plant in plants}


async def send_command(client: SmaClient, settings: Settings, order: FeedInOrder) -> GridReceipt:
    """Send the command once, whatever comes of it. Raises SmaError where no request was sent."""
    request = GridRequest.command(order.plant_id)
    return await _send_once(client, settings, request, _build_schedule(order))


async def cancel_schedule(
    client: SmaClient, settings: Settings, plant_id: str, schedule_id: str
) -> GridReceipt:
    """Cancel the schedule, asking once. Raises SmaError where no request was sent."""
    return await _send_once(client, settings, GridRequest.cancellation(plant_id, schedule_id))


async def _send_once(
    client: SmaClient, settings: Settings, request: GridRequest, body: Row | None = None
) -> GridReceipt:
    check_commanding(settings)
    token = await client.await_token()
    call, message = _build_message(client, settings, request, token, body)
    try:
        outcome = await client.wire.try_once(call, message, request, 1)
    except PermanentError as error:
        # The answer is too large to be read.
        return GridReceipt(None, str(error))
    if not isinstance(outcome, Reply):
        return GridReceipt(None, str(build_last_try_error(call, outcome, 1)))
    if outcome.status == _UNAUTHORIZED:
        client.tokens.discard(token)
    if _is_success(outcome):
        named = read_error_fields(outcome.body).get("scheduleId")
        known = isinstance(named, str) and 0 < len(named) <= _LONGEST_TEXT
        return GridReceipt(outcome.status, f"{call} was accepted.", named if known else None)
    reason = (
        build_last_try_error(call, outcome, 1)
        if is_transient(outcome.status)
        else build_refusal_error(call, outcome)
    )
    return GridReceipt(outcome.status, str(reason))


async def _ask_until_answered(
    client: SmaClient, settings: Settings, request: GridRequest, body: Row | None = None
) -> GridAnswer:
    renewed, tries, failures = False, 0, 0
    while True:
        token = await client.await_token()
        tries += 1
        call, message = _build_message(client, settings, request, token, body)
        outcome = await client.wire.try_once(call, message, request, tries)
        if isinstance(outcome, Reply):
            if _is_success(outcome):
                return GridAnswer(request, client.clock.now(), outcome.body)
            if outcome.status == _UNAUTHORIZED and not renewed:
                renewed = True
                client.tokens.discard(token)
                continue
            if not is_transient(outcome.status):
                raise build_refusal_error(call, outcome)
        failures += 1
        await client.wire.back_off(call, outcome, failures)


def _build_message(
    client: SmaClient, settings: Settings, request: GridRequest, token: str, body: Row | None
) -> tuple[Call, httpx.Request]:
    base = settings.sma_gridcontrol_url
    call = Call(request.method, request.path, urlsplit(base).netloc, _SETTING)
    url, bearer = f"{base}{request.target}", f"Bearer {token}"
    if body is not None:
        return call, client.wire.post_json(url, bearer, body)
    build = client.wire.delete if request.method == "DELETE" else client.wire.get
    return call, build(url, bearer)


def _is_success(outcome: Outcome) -> bool:
    return isinstance(outcome, Reply) and 200 <= outcome.status < 300  # noqa: PLR2004 - success by HTTP's own classes


def _build_schedule(order: FeedInOrder) -> Row:
    command = {
        "command": FEED_IN_LIMIT,
        "startTime": f"{order.start.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "duration": order.duration_s,
        "value": order.limit_w,
        "mRID": order.request_key,
    }
    return {"commands": [command], "requestedBy": order.asked_by}


def _parse_eligibility(body: bytes) -> dict[str, Eligibility]:
    try:
        return {
            _read_text(plant["plantId"]): Eligibility(one["supported"] is True, str(one.get("reason", "")))
            for plant in orjson.loads(body)["plants"]
            for one in plant["commands"]
            if one["command"] == FEED_IN_LIMIT
        }
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise PermanentError(
            "An answer of the GridControl API about eligibility has another form than is expected, so no command is "
            f"sent: check {_SETTING}. The form of these answers is not proven; docs/grid-control.md says what is "
            "expected."
        ) from fault


def parse_schedules(body: bytes) -> list[Row]:
    """The commands of the schedules in an answer: a row each, a schedule's fallback as its last one.

    A row has schedule_id, created_at, requested_by, asked_by, sma_status, position, is_fallback, command,
    standard_command, value, unit, command_start, duration_s, command_end, sma_state, limit_kind, limit_kw,
    limit_pct and request_key; times in UTC. Raises PermanentError for an answer that can't be read: half of the
    limits would make lost energy look small.
    """
    try:
        listed = orjson.loads(body)["schedules"]
        return [row for number, one in enumerate(listed) for row in _parse_schedule(one, number)]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as fault:
        what = f"lacks {fault}" if isinstance(fault, KeyError) else "has another form than is expected"
        raise PermanentError(
            f"An answer with schedules of the GridControl API {what}, so its schedules are not known: check "
            f"{_SETTING}. The form of these answers is not proven; docs/grid-control.md says what is expected."
        ) from fault


def _parse_schedule(one: Mapping[str, Any], number: int) -> list[Row]:
    asker = one.get("requestedBy")
    created = one.get("createdAt")
    common = {
        "schedule_id": _read_text(one["scheduleId"]),
        "created_at": None if created is None else _read_moment(created),
        "requested_by": None if asker is None else _read_text(asker),
        "asked_by": _find_asker(asker),
        "sma_status": None if one.get("status") is None else _read_text(one["status"]),
        # Where SMA does not say when it accepted schedules, the order of the answer stands for it.
        "listed_as": number,
    }
    rows = [_parse_command(sent, place) for place, sent in enumerate(one["commands"], 1)]
    if not rows:
        return []
    fallback = one.get("fallback")
    if fallback is not None:
        begins = max(row["command_end"] for row in rows)
        rows.append(_parse_command(fallback, len(rows) + 1, begins))
    return [common | row for row in rows]


def _parse_command(sent: Mapping[str, Any], position: int, follows: dt.datetime | None = None) -> Row:
    """A command; a fallback begins where the schedule ends (`follows`), and has no end."""
    name, value = _read_text(sent["command"]), sent.get("value")
    meaning = MEANINGS.get(name)
    number = float(value) if isinstance(value, bool | int | float) and math.isfinite(value) else None
    start = _read_moment(sent["startTime"]) if follows is None else follows
    duration = float(sent["duration"]) if follows is None else None
    if duration is not None and not duration >= 0:
        raise ValueError("a duration below 0")
    state, key = sent.get("state"), sent.get("mRID")
    return {
        "position": position,
        "is_fallback": follows is not None,
        "command": name,
        "standard_command": meaning.standard if meaning else None,
        "value": number,
        "unit": meaning.unit if meaning else None,
        "command_start": start,
        "duration_s": duration,
        "command_end": None if duration is None else _bound(start + dt.timedelta(seconds=duration)),
        "sma_state": state if isinstance(state, str) else None,
        "request_key": key[:_LONGEST_TEXT] if isinstance(key, str) else None,
        **_find_limit(meaning, number),
    }


def _find_limit(meaning: CommandMeaning | None, value: float | None) -> Row:
    """limit_kind, limit_kw and limit_pct; all None where power is not limited."""
    none = {"limit_kind": None, "limit_kw": None, "limit_pct": None}
    if meaning is None or value is None or value < 0 or (meaning.unit == "switch" and value):
        return none
    if meaning.unit == "0.01 %":
        return none | {"limit_kind": meaning.limits, "limit_pct": value / 100}
    return none | {"limit_kind": meaning.limits, "limit_kw": value / 1000}


def _find_asker(text: object) -> str | None:
    """The words grid operator, EnergyTrader or grid_operator as one of ASKED_BY; None for others."""
    plain = "".join(sign for sign in str(text).lower() if sign.isalpha())
    return next((name for name in ASKED_BY if name.replace("_", "") == plain), None)


def _read_text(value: Any) -> str:
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not 0 < len(text) <= _LONGEST_TEXT:
        raise TypeError("no text")
    return text


def _read_moment(value: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value)
    return _bound((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC))


def _bound(moment: dt.datetime) -> dt.datetime:
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("a time that can't be")
    return moment
