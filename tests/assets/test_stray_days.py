"""Runs of partitions that are no days of ours: what they come to, and that the sensors go on after them."""

import datetime as dt
from collections.abc import Callable

import dagster as dg
import pytest

from assets.day_partitions import list_run_days
from assets.run_control.run_tags import RANGE_END, RANGE_START
from assets.sensors import PARTITION, build_finishing_sensor
from pipeline.common.day_availability import find_newest_day
from pipeline.common.errors import UsageError
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from tests.scripted import NOW

CHOOSE = f"launch it with days from 2015-01-01 to {find_newest_day(NOW)}, the earlier one first."
NONE = f"The run names no days, so it has nothing to do: {CHOOSE}"


@dg.op
def nothing() -> None:
    pass


@dg.job
def finish() -> None:
    nothing()


@pytest.mark.parametrize(
    "tags",
    [
        {PARTITION: "berlin"},
        {PARTITION: "2021-10"},
        {RANGE_START: "2021-10-05"},
        {RANGE_START: "2021-10-05", RANGE_END: "never"},
        {},
    ],
    ids=str,
)
def test_a_failed_run_of_other_partitions_does_not_stop_the_sensor(
    tags: dict[str, str], settings: Settings
) -> None:
    sensor = build_finishing_sensor(settings, fetched=["raw"], job=finish)
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = sensor.evaluate_tick(dg.build_sensor_context(instance)).cursor
        for number, of_run in enumerate((tags, {PARTITION: "2021-10-05"})):
            run = dg.DagsterRun("theirs", run_id=f"0000000{number}-6eed-4ddf-a6be-281083833613", tags=of_run)
            instance.add_run(run)
            instance.report_run_failed(run)
        for _ in range(2):
            tick = sensor.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor))
            assert str(tick.skip_message).startswith("Skipped, because no failed run has fetched days")
            assert tick.cursor != cursor
            cursor = tick.cursor


class Launched:
    """What a step knows of the partitions of its run."""

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)

    @property
    def partition_keys(self) -> list[str]:
        """As Dagster gives them, or not."""
        if not self._keys:
            raise dg.DagsterInvariantViolationError("Cannot access partition_key for a non-partitioned run")
        return self._keys


@pytest.mark.parametrize(
    ("launched", "said"),
    [
        (Launched(), NONE),
        (Launched("2021-10-05", "bogus"), NONE),
        (Launched("2021-10-19", "2031-01-01"), f"The run names 2031-01-01, which is in the future: {CHOOSE}"),
    ],
    ids=["none", "no day", "future"],
)
def test_a_run_of_stray_days_is_refused_with_a_sentence(
    launched: Launched, said: str, new_runtime: Callable[..., RunContext]
) -> None:
    with new_runtime() as runtime, pytest.raises(UsageError) as refused:
        list_run_days(launched, runtime)  # type: ignore[arg-type]
    assert str(refused.value) == said


def test_days_that_can_be_meant_are_the_runs(new_runtime: Callable[..., RunContext]) -> None:
    with new_runtime() as runtime:
        days = list_run_days(Launched("2021-10-18", "2021-10-19"), runtime)  # type: ignore[arg-type]
    assert days == [dt.date(2021, 10, 18), dt.date(2021, 10, 19)]
