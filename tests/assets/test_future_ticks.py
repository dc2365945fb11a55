"""Schedules and sensors go on after a clock that was ahead is set back."""

import dataclasses
import datetime as dt
import json
from itertools import chain, repeat
from typing import Any

import dagster as dg
import pytest
from dagster_shared.serdes import deserialize_value

from assets.dagster_records.future_ticks import bound_ticks, wait_until_set_back
from assets.prefix import RUNTIME
from assets.sensors import build_retention_sensor
from pipeline.common.settings import Settings
from pipeline.extract.fetch import fetch_plants
from tests.scripted import ScriptedSma
from tests.scripted_home import make_runtime

NOW = 1_796_011_380.0
HOUR, YEAR = 3600.0, 365 * 86_400.0
# As the daemon writes it.
ORIGIN = {
    "__class__": "ExternalJobOrigin",
    "external_repository_origin": {
        "__class__": "ExternalRepositoryOrigin",
        "repository_location_origin": {
            "__class__": "GrpcServerRepositoryLocationOrigin",
            "host": "localhost",
            "location_name": "sunledger",
            "port": None,
            "socket": "/tmp/sunledger/code",  # noqa: S108 - a name that stands in a record
        },
        "repository_name": "__repository__",
    },
}


def note(instance: dg.DagsterInstance, kind: str, name: str, status: str, **data: Any) -> Any:
    """A schedule or sensor of that name as Dagster's records have it."""
    state: Any = deserialize_value(
        json.dumps(
            {
                "__class__": "InstigatorState",
                "job_specific_data": {"__class__": f"{kind.title()}InstigatorData", **data},
                "job_type": {"__enum__": f"InstigatorType.{kind}"},
                "origin": {**ORIGIN, "job_name": name},
                "status": {"__enum__": f"InstigatorStatus.{status}"},
            }
        )
    )
    return instance.add_instigator_state(state)


def note_tick(instance: dg.DagsterInstance, state: Any, at: float) -> None:
    tick: Any = deserialize_value(
        json.dumps(
            {
                "__class__": "TickData",
                "job_name": state.instigator_name,
                "job_origin_id": state.instigator_origin_id,
                "job_type": {"__enum__": f"InstigatorType.{state.instigator_type.value}"},
                "selector_id": state.selector_id,
                "status": {"__enum__": "TickStatus.SKIPPED"},
                "timestamp": at,
                "end_timestamp": at + 1,
            }
        )
    )
    instance.create_tick(tick)


def look(instance: dg.DagsterInstance, state: Any) -> tuple[Any, list[float]]:
    place = (state.instigator_origin_id, state.selector_id)
    return instance.get_instigator_state(*place), [tick.timestamp for tick in instance.get_ticks(*place)]


def test_what_was_noted_in_the_future_is_brought_back(instance: dg.DagsterInstance) -> None:
    schedule = note(
        instance,
        "SCHEDULE",
        "closing",
        "DECLARED_IN_CODE",
        cron_schedule="5,35 * * * *",
        start_timestamp=NOW - YEAR,
        last_iteration_timestamp=NOW + YEAR,
    )
    for at in (NOW - HOUR, NOW + YEAR - HOUR, NOW + YEAR):
        note_tick(instance, schedule, at)
    sensor = note(
        instance,
        "SENSOR",
        "alerts",
        "STOPPED",
        cursor="what was told",
        min_interval=300,
        last_tick_timestamp=NOW + YEAR,
        last_tick_start_timestamp=NOW + YEAR,
        last_tick_success_timestamp=NOW + YEAR,
    )

    assert bound_ticks(instance, NOW) == ["alerts", "closing"]
    assert bound_ticks(instance, NOW) == []

    stored, ticks = look(instance, schedule)
    assert stored.instigator_data.last_iteration_timestamp == NOW
    assert stored.instigator_data.start_timestamp == NOW - YEAR
    assert ticks == [NOW, NOW, NOW - HOUR]
    stored, ticks = look(instance, sensor)
    assert (stored.instigator_data.last_tick_timestamp, stored.instigator_data.last_tick_start_timestamp) == (
        NOW,
        NOW,
    )
    assert (stored.instigator_data.cursor, stored.status.value, ticks) == ("what was told", "STOPPED", [])


def test_a_tick_alone_is_brought_back(instance: dg.DagsterInstance) -> None:
    state = note(
        instance, "SCHEDULE", "lists", "RUNNING", cron_schedule="5 1 * * *", start_timestamp=NOW - YEAR
    )
    note_tick(instance, state, NOW + YEAR)
    assert bound_ticks(instance, NOW) == ["lists"]
    assert look(instance, state) == (state, [NOW])


def test_clocks_of_machines_that_differ_a_little_change_nothing(instance: dg.DagsterInstance) -> None:
    facts: dict[str, Any] = {"min_interval": 60, "last_tick_timestamp": NOW + 120}
    state = note(instance, "SENSOR", "dead_runs", "DECLARED_IN_CODE", **facts)
    note_tick(instance, state, NOW + 120)
    assert bound_ticks(instance, NOW) == []
    assert look(instance, state) == (state, [NOW + 120])


@pytest.mark.parametrize(
    ("leads", "back"),
    [([1000.0, 1000.0, 700.0], 300.0), ([1000.0, YEAR, 990.0], YEAR - 990.0), ([0.0, -200.0, -310.0], 310.0)],
)
def test_a_clock_that_is_set_back_is_seen(leads: list[float], back: float) -> None:
    looks = iter(leads)
    assert wait_until_set_back(lambda: next(looks), lambda: None) == back
    assert next(looks, None) is None


def test_a_clock_that_is_set_forward_or_wavers_is_let_be() -> None:
    looks = chain([0.0, -299.0, YEAR, YEAR - 299.0], repeat(YEAR - 300.0))
    waits: list[None] = []
    wait_until_set_back(lambda: next(looks), lambda: waits.append(None))
    assert len(waits) == 4


def test_no_run_is_old_because_a_clock_is_ahead(settings: Settings, sma: ScriptedSma) -> None:
    runtime = make_runtime(settings, sma)
    fetch_plants(runtime)
    ahead = dataclasses.replace(runtime, now=lambda: runtime.now() + dt.timedelta(days=365))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance, resources={RUNTIME: ahead})
        said = build_retention_sensor(settings)(context)
    before = runtime.now().date() + dt.timedelta(days=2 - settings.keep_runs_days)
    assert said.skip_message == f"Deleted 0 runs from before {before}."  # type: ignore[union-attr]
