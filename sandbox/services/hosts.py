"""Which names of this server a request may use.

A foreign web page can make a browser come here under a name of its own, by changing the address behind that name after
the page was loaded (DNS rebinding); the browser then takes both for one site. So only names that nobody else can give
this machine are served: addresses, `localhost`, the name that the server was bound to, and names that were allowed.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.http_answers import ApiError, build_error_answer

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(?::[0-9]{1,5})?")
_REMEMBERED = 256
LOCAL_NAME = "localhost"


class SandboxHosts:
    """Judges Host headers."""

    def __init__(self, names: Iterable[str]) -> None:
        """Serve requests for `names` beside addresses and localhost."""
        self._names = frozenset({LOCAL_NAME, *(name.lower().rstrip(".") for name in names)})
        self._accepted: set[bytes] = set()

    def refusal(self, values: Iterable[bytes]) -> ApiError | None:
        """Why a request with these Host headers is not answered; None for one that is."""
        found = list(values)
        if len(found) == 1 and found[0] in self._accepted:
            return None
        name = _name(found[0].decode("latin-1")) if len(found) == 1 else None
        if name is None:
            return ApiError(400, "The request has no Host header, more than one, or one that names no host.")
        if not (name in self._names or _is_address(name)):
            return ApiError(
                421,
                f"This sandbox does not accept the host name {name[:100]}: use its address or {LOCAL_NAME}, or start "
                f"it with --allow-host {name[:100]}.",
            )
        if len(self._accepted) < _REMEMBERED:
            self._accepted.add(found[0])
        return None


class HostCheck:
    """ASGI middleware that answers no request for a foreign name."""

    def __init__(self, app: ASGIApp, hosts: SandboxHosts) -> None:
        """Stand before `app`."""
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            refusal = self._hosts.refusal(value for name, value in scope["headers"] if name == b"host")
            if refusal is not None:
                await build_error_answer(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name(authority: str) -> str | None:
    """The host of `host:port` in lower case, without brackets and the root's dot; None if it names none."""
    found = _AUTHORITY.fullmatch(authority.strip())
    return found[1].strip("[]").lower().rstrip(".") or None if found else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
