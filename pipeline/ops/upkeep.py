"""Keeps the lake small: old answers, if a setting says so, files that nothing needs, and old entries of logs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.common.errors import SunledgerError
from pipeline.common.text import pluralize
from pipeline.ops.raw_retention import OldAnswers, delete_old_answers, find_first_kept_day, find_old_answers
from pipeline.run.context import RunContext
from schemas import TABLES, storage
from warehouse.dead_files import list_shown_files
from warehouse.integrity.damage import CURE, DamagedError
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.removed_answers import AnswerRetention
from warehouse.table_upkeep import TableUpkeep, check_clock, keep_up_table


class UpkeepError(SunledgerError):
    """Some tables could not be kept up; the others were."""


@dataclass(slots=True)
class UpkeepOutcome:
    """What went, or would go, by table, and the tables that were left alone with the reason."""

    tables: list[TableUpkeep] = field(default_factory=list)
    answers: list[OldAnswers] = field(default_factory=list)
    left_alone: dict[str, str] = field(default_factory=dict)

    def list_rows(self) -> Iterator[tuple[str, int, int, int, int, int]]:
        """Each table of which anything goes: its name, days of answers, files, their bytes, entries, their bytes."""
        answers = {one.table: one for one in self.answers}
        for one in self.tables:
            days = answers.get(one.table)
            if one.files or one.entries or days:
                yield (
                    one.table,
                    len(days.parts) if days else 0,
                    len(one.files),
                    sum(file.bytes for file in one.files),
                    len(one.entries),
                    sum(file.bytes for file in one.entries),
                )

    def describe(self, *, dry_run: bool = False) -> str:
        """The sum, as a sentence."""
        files = sum(len(one.files) for one in self.tables)
        entries = sum(len(one.entries) for one in self.tables)
        size = sum(file.bytes for one in self.tables for file in (*one.files, *one.entries))
        verb = "can be removed" if dry_run else "removed"
        return (
            f"{pluralize(files, 'file')} that nothing needs any more and {entries} old "
            f"{'entry' if entries == 1 else 'entries'} of logs, {size / 1e6:,.1f} MB, {verb}; "
            f"{sum(one.live_bytes for one in self.tables) / 1e6:,.1f} MB are in use."
        )

    def raise_faults(self) -> None:
        """Raise UpkeepError where a table was left alone."""
        if not self.left_alone:
            return
        first, *others = self.left_alone.values()
        more = f" So it is with {pluralize(len(others), 'further table')}." if others else ""
        raise UpkeepError(f"Nothing was removed of a table that is damaged. {first}{more}")


def keep_up_lake(runtime: RunContext, tell: Callable[[str], None], *, dry_run: bool = False) -> UpkeepOutcome:
    """Remove what nothing needs any more, or with `dry_run` only find it. Sends no request to SMA.

    A table that is damaged is left alone, since its old files may be the last copy of its rows. Raises
    UnknownReadersError, WrongClockError, StoreError and OSError.
    """
    now, outcome = runtime.now(), UpkeepOutcome()
    check_clock(runtime.lake, now)
    shown = list_shown_files(runtime.settings.warehouse)
    try:
        outcome.answers = find_old_answers(runtime, find_first_kept_day(runtime))
        if not dry_run:
            for done in delete_old_answers(runtime, outcome.answers):
                tell(f"{done.table}: the answers of {pluralize(len(done.parts), 'part')} were removed.")
            if said := AnswerRetention(runtime.lake).describe():
                tell(said)
    except (DamagedError, UnreadableLogError) as fault:
        outcome.left_alone["raw answers"] = str(fault)
    for model in TABLES:
        try:
            done_table = keep_up_table(runtime.lake, model, shown, now, dry_run=dry_run)
        except (DamagedError, UnreadableLogError) as fault:
            outcome.left_alone[storage(model).table] = str(fault)
        except (ValueError, pa.ArrowException) as fault:
            text = f"{storage(model).table}: the log of the table can't be read ({fault}). {CURE}"
            outcome.left_alone[storage(model).table] = text
        else:
            outcome.tables += [done_table] if done_table else []
    return outcome
