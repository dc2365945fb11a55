"""When to ask again, and after how long: pure rules, no network and no waiting."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.sma.clock import Clock
from pipeline.sma.http.server_time import read_http_date

TOO_MANY_REQUESTS = 429


def is_transient(status: int) -> bool:
    """Whether an answer of this status may be different next time: 408, 429 and 5xx."""
    return status in {408, TOO_MANY_REQUESTS} or 500 <= status <= 599  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounded exponential back-off with jitter.

    A fault is tried `tries` times with waits of about 0.5, 1, 2, 4 and 8 s: it is over quickly or it is an
    outage. A refusal for the rate (429) is tried `limited_tries` times from `limited_base_s` on, since SMA's
    bucket refills over 300 s. `Retry-After` goes before the computed wait. No single wait is longer than
    `longest_wait_s`.
    """

    tries: int = 6
    base_s: float = 0.5
    limited_tries: int = 8
    limited_base_s: float = 5.0
    longest_wait_s: float = 300.0

    def wait_s(
        self, tries_done: int, status: int | None, retry_after_s: float | None, clock: Clock
    ) -> float | None:
        """Seconds until the next try after `tries_done` tries, or None when that was the last one.

        `status` is None for a transport fault. The wait lies between half and all of the exponential step,
        so that requests refused together don't come back together; it is never shorter than `Retry-After`,
        unless that is longer than `longest_wait_s`.
        """
        limited = status == TOO_MANY_REQUESTS
        if tries_done >= (self.limited_tries if limited else self.tries):
            return None
        # A server that names a time is asked then; one that always says "now" still meets a growing wait.
        base = self.limited_base_s if limited and retry_after_s is None else self.base_s
        step = base * 2.0 ** (tries_done - 1) * (0.5 + 0.5 * clock.chance())
        asked = 0.0 if retry_after_s is None else retry_after_s + self.base_s * clock.chance()
        return min(max(step, asked), self.longest_wait_s)


def retry_after_s(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Seconds asked for by `Retry-After` (a number or an HTTP date), 0 or more; None if absent or unreadable.

    A date is compared with the answer's own `Date`, so that a wrong clock on this machine does no harm.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    at = read_http_date(text)
    if at is None:
        return None
    now = read_http_date(headers.get("date", "")) or clock.now()
    return max(0.0, (at - now).total_seconds())
