"""Single tries over one HTTP client, and the wait between them. Knows neither tokens nor SMA's paths."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from pipeline.common.settings import Settings
from pipeline.sma.budget.limiter import Limiter
from pipeline.sma.clock import Clock
from pipeline.sma.http.attempt_log import GIVEN_UP, TOO_LARGE, LoggedTry, Record, forget, name_service
from pipeline.sma.http.error_messages import (
    TRANSPORT_FAULTS,
    Call,
    Reply,
    build_certificate_error,
    build_last_try_error,
    build_size_error,
    explain_transport_fault,
    explain_wait,
    is_certificate_fault,
    is_silence,
)
from pipeline.sma.http.retry import TOO_MANY_REQUESTS, RetryPolicy, is_transient, retry_after_s
from pipeline.sma.http.server_time import find_sent_time
from pipeline.sma.http.transport import Timeouts, open_transport
from pipeline.sma.requests import Request

# Enough of an error's body to find the vendor's message in it.
MAX_ERROR_BODY_BYTES = 64 * 1024

Outcome = Reply | Exception


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the client that are no settings: time-outs and tries."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(slots=True)
class Counters:
    """What a client has done so far. `requests_sent` counts each HTTP request, renewals and retries too."""

    requests_sent: int = 0
    bytes_received: int = 0
    retries: int = 0


class Wire:
    """One HTTP client with its counters. Belongs to one event loop; close it there."""

    def __init__(
        self,
        settings: Settings,
        limits: Limits,
        clock: Clock,
        *,
        limiter: Limiter | None = None,
        record: Record = forget,
    ) -> None:
        self.limits = limits
        self.clock = clock
        self.counters = Counters()
        self._limiter = limiter
        self._record = record
        self._max_body_bytes = settings.sma_max_answer_bytes
        self._http = open_transport(
            (
                settings.sma_auth_url,
                settings.sma_consent_url,
                settings.sma_monitoring_url,
                settings.sma_live_url,
                settings.sma_gridcontrol_url,
            ),
            settings.sma_max_connections,
            limits.timeouts,
        )
        self.headers = self._http.headers
        self._get_headers = httpx.Headers()
        self._extensions = self._http.extensions

    def get(self, url: str, authorization: str) -> httpx.Request:
        """A GET with the client's headers."""
        # They are the same for as long as the token lives, and to encode them takes longer than to copy them.
        if self._get_headers.get("Authorization") != authorization:
            self._get_headers = httpx.Headers((*self.headers, ("Authorization", authorization)))
        return httpx.Request("GET", url, headers=self._get_headers, extensions=self._extensions)

    def build_page_request(self, url: str) -> httpx.Request:
        """A GET without credentials."""
        return httpx.Request("GET", url, headers=self.headers, extensions=self._extensions)

    def post_form(self, url: str, authorization: str | None, form: dict[str, str]) -> httpx.Request:
        """A POST of a form with the client's headers."""
        headers = self.headers
        if authorization is not None:
            headers = (*headers, ("Authorization", authorization))
        return httpx.Request("POST", url, headers=headers, data=form, extensions=self._extensions)

    def post_json(self, url: str, authorization: str, content: Mapping[str, Any]) -> httpx.Request:
        """A POST of a JSON object with the client's headers."""
        headers = (*self.headers, ("Authorization", authorization))
        return httpx.Request("POST", url, headers=headers, json=content, extensions=self._extensions)

    def delete(self, url: str, authorization: str) -> httpx.Request:
        """A DELETE with the client's headers."""
        headers = (*self.headers, ("Authorization", authorization))
        return httpx.Request("DELETE", url, headers=headers, extensions=self._extensions)

    async def try_once(
        self, call: Call, request: httpx.Request, asked: Request | None = None, attempt: int | None = None
    ) -> Outcome:
        """Send once. Returns the answer of any status, or the transport's fault.

        It is recorded as that attempt at `asked`. What asks for no data is not admitted by the limiter, so it is
        charged here: whether SMA counts it nobody says, and a token costs one request in five minutes.
        Raises PermanentError for a body beyond the limit.
        """
        if asked is None and self._limiter is not None:
            await self._limiter.charge()
        endpoint = asked.endpoint if asked is not None else name_service(call.path)
        self.counters.requests_sent += 1
        asked_at, started = self.clock.now(), self.clock.monotonic()
        status: int | None = None
        error: str | None = GIVEN_UP
        size = 0
        try:
            outcome = await self._send(request, call)
            if isinstance(outcome, Reply):
                status, error, size = outcome.status, None, len(outcome.body)
                # What answers in the place of a service that fails may have any clock.
                if not is_transient(status):
                    asked_at = find_sent_time(str(request.url), asked_at, self.clock.now(), outcome.headers)
                if 200 <= status < 300 and size > self._max_body_bytes:  # noqa: PLR2004 - HTTP's successes
                    error = TOO_LARGE
                    raise build_size_error(call, status, self._max_body_bytes)
            else:
                error = explain_transport_fault(outcome, "SMA")
            return outcome
        finally:
            # Also when the try is cancelled: SMA may have counted it.
            elapsed_ms = (self.clock.monotonic() - started) * 1000.0
            self._record(LoggedTry(asked_at, endpoint, asked, attempt, status, error, size, elapsed_ms))

    async def _send(self, request: httpx.Request, call: Call) -> Outcome:
        limits = self.limits.timeouts
        slow = asyncio.get_running_loop().call_later(limits.announced, self._announce_slow_answer, call)
        try:
            async with asyncio.timeout(limits.whole_try):
                response = await self._http.send(request)
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
        except TRANSPORT_FAULTS as fault:
            return fault
        finally:
            slow.cancel()
        self.counters.bytes_received += len(body)
        return Reply(response.status_code, response.headers, body)

    def _announce_slow_answer(self, call: Call) -> None:
        limits = self.limits.timeouts
        why = f"{call.host} has not finished an answer after {limits.announced:g} s"
        self.clock.announce(why, limits.whole_try - limits.announced)

    async def back_off(self, call: Call, outcome: Outcome, tries: int) -> None:
        """Wait before the next try after a transient outcome, or raise when there is to be none.

        After a refusal for the rate everybody waits.
        """
        if isinstance(outcome, Reply):
            status, asked_s = outcome.status, retry_after_s(outcome.headers, self.clock)
        else:
            if is_certificate_fault(outcome):
                raise build_certificate_error(call)
            status, asked_s = None, None
        retry = self.limits.retry
        wait_s = retry.wait_s(tries, status, asked_s, self.clock)
        if status == TOO_MANY_REQUESTS and self._limiter is not None:
            waits = (wait_s, asked_s, retry.longest_wait_s)
            await self._limiter.pause(next(wait for wait in waits if wait is not None))
        if wait_s is None:
            raise build_last_try_error(call, outcome, tries)
        self.counters.retries += 1
        # A refusal for the rate says that somebody sends too much: that is worth a line, however short the wait is. So
        # is silence, which has taken the whole time of a try already.
        is_told = status == TOO_MANY_REQUESTS or (isinstance(outcome, Exception) and is_silence(outcome))
        await self.clock.wait(wait_s, explain_wait(call, outcome), always=is_told)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        """The body, decompressed, but not much more than the limit for its kind."""
        limit = self._max_body_bytes if response.is_success else MAX_ERROR_BODY_BYTES
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
