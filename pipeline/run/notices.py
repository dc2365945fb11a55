"""What a person should know of a run besides its figures: steps return it, and who calls them collects it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class MissingItem:
    """Something a run should have fetched and could not: the run is done in part."""

    day: str
    table: str
    plant_id: str
    reason: str


@dataclass(slots=True)
class Notices:
    """What is missing, and what of SMA's answers no table can take.

    `unknown_fields` are the fields that SMA sends and no table has, by the raw table that keeps them. `odd_facts`
    counts what of SMA's lists and logs can't be read.
    """

    missing: list[MissingItem] = field(default_factory=list)
    unknown_fields: dict[str, set[str]] = field(default_factory=dict)
    odd_facts: int = 0

    @classmethod
    def of(
        cls,
        missing: Iterable[MissingItem] = (),
        *,
        unknown_fields: Mapping[str, Collection[str]] | None = None,
        odd_facts: int = 0,
    ) -> "Notices":
        """Notices of one step; a table without unknown fields is left out."""
        unknown = {table: set(names) for table, names in (unknown_fields or {}).items() if names}
        return cls(list(missing), unknown, odd_facts)

    def add(self, other: "Notices") -> None:
        """Take in what another step found. What is missing already is not missing twice."""
        if other.missing:
            known = set(self.missing)
            self.missing += [one for one in other.missing if one not in known]
        for table, names in other.unknown_fields.items():
            self.unknown_fields.setdefault(table, set()).update(names)
        self.odd_facts += other.odd_facts
