"""Is the service down? Then the rest of a run is not sent: each request would take all tries and waits for nothing."""

from dataclasses import dataclass, field

from pipeline.common.errors import NotYetAvailable, SmaError, TransientError
from pipeline.sma.http.error_messages import Call
from pipeline.sma.http.retry import TOO_MANY_REQUESTS

_BLANK = b" \t\r\n\xef\xbb\xbf"

# So many requests in a row without an answer are an outage, if they are of several plants: one plant that SMA can't
# answer for may have more requests than that, and must not stop the others.
FAILED_IN_A_ROW = 10
PLANTS_IN_A_ROW = 3
# The same few plants may fail again and again, as at the end of each week of a large fleet. So requests of so many
# plants that have not failed since the last answer are still sent, and tell whether it is an outage.
PROBES = 2
# A refusal for the rate concerns all plants, and each of these requests has waited for minutes.
LIMITED_IN_A_ROW = 3


@dataclass(slots=True)
class OutageGuard:
    """Counts requests that failed in all their tries, or got no JSON, since the last one that was answered."""

    _failed: int = 0
    _limited: int = 0
    _plants: set[str] = field(default_factory=set)
    _last: str = ""
    _probes: int = 0

    @property
    def is_down(self) -> bool:
        """Whether the service is taken to be down. One answer to a request on its way ends that."""
        return self._limited >= LIMITED_IN_A_ROW or (
            self._failed >= FAILED_IN_A_ROW and len(self._plants) >= PLANTS_IN_A_ROW
        )

    def begin_probe(self, plant_id: str) -> bool:
        """Whether a request of this plant is to show if the service is still down; it counts as begun."""
        is_new = plant_id not in self._plants and self._limited < LIMITED_IN_A_ROW
        is_probe = self.is_down and is_new and self._probes < PROBES
        self._probes += is_probe
        return is_probe

    def note_answer(self) -> None:
        """A request was answered."""
        self._failed = self._limited = self._probes = 0
        self._plants.clear()

    def note_body(self, plant_id: str, body: bytes) -> None:
        """A request was answered with this body: a page, or nothing at all, is no answer of the service."""
        text = body.lstrip(_BLANK)
        if text and not text.startswith(b"<"):
            self.note_answer()
            return
        self._note_failure(plant_id, "a page instead of JSON" if text else "an empty answer")

    def note_error(self, plant_id: str, error: SmaError) -> None:
        """A request ended with an error. A refusal is an answer too, and so is that data is not there yet."""
        if not isinstance(error, TransientError):
            if error.status is not None or isinstance(error, NotYetAvailable):
                self.note_answer()
            return
        self._note_failure(plant_id, "no answer" if error.status is None else f"status {error.status}")
        self._limited = self._limited + 1 if error.status == TOO_MANY_REQUESTS else 0

    def _note_failure(self, plant_id: str, what: str) -> None:
        self._failed += 1
        self._plants.add(plant_id)
        self._last = what

    def build_error(self, call: Call) -> TransientError:
        """The error for a request that is not sent."""
        return TransientError(
            f"{call} was not sent, because the service of {call.host} is down: {self._failed} requests in a row failed "
            f"in all their tries (the last one: {self._last}). Run it again later.",
            method=call.method,
            path=call.path,
        )
