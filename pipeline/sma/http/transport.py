"""The HTTP layer: httpx's requests and responses on aiohttp's connections.

httpx's own transport grows dearer with every request in flight; aiohttp's stays flat, behind the same messages.
"""

import logging
import os
import ssl
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pipeline.common.errors import ConfigurationError
from pipeline.common.sma_hosts import is_loopback

USER_AGENT = "sunledger"
KEEP_ALIVE_S = 60.0
LARGEST_PORT = 65_535
# Whoever has set httpx's logger to show requests sees these.
_LOG = logging.getLogger("httpx")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed to each phase of a try. SMA's slow answers take over 20 s, so reading waits for 45 s.

    `pool` covers waiting for a connection and making it; `whole_try` ends an answer that trickles in for
    ever, and is the limit for writing too, which aiohttp does not time by itself. After `announced` of it a person
    learns that the answer has not ended.
    """

    connect: float = 10.0
    read: float = 45.0
    pool: float = 60.0
    whole_try: float = 300.0
    announced: float = 60.0


class HttpTransport:
    """Sends httpx's requests over aiohttp's connections, through the proxies of the environment.

    Belongs to one event loop; close it there. An `httpx.AsyncClient` around it would take a third of what a request
    costs, for redirects, logins, cookies and hooks that nothing here uses.
    """

    def __init__(
        self, direct: AiohttpTransport, by_proxy: Mapping[str, AiohttpTransport], timeouts: Timeouts
    ) -> None:
        """`by_proxy` has the transports of the origins that are reached through one."""
        self._direct, self._by_proxy = direct, by_proxy
        self.headers: tuple[tuple[str, str], ...] = (
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip, deflate"),
            ("Connection", "keep-alive"),
            ("User-Agent", USER_AGENT),
        )
        limits = httpx.Timeout(
            connect=timeouts.connect, read=timeouts.read, write=timeouts.whole_try, pool=timeouts.pool
        )
        # What each request carries.
        self.extensions = {"timeout": limits.as_dict()}

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The response, with its body still to be read, and to be closed by the caller. Raises httpx's faults."""
        transport = self._direct
        if self._by_proxy:
            transport = self._by_proxy.get(find_origin(str(request.url)), transport)
        response = await transport.handle_async_request(request)
        _LOG.info("%s %s: %d", request.method, request.url, response.status_code)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in (self._direct, *self._by_proxy.values()):
            await transport.aclose()


def open_transport(bases: Iterable[str], connections: int, timeouts: Timeouts) -> HttpTransport:
    """The way to the given base URLs with a pool of `connections`. TLS is always verified, no cookies.

    Proxies come from the usual environment variables. Redirects are left to the caller, who knows where
    credentials may go.
    """
    tls = load_trusted_authorities()
    session: aiohttp.ClientSession | None = None

    def shared_session() -> aiohttp.ClientSession:
        # Made at the first request, inside the loop that will use it; all transports share its connections.
        nonlocal session
        if session is None or session.closed:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=connections, ssl=tls, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # aiohttp sends a GET again by itself when a kept connection turns out to be closed: a request that
            # neither the budget nor the record would know of. It has no public switch for that.
            session._retry_connection = False  # noqa: SLF001
        return session

    limits = httpx.Limits(max_connections=connections, keepalive_expiry=KEEP_ALIVE_S)

    def transport(proxy: httpx.Proxy | None) -> AiohttpTransport:
        return AiohttpTransport(verify=tls, limits=limits, proxy=proxy, client=shared_session)

    proxies = {find_origin(base): find_proxy(base) for base in bases}
    by_proxy = {at: transport(proxy) for at, proxy in proxies.items() if proxy is not None}
    return HttpTransport(transport(None), by_proxy, timeouts)


def load_trusted_authorities() -> ssl.SSLContext:
    """What every connection is verified against: SSL_CERT_FILE or SSL_CERT_DIR, else the certificates of certifi.

    Raises ConfigurationError where one of these names nothing that can be read: no connection is less safe for it.
    """
    named = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
    try:
        context = httpx.create_ssl_context()
    except OSError as fault:
        why = "none is in it" if isinstance(fault, ssl.SSLError) else fault.strerror
        place = f"{named}={os.environ[named]}" if named else "The package certifi"
        raise ConfigurationError(
            f"{place} holds no readable certificates ({why}): set it to your organisation's certificates (PEM), or "
            "unset it."
        ) from None
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError(
            "The TLS library of this Python does not verify certificates, so nothing is sent: set the "
            "environment up again with 'make setup'."
        )
    return context


def find_origin(url: str) -> str:
    """Scheme, host and port of a URL, the port always written."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def find_proxy(url: str) -> httpx.Proxy | None:
    """The proxy that the environment (`https_proxy`, `no_proxy`) names for a URL; never one for loopback.

    Raises ConfigurationError for one that can't be used.
    """
    parts = urlsplit(url)
    address = urllib.request.getproxies().get(parts.scheme)
    if not address or is_loopback(url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
        port_is_one = proxy.url.port is None or 0 < proxy.url.port <= LARGEST_PORT
        usable = proxy.url.scheme in {"http", "https"} and proxy.url.host != "" and port_is_one
    except (ValueError, UnicodeError, httpx.InvalidURL):
        usable = False
    if not usable:
        # It may hold a password, so it is not repeated.
        raise ConfigurationError(
            f"The proxy in {parts.scheme}_proxy can't be used: write it as http://[user:password@]host:port, "
            "or unset it."
        )
    return proxy
