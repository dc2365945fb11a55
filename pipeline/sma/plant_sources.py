"""Which of several credentials has the data of a plant that more than one of them lists.

SMA lists a plant to a client that may not read it, and answers that client without rows, or with a refusal. So where
the preferred credential has nothing of a plant, the next one that lists it is asked. Not so where the preferred one had
data of the plant before: then the plant is silent, whoever asks. SMA charges a system once a month, so a second
credential makes no further PU.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pipeline.common.errors import CredentialUnusableError, PermanentError
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.requests import Answer, Failure, Request

Result: TypeAlias = Answer | Failure
# Whether an answer has any content; an answer without any may be that of a client without rights.
HasContent: TypeAlias = Callable[[Answer], bool]
# Sends a request by the credential of that name, and returns at once.
SendBy: TypeAlias = Callable[[str, Request], PendingResults[Result]]

_NO_RIGHTS = frozenset({403, 404})
# So many results, and bytes of them, may wait for an earlier one that another credential is asked for.
_HELD_RESULTS = 64
_HELD_BYTES = 8 * 2**20


def is_of_lists(request: Request) -> bool:
    """Whether it asks what a plant has, and not for data: these may be open to different clients."""
    return request.endpoint in {"devices", "sets"}


class PlantSources:
    """What answers have shown so far: which credential has the lists of a plant, and which has its data."""

    def __init__(self) -> None:
        self._proven: dict[tuple[bool, str], str] = {}

    def choose(self, plant: str, listing: Sequence[str], *, of_lists: bool) -> str | None:
        """The credential to ask first, of those that list the plant in the order of preference; None of none."""
        proven = self._proven.get((of_lists, plant))
        return proven if proven in listing else next(iter(listing), None)

    def note_content(self, result: Answer, name: str) -> None:
        """A credential answered with content. Logs show nothing, because they may be empty in any case."""
        if result.request.endpoint != "logs":
            self._proven[is_of_lists(result.request), result.request.plant_id] = name

    def is_proven(self, request: Request, name: str) -> bool:
        """Whether a credential has answered such a request for the plant with content."""
        return self._proven.get((is_of_lists(request), request.plant_id)) == name


@dataclass(frozen=True, slots=True)
class OtherCredentials:
    """Asks other credentials for what one of them has nothing of.

    `find_usable` names those that list a plant and can be used. Several threads may fill results at once.
    """

    sources: PlantSources
    has_content: HasContent
    find_usable: Callable[[str], Collection[str]]
    send: SendBy
    waited_for: set[PendingResults[Result]] = field(default_factory=set)

    def fill(self, name: str, results: Iterator[Result]) -> Iterator[Result]:
        """The results of one credential in their order, those without content from another one where it has more."""
        held: deque[Result | _Doubt] = deque()
        held_bytes = 0
        try:
            for result in results:
                found = self._judge(name, result)
                held.append(found)
                held_bytes += _measure(found)
                while held and (
                    not isinstance(held[0], _Doubt) or len(held) > _HELD_RESULTS or held_bytes > _HELD_BYTES
                ):
                    first = held.popleft()
                    held_bytes -= _measure(first)
                    yield self._settle(first)
            while held:
                yield self._settle(held.popleft())
        finally:
            for one in held:
                if isinstance(one, _Doubt):
                    one.sent.close()

    def close(self) -> None:
        """End what somebody waits for."""
        for sent in self.waited_for.copy():
            sent.close()

    def _judge(self, name: str, result: Result) -> "Result | _Doubt":
        """The result, or what is asked of the next credential in doubt of it."""
        request = result.request
        usable = () if request.credential else self.find_usable(request.plant_id)
        others = [one for one in usable if one != name]
        if not others or not self._is_doubtful(name, result):
            return result
        return _Doubt(result, self.send(others[0], request), others[0], others[1:])

    def _is_doubtful(self, name: str, result: Result) -> bool:
        if isinstance(result, Failure):
            if isinstance(result.error, CredentialUnusableError):
                return True
            is_refused = isinstance(result.error, PermanentError) and result.error.status in _NO_RIGHTS
            return is_refused and not self.sources.is_proven(result.request, name)
        if self.has_content(result):
            self.sources.note_content(result, name)
            return False
        return not self.sources.is_proven(result.request, name)

    def _settle(self, found: "Result | _Doubt") -> Result:
        """The first result with content; else a failure after which the next run may find more, or any answer."""
        if not isinstance(found, _Doubt):
            return found
        best, name, sent, others = found.first, found.name, found.sent, deque(found.others)
        while True:
            with_next = self._wait_for(sent)
            if isinstance(with_next, Answer) and self.has_content(with_next):
                self.sources.note_content(with_next, name)
                return with_next
            best = _choose_better(best, with_next)
            if not others:
                return best
            name = others.popleft()
            sent = self.send(name, best.request)

    def _wait_for(self, sent: PendingResults[Result]) -> Result:
        self.waited_for.add(sent)
        try:
            return next(sent)
        finally:
            self.waited_for.discard(sent)
            sent.close()


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A result without content, and the same request on its way by another credential; `others` may follow."""

    first: Result
    sent: PendingResults[Result]
    name: str
    others: Sequence[str]


def _choose_better(one: Result, other: Result) -> Result:
    """Of two results without content the one that says more: a day is not done while somebody may have its data."""
    if isinstance(one, Failure) and one.error.transient:
        return one
    if isinstance(other, Failure):
        return other if other.error.transient else one
    return other if isinstance(one, Failure) else one


def _measure(found: "Result | _Doubt") -> int:
    result = found.first if isinstance(found, _Doubt) else found
    return len(result.body) if isinstance(result, Answer) else 0
