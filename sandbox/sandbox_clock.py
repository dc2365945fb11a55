"""The sandbox's own clock: real time plus an offset that a test may move forward."""

import time
from datetime import UTC, datetime


class SandboxClock:
    """Seconds since 1970 (UTC). Tokens, consents, data delays and faults all follow this one clock."""

    def __init__(self, start_at: datetime | None = None) -> None:
        """Run from `start_at` (aware) if given, else from the machine's time."""
        self._offset = 0.0
        if start_at is not None:
            self.set(start_at)

    def now(self) -> float:
        """The current time, in seconds since 1970."""
        return time.time() + self._offset

    def utc(self) -> datetime:
        """The current time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds`; negative moves it back."""
        self._offset += seconds

    def set(self, moment: datetime) -> None:
        """Make the clock show `moment` (aware) now; it runs on from there."""
        self._offset = moment.timestamp() - time.time()

    def reset(self) -> None:
        """Go back to the machine's time."""
        self._offset = 0.0
