"""Leaves out what a step would do again with a day of which nothing has changed since it did it.

What a step does follows from what it reads in the lake, from the settings and the run's limits, from files of the
user, from the program, and for a day that is not closed from the clock. The lake notes what a step looks at
(`warehouse.lake_trace`): nothing has to be declared, and a step that begins to look at more is done when that changes.
"""

import datetime as dt
import hashlib
import io
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cache, lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.common.day_availability import is_closed_everywhere
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.plant_lists import list_newest_ids
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.result_file import KeptResult
from pipeline.run.step_result import StepResult
from pipeline.run.supplied_files.fleet_membership import list_entry_files
from schemas import TABLES, Devices, MeasurementSets, Plants, RawPlants, Table, storage
from warehouse.lake import Lake, Snapshot
from warehouse.lake_states import Describe, LakeStates
from warehouse.lake_trace import LakeLook, LakeTrace, watch_lake

# Whose code and versions a step's figures depend on.
_ROOMS = ("pipeline", "schemas", "warehouse", "assets")
_LIBRARIES = ("sunledger", "polars", "pyarrow", "duckdb", "deltalake", "pandera", "numpy", "tzdata")
_CODE = (".py", ".toml")
_MODELS = {storage(model).table: model for model in TABLES}


@dataclass(frozen=True, slots=True)
class HeldResult:
    """The result of a step and a day, and what its looks found after it; `looks` is None where it holds on nothing."""

    step: str
    day: dt.date
    result: StepResult
    looks: Mapping[LakeLook, str] | None
    written: frozenset[LakeLook]


@dataclass(slots=True)
class UnchangedSteps:
    """Does steps of days once: those whose results still hold are left out, and their results handed out again.

    Of a day that is not closed no result holds, because that depends on the clock, nor for a run that asks for all
    again. Threads may share it.
    """

    runtime: RunContext
    basis: str
    # The state of the user's files in it.
    files: Sequence[str]

    @classmethod
    def of(cls, runtime: RunContext) -> "UnchangedSteps":
        """For the steps of a run, in its settings and limits."""
        found = _describe_files(runtime.settings)
        return cls(runtime, _describe_basis(runtime, found), found)

    def do(self, step: str, day: dt.date, work: Callable[[], StepResult]) -> StepResult:
        """The result of the work, which is done unless an earlier result of the step holds. Raises what it raises."""
        found = self.find(step, day)
        if found is not None:
            return found
        done = self.work(step, day, work)
        self.keep(done)
        return done.result

    def work(self, step: str, day: dt.date, work: Callable[[], StepResult]) -> HeldResult:
        """The result of the work, which is done, with what it holds on. Raises what the work raises."""
        with watch_lake() as trace:
            result = work()
        return self.hold(step, day, result, trace)

    def hold(self, step: str, day: dt.date, result: StepResult, trace: LakeTrace) -> HeldResult:
        """The result with the looks in which it resulted.

        It holds on nothing where the day is not closed, or where what was read has changed meanwhile: in the lake, or
        a file of the user.
        """
        lasting = is_closed_everywhere(day, self.runtime.now()) and self._is_same_basis()
        return HeldResult(
            step,
            day,
            result,
            self.find_states().describe_trace(trace) if lasting else None,
            frozenset(trace.written),
        )

    def confirm(self, held: HeldResult) -> bool:
        """Whether it still holds; then it is kept for later runs."""
        if held.looks is None or not self._is_same_basis():
            return False
        if not _is_same(held.looks, held.written, self.find_states()):
            return False
        self.keep(held)
        return True

    def keep(self, held: HeldResult) -> None:
        """Keep a result that holds for later runs."""
        if held.looks is None:
            return
        looks = [(*_format_look(look), said) for look, said in held.looks.items()]
        report = json.dumps((looks, [*map(_format_look, held.written)], _format_report(held.result)))
        self.runtime.results.keep(KeptResult(held.step, str(held.day), self.basis, report))

    def find(self, step: str, day: dt.date, states: LakeStates | None = None) -> StepResult | None:
        """The result of the step that still holds. `states` is that of the lake at this moment, for many questions."""
        reuse = self.runtime.reuse and not self.runtime.again
        if not reuse or not is_closed_everywhere(day, self.runtime.now()):
            return None
        kept = self.runtime.results.find(step, str(day), self.basis)
        if kept is None:
            return None
        # A disk may lose bytes of a file that is never synchronized: what can't be read was not kept.
        with suppress(ValueError, TypeError, KeyError):
            listed, written, report = json.loads(kept)
            looks = {_parse_look(*look): state for *look, state in listed}
            own = [_parse_look(*look) for look in written]
            found = _parse_report(report)
            return found if _is_same(looks, own, states or self.find_states()) else None
        return None

    def _is_same_basis(self) -> bool:
        """Whether no file of the user has changed since the run began; it may go on for hours."""
        return _describe_files(self.runtime.settings) == self.files

    def find_states(self) -> LakeStates:
        """The state of the lake at this moment, as steps look at it."""
        lake, names = self.runtime.lake, self.runtime.credential_names
        lists: dict[type[Table], Describe] = {
            model: partial(_digest_newest_rows, lake, model) for model in (Plants, Devices, MeasurementSets)
        }
        return LakeStates(
            lake, {**lists, RawPlants: partial(_name_newest, lake, names, self.runtime.find_today())}
        )


