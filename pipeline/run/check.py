"""A check, declared once: at the function that judges. Dagster shows its finding beside the table that it is about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

from pipeline.common.finding import Finding
from pipeline.run.context import RunContext
from pipeline.run.plants import drop_limits

Judge: TypeAlias = Callable[[RunContext], Finding]
Judging = TypeVar("Judging", bound=Judge)
_CHECK = "__check__"


class CheckMoment(StrEnum):
    """After what a run makes a check."""

    LISTS = "lists"
    DAYS = "days"
    VENDOR = "vendor"
    PUBLISHING = "publishing"


@dataclass(frozen=True, slots=True)
class Check:
    """A judgement of a whole table: its name, the asset beside which it is shown, what it says, and when it is made.

    `of_requests` says that it judges requests, so those that the run has sent so far are stored before.
    """

    name: str
    asset: str
    description: str
    after: CheckMoment
    judge: Judge
    of_requests: bool = False

    def judge_table(self, runtime: RunContext) -> Finding:
        """The finding of the whole table, also in a run that is limited to some plants."""
        return self.judge(drop_limits(runtime))


def checks(
    name: str, *, asset: str, after: CheckMoment, description: str, of_requests: bool = False
) -> Callable[[Judging], Judging]:
    """Declare that the function is a check: see `Check`."""

    def declare(judge: Judging) -> Judging:
        setattr(judge, _CHECK, Check(name, asset, description, after, judge, of_requests))
        return judge

    return declare


def collect_checks(modules: Iterable[ModuleType], after: CheckMoment) -> list[Check]:
    """The checks after a part of a run that functions of these modules declare, in the order of both."""
    declared: list[Any] = [
        getattr(function, _CHECK, None)
        for module in modules
        for function in vars(module).values()
        if getattr(function, "__module__", None) == module.__name__
    ]
    return [check for check in declared if isinstance(check, Check) and check.after is after]
