"""Removes raw answers of days that are older than SUNLEDGER_KEEP_RAW_DAYS. Without the setting they stay forever.

Nothing but what is made of them is lost with them: tables and the published file stay as they are. But such a day can't
be rebuilt any more, so the lake says up to which day that is. Lists of plants and devices stay, because all days need
them, and the vendor's own energies of months and years, because a year that goes on is compared with them: all of them
together are small.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pipeline.common.local_time import ONE_DAY
from pipeline.run.context import RunContext
from schemas import (
    RAW,
    RawDevices,
    RawEnergyBalance,
    RawEnergyMonths,
    RawEnergyYears,
    RawMeasurementSets,
    RawPlants,
    Table,
    polars_schema,
    storage,
)
from warehouse.integrity.digest_chain import Chain
from warehouse.part_folders import Part, cut_table_path, find_part
from warehouse.removed_answers import AnswerRetention

KEPT = (RawPlants, RawDevices, RawMeasurementSets, RawEnergyMonths, RawEnergyYears)
# EnergyBalance decides whether a day has answers, so a kill in between leaves no day that looks rebuildable.
ANSWERS: tuple[type[Table], ...] = (
    RawEnergyBalance,
    *(model for model in RAW if model not in (*KEPT, RawEnergyBalance)),
)


@dataclass(frozen=True, slots=True)
class OldAnswers:
    """Parts of a raw table that are too old, with their bytes together."""

    model: type[Table]
    parts: tuple[Part, ...]
    bytes: int

    @property
    def table(self) -> str:
        """The table's name."""
        return storage(self.model).table


def find_first_kept_day(runtime: RunContext) -> dt.date | None:
    """The first day whose answers stay; None where all do.

    It is counted from the newest day that has answers, or from today where that is earlier: with a clock that is years
    ahead all answers would look old. Raises UnreadableLogError.
    """
    days = runtime.settings.keep_raw_days
    if days is None:
        return None
    stored = [part["local_date"] for part in runtime.lake.list_parts(RawEnergyBalance)]
    if not stored:
        return None
    return min(runtime.find_today(), dt.date.fromisoformat(max(stored))) - days * ONE_DAY


def find_old_answers(runtime: RunContext, before: dt.date | None) -> list[OldAnswers]:
    """The parts of days before that one, and of those whose removal was interrupted, by table.

    What was begun is finished whatever the setting says since: such a day can't be rebuilt any more in any case.
    Raises DamagedError, UnreadableLogError and OSError.
    """
    unfinished = AnswerRetention(runtime.lake).unfinished_days
    if before is None and not unfinished:
        return []
    return [found for model in ANSWERS if (found := _find_of(runtime, model, before, unfinished)).parts]


def delete_old_answers(runtime: RunContext, old: list[OldAnswers]) -> Iterator[OldAnswers]:
    """Remove these parts, each by a commit of its own; each table that is done. What a kill leaves is done next time.

    The files themselves go when no reader needs them, as those of any part that was replaced.
    """
    retention = AnswerRetention(runtime.lake)
    days = {day for one in old for part in one.parts if isinstance(day := part["local_date"], dt.date)}
    if not days and not retention.unfinished_days:
        return
    if days:
        retention.begin(max(days) + ONE_DAY, days)
    for one in old:
        for part in one.parts:
            runtime.lake.replace(one.model, part, [], empty=True)
        yield one
    retention.finish()


def _find_of(
    runtime: RunContext, model: type[Table], before: dt.date | None, unfinished: Collection[dt.date]
) -> OldAnswers:
    table = runtime.lake.open(model)
    if table is None:
        return OldAnswers(model, (), 0)
    chain = Chain(runtime.lake, model)
    recorded = chain.list_active_files(chain.read_head(table.version()))
    old: dict[str, int] = {}
    parts: dict[str, Part] = {}
    for path in (cut_table_path(model, uri) for uri in table.file_uris()):
        part = find_part(path, polars_schema(model))
        day = part.get("local_date")
        if isinstance(day, dt.date) and (day in unfinished or (before is not None and day < before)):
            folder = path.rpartition("/")[0]
            parts[folder] = part
            known = recorded.get(path)
            old[path] = known.bytes if known else 0
    return OldAnswers(model, tuple(part for _, part in sorted(parts.items())), sum(old.values()))
