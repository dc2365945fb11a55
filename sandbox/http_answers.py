"""Answers in SMA's form, and questions read with SMA's tolerance (names in any case)."""

import re
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json; charset=utf-8"
MAX_BODY_BYTES = 1 << 20
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ApiError(HTTPException):
    """An answer other than 2xx, in SMA's form `{"message","code"}` or in the form that `body` gives."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`message` is shown to the caller."""
        super().__init__(status, message, dict(headers) if headers else None)
        self.body = body if body is not None else {"message": message, "code": str(status)}
        self.empty = status == HTTPStatus.PERMANENT_REDIRECT


def build_not_found() -> ApiError:
    """404 as SMA says it."""
    return ApiError(404, "Not Found")


def build_bad_value(name: str, problem: str) -> ApiError:
    """400 in ASP.NET's model-binding form."""
    body = {
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "errors": {name: [problem]},
    }
    return ApiError(400, problem, body=body)


def build_json_answer(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`content` as JSON."""
    return Response(orjson.dumps(content), status, dict(headers) if headers else None, media_type=JSON)


def build_error_answer(error: HTTPException) -> Response:
    """Any HTTP error, ours or Starlette's, in SMA's form."""
    if isinstance(error, ApiError):
        if error.empty:
            return Response(status_code=error.status_code, headers=error.headers)
        return build_json_answer(error.body, error.status_code, error.headers)
    return build_json_answer(
        {"message": error.detail, "code": str(error.status_code)}, error.status_code, error.headers
    )


def read_query(request: Request) -> dict[str, str]:
    """The query's parameters by lower-case name; of a repeated one the first counts."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        values.setdefault(name.lower(), value)
    return values


def read_flag(values: Mapping[str, str], name: str) -> bool:
    """A boolean parameter; absent is false, anything but true or false is a 400."""
    text = values.get(name.lower(), "false").strip().lower()
    if text not in ("true", "false"):
        raise build_bad_value(name, f"The value '{text[:100]}' is not valid for {name}.")
    return text == "true"


def parse_date(text: str, name: str) -> date:
    """A date written YYYY-MM-DD; anything else is a 400."""
    try:
        if _DAY.fullmatch(text):  # fromisoformat also takes weeks and dates without hyphens
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise build_bad_value(name, f"The value '{text[:100]}' is not valid for {name}.")


async def read_body(request: Request) -> bytes:
    """The request's body, up to a limit; 413 beyond."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise ApiError(413, "Payload Too Large")
    return bytes(data)


async def read_json_object(request: Request) -> dict[str, Any]:
    """The request's body as a JSON object; anything else is a 400."""
    try:
        value = orjson.loads(await read_body(request) or b"{}")
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return value
