"""Results of requests that are on their way already, before somebody takes them."""

from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

Found = TypeVar("Found")


class PendingResults(Generic[Found]):
    """The results of requests that were sent when this was made, in the order of the requests.

    Close it when leaving early: `close` ends what is still on its way, and may be called twice.
    """

    def __init__(self, results: Iterator[Found], close: Callable[[], None]) -> None:
        self._results = results
        self.close = close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Found:
        """The next result, waited for. Whatever reading it raises ends the others."""
        try:
            return next(self._results)
        except BaseException:
            # StopIteration is meant too: then all results are taken.
            self.close()
            raise
