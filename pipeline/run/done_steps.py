"""What was done of whole tables before it was known whether Dagster has to record it: it is not done twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from pipeline.common.store_faults import StoreUnavailableError, translate_store_faults

Done = TypeVar("Done")


@dataclass(slots=True)
class DoneSteps:
    """The results and faults of steps by their names, until the run takes them that records them, in a block."""

    _done: dict[str, Any] = field(default_factory=dict)

    def do(self, name: str, work: Callable[[], Done]) -> Done | None:
        """The result of the work, kept for `take`; None where it failed. `take` raises its fault."""
        try:
            with translate_store_faults():
                done = self._done[name] = work()
        except StoreUnavailableError:
            # Whoever takes the result waits for the store, and then does the step.
            return None
        except Exception as fault:
            self._done[name] = fault
            return None
        return done

    def take(self, name: str, work: Callable[[], Done]) -> Done:
        """The result of the step, once, or of the work where it was not done before. Raises the fault of either."""
        if name not in self._done:
            return work()
        done = self._done.pop(name)
        if isinstance(done, Exception):
            raise done
        return done  # type: ignore[no-any-return]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What nobody has taken nobody will record."""
        self._done.clear()
