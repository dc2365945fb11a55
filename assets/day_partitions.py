"""The plant-local calendar days that tables of days are partitioned by."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipeline.common.day_availability import list_days


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
