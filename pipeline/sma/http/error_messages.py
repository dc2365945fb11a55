"""Faults of the wire turned into typed errors whose text a person can act on.

Texts are built from types, statuses and the vendor's own message; a library's text may quote a request's
headers and is never used.
"""

import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx
import orjson

from pipeline.common.errors import NotYetAvailable, PermanentError, SmaError, TransientError
from pipeline.sma.http.redact import redact_text
from pipeline.sma.http.retry import TOO_MANY_REQUESTS

# What the transport raises when no complete answer arrives. TimeoutError is our limit for a whole try.
TRANSPORT_FAULTS = (httpx.TransportError, httpx.DecodingError, aiohttp.ClientError, OSError, TimeoutError)

_CERTIFICATE_FAULTS = (ssl.SSLCertVerificationError, aiohttp.ClientConnectorCertificateError)

_SILENT = "{host} did not answer in time"

# The first line that fits wins. httpx-aiohttp calls every lost connection a ConnectTimeout, so aiohttp's own
# types come first and httpx's time-outs last.
_CLAUSES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (_CERTIFICATE_FAULTS, "the TLS certificate of {host} is not trusted"),
    ((ssl.SSLError, aiohttp.ClientSSLError), "the TLS connection to {host} failed"),
    ((socket.gaierror, aiohttp.ClientConnectorDNSError), "the host name {host} does not exist"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "the proxy before {host} failed"),
    ((ConnectionRefusedError,), "{host} refused the connection"),
    ((aiohttp.ClientPayloadError, httpx.DecodingError), "the answer of {host} was truncated or damaged"),
    ((aiohttp.ServerDisconnectedError, ConnectionResetError), "{host} closed the connection too early"),
    ((aiohttp.ClientResponseError,), "{host} broke the HTTP protocol"),
    ((aiohttp.ServerTimeoutError, TimeoutError), _SILENT),
    ((aiohttp.ClientConnectorError,), "{host} cannot be reached"),
    ((httpx.TimeoutException,), _SILENT),
)

_CURES = {
    400: "SMA can't read this request; check the id, the set and the date",
    401: "SMA refuses a token that it has just issued; check that SMA_AUTH_URL and {setting} belong together",
    403: "the credentials may not read this; check the owner's consent and the API's scope in SMA's portal",
    404: "these credentials have no access to this plant, device or set; compare it with the list of plants",
    TOO_MANY_REQUESTS: "the request budget is used up; wait 5 minutes, or set SMA_REQUESTS_PER_5_MIN",
}


# The one path that is there for everybody.
PLANT_LIST = "/v1/plants"


