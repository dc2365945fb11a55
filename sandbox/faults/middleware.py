"""ASGI middleware that plays the faults which strike a request. Without faults it only passes requests on."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote

import numpy as np
import orjson
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import wire
from sandbox.faults.catalogue import FaultStage
from sandbox.faults.fault_plan import Fault, FaultCall, FaultPlan
from sandbox.faults.rows import make_names_hostile, spoil, spoil_lists
from sandbox.http_answers import build_json_answer
from sandbox.random_streams import Topic, open_random_stream
from sandbox.series import set_names
from sandbox.world import World

_PIECES = 10
_DECIMAL = re.compile(rb":-?\d+\.\d+(?=[,}])")
_HTML = "<html><head><title>{0} {1}</title></head><body><center><h1>{0} {1}</h1></center><hr></body></html>"
_REASONS = {
    404: "Not Found",
    408: "Request Timeout",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}
_IN_HTML = (502, 504)


class FaultPlayer:
    """Asks the plan for each request and plays what it says."""

    def __init__(self, app: ASGIApp, world: World, plan: FaultPlan) -> None:
        """Stand before `app`."""
        self._app = app
        self._world = world
        self._plan = plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the faults that strike it."""
        if scope["type"] != "http" or not self._plan.held or scope["path"].startswith("/_"):
            await self._app(scope, receive, send)
            return
        call = self._read_call(scope)
        faults = self._plan.choose_faults(call)
        if not faults:
            await self._app(scope, receive, send)
            return
        for fault in faults:
            self._change_before(fault, call)
        instead = next((fault for fault in faults if fault.kind.stage is FaultStage.INSTEAD), None)
        answer = _build_failure(instead) if instead else await self._spoil_answer(scope, receive, faults)
        on_wire = next((fault for fault in faults if fault.kind.stage is FaultStage.WIRE), None)
        await _deliver(answer, on_wire, scope, receive, send)

    def _read_call(self, scope: Scope) -> FaultCall:
        path: str = scope["path"]
        query = scope["query_string"].decode("latin-1")
        device = self._world.device(_find_id_after("devices", path))
        plant_id = device[0].plant.plant_id if device else _find_id_after("plants", path)
        date = next((value for name, value in parse_qsl(query) if name.lower() == "date"), "")
        return FaultCall(scope["method"], path, query, plant_id, date)

    def _change_before(self, fault: Fault, call: FaultCall) -> None:
        """What changes the world; it does so once, however often the fault strikes."""
        world, name = self._world, fault.kind.name
        plants = fault.plants or ((call.plant_id,) if call.plant_id else ())
        if name == "expired_token":
            world.tokens.expire_access_tokens()
        elif name == "revoked_consent":
            world.revoke(world.owners(fault.plants) if fault.plants else None)
        elif name == "narrowed_consent":
            world.consents.forget_plants(plants)
        elif name == "lost_owner":
            world.lose_owner(plants)
        elif name == "migration":
            for plant_id in plants:
                world.migrate(plant_id)

    async def _spoil_answer(self, scope: Scope, receive: Receive, faults: Iterable[Fault]) -> Response:
        """The true answer, collected whole, and then spoiled in rows and body."""
        answer = await _collect(self._app, scope, receive)
        self._plan.spoiled += 1
        if answer.status_code != 200:  # noqa: PLR2004 - only good answers can be spoiled
            return answer
        for fault in faults:
            if fault.kind.stage is FaultStage.ROWS:
                self._spoil_rows(answer, fault, scope)
            elif fault.kind.stage is FaultStage.BODY:
                _spoil_body(
                    answer,
                    fault,
                    open_random_stream(self._plan.seed, Topic.FAULT, 2**20 + 1, self._plan.spoiled),
                )
        return answer

    def _spoil_rows(self, answer: Response, fault: Fault, scope: Scope) -> None:
        content = orjson.loads(answer.body) if _is_json(answer) else None
        if not isinstance(content, dict):
            return
        if not isinstance(content.get("set"), list):
            if fault.path:  # a fault that aims at other answers on purpose acts on their lists
                _set_body(answer, orjson.dumps(spoil_lists(content, fault)))
            return
        if fault.kind.name == "huge_answer":
            _set_body(answer, _inflate(content, fault.amount))
            return
        question = f"{scope['path']}?{scope['query_string'].decode('latin-1')}".lower()
        first = fault.kind.name == "changed_answer" and self._plan.reads.is_first(question)
        rng = open_random_stream(self._plan.seed, Topic.FAULT, 2**20, self._plan.spoiled)
        _set_body(
            answer,
            orjson.dumps(
                spoil(content, fault, rng, first_read=first, energy=_is_in_energy(content, question))
            ),
        )


