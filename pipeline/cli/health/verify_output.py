"""What `sunledger verify` has read so far: it counts and lists, and goes on without a store that can't be reached."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.cli.console import list_item, say
from pipeline.common.files.refused_files import FileRefusedError, find_refusal
from pipeline.common.store_faults import StoreError, StoreUnavailableError
from pipeline.common.text import pluralize
from warehouse.published_file.published_object import PublishedObject
from warehouse.verification.full_comparison import NotComparedError
from warehouse.verification.verify import VerifiedPart

# Refused files that are named one by one.
SHOWN = 20
LAKE, OBJECT, COPY = "the lake", "the published object", "the published file"


@dataclass(slots=True)
class Verification:
    """The parts that were read, how many of them have a fault, how many are refused, and what can't be reached."""

    parts: int = 0
    faults: int = 0
    refused: int = 0
    gone: list[str] = field(default_factory=list)
    not_compared: NotComparedError | None = None

    @contextmanager
    def go_on_without(self, what: str) -> Iterator[None]:
        """Name what can't be reached, and go on with the rest."""
        try:
            yield
        except StoreError as fault:
            self.gone.append(what)
            list_item(f"{what}: {fault}")
        except NotComparedError as fault:
            self.not_compared = fault
        except (FileRefusedError, OSError) as fault:
            refusal = find_refusal(fault)
            if refusal is None:
                raise
            self._refuse(what, refusal)

    def fetch(self, target: PublishedObject, root: str) -> None:
        """Bring this machine's copy to what is published, unless that lies in the lake below `root`, which is gone."""
        if LAKE in self.gone and target.address.startswith(f"{root}/"):
            return
        with self.go_on_without(OBJECT):
            if target.fetch() is not None:
                say(f"The published file is {target.address}. Its copy {target.file} is verified.")

    def add(self, what: str, found: Iterable[VerifiedPart]) -> None:
        """Read parts of `what` to the end, or until it can't be reached."""
        if what in self.gone:
            return
        with self.go_on_without(what):
            for part in found:
                if part.refusal:
                    self._refuse(part.place, part.refusal)
                    continue
                self.parts += 1
                if part.fault:
                    self.faults += 1
                    list_item(f"{part.place}: {part.fault}")

    def _refuse(self, place: str, refusal: FileRefusedError) -> None:
        """Name a file that this user may not read; those of a whole home would fill the screen."""
        self.refused += 1
        if self.refused <= SHOWN:
            list_item(f"{place}: {refusal}")

    def raise_lack(self) -> None:
        """Raise an error where not all was verified.

        StoreUnavailableError: something can't be reached. FileRefusedError: some files may not be read.
        NotComparedError: no fault was found, but the published file was not compared; where one was, this is only said.
        """
        if self.gone:
            raise StoreUnavailableError(
                f"Not all was verified, because {' and '.join(self.gone)} can't be reached: the lines above say what "
                "to do, then run 'sunledger verify' again."
            )

        if self.refused:
            more = self.refused - SHOWN
            raise FileRefusedError(
                f"Not all was verified, because the system refuses this user {pluralize(self.refused, 'file')}"
                f"{f', of which {more:,} are not listed above' if more > 0 else ''}: the lines above say what to do, "
                "then run 'sunledger verify' again."
            )
        if self.not_compared:
            if not self.faults:
                raise self.not_compared
            list_item(str(self.not_compared))

    def describe(self) -> str:
        """The sum, as a sentence."""
        return f"Read {pluralize(self.parts, 'part')} and found {pluralize(self.faults, 'fault')}."