@dataclass(frozen=True, slots=True)
class Call:
    """How a message names a request: method, path, host, and the setting that names the host.

    `secrets` are what the request holds and no message may repeat from its answer.
    """

    method: str
    path: str
    host: str
    setting: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.method} {redact_text(self.path)}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer, of any status. `body` is decompressed; that of an error may be cut."""

    status: int
    headers: httpx.Headers
    body: bytes


def build_refusal_error(call: Call, reply: Reply) -> SmaError:
    """The error for an answer that asking again will not change."""
    cure = _CURES.get(reply.status, "this answer is not from SMA's API; check {setting}")
    if reply.status == HTTPStatus.NOT_FOUND and call.path == PLANT_LIST:
        cure = "check {setting}, the part before /v1: with /monitoring in SMA's sandbox, without it in production"
    said = read_vendor_message(reply.body, call.secrets)
    text = f"{call} answered {format_status(reply.status)}{f' ({said})' if said else ''}"
    return PermanentError(
        f"{text}: {cure.format(setting=call.setting)}.",
        method=call.method,
        path=call.path,
        status=reply.status,
    )


def build_not_yet_error(call: Call, reply: Reply) -> SmaError:
    """The error for an answer that says itself that it is not ready."""
    return NotYetAvailable(
        f"{call} answered {format_status(reply.status)}: SMA does not have the data yet: run it again later.",
        method=call.method,
        path=call.path,
        status=reply.status,
    )


def build_last_try_error(call: Call, outcome: Reply | Exception, tries: int) -> SmaError:
    """The error for a call that still fails after the last try."""
    if isinstance(outcome, Reply):
        said = read_vendor_message(outcome.body, call.secrets)
        cure = _CURES.get(outcome.status, "SMA's service has a fault; run it again later")
        what = f"{call} answered {format_status(outcome.status)}{f' ({said})' if said else ''}"
        return TransientError(
            f"{what}, the last of {_count_tries(tries)}: {cure}.",
            method=call.method,
            path=call.path,
            status=outcome.status,
        )
    what = f"{call} got no answer, {_count_tries(tries)}: {explain_transport_fault(outcome, call.host)}"
    return TransientError(
        f"{what}; check the network and {call.setting}, then run it again.",
        method=call.method,
        path=call.path,
    )


def explain_wait(call: Call, outcome: Reply | Exception) -> str:
    """Why the next try has to wait, as a clause. It names no plant: many requests wait together."""
    if isinstance(outcome, Reply):
        if outcome.status == TOO_MANY_REQUESTS:
            return f"{call.host} refuses requests because of their rate ({format_status(outcome.status)})"
        return f"{call.host} answers {format_status(outcome.status)}"
    return explain_transport_fault(outcome, call.host)


def build_certificate_error(call: Call) -> SmaError:
    """The error for a certificate that does not verify. No setting turns verification off."""
    return PermanentError(
        f"{call} was not sent, because the TLS certificate of {call.host} is not trusted: check {call.setting}, or set "
        "SSL_CERT_FILE to your organisation's certificates.",
        method=call.method,
        path=call.path,
    )


def build_size_error(call: Call, status: int, limit_bytes: int) -> SmaError:
    """The error for a body beyond the limit."""
    return PermanentError(
        f"{call} answered with more than the {limit_bytes:,} bytes allowed for one answer: check that {call.setting} "
        "is SMA's API, or raise SMA_MAX_ANSWER_BYTES.",
        method=call.method,
        path=call.path,
        status=status,
    )


def build_redirect_error(call: Call, status: int, *, hops: int = 0) -> SmaError:
    """The error for a redirect that is not followed: credentials must not go there, or `hops` led nowhere already."""
    redirects = f"{call} answered {format_status(status)} and redirects"
    if hops:
        text = (
            f"{redirects} after {hops} other redirects, of which none led to an answer. Report this to SMA."
        )
    else:
        text = (
            f"{redirects} to no address of SMA's Monitoring API at {call.setting}, and credentials are never sent to "
            "another one: check that setting."
        )
    return PermanentError(text, method=call.method, path=call.path, status=status)


def is_certificate_fault(fault: BaseException) -> bool:
    """Whether the server's certificate was refused: another try would not change that."""
    return any(isinstance(link, _CERTIFICATE_FAULTS) for link in _list_causes(fault))


def is_silence(fault: BaseException) -> bool:
    """Whether no complete answer came within the time of a try, so that it took that long."""
    return explain_transport_fault(fault, "") == _SILENT.format(host="")


def explain_transport_fault(fault: BaseException, host: str) -> str:
    """What a transport fault means, as a clause about `host`."""
    chain = tuple(_list_causes(fault))
    for types, clause in _CLAUSES:
        if any(isinstance(link, types) for link in chain):
            return clause.format(host=host)
    return f"the connection to {host} failed"


def read_vendor_message(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The vendor's own words in an error body, cleaned and cut; empty when there are none (as in HTML).

    Knows SMA's `{"message","code"}`, OAuth's `{"error","error_description"}` and ASP.NET's
    `{"title","errors"}`.
    """
    fields = read_error_fields(body)
    words = [fields.get(key) for key in ("message", "error", "error_description", "title", "errors")]
    text = "; ".join(w if isinstance(w, str) else orjson.dumps(w).decode() for w in words if w)
    return redact_text(text, secrets)


def read_error_fields(body: bytes) -> dict[str, Any]:
    """The members of an error body that is a JSON object, else nothing."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _list_causes(fault: BaseException | None) -> Iterator[BaseException]:
    """A fault and what caused it; aiohttp keeps the inner fault in an attribute too."""
    while fault is not None:
        yield fault
        inner = getattr(fault, "os_error", None)
        if isinstance(inner, BaseException):
            yield inner
        fault = fault.__cause__


def format_status(status: int) -> str:
    """`404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _count_tries(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"
