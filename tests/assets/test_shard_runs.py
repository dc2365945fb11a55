"""Shards in Dagster: a run each, and energy after the last one."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pytest

from assets.definitions import DAYS_JOB, SHARD_JOB, build_definitions
from assets.home_setup.dagster_home import open_dagster
from assets.run_control.run_tags import (
    PARENT,
    RANGE_END,
    RANGE_START,
    SCHEDULE,
    SHARD,
    TICK,
    WILL_RETRY,
    read_limits,
)
from pipeline.common.settings import Settings
from pipeline.run.shards import Shard
from tests.assets.clockwork import ClockedSma, Clockwork

# Midnight in Brisbane, where the scripted plants are.
MIDNIGHT = dt.datetime(2021, 10, 19, 14, tzinfo=dt.UTC)
DAYS = {RANGE_START: "2021-10-18", RANGE_END: "2021-10-19"}


@pytest.fixture
def sharded(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": 3, "window_days": 1})


@pytest.fixture
def machine(sharded: Settings) -> Iterator[Clockwork]:
    with open_dagster(sharded) as instance:
        yield Clockwork(sharded, instance, ClockedSma())


@pytest.mark.long
def test_a_tick_gives_each_shard_a_run(machine: Clockwork) -> None:
    machine.sma.lists = [str(plant) for plant in range(11, 18)]
    machine.turn_to(MIDNIGHT)
    machine.tick("lists")
    machine.turn_to(MIDNIGHT + dt.timedelta(hours=1))
    before = len(machine.sma.asked)
    requests = machine.tick("closing")
    assert [(one.tags[SHARD], one.tags[RANGE_START]) for one in requests] == [
        (f"{number}/3", "2021-10-19") for number in (1, 2, 3)
    ]
    assert len({one.run_key for one in requests}) == 3
    asked = machine.sma.asked[before:]
    # Each plant's days are in one shard, so nothing was asked twice.
    assert len(asked) == len({one.target for one in asked})
    assert {one.plant_id for one in asked} == set(machine.sma.lists)
    assert {machine.schedules[name].job_name for name in ("today", "closing", "window")} == {SHARD_JOB}
    assert read_limits(requests[1].tags)["shard"] == Shard(2, 3)


@pytest.mark.long
def test_the_last_shard_has_the_days_made(machine: Clockwork, sharded: Settings) -> None:
    defs = build_definitions(sharded)
    sensor = next(one for one in defs.sensors or [] if one.name == "finish_shards")

    @dg.job
    def shard_of_days() -> None:
        pass

    tags = {**DAYS, SHARD: "1/3", SCHEDULE: "closing", TICK: "a tick"}
    result = shard_of_days.execute_in_process(instance=machine.instance, tags=tags)

    def answer(run: dg.DagsterRun) -> dg.RunRequest | dg.SkipReason:
        context = dg.build_run_status_sensor_context(
            sensor_name="finish_shards",
            dagster_event=result.get_run_success_event(),
            dagster_instance=machine.instance,
            dagster_run=run,
        )
        return sensor(context)  # type: ignore[no-any-return]

    run = result.dagster_run
    other = dg.DagsterRun(job_name=SHARD_JOB, tags={**tags, SHARD: "3/3"}, status=dg.DagsterRunStatus.STARTED)
    machine.instance.add_run(other)
    waits = answer(run)
    assert isinstance(waits, dg.SkipReason)
    assert str(waits.skip_message).endswith("still fetched: 3/3.")
    machine.instance.delete_run(other.run_id)
    # A shard of another tick of the same days is another attempt's.
    machine.instance.add_run(other.with_tags({**tags, SHARD: "3/3", TICK: "another tick"}))
    made = answer(run)
    assert isinstance(made, dg.RunRequest)
    assert made.tags == DAYS
    assert made.run_key == run.run_id
    # Where both have ended before the sensor looks, the later one asks for it.
    later = shard_of_days.execute_in_process(instance=machine.instance, tags={**tags, SHARD: "2/3"})
    assert isinstance(answer(run), dg.SkipReason)
    assert isinstance(answer(later.dagster_run), dg.RunRequest)
    assert isinstance(answer(run.with_tags(DAYS)), dg.SkipReason)
    # A killed shard is waited for until it has been tried again, and then it has the days made with what it fetched.
    failed = dg.DagsterRunStatus.FAILURE
    killed = dg.DagsterRun(SHARD_JOB, tags={**tags, SHARD: "3/3", WILL_RETRY: "true"}, status=failed)
    machine.instance.add_run(killed)
    waits = answer(later.dagster_run)
    assert isinstance(waits, dg.SkipReason)
    assert str(waits.skip_message).endswith("still fetched: 3/3.")
    again = {**tags, SHARD: "3/3", PARENT: killed.run_id}
    repeated = shard_of_days.execute_in_process(instance=machine.instance, tags=again)
    assert isinstance(answer(later.dagster_run), dg.SkipReason)
    assert isinstance(answer(repeated.dagster_run), dg.RunRequest)


@pytest.mark.long
def test_a_shard_that_fails_last_does_not_keep_the_others_from_being_made(
    machine: Clockwork, sharded: Settings
) -> None:
    sensors = {one.name: one for one in build_definitions(sharded).sensors or []}
    tags = {**DAYS, SHARD: "1/3", SCHEDULE: "closing", TICK: "a tick"}

    @dg.job
    def shard_of_days() -> None:
        pass

    @dg.op
    def fail() -> None:
        raise ValueError("The machine is gone.")

    @dg.job(name="shard_of_days")
    def failing_shard_of_days() -> None:
        fail()

    def run_last(shard: str, **told: str) -> dg.RunRequest | dg.SkipReason:
        result = failing_shard_of_days.execute_in_process(
            instance=machine.instance, tags={**tags, SHARD: shard}, raise_on_error=False
        )
        run = result.dagster_run
        context = dg.build_run_status_sensor_context(
            sensor_name="finish_failed_shards",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=machine.instance,
            dagster_run=run.with_tags({**run.tags, **told}),
        ).for_run_failure()
        assert isinstance(sensors["finish_partly"](context), dg.SkipReason)
        return sensors["finish_failed_shards"](context)  # type: ignore[no-any-return]

    assert isinstance(run_last("1/3"), dg.SkipReason)
    shard_of_days.execute_in_process(instance=machine.instance, tags={**tags, SHARD: "2/3"})
    assert isinstance(run_last("3/3", **{WILL_RETRY: "true"}), dg.SkipReason)
    made = run_last("3/3")
    assert isinstance(made, dg.RunRequest)
    assert made.tags == DAYS


def test_without_the_setting_nothing_changes(settings: Settings) -> None:
    defs = build_definitions(settings)
    assert not [one for one in defs.sensors or [] if one.name in {"finish_shards", "finish_failed_shards"}]
    assert {one.job_name for one in defs.schedules or [] if one.name in {"today", "closing", "window"}} == {
        DAYS_JOB
    }
