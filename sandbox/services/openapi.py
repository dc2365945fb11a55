"""The sandbox's OpenAPI page: `/openapi.json`, and `/docs` for people."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.http_answers import build_json_answer
from sandbox.series import set_names
from sandbox.services.command_kinds import COMMANDS
from sandbox.services.html_pages import Markup, render_page

Json = dict[str, Any]


def _describe_query(name: str, description: str, *, required: bool = False, **schema: Any) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_DATE = _describe_query("Date", "YYYY-MM-DD, for Month YYYY-MM, for Year YYYY; none for Recent and Total")
_TOTAL = _describe_query("WithTotal", "add the sums of the period in Wh", type="boolean")
_ENERGY = _describe_query("ReturnEnergyValues", "Wh of each interval in place of W", type="boolean")
_DAY = {"type": "string", "format": "date"}
_LEVEL = _describe_query("Level", "only this level", enum=["Info", "Warning", "Error"])
_PERIOD = {"type": "string", "enum": [name.title() for name in set_names.PERIODS]}


@dataclass(frozen=True, slots=True)
class _Operation:
    """One path and method. `answers` names the schema of each good status; None is an empty body."""

    method: str
    path: str
    tag: str
    summary: str
    answers: dict[int, str | None]
    errors: tuple[int, ...] = ()
    query: tuple[Json, ...] = ()
    path_schemas: dict[str, Json] = field(default_factory=dict)
    body: str | None = None
    form: str | None = None
    open_to_all: bool = False


_DATA = (308, 400, 401, 404, 429)
_PLANT_PARTS = tuple(
    _describe_query(f"With{part}", f"add {part.lower()}", type="boolean")
    for part in ("Status", "Installation", "Location")
)
_DEACTIVATED = (_describe_query("WithDeactivatedDevices", "also devices that were removed", type="boolean"),)
_LOG_QUERY = (
    {**_describe_query("From", "first local day", required=True), "schema": _DAY},
    {**_describe_query("To", "last local day", required=True), "schema": _DAY},
    _LEVEL,
)
_TRUTH_QUERY = tuple(
    _describe_query(name, "ISO time with offset", required=True, format="date-time")
    for name in ("from", "to")
)


def _describe_operations() -> Iterator[_Operation]:
    base = "/monitoring/v1"
    yield _Operation("get", f"{base}/plants", "Monitoring", "All plants", {200: "Plants"}, (400, 401, 429), (
        *_PLANT_PARTS, _describe_query("Filter", "part of the name")))  # fmt: skip
    yield _Operation("get", f"{base}/plants/{{plantId}}", "Monitoring", "One plant", {200: "Plant"}, _DATA)
    yield _Operation(
        "get", f"{base}/devices/{{deviceId}}", "Monitoring", "One device", {200: "Object"}, _DATA
    )
    devices = f"{base}/plants/{{plantId}}/devices"
    yield _Operation(
        "get", devices, "Monitoring", "Devices with their plant", {200: "Devices"}, _DATA, _DEACTIVATED
    )
    yield _Operation(
        "get", f"{devices}/lean", "Monitoring", "Devices alone", {200: "Devices"}, _DATA, _DEACTIVATED
    )
    for level, known in (
        ("plants/{plantId}", set_names.PLANT_SETS),
        ("devices/{deviceId}", set_names.DEVICE_SETS),
    ):
        one, what = f"{base}/{level}", level.partition("s/")[0]
        yield _Operation("get", f"{one}/status", "Monitoring", f"Status of a {what}", {200: "Object"}, _DATA)
        yield _Operation(
            "get", f"{one}/logs", "Monitoring", f"Logs of a {what}", {200: "Logs"}, _DATA, _LOG_QUERY
        )
        yield _Operation(
            "get", f"{one}/measurements/sets", "Monitoring", f"Which sets a {what} has", {200: "Sets"}, _DATA
        )
        yield _Operation(
            "get",
            f"{one}/measurements/sets/{{setType}}/{{period}}",
            "Monitoring",
            f"Measurements of a {what}",
            {200: "Measurements"},
            _DATA,
            (_DATE, _TOTAL, _ENERGY),
            {"setType": {"type": "string", "enum": list(known)}, "period": _PERIOD},
        )
    yield from _describe_other_services()
    yield from _describe_own_services()


def _describe_other_services() -> Iterator[_Operation]:
    consent = "/oauth2/v2/bc-authorize"
    answers: dict[int, str | None] = {200: "Consent"}
    yield _Operation("post", "/oauth2/token", "Authorization", "Tokens, three grants", {200: "Token"}, (400, 401),
                     form="TokenForm", open_to_all=True)  # fmt: skip
    yield _Operation("post", "/oauth2/logout", "Authorization", "End a session", {204: None}, (400, 401),
                     form="LogoutForm", open_to_all=True)  # fmt: skip
    yield _Operation("post", consent, "Consent", "Request consent", {200: "Consent", 201: "Consent"}, (400, 401, 403),
                     body="Ask")  # fmt: skip
    one = f"{consent}/{{loginHint}}"
    yield _Operation("get", one, "Consent", "State of the consent", answers, (401, 403, 404))
    yield _Operation(
        "put", f"{one}/status", "Consent", "Answer as the owner", answers, (400, 401, 403, 404), body="Status"
    )
    live = "/live/v1/plants/{plantId}"
    yield _Operation(
        "get", f"{live}/measurements/sets/EnergyBalance", "Live (unproven)", "Now", {200: "Live"}, _DATA
    )
    yield _Operation(
        "get", f"{live}/configuration", "Live (unproven)", "What can be asked", {200: "Object"}, _DATA
    )
    grid = "/gridcontrol/v1/plants"
    tag = "GridControl (unproven)"
    yield _Operation("post", f"{grid}/eligibilityCheck", tag, "Which commands plants, devices or meters take",
                     {200: "Eligibility"}, (400, 401, 429), body="Check")  # fmt: skip
    schedules = f"{grid}/{{plantId}}/schedules"
    skip = (
        _describe_query(
            "skipEligibilityCheck", "accept commands that the plant may not take", type="boolean"
        ),
    )
    accepted: dict[int, str | None] = {200: "Object", 202: "Object"}
    yield _Operation("post", schedules, tag, "A schedule of commands", accepted, (*_DATA, 409), skip,
                     body="Schedule")  # fmt: skip
    yield _Operation("get", schedules, tag, "The plant's schedules", {200: "Object"}, _DATA)
    yield _Operation(
        "delete", f"{schedules}/{{scheduleId}}", tag, "Cancel a schedule", {204: None}, (*_DATA, 409)
    )


def _describe_own_services() -> Iterator[_Operation]:
    tag = "Sandbox only"
    for level, key in (("plants", "plantId"), ("devices", "deviceId")):
        yield _Operation("get", f"/_truth/{level}/{{{key}}}/{{quantity}}", tag, "Exact energy", {200: "Truth"},
                         (400, 404), _TRUTH_QUERY, open_to_all=True)  # fmt: skip
    yield _Operation("get", "/_truth/gridcontrol/plants/{plantId}", tag, "Schedules and cancellations that came",
                     {200: "Object"}, (404,), open_to_all=True)  # fmt: skip
    yield _Operation(
        "get", "/_control", tag, "Everything that can be changed", {200: "Object"}, open_to_all=True
    )
    yield _Operation(
        "get", "/_control/faults", tag, "Faults and their counts", {200: "Object"}, open_to_all=True
    )
    changes = (
        ("put", "faults", "Set the faults", 200),
        ("post", "faults", "Add a fault", 200),
        ("post", "clock", "Move the clock", 200),
        ("put", "budget", "Set the request budget", 200),
        ("post", "consents", "Change an owner's consent", 200),
        ("post", "plants", "Add plants", 201),
        ("post", "migrations", "Move a Classic plant to ennexOS", 201),
        ("post", "tokens/expire", "Expire all access tokens", 200),
    )
    for method, path, summary, status in changes:
        yield _Operation(method, f"/_control/{path}", tag, summary, {status: "Object"}, (400, 404, 415),
                         body="Object", open_to_all=True)  # fmt: skip
    yield _Operation("delete", "/_control/faults", tag, "No faults", {200: "Object"}, open_to_all=True)
    yield _Operation("get", "/_control/clock", tag, "The clock", {200: "Object"}, open_to_all=True)


def _shape(required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_INTEGER: Json = {"type": "integer"}


def _list_of(schema: Json) -> Json:
    return {"type": "array", "items": schema}


_ROW = _shape(("time",), time=_TEXT)
_BRIEF = _shape(("plantId", "name", "timezone"), plantId=_TEXT, name=_TEXT, timezone=_TEXT)
_NAME: Json = {"type": "string", "enum": list(COMMANDS)}
_VALUE: Json = {"type": ["number", "boolean"]}
_COMMAND = _shape(("command", "startTime", "duration", "value"), command=_NAME, startTime=_TEXT, duration=_NUMBER,
                  value=_VALUE)  # fmt: skip
_JUDGED = _shape(
    ("plantId", "commands"), plantId=_TEXT, deviceId=_TEXT, meterId=_TEXT,
    commands=_list_of(_shape(("command", "supported"), command=_NAME, supported={"type": "boolean"}, reason=_TEXT)),
)  # fmt: skip
_SCHEMAS: dict[str, Json] = {
    "Object": _shape(),
    "Error": _shape(message=_TEXT, code=_TEXT),
    "Plant": _BRIEF,
    "Plants": _shape(("plants",), plants=_list_of(_BRIEF)),
    "Devices": _shape(("devices",), devices=_list_of(_shape(("deviceId", "name", "type"), deviceId=_TEXT))),
    "Sets": _shape(("plant", "sets"), plant=_BRIEF, sets=_list_of(_TEXT)),
    "Logs": _shape(("plant", "logs"), plant=_BRIEF, logs=_list_of(_shape(("timestamp", "message", "level")))),
    "Measurements": _shape(
        ("plant", "setType", "resolution", "set"),
        plant=_BRIEF, setType=_TEXT, resolution=_TEXT, set=_list_of(_ROW), total=_shape(),
    ),
    "Live": _shape(("plant", "status", "set"), plant=_BRIEF, status=_TEXT, set=_shape()),
    "Truth": _shape(("plantId", "quantity", "kwh"), plantId=_TEXT, quantity=_TEXT, kwh=_NUMBER),
    "Consent": _shape(
        ("loginHint", "state", "expirationDate", "interval"),
        loginHint=_TEXT, state=_TEXT, expirationDate=_TEXT, interval=_INTEGER,
    ),
    "Token": _shape(
        ("access_token", "expires_in", "refresh_token", "refresh_expires_in", "token_type"),
        access_token=_TEXT, expires_in=_INTEGER, refresh_token=_TEXT, refresh_expires_in=_INTEGER, token_type=_TEXT,
    ),
    "TokenForm": _shape(
        ("grant_type",), client_id=_TEXT, client_secret=_TEXT, scope=_TEXT, code=_TEXT, redirect_uri=_TEXT,
        refresh_token=_TEXT,
        grant_type={"type": "string", "enum": ["client_credentials", "authorization_code", "refresh_token"]},
    ),
    "LogoutForm": _shape(("refresh_token",), client_id=_TEXT, client_secret=_TEXT, refresh_token=_TEXT),
    "Ask": _shape(("loginHint",), loginHint=_TEXT),
    "Status": _shape((), status=_TEXT, state=_TEXT),
    "Check": _shape(
        plantIds=_list_of(_TEXT), deviceIds=_list_of(_TEXT), meterIds=_list_of(_TEXT), commands=_list_of(_NAME),
    ),
    "Eligibility": _shape(plants=_list_of(_JUDGED), devices=_list_of(_JUDGED), meters=_list_of(_JUDGED)),
    "Schedule": _shape(
        ("commands",), commands=_list_of(_COMMAND), requestedBy=_TEXT,
        fallback=_shape(("command", "value"), command=_NAME, value=_VALUE),
    ),
}  # fmt: skip


def write_openapi() -> Json:
    """The OpenAPI 3.1 description of everything that is served."""
    paths: dict[str, Json] = {}
    for operation in _describe_operations():
        paths.setdefault(operation.path, {})[operation.method] = _describe_operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sunledger sandbox",
            "version": "1.0.0",
            "description": "A look-alike of SMA's developer services. It is not SMA. Names of query parameters and "
            "periods may be written in any case; unknown fields must be ignored; absent values are absent keys.",
        },
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _describe_operation(operation: _Operation) -> Json:
    answers = {str(status): _describe_answer(schema) for status, schema in operation.answers.items()}
    # A redirect has no body.
    bodies = {
        status: None if status == HTTPStatus.PERMANENT_REDIRECT else "Object" for status in operation.errors
    }
    answers |= {str(status): _describe_answer(schema) for status, schema in bodies.items()}
    described: Json = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*_describe_path_parameters(operation), *operation.query],
        "responses": answers,
        "security": [] if operation.open_to_all else [{"token": []}],
    }
    kind, schema = ("application/x-www-form-urlencoded", operation.form) if operation.form else (
        "application/json", operation.body)  # fmt: skip
    if schema:
        described["requestBody"] = {"required": True, "content": {kind: {"schema": _build_reference(schema)}}}
    return described


def _describe_path_parameters(operation: _Operation) -> list[Json]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": operation.path_schemas.get(name, _TEXT)}
        for name in names
    ]


def _describe_answer(schema: str | None) -> Json:
    if schema is None:
        return {"description": "empty body"}
    return {"description": schema, "content": {"application/json": {"schema": _build_reference(schema)}}}


def _build_reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


class OpenApiService:
    """The description for machines and for people."""

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route("/openapi.json", self.send_openapi),
            Route("/docs", self.render_docs),
            Route("/", self.render_docs),
        ]

    async def send_openapi(self, _request: Request) -> Response:
        """The document as JSON."""
        return build_json_answer(write_openapi())

    async def render_docs(self, _request: Request) -> Response:
        """One table of all endpoints."""
        rows = "".join(
            f"<tr><td>{escape(item.tag)}</td><td><code>{item.method.upper()}</code></td>"
            f"<td><code>{escape(item.path)}</code></td><td>{escape(item.summary)}</td></tr>"
            for item in _describe_operations()
        )
        return render_page("docs", "sunledger sandbox", {"rows": Markup(rows)})
