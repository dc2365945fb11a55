"""What happens after a run that failed: energy of the days that it fetched, and of no others."""

import datetime as dt
from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from assets.definitions import DAYS_JOB, build_definitions
from assets.prefix import build_name
from assets.run_control.run_tags import RANGE_END, RANGE_START
from pipeline.common.errors import SmaError, TransientError
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from pipeline.sma.requests import Request
from schemas import EnergyDaily
from tests.assets.clockwork import refresh_lists
from tests.scripted import ScriptedSma

pytestmark = pytest.mark.long

# The end of a week, a week, and the beginning of the next; by the Mondays that they are asked for with.
SPAN = {RANGE_START: "2021-10-02", RANGE_END: "2021-10-12"}
MONDAYS = ["2021-09-27", "2021-10-04", "2021-10-11"]


class Failed:
    """A run of the days' job in which some weeks could not be asked for, and the sensor's answer to it."""

    def __init__(self, settings: Settings, runtime: RunContext, instance: dg.DagsterInstance) -> None:
        refresh_lists(runtime)
        self.defs, self.instance, self.runtime = build_definitions(settings, runtime), instance, runtime
        self.settings = settings

    def run(self, job: str, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        found = self.defs.resolve_job_def(job)
        return found.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def answer(self, tags: dict[str, str]) -> tuple[list[dg.RunRequest], str]:
        result = self.run(build_name(self.settings, DAYS_JOB), tags)
        assert not result.success
        context = dg.build_run_status_sensor_context(
            sensor_name=build_name(self.settings, "finish_partly"),
            dagster_event=result.get_run_failure_event(),
            dagster_instance=self.instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        sensor = next(
            s for s in self.defs.sensors or [] if s.name == build_name(self.settings, "finish_partly")
        )
        found = sensor(context)
        return (found, "") if isinstance(found, list) else ([], str(found.skip_message))  # type: ignore[union-attr]


@pytest.fixture
def failed(
    settings: Settings, new_runtime: Callable[..., RunContext], instance: dg.DagsterInstance
) -> Iterator[Failed]:
    with new_runtime() as runtime:
        yield Failed(settings, runtime, instance)


def test_the_lost_week_is_found_below_a_prefix(
    settings: Settings, new_runtime: Callable[..., RunContext], instance: dg.DagsterInstance, sma: ScriptedSma
) -> None:
    lose(sma, MONDAYS[1])
    with new_runtime() as runtime:
        failed = Failed(settings.model_copy(update={"asset_prefix": "solar"}), runtime, instance)
        requests, _ = failed.answer(SPAN)
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests] == [
        ("2021-10-02", "2021-10-03"),
        ("2021-10-11", "2021-10-12"),
    ]


def lose(sma: ScriptedSma, *mondays: str, devices: bool = False) -> None:
    """Answer 503 to what is asked of plants (or of devices) for these weeks."""

    def special(request: Request) -> SmaError | None:
        if (
            request.endpoint == "measurements"
            and request.date in mondays
            and bool(request.device_id) == devices
        ):
            return TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
        return None

    sma.special = special


def stored(runtime: RunContext) -> list[str]:
    return [part["local_date"] for part in runtime.lake.list_parts(EnergyDaily)]


def test_the_days_around_a_lost_week_become_energy(failed: Failed, sma: ScriptedSma) -> None:
    lose(sma, MONDAYS[1])
    requests, _ = failed.answer(SPAN)
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests] == [
        ("2021-10-02", "2021-10-03"),
        ("2021-10-11", "2021-10-12"),
    ]
    assert len({r.run_key for r in requests}) == 2
    assert stored(failed.runtime) == []
    sma.asked.clear()
    for request in requests:
        assert failed.run(str(request.job_name or "energy_from_lake"), dict(request.tags)).success
    days = ["2021-10-02", "2021-10-03", "2021-10-11", "2021-10-12"]
    assert stored(failed.runtime) == days
    assert sma.asked == []
    # The lost days don't look done.
    assert failed.instance.get_materialized_partitions(dg.AssetKey("energy_daily")) == set(days)


def test_a_lost_set_of_devices_keeps_no_day_from_its_energy(failed: Failed, sma: ScriptedSma) -> None:
    lose(sma, MONDAYS[1], devices=True)
    requests, _ = failed.answer(SPAN)
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests] == [("2021-10-02", "2021-10-12")]


def test_nothing_is_made_of_nothing(failed: Failed, sma: ScriptedSma) -> None:
    lose(sma, *MONDAYS)
    assert failed.answer(SPAN) == ([], "Skipped, because the run has fetched none of its days.")


def test_a_day_that_was_never_fetched_is_no_green_day(failed: Failed) -> None:
    result = failed.run("energy_from_lake", {"dagster/partition": "2021-10-05"})
    assert not result.success
    (event,) = [e for e in result.all_events if e.is_step_failure and e.step_key == "energy_daily"]
    assert event.step_failure_data.user_failure_data
    said = event.step_failure_data.user_failure_data.description or ""
    assert said.startswith("2021-10-05 was never fetched: materialize raw_energy_balance of that day first")
    assert failed.instance.get_materialized_partitions(dg.AssetKey("energy_daily")) == set()


def test_a_day_before_the_first_plant_is_as_good_as_any(
    settings: Settings, new_runtime: Callable[..., RunContext], instance: dg.DagsterInstance
) -> None:
    with new_runtime() as runtime:
        days = Failed(settings, runtime, instance)
        assert days.run(DAYS_JOB, {"dagster/partition": str(dt.date(2019, 12, 30))}).success
