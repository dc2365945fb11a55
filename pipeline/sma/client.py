"""The client of SMA's Monitoring API: tokens, retries, redirects and order; bodies are not decoded here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import unquote, urljoin, urlsplit

from pipeline.common.errors import PermanentError, SmaError, UsageError
from pipeline.common.settings import Settings
from pipeline.sma.auth.token_refusals import TokenRefusals
from pipeline.sma.auth.token_source import TokenSource
from pipeline.sma.budget.limiter import Limiter
from pipeline.sma.budget.shared_budget import open_budget
from pipeline.sma.clock import Clock
from pipeline.sma.http.attempt import Counters, Limits, Wire
from pipeline.sma.http.attempt_log import Record, forget
from pipeline.sma.http.error_messages import (
    Call,
    Reply,
    build_not_yet_error,
    build_redirect_error,
    build_refusal_error,
)
from pipeline.sma.http.ordered_stream import MAX_BACKLOG_BYTES, OrderedStream
from pipeline.sma.http.outage import PROBES, OutageGuard
from pipeline.sma.http.retry import is_transient
from pipeline.sma.http.server_time import refuse_odd_clock
from pipeline.sma.http.shared_window import SharedWindow
from pipeline.sma.http.transport import find_origin
from pipeline.sma.requests import Answer, Failure, Request

MAX_REDIRECTS = 3
# Called when a try is about to be sent, after all its waits; raises where it may not be sent any more.
Admit: TypeAlias = Callable[[], None]

_UNAUTHORIZED = 401
# Accepted, No Content and Too Early: the request is correct, but the answer has no content.
_NOT_YET = frozenset({202, 204, 425})
# SMA answers 308 for a plant that moved to the new portal; 307 also requests the same GET at another address.
_FOLLOWED = frozenset({307, 308})


def pass_all() -> None:
    """Let every try be sent."""


class SmaClient:
    """Asks the Monitoring API. Use it as an async context manager, inside one event loop.

    Raises ConfigurationError at once when credentials are missing. The first request connects. The limiter is by
    default the one that all processes with these credentials share. `record` is called for every try.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        limiter: Limiter | None = None,
        record: Record = forget,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
    ) -> None:
        self.clock = clock or Clock()
        self.limiter = limiter or open_budget(settings, self.clock)
        self.wire = Wire(settings, limits or Limits(), self.clock, limiter=self.limiter, record=record)
        self.tokens = TokenSource(settings, self.wire)
        self.base = settings.sma_monitoring_url
        self.host = urlsplit(self.base).netloc
        self.refusals = TokenRefusals()
        self._outage = OutageGuard()
        self._probes = asyncio.Semaphore(PROBES)
        self._window = SharedWindow(settings.sma_max_connections)
        self._max_backlog_bytes = max_backlog_bytes

    @property
    def counters(self) -> Counters:
        """The numbers of requests, bytes and retries so far."""
        return replace(self.wire.counters)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection. Streams must have been closed before."""
        await self.tokens.settle()
        await self.wire.aclose()
        await self.limiter.aclose()

    async def await_token(self) -> str:
        """A token to send one more request with at once.

        Nothing is taken out of the budget without a token: requests that were admitted while a slow renewal holds them
        would all go together afterwards, more than SMA allows. That is tried once: where a request waits longer than a
        token lives, it would never be sent.
        """
        token = await self.tokens.get()
        if await self.limiter.admit(lambda: self.tokens.is_usable(token)):
            return token
        await self.tokens.get()
        await self.limiter.admit()
        return await self.tokens.get()

    async def send(self, request: Request) -> Answer:
        """The answer to one request. Raises a PermanentError, or a TransientError after the last try.

        Raises ClockApartError where SMA's answer shows that this machine's clock is too far from SMA's.
        """
        return await self._exchange(_Exchange(self, request))

    async def fetch(self, request: Request, admit: Admit = pass_all) -> Answer | Failure:
        """Like `send`, with SMA's error as a value. Raises what `admit` raises, and ClockApartError."""
        exchange = _Exchange(self, request, admit)
        try:
            return await self._exchange(exchange)
        except SmaError as error:
            return Failure(request, error, exchange.attempts)

    async def _exchange(self, exchange: "_Exchange") -> Answer:
        """Run an exchange, unless the service is down. What is on its way when that shows goes on.

        Before that is taken for sure, requests of other plants are sent, and those behind them wait for what they show.
        """
        if self._outage.is_down:
            async with self._probes:
                if self._outage.begin_probe(exchange.plant_id):
                    return await self._run(exchange)
        if self._outage.is_down:
            raise self._outage.build_error(exchange.call)
        return await self._run(exchange)

    async def _run(self, exchange: "_Exchange") -> Answer:
        try:
            answer = await exchange.run()
        except SmaError as error:
            self._outage.note_error(exchange.plant_id, error)
            raise
        self._outage.note_body(exchange.plant_id, answer.body)
        return answer

    def open_stream(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> OrderedStream:
        """The machinery below `stream`, for a caller who takes results in batches and closes it himself.

        Of several streams that are open the first one's requests go first, but before them those of an urgent one.
        """
        fetch = partial(self.fetch, admit=admit)
        return OrderedStream(requests, fetch, self._window, self._max_backlog_bytes, urgent=urgent)

    async def stream(self, requests: Iterable[Request]) -> AsyncIterator[Answer | Failure]:
        """Results in the order of `requests`, which is pulled lazily, `SMA_MAX_CONNECTIONS` at once.

        Wrap it in `contextlib.aclosing` when leaving early, so that what is in flight ends at once.
        """
        stream = self.open_stream(requests)
        try:
            while batch := await stream.take():
                for result in batch:
                    yield result
        finally:
            await stream.aclose()


class _Exchange:
    """One request on its way through tries, token renewals and redirects."""

    def __init__(self, client: SmaClient, request: Request, admit: Admit = pass_all) -> None:
        self._client = client
        self._request = request
        self._admit = admit
        self._hops = 0
        self._renewed = False
        self.attempts = 0  # data requests sent

    @property
    def plant_id(self) -> str:
        """The plant that is asked for, or whose device is; empty for the list of plants."""
        return self._request.plant_id

    @property
    def call(self) -> Call:
        """How messages name the request. Raises PermanentError for an id that fits no path."""
        return self._build_address()[0]

    async def run(self) -> Answer:
        client = self._client
        call, url = self._build_address()
        clock, wire = client.clock, client.wire
        started = clock.monotonic()
        failures = 0
        while True:
            token = await client.await_token()
            self._admit()
            self.attempts += 1
            headed = wire.get(url, f"Bearer {token}")
            asked_at = clock.now()
            outcome = await wire.try_once(call, headed, self._request, self.attempts)
            if isinstance(outcome, Reply):
                if not is_transient(outcome.status):
                    refuse_odd_clock(url, asked_at, clock.now(), outcome.headers)
                    if outcome.status != _UNAUTHORIZED:
                        client.refusals.note_answer(self.plant_id, self._request.endpoint)
                if outcome.status in _NOT_YET:
                    raise build_not_yet_error(call, outcome)
                if 200 <= outcome.status < 300:  # noqa: PLR2004 - success by HTTP's own classes
                    return self._build_answer(url, outcome, started)
                if outcome.status == _UNAUTHORIZED and self._may_renew():
                    client.tokens.discard(token)
                    continue
                if outcome.status in _FOLLOWED:
                    url = self._find_next_url(call, url, outcome)
                    continue
                if not is_transient(outcome.status):
                    raise build_refusal_error(call, outcome)
            failures += 1
            await wire.back_off(call, outcome, failures)

    def _may_renew(self) -> bool:
        """Whether to try again with another token after a 401, which is once at most."""
        refusals, place = self._client.refusals, (self.plant_id, self._request.endpoint)
        if self._renewed:
            refusals.note_refusal(*place)
            return False
        self._renewed = refusals.is_renewal_due(*place)
        return self._renewed

    def _build_address(self) -> tuple[Call, str]:
        """How to name the request, and its URL. An id that fits no path comes from the vendor's own lists."""
        try:
            path, target = self._request.path, self._request.target
        except UsageError as fault:
            raise PermanentError(str(fault), path=self._request.endpoint) from None
        client = self._client
        return Call("GET", path, client.host, "SMA_MONITORING_URL"), f"{client.base}{target}"

    def _find_next_url(self, call: Call, url: str, reply: Reply) -> str:
        """Where a redirect leads, when that is below the same base. Anywhere else the token must not go."""
        self._hops += 1
        location = reply.headers.get("location", "")
        base = self._client.base
        try:
            following = urljoin(url, location)
            inside = find_origin(following) == find_origin(base)
        except ValueError:  # not a URL
            inside = False
        path = urlsplit(following).path if inside else ""
        inside = (
            inside and path.startswith(f"{urlsplit(base).path}/v1/") and ".." not in unquote(path).split("/")
        )
        if not location or not inside:
            raise build_redirect_error(call, reply.status)
        if self._hops > MAX_REDIRECTS:
            raise build_redirect_error(call, reply.status, hops=MAX_REDIRECTS)
        return f"{base}{_cut_base(base, following)}"

    def _build_answer(self, url: str, reply: Reply, started: float) -> Answer:
        clock = self._client.clock
        target = _cut_base(self._client.base, url) if self._hops else self._request.target
        return Answer(
            request=self._request,
            target=target,
            status=reply.status,
            fetched_at=clock.now(),
            elapsed_ms=(clock.monotonic() - started) * 1000.0,
            attempts=self.attempts,
            body=reply.body,
        )


def _cut_base(base: str, url: str) -> str:
    """Path and query below the base."""
    parts = urlsplit(url)
    path = parts.path.removeprefix(urlsplit(base).path)
    return f"{path}?{parts.query}" if parts.query else path
