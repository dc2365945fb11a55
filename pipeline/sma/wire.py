"""Single tries over one HTTP client, and the wait between them. Knows neither tokens nor SMA's paths."""

import asyncio
from dataclasses import dataclass, field

import httpx

from pipeline.settings import Settings
from pipeline.sma.clock import Clock
from pipeline.sma.limiter import Limiter
from pipeline.sma.problems import (
    TRANSPORT_FAULTS,
    Call,
    Reply,
    exhausted,
    is_certificate_fault,
    too_large,
    untrusted,
)
from pipeline.sma.retry import TOO_MANY_REQUESTS, RetryPolicy, retry_after_s
from pipeline.sma.transport import Timeouts, open_client

# A plant's day is about 100 kB and a plant list of thousands a few MB; beyond this it is no answer of SMA's.
MAX_BODY_BYTES = 64 * 1024 * 1024
# Enough of an error's body to find the vendor's message in it.
MAX_ERROR_BODY_BYTES = 64 * 1024

Outcome = Reply | Exception


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the client that are no settings: time-outs, tries, the largest body in bytes."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_body_bytes: int = MAX_BODY_BYTES


@dataclass(slots=True)
class Counters:
    """What a client has done so far. `requests_sent` counts each HTTP request, renewals and retries too."""

    requests_sent: int = 0
    bytes_received: int = 0
    retries: int = 0


class Wire:
    """One HTTP client with its counters. Belongs to one event loop; close it there."""

    def __init__(self, settings: Settings, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.clock = clock
        self.counters = Counters()
        self._http = open_client(
            (settings.sma_auth_url, settings.sma_monitoring_url),
            settings.sma_max_connections,
            limits.timeouts,
        )
        self.headers = tuple(self._http.headers.items())
        self._extensions = {"timeout": self._http.timeout.as_dict()}

    def get(self, url: str, authorization: str) -> httpx.Request:
        """A GET with the client's headers."""
        headers = (*self.headers, ("Authorization", authorization))
        return httpx.Request("GET", url, headers=headers, extensions=self._extensions)

    def post_form(self, url: str, authorization: str, form: dict[str, str]) -> httpx.Request:
        """A POST of a form with the client's headers."""
        headers = (*self.headers, ("Authorization", authorization))
        return httpx.Request("POST", url, headers=headers, data=form, extensions=self._extensions)

    async def try_once(self, call: Call, request: httpx.Request) -> Outcome:
        """Send once. Returns the answer of any status, or the transport's fault.

        Raises PermanentError for a body beyond the limit.
        """
        self.counters.requests_sent += 1
        try:
            async with asyncio.timeout(self.limits.timeouts.whole_try):
                response = await self._http.send(request, stream=True)
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
        except TRANSPORT_FAULTS as fault:
            return fault
        self.counters.bytes_received += len(body)
        if response.is_success and len(body) > self.limits.max_body_bytes:
            raise too_large(call, response.status_code, self.limits.max_body_bytes)
        return Reply(response.status_code, response.headers, body)

    async def back_off(
        self, call: Call, outcome: Outcome, tries: int, limiter: Limiter | None = None
    ) -> None:
        """Wait before the next try after a transient outcome, or raise when there is to be none."""
        if isinstance(outcome, Reply):
            status, asked_s = outcome.status, retry_after_s(outcome.headers, self.clock)
        else:
            if is_certificate_fault(outcome):
                raise untrusted(call)
            status, asked_s = None, None
        wait_s = self.limits.retry.wait_s(tries, status, asked_s, self.clock)
        if wait_s is None:
            raise exhausted(call, outcome, tries)
        if status == TOO_MANY_REQUESTS and limiter is not None:
            limiter.refused(wait_s)
        self.counters.retries += 1
        await self.clock.sleep(wait_s)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        """The body, decompressed, but not much more than the limit for its kind."""
        limit = self.limits.max_body_bytes if response.is_success else MAX_ERROR_BODY_BYTES
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
