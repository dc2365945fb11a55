"""`/_control`: change the sandbox while it runs. SMA has nothing like it.

Changes must be sent as JSON, which no foreign web page can do without asking first.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.faults.catalogue import KINDS
from sandbox.faults.fault_plan import Fault, FaultError, FaultPlan, make_fault, parse_fault
from sandbox.granted_consents import SandboxConsentState
from sandbox.http_answers import ApiError, build_json_answer, read_json_object
from sandbox.options import RetryAfter
from sandbox.services.consent_service import parse_state
from sandbox.services.gateway import TokenBucket
from sandbox.world import World

MAX_NEW_PLANTS = 10_000
MAX_SHIFT_S = 50 * 366 * 86400
_FORMS: dict[str, RetryAfter] = {"seconds": "seconds", "date": "date", "none": "none"}


class ControlService:
    """Clock, faults, budget, consents, plants."""

    def __init__(self, world: World, plan: FaultPlan, bucket: TokenBucket) -> None:
        """Control `world`, its faults and its budget."""
        self._world = world
        self._plan = plan
        self._bucket = bucket

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route("/_control", self.show_state, methods=["GET"]),
            Route("/_control/faults", self.change_faults, methods=["GET", "PUT", "POST", "DELETE"]),
            Route("/_control/clock", self.set_clock, methods=["GET", "POST"]),
            Route("/_control/budget", self.set_budget, methods=["PUT"]),
            Route("/_control/consents", self.note_consent, methods=["POST"]),
            Route("/_control/plants", self.add_plants, methods=["POST"]),
            Route("/_control/migrations", self.move_plant, methods=["POST"]),
            Route("/_control/tokens/expire", self.expire_tokens, methods=["POST"]),
        ]

    async def show_state(self, _request: Request) -> Response:
        """Everything that can be changed, as it is now, and what was counted."""
        return build_json_answer(
            {
                "clock": self._world.clock.utc().isoformat(),
                "faults": self._plan.describe(),
                "fault_kinds": {name: f"{kind.what} ({kind.stage.value})" for name, kind in KINDS.items()},
                "budget": self._show_budget(),
                "moved": self._world.moved,
                "strangers": dict(self._world.strangers),
                "plants": sum(1 for _ in self._world.sources()),
            }
        )

    async def change_faults(self, request: Request) -> Response:
        """PUT replaces all faults by a list, POST adds one, DELETE removes all."""
        try:
            if request.method == "PUT":
                wanted = (await _read_change(request)).get("faults")
                if not isinstance(wanted, list):
                    raise ApiError(400, "faults must be a list of faults")
                self._plan.replace([_read_fault(item) for item in wanted])
            elif request.method == "POST":
                self._plan.add(make_fault(await _read_change(request)))
            elif request.method == "DELETE":
                self._plan.replace([])
        except FaultError as error:
            raise ApiError(400, str(error)) from error
        return build_json_answer({"faults": self._plan.describe()})

    async def set_clock(self, request: Request) -> Response:
        """POST `{"advance_s": 3600}`, `{"now": "2025-06-01T10:00:00Z"}` or `{"reset": true}`."""
        if request.method == "POST":
            body = await _read_change(request)
            if body.get("reset") is True:
                self._world.clock.reset()
            elif "now" in body:
                self._world.clock.set(_read_moment(body["now"]))
            else:
                self._world.clock.advance(_read_number(body, "advance_s", -MAX_SHIFT_S, MAX_SHIFT_S))
        return build_json_answer({"clock": self._world.clock.utc().isoformat()})

    async def set_budget(self, request: Request) -> Response:
        """`requests_per_5_min` (null: no limit) and `retry_after` (seconds, date, none)."""
        body = await _read_change(request)
        form = _FORMS.get(str(body.get("retry_after", self._bucket.retry_after)))
        if form is None:
            raise ApiError(400, f"retry_after must be one of {', '.join(_FORMS)}")
        limit = body.get("requests_per_5_min", self._bucket.size)
        size = (
            None
            if limit is None
            else int(_read_number({"requests_per_5_min": limit}, "requests_per_5_min", 1, 1e9))
        )
        self._bucket.change(size, form)
        return build_json_answer(self._show_budget())

    async def note_consent(self, request: Request) -> Response:
        """An owner answers or revokes without a word from the client: `{"owner", "state", "client_id"?}`.

        With a client of the code flow only revoking is to be done: it ends the owner's logins.
        """
        body = await _read_change(request)
        state = parse_state(body.get("state"))
        if state is None or state is SandboxConsentState.PENDING:
            raise ApiError(400, "state must be Accepted, Rejected, Expired or Revoked")
        client_id, owner = (
            str(body.get("client_id", self._world.options.client_id)),
            str(body.get("owner", "")),
        )
        client = self._world.clients.get(client_id)
        if client is not None and client.flow == "code" and state is SandboxConsentState.REVOKED:
            done = self._world.tokens.end_logins({owner}) > 0
        else:
            done = self._world.consents.answer(client_id, owner, state)
        if not done:
            raise ApiError(404, "This owner has no consent for this client that can change to this state")
        return build_json_answer({"owner": owner, "state": state.value})

    async def add_plants(self, request: Request) -> Response:
        """The fleet grows by `count` plants, which no consent covers yet."""
        count = int(_read_number(await _read_change(request), "count", 1, MAX_NEW_PLANTS))
        return build_json_answer({"plantIds": self._world.add_plants(count)}, 201)

    async def move_plant(self, request: Request) -> Response:
        """The Classic plant `plantId` moves to ennexOS."""
        old = str((await _read_change(request)).get("plantId", "")).lower()
        new = self._world.migrate(old)
        if new is None:
            raise ApiError(404, "No simulated Classic plant has this id")
        return build_json_answer({"from": old, "to": new}, 201)

    async def expire_tokens(self, request: Request) -> Response:
        """All access tokens become invalid at once."""
        await _read_change(request)
        return build_json_answer({"expired": self._world.tokens.expire_access_tokens()})

    def _show_budget(self) -> dict[str, object]:
        return {
            "requests_per_5_min": self._bucket.size,
            "retry_after": self._bucket.retry_after,
            "refused": self._bucket.refused,
        }


def _read_fault(item: object) -> Fault:
    """A fault as an object of settings, or as the text that the command line takes."""
    readers: dict[type, Callable[[Any], Fault]] = {str: parse_fault, dict: make_fault}
    reader = readers.get(type(item))
    if reader is None:
        raise FaultError("A fault is an object of settings, or a text such as status_503=0.05.")
    return reader(item)


async def _read_change(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "Send changes as application/json")
    return await read_json_object(request)


def _read_number(body: dict[str, Any], name: str, low: float, high: float) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ApiError(400, f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def _read_moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ApiError(400, "now must be an ISO time such as 2025-06-01T10:00:00Z") from error
    if not 2000 <= moment.year <= 2099:  # noqa: PLR2004 - the plants live in this century
        raise ApiError(400, "now must lie between 2000 and 2099")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