def _is_in_energy(content: Mapping[str, object], question: str) -> bool:
    """Whether the rows hold Wh: they do where they are asked for, in EnergyDc, and in Month, Year and Total."""
    return (
        "returnenergyvalues=true" in question
        or content.get("setType") == set_names.ENERGY_DC
        or content.get("resolution") in set_names.RESOLUTION_OF_PERIOD.values()
    )


def _find_id_after(word: str, path: str) -> str:
    """The part of the path behind `word`, in lower case; empty if there is none."""
    parts = path.split("/")
    return unquote(parts[parts.index(word) + 1]).lower() if word in parts[:-1] else ""


def _build_failure(fault: Fault) -> Response:
    status = int(fault.kind.name.removeprefix("status_"))
    if status in _IN_HTML:
        return HTMLResponse(_HTML.format(status, _REASONS[status]), status)
    return build_json_answer({"message": _REASONS[status], "code": str(status)}, status)


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """Run the application and keep its whole answer."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    answer = Response(bytes(body), start["status"])
    answer.raw_headers = list(start["headers"])
    return answer


def _is_json(answer: Response) -> bool:
    return answer.headers.get("content-type", "").startswith("application/json")


def _set_body(answer: Response, body: bytes) -> None:
    answer.body = body
    answer.headers["content-length"] = str(len(body))


def _spoil_body(answer: Response, fault: Fault, rng: np.random.Generator) -> None:
    body = bytes(answer.body)
    if fault.kind.name == "html_body":
        answer.headers["content-type"] = "text/html; charset=utf-8"
        _set_body(answer, _HTML.format(200, "Maintenance").encode())
    elif fault.kind.name == "invalid_json":
        middle = len(body) // 2
        _set_body(answer, body[:middle] + b',,"NaN: ' + body[middle:])
    elif fault.kind.name == "half_characters":
        _set_body(answer, body.replace(b'"name":"', b'"name":"\\ud83d'))
    elif fault.kind.name == "not_finite":
        _set_body(answer, _DECIMAL.sub(rb":NaN", body, count=1))
    elif fault.kind.name == "hostile_names" and _is_json(answer):
        _set_body(answer, orjson.dumps(make_names_hostile(orjson.loads(body), rng)))
    elif _is_json(answer):
        content = orjson.loads(body)
        inner = next((value for value in content.values() if isinstance(value, list)), content)
        _set_body(answer, orjson.dumps(inner))


def _inflate(content: dict[str, object], megabytes: float) -> bytes:
    """The same answer with its rows repeated up to a size."""
    rows = orjson.dumps(content["set"])[1:-1]
    head = orjson.dumps({**content, "set": []})
    before, _, after = head.rpartition(b"[]") if b'"set":[]' in head else (head, b"", b"")
    times = int(megabytes * 1e6 // max(len(rows), 1)) + 1 if rows else 0
    return b"".join([before, b"[", b",".join([rows] * times), b"]", after])


async def _deliver(answer: Response, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer over a wire that may have a fault."""
    name = fault.kind.name if fault else ""
    seconds = fault.amount if fault else 0.0
    if name == "reset":
        wire.reset(scope)
        return
    if name == "slow_first_byte":
        await _wait(seconds, receive)
    if name not in ("slow_body", "stall", "truncated_body"):
        await answer(scope, receive, send)
        return
    body = bytes(answer.body)
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    if name == "slow_body":
        size = len(body) // _PIECES + 1
        for start in range(0, len(body), size):
            await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
            if await _wait(seconds / _PIECES, receive):
                return
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    if name == "stall":
        await _wait(seconds, receive)
    wire.close_connection(scope)


async def _wait(seconds: float, receive: Receive) -> bool:
    """Wait, but not longer than the caller does; True if the caller is gone."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left)
        except TimeoutError:
            return False
        if message["type"] == "http.disconnect":
            return True
    return False
