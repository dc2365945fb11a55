"""How a table is made, declared once: at the function that writes it. The asset graph follows from that."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial, wraps
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

from pipeline.run.context import RunContext
from pipeline.run.step import work_without_conflict
from pipeline.run.step_result import StepResult
from schemas import Table, storage
from warehouse.lake import Part

Every = Literal["month", "year"]
Write = TypeVar("Write", bound=Callable[..., StepResult])
_STEP = "__table_step__"


class Stage(StrEnum):
    """When a run makes a table."""

    PLANTS = "plants"
    DEVICES = "devices"
    DAYS = "days"
    # Of all stored days, after them.
    MONTHS = "months"
    # From SMA's own energies, which are asked for once a month.
    VENDOR = "vendor"
    # From the record of requests, after everything that sends some.
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class TableStep:
    """A table, the function that writes it (of a run, and of a day in the stage of days), and the tables it reads.

    `every` has the schedule of that name make it too, when a month or a year is closed.
    """

    model: type[Table]
    write: Callable[..., StepResult]
    reads: tuple[type[Table], ...]
    stage: Stage
    every: Every | None = None

    @property
    def inputs(self) -> list[str]:
        """The names of the tables that it reads."""
        return [storage(model).table for model in self.reads]


def writes(
    model: type[Table],
    *,
    reads: Sequence[type[Table]],
    stage: Stage,
    every: Every | None = None,
    beside: Sequence[type[Table]] = (),
) -> Callable[[Write], Write]:
    """Declare that the function writes the model's table: see `TableStep`. What it writes `beside` are no steps.

    The function begins again where another run writes the same parts meanwhile: see `work_without_conflict`.
    """

    def declare(write: Write) -> Write:
        @wraps(write)
        def write_without_conflict(runtime: RunContext, *args: Any, **options: Any) -> StepResult:
            day = args[0] if stage is Stage.DAYS else None
            parts = [(one, _build_part(one, runtime, day)) for one in (model, *beside)]
            return work_without_conflict(runtime.lake, parts, partial(write, runtime, *args, **options))

        setattr(
            write_without_conflict,
            _STEP,
            TableStep(model, write_without_conflict, tuple(reads), stage, every),
        )
        return cast("Write", write_without_conflict)

    return declare


def _build_part(model: type[Table], runtime: RunContext, day: dt.date | None) -> Part:
    """What a step of the day, or of no day, may write of the table: lists are set aside on the day of the run."""
    return {"local_date": day or runtime.find_today()} if "local_date" in storage(model).partition else {}


def list_steps(modules: Iterable[ModuleType], stage: Stage) -> list[TableStep]:
    """The steps of a stage that functions of these modules declare, in the order of the modules and functions."""
    declared: list[Any] = [
        getattr(function, _STEP, None)
        for module in modules
        for function in vars(module).values()
        if getattr(function, "__module__", None) == module.__name__
    ]
    return [step for step in declared if isinstance(step, TableStep) and step.stage is stage]
