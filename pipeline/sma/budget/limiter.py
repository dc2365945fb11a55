"""What decides when a request may be sent."""

from collections.abc import Callable
from typing import Protocol


class Limiter(Protocol):
    """Decides when the next request may go. One per credential, since SMA counts per credential."""

    async def admit(self, is_ready: Callable[[], bool] = lambda: True) -> bool:
        """Return when one more request may be sent. Called before each single try, redirects included.

        False, and nothing is counted, when by then the request is not ready any more.
        """

    async def charge(self) -> None:
        """Count a request that must not wait: a token's renewal, for which admitted requests are waiting."""

    async def pause(self, wait_s: float) -> None:
        """SMA refused a request for the rate (429); nothing more should be sent for `wait_s` seconds."""

    async def aclose(self) -> None:
        """Give up what it holds; to be called once, after the last request."""
