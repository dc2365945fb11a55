"""A limit of a plant's feed-in that somebody orders, and what SMA says to it. No network access."""

import datetime as dt
from dataclasses import dataclass

from schemas.grid_control import ACCEPTED, REFUSED, UNANSWERED

_TIMED_OUT, _FAULTS = 408, 500


@dataclass(frozen=True, slots=True, order=True)
class FeedInOrder:
    """From `start` (UTC) for `duration_s` the plant may feed in `limit_w` at most.

    `request_key` is our own key of it, by which it is found again: 32 hexadecimal digits, as an mRID of IEEE 2030.5.
    `asked_by` is one of ASKED_BY.
    """

    request_key: str
    plant_id: str
    limit_w: float
    start: dt.datetime
    duration_s: int
    asked_by: str

    @property
    def end(self) -> dt.datetime:
        """When its time is over."""
        return self.start + dt.timedelta(seconds=self.duration_s)

    def is_like(self, other: "FeedInOrder") -> bool:
        """Whether both ask the same of the same plant, whatever their keys are."""
        return self.list_content() == other.list_content()

    def list_content(self) -> tuple[object, ...]:
        """What it asks, without its key and who asks."""
        return self.plant_id, self.limit_w, self.start, self.duration_s

    def describe(self) -> str:
        """The limit and its time, as a clause."""
        return (
            f"at most {self.limit_w / 1000:g} kW from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC "
            f"({self.duration_s / 3600:g} h)"
        )


@dataclass(frozen=True, slots=True)
class GridReceipt:
    """What became of a request that changes something, as a sentence too.

    `status` is None where no complete answer came. `schedule_id` is None where the answer names none.
    """

    status: int | None
    text: str
    schedule_id: str | None = None

    @property
    def outcome(self) -> str:
        """ACCEPTED, REFUSED, or UNANSWERED: nobody knows what SMA did, as after a fault of its service."""
        if self.status is None or self.status == _TIMED_OUT or self.status >= _FAULTS:
            return UNANSWERED
        return ACCEPTED if 200 <= self.status < 300 else REFUSED  # noqa: PLR2004 - HTTP's successes


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether SMA takes FeedInLimit for a plant; `reason` is its own word where it does not."""

    supported: bool
    reason: str
