"""SMA's Live API. NOTHING HERE IS PROVEN: no answer of the real service has been recorded yet.

Paths, the answer's form, its unit and the pause between two sessions come from second-hand descriptions, so all of
them are in this module, and the setting SUNLEDGER_LIVE keeps them switched off. SMA's pages say that a plant may be
called once in ten seconds, for sessions of about ten minutes, and only plants on Sunny Portal Classic with a Sunny Home
Manager or by WebConnect.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson

from pipeline.common.errors import PermanentError, SmaError, TransientError
from pipeline.common.local_time import TimeBasis
from pipeline.common.settings import Settings
from pipeline.sma.client import SmaClient
from pipeline.sma.http.at_once import collect_results
from pipeline.sma.http.error_messages import Call, Reply, build_last_try_error, format_status
from pipeline.sma.http.retry import TOO_MANY_REQUESTS, retry_after_s
from pipeline.sma.http.server_time import refuse_odd_clock
from pipeline.sma.requests import Request, quote_segment
from schemas.quantities import ENERGY_BALANCE

SECONDS_BETWEEN_CALLS: Final = 10.0
SESSION_S: Final = 600.0
# A plant that was left alone for so long may begin another session.
PAUSE_S: Final = 60.0
CLASSIC: Final = "classic"

_UNAUTHORIZED = 401
# What a plant that has no live values may answer: refused, unknown, moved to ennexOS.
_NOT_ELIGIBLE = {403: "SMA refuses live values of it", 404: "SMA has no live values of it"}
_MOVED = frozenset({307, 308})
_INSTEAD = "use the Monitoring API for it ('sunledger backfill')"


class NotEligibleError(PermanentError):
    """The Live API does not serve this plant."""


class LiveBusyError(TransientError):
    """The Live API refuses the call for its rate. `wait_s` is what SMA asks for; None where it says nothing."""

    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message, status=TOO_MANY_REQUESTS)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, order=True)
class LiveRequest(Request):
    """One GET of the Live API."""

    @classmethod
    def values(cls, plant_id: str) -> Self:
        """What the plant does now."""
        return cls("live", plant_id, "", ENERGY_BALANCE.name)

    @classmethod
    def configuration(cls, plant_id: str) -> Self:
        """Whether the plant has live values."""
        return cls("live_configuration", plant_id)

    @property
    def path(self) -> str:
        """The path after the Live base. Raises UsageError for an id that cannot be one segment of a path."""
        plant = f"/v1/plants/{quote_segment('plant', self.plant_id)}"
        if self.endpoint == "live_configuration":
            return f"{plant}/configuration"
        return f"{plant}/measurements/sets/{quote_segment('set', self.set_type)}"

    @property
    def params(self) -> tuple[tuple[str, str], ...]:
        """The query: none."""
        return ()


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """A successful answer as received; `read_at` (UTC) is when it was complete."""

    request: LiveRequest
    read_at: dt.datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class LiveReading:
    """The values of one answer by column of `live_readings`: W, % or shares, None where SMA sent none."""

    plant_id: str
    read_at: dt.datetime
    measured_at: dt.datetime | None
    status: str | None
    values: dict[str, float | None]


async def ask_live(
    client: SmaClient, settings: Settings, requests: Sequence[LiveRequest]
) -> list[LiveAnswer | SmaError]:
    """The results in the order of the requests, SMA_MAX_CONNECTIONS at once. Each is sent once and never again.

    They are admitted by the request budget too: whether Live has one of its own is not known.
    """
    send = partial(_send, client, settings.sma_live_url)
    return await collect_results(requests, settings.sma_max_connections, send)


async def _send(client: SmaClient, base: str, request: LiveRequest) -> LiveAnswer:
    call = Call("GET", request.path, urlsplit(base).netloc, "SMA_LIVE_URL")
    token = await client.await_token()
    asked_at = client.clock.now()
    outcome = await client.wire.try_once(
        call, client.wire.get(f"{base}{request.target}", f"Bearer {token}"), request, 1
    )
    if not isinstance(outcome, Reply):
        raise build_last_try_error(call, outcome, 1)
    if 200 <= outcome.status < 300:  # noqa: PLR2004 - success by HTTP's own classes
        refuse_odd_clock(base, asked_at, client.clock.now(), outcome.headers)
        return LiveAnswer(request, client.clock.now(), outcome.body)
    if outcome.status == _UNAUTHORIZED:
        client.tokens.discard(token)
        raise TransientError(
            f"{call} answered 401: SMA refused the token, and the next call gets a new one.", status=401
        )
    if outcome.status == TOO_MANY_REQUESTS:
        raise LiveBusyError(
            f"{call} answered 429: SMA allows one call of a plant in {SECONDS_BETWEEN_CALLS:.0f} s and sessions of "
            f"{SESSION_S / 60:.0f} minutes, and somebody else may call it too: wait, then run this again.",
            retry_after_s(outcome.headers, client.clock),
        )
    if outcome.status in _MOVED:
        raise _build_eligibility_error(request.plant_id, "it moved to ennexOS and has a new id")
    if outcome.status in _NOT_ELIGIBLE:
        raise _build_eligibility_error(
            request.plant_id, f"{_NOT_ELIGIBLE[outcome.status]} ({format_status(outcome.status)})"
        )
    raise build_last_try_error(call, outcome, 1)


def check_backend(plant_id: str, backend: str) -> None:
    """Raise NotEligibleError for a plant that is not on Sunny Portal Classic; this needs no call."""
    if backend != CLASSIC:
        raise _build_eligibility_error(plant_id, "it is on ennexOS")


def check_configuration(answer: LiveAnswer) -> None:
    """Raise NotEligibleError where the plant's configuration names sets, but not the one that is asked for.

    One that names no sets at all is taken for a yes, since SMA answered it.
    """
    sets = _read_object(answer, "its configuration").get("sets")
    if isinstance(sets, list) and ENERGY_BALANCE.name.lower() not in [str(name).lower() for name in sets]:
        named = ", ".join(str(name)[:60] for name in sets[:5]) or "no set"
        raise _build_eligibility_error(
            answer.request.plant_id, f"its configuration names {named} in place of {ENERGY_BALANCE.name}"
        )


def read_values(answer: LiveAnswer, timezone: str, basis: TimeBasis) -> LiveReading:
    """The values of an answer; numbers outside of their bounds and other types are an error.

    Raises PermanentError for an answer that can't be read.
    """
    body = _read_object(answer, "its live values")
    row = body.get("set")
    if not isinstance(row, dict):
        raise _build_unreadable_error(answer, "has no object 'set'")
    values: dict[str, float | None] = {}
    for field in ENERGY_BALANCE.fields:
        found = row.get(field.api)
        if found is None:
            values[field.value_column] = None
        elif isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise _build_unreadable_error(
                answer, f"has {str(found)[:40]!r} as {field.api}, which is not a number"
            )
        elif not field.low <= found <= field.high:
            raise _build_unreadable_error(answer, f"has {found} as {field.api}, which can't be")
        else:
            values[field.value_column] = float(found)
    status = body.get("status")
    return LiveReading(
        answer.request.plant_id,
        answer.read_at,
        _find_moment(row.get("time"), timezone, basis, answer.read_at),
        status[:60] if isinstance(status, str) else None,
        values,
    )


def _find_moment(label: object, timezone: str, basis: TimeBasis, now: dt.datetime) -> dt.datetime | None:
    """The moment of a label (UTC); of the two in a repeated hour the later one that is not ahead of now.

    A label with an offset says it by itself.
    """
    try:
        naive = dt.datetime.fromisoformat(str(label))
        if naive.tzinfo is not None:
            return naive.astimezone(dt.UTC)
        zone = dt.UTC if basis == "utc" else ZoneInfo(timezone)
        first, second = (naive.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    except (ValueError, OverflowError, OSError, KeyError):
        return None
    return second if first <= second <= now else first


def _read_object(answer: LiveAnswer, what: str) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise _build_unreadable_error(answer, f"with {what} is not a JSON object")
    return body


def _build_unreadable_error(answer: LiveAnswer, what: str) -> PermanentError:
    return PermanentError(
        f"The answer to GET {answer.request.path} {what}, so it is not stored: check SMA_LIVE_URL. The form of these "
        "answers is not proven; docs/live.md says what is expected.",
        path=answer.request.path,
        status=200,
    )


def _build_eligibility_error(plant_id: str, reason: str) -> NotEligibleError:
    return NotEligibleError(
        f"Plant {plant_id} has no live values, because {reason}. The Live API serves plants on Sunny Portal Classic "
        f"with a Sunny Home Manager or by WebConnect only: {_INSTEAD}."
    )
