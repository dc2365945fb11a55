"""Guards Dagster's page, which has no login and accepts all requests of a browser.

Left to itself the page executes mutations that come in the address of a GET, so an image on somebody else's page could
launch a run that costs PU. It also answers to any name, so a foreign page could lead the browser here under a name of
its own (DNS rebinding) and read everything. Other programs of this machine are not kept out: they name no page.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.common.text import escape_line

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(?::[0-9]{1,5})?")
_GRAPHQL = "/graphql"
_READS = frozenset({"GET", "HEAD"})
# A browser says so of a page's own requests, and of addresses that a person has typed.
_OWN_SITES = frozenset({"same-origin", "none"})


class PageGuard:
    """ASGI middleware that refuses foreign names, foreign pages' changes, and changes by an address alone."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        """Guard `app`, which can be reached by `names` as well as by addresses and localhost."""
        self._app = app
        self._names = frozenset({"localhost", *(name.lower().rstrip(".") for name in names)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with a sentence; a refused web socket does not open."""
        refusal = self._find_refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, _forbid_frames(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    def _find_refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        name = _host(hosts[0]) if len(hosts) == 1 else None
        if name is None or not (name in self._names or _is_address(name)):
            return PlainTextResponse(
                "This page does not accept requests for "
                f"{escape_line(hosts[0][:100]) if hosts else 'a host without a name'}: use its address or localhost, "
                "or add the host name to SUNLEDGER_UI_HOSTS.",
                421,
            )
        if scope["type"] == "http" and _only_reads(scope):
            return None
        if not _is_own_page(headers, name):
            return PlainTextResponse(
                "The request was refused, because it comes from a page of another site: use the control room itself.",
                403,
            )
        if scope["type"] == "http" and scope["method"] in _READS and "mutation" in _query(scope):
            return PlainTextResponse(
                "The request was refused, because changes must be sent by POST: use the control room itself.",
                405,
            )
        return None


def _forbid_frames(send: Send) -> Send:
    """Answers that no page of another site shows inside of itself, where a click meant for it could launch a run."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
        await send(message)

    return send_guarded


def _only_reads(scope: Scope) -> bool:
    """Whether a request can neither change anything nor have a query executed."""
    return scope["method"] in _READS and not (scope["path"].rstrip("/").endswith(_GRAPHQL) and _query(scope))


def _query(scope: Scope) -> str:
    """The GraphQL in the address; its keywords can't be written in another way."""
    return str(QueryParams(scope["query_string"]).get("query", ""))


def _is_own_page(headers: Headers, name: str) -> bool:
    """Whether a request comes from a page of this server, or from no page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    # Ports are not compared, because a proxy listens at another port.
    return (site is None or site in _OWN_SITES) and (
        origin is None or _host(origin.partition("://")[2]) == name
    )


def _host(authority: str) -> str | None:
    """The host of `host:port` in lower case, without brackets and the root's dot; None if it names none."""
    found = _AUTHORITY.fullmatch(authority.strip())
    return found[1].strip("[]").lower().rstrip(".") or None if found else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
