"""The gate that every request passes before it is sent."""

from typing import Protocol

from pipeline.sma.clock import Clock


class Limiter(Protocol):
    """Decides when the next request may go. One per credential, since SMA counts per credential."""

    async def admit(self) -> None:
        """Return when one more request may be sent. Called before each single try, redirects included."""

    def refused(self, wait_s: float) -> None:
        """SMA refused a request for the rate (429); nothing more should be sent for `wait_s` seconds."""


class SharedPause:
    """No budget of its own: a 429 to one request holds back all of them, so that not each finds out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._resume_at = float("-inf")

    async def admit(self) -> None:
        """Wait out the pause, also when it is prolonged meanwhile."""
        while (left := self._resume_at - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)

    def refused(self, wait_s: float) -> None:
        """Begin or prolong the pause; never shorten it."""
        self._resume_at = max(self._resume_at, self._clock.monotonic() + wait_s)