def _is_same(looks: Mapping[LakeLook, str], written: Iterable[LakeLook], states: LakeStates) -> bool:
    """Whether all looks find what they found. What can't be read is for the step to report."""
    own = [*written]
    with suppress(SunledgerError):
        return all(states.find_state(look, own) == state for look, state in looks.items())
    return False


def _digest_newest_rows(lake: Lake, model: type[Table]) -> str:
    """The rows of a list, of which each new one changes only the day on which most of them were last seen."""
    return _digest_rows(lake, model, lake.take_snapshot(model))


@lru_cache(maxsize=8)
def _digest_rows(lake: Lake, model: type[Table], snapshot: Snapshot) -> str:
    """Each step asks for them, and a large fleet has a hundred thousand rows."""
    rows = lake.scan(model, snapshot).collect()
    if "last_seen" in rows.columns:
        rows = rows.with_columns(pl.col("last_seen") == pl.col("last_seen").max())
    written = io.BytesIO()
    rows.write_ipc(written)
    return hashlib.blake2b(written.getbuffer()).hexdigest()


def _name_newest(lake: Lake, names: Sequence[str], today: dt.date) -> str:
    """The plants of the newest lists: steps of days look at no others."""
    return "\n".join(sorted(list_newest_ids(lake, names, today) or ()))


def _describe_files(settings: Settings) -> list[str]:
    """The files of the user that the settings name, each with its size and time."""
    files = (settings.quality, settings.irradiation, settings.curtailment_limits, settings.plant_attributes)
    named = [path for path in files if path is not None] + list_entry_files(settings)
    return [_describe_path(path) for path in named]


def _describe_basis(runtime: RunContext, of_files: list[str]) -> str:
    """A text that is the same as long as settings, limits, files of the user, program and libraries are."""
    said = (
        runtime.settings.model_dump_json(),
        sorted(runtime.only_plants),
        sorted(runtime.only_groups),
        sorted(runtime.only_backends),
        runtime.turn,
        str(runtime.shard),
        of_files,
        _describe_program(),
    )
    return hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest()


@cache
def _describe_program() -> str:
    """Versions of libraries, and size and time of each file of our own code: it may change without a version."""
    found = [platform.python_version()]
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    for room in _ROOMS:
        folder = Path(str(files(room)))
        found += sorted(_describe_path(path) for path in folder.rglob("*") if path.suffix in _CODE)
    return "\n".join(found)


def _describe_path(path: Path) -> str:
    with suppress(OSError):
        seen = path.stat()
        return f"{path} {seen.st_size} {seen.st_mtime_ns}"
    return f"{path} gone"


def _format_look(look: LakeLook) -> tuple[str, str]:
    return storage(look.model).table, look.folders


def _parse_look(table: str, folders: str) -> LakeLook:
    return LakeLook(_MODELS[table], folders)


def _format_report(report: StepResult) -> dict[str, Any]:
    notices = report.notices
    return {
        "rows": report.rows,
        "facts": report.facts,
        "pictures": report.pictures,
        "missing": [astuple(one) for one in notices.missing],
        "unknown_fields": {table: sorted(names) for table, names in notices.unknown_fields.items()},
        "odd_facts": notices.odd_facts,
    }


def _parse_report(report: dict[str, Any]) -> StepResult:
    """The result as it is of a step that found nothing to change."""
    notices = Notices.of(
        [MissingItem(*one) for one in report["missing"]],
        unknown_fields=report["unknown_fields"],
        odd_facts=report["odd_facts"],
    )
    return StepResult(
        report["rows"], changed=False, facts=report["facts"], pictures=report["pictures"], notices=notices
    )
