"""The plant-local calendar days that tables of days are partitioned by."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipeline.common.day_availability import find_newest_day, list_days
from pipeline.common.errors import UsageError
from pipeline.run.context import RunContext
from pipeline.tables.incomplete_days import list_days_with_answers


class DayPartitions(dg.DailyPartitionsDefinition):
    """Dagster's days, of which a list costs little.

    A step that reads a table of all days has them listed, only to learn that they are too many to look at one by one:
    the publication does so for twenty tables. Dagster looks up each day in its calendar of schedules, which takes 36 ms
    for the days of twelve years.
    """

    def get_partition_keys(
        self,
        current_time: dt.datetime | None = None,
        dynamic_partitions_store: Any = None,
    ) -> Sequence[str]:
        """The days up to the last one at that time (now, unless it is given), as ISO dates."""
        with dg.partition_loading_context(current_time, dynamic_partitions_store):
            last = self.get_last_partition_key()
        if last is None:
            return []
        return [day.isoformat() for day in list_days(self.start.date(), dt.date.fromisoformat(last))]


def list_run_days(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, runtime: RunContext
) -> list[dt.date]:
    """The days that a run is for, one or more.

    Dagster starts a run of a job with whatever partitions it is given, or with none. Raises UsageError for days that
    can't be meant. Days in the future of which there are answers are let be: then the clock is behind.
    """
    newest = find_newest_day(runtime.now())
    choose = f"launch it with days from {runtime.settings.first_day} to {newest}, the earlier one first."
    try:
        days = [dt.date.fromisoformat(key) for key in context.partition_keys]
    except (dg.DagsterInvariantViolationError, ValueError):
        days = []
    if not days:
        raise UsageError(f"The run names no days, so it has nothing to do: {choose}")
    stray = [day for day in days if day > newest]
    if stray and not list_days_with_answers(runtime).issuperset(stray):
        raise UsageError(f"The run names {stray[0]}, which is in the future: {choose}")
    return days
