"""The kinds of damage to stored data: `verify` finds it, `publish` refuses it, `repair` repairs it."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.common.errors import SunledgerError
from pipeline.common.text import quote_fault
from schemas import Table
from warehouse.frames import name_place
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.part_folders import Part

CURE = "Run 'sunledger repair'."


class DamageKind(StrEnum):
    """The kinds of damage; each is repaired in its own way."""

    # Of one file.
    FILE_MISSING = "file_missing"
    FILE_CHANGED = "file_changed"
    FILE_UNREADABLE = "file_unreadable"
    ROWS_INVALID = "rows_invalid"
    # Of a table's log of commits.
    ENTRY_MISSING = "entry_missing"
    ENTRY_CHANGED = "entry_changed"
    LOG_LOST = "log_lost"
    NOT_OURS = "not_ours"
    # An older copy of the whole table, which is sound in itself.
    OLDER_STATE = "older_state"
    # Of the digests, which are kept apart from what they are digests of.
    DIGESTS_LOST = "digests_lost"
    # Of the published file.
    PUBLISHED_CHANGED = "published_changed"


@dataclass(frozen=True, slots=True)
class Damage:
    """One fault: its kind, the table (None: the published file), the part and file where they are known, a sentence.

    `file` is a path inside the table's folder. `part` is None for what concerns the table as a whole.
    """

    kind: DamageKind
    model: type[Table] | None
    part: Part | None
    file: str | None
    sentence: str

    @property
    def place(self) -> str:
        """Table and part as a message names them."""
        return "warehouse" if self.model is None else name_place(self.model, self.part or {})

    @property
    def fault(self) -> str:
        """The sentence without the advice."""
        return self.sentence.removesuffix(CURE).strip()

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


def report_unreadable_log(model: type[Table], fault: UnreadableLogError | OSError) -> Damage:
    """The damage that a table's log can't be read."""
    clause = (
        fault.clause
        if isinstance(fault, UnreadableLogError)
        else f"the log of the table can't be read ({quote_fault(fault)})"
    )
    return Damage(DamageKind.ENTRY_CHANGED, model, None, None, f"{clause}. {CURE}")


class DamagedError(SunledgerError):
    """Stored data is damaged, and the operation would have hidden the damage, so nothing was changed."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(str(damage))
        self.damage = damage
