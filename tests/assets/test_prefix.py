"""Asset keys below a prefix: the same graph, the same runs, other keys; and a project of somebody's own around it."""

import datetime as dt

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.runs import RunFailedError, record_runs
from pipeline.common.errors import TransientError, UsageError
from pipeline.common.settings import Settings, load_settings
from pipeline.run.context import RunContext
from schemas import EnergyDaily
from tests.scripted import NOW, ScriptedSma

PREFIX = ["energy", "solar"]
DAYS = dt.date(2021, 10, 17), dt.date(2021, 10, 18)
PLAIN = build_definitions(load_settings(env_file=None))
PREFIXED = build_definitions(load_settings(env_file=None, asset_prefix="/".join(PREFIX)))


def put_before(keys: object) -> set[dg.AssetKey]:
    return {key.with_prefix(PREFIX) for key in keys}  # type: ignore[attr-defined]


def test_the_graph_is_the_same_below_the_prefix() -> None:
    plain, prefixed = PLAIN.resolve_asset_graph(), PREFIXED.resolve_asset_graph()
    assert prefixed.materializable_asset_keys == put_before(plain.materializable_asset_keys)
    for key in plain.materializable_asset_keys:
        node, below = plain.get(key), prefixed.get(key.with_prefix(PREFIX))
        assert below.parent_keys == put_before(node.parent_keys)
        assert (below.pools, below.group_name, below.tags, below.partitions_def, below.backfill_policy) == (
            node.pools,
            node.group_name,
            node.tags,
            node.partitions_def,
            node.backfill_policy,
        )
        assert below.metadata["docs"] == node.metadata["docs"]
    assert {(key.asset_key, key.name) for key in prefixed.asset_check_keys} == {
        (key.asset_key.with_prefix(PREFIX), key.name) for key in plain.asset_check_keys
    }


def test_columns_lead_to_columns_below_the_prefix() -> None:
    node = PREFIXED.resolve_asset_graph().get(dg.AssetKey([*PREFIX, "energy_daily"]))
    (parent,) = node.metadata["dagster/column_lineage"].deps_by_column["pv_generation_kwh"]
    assert parent.asset_key == dg.AssetKey([*PREFIX, "energy_balance_intervals"])


def test_jobs_schedules_and_sensors_have_names_of_their_own_and_do_the_same() -> None:
    plain, prefixed = PLAIN.get_repository_def(), PREFIXED.get_repository_def()
    assert {f"energy_solar_{job.name}" for job in plain.get_all_jobs() if job.name[:2] != "__"} == {
        job.name for job in prefixed.get_all_jobs() if job.name[:2] != "__"
    }
    for job in plain.get_all_jobs():
        if job.name[:2] != "__":
            made = PREFIXED.resolve_job_def(f"energy_solar_{job.name}").asset_layer.executable_asset_keys
            assert made == put_before(job.asset_layer.executable_asset_keys)
    assert {(f"energy_solar_{s.name}", f"energy_solar_{s.job_name}") for s in plain.schedule_defs} == {
        (s.name, s.job_name) for s in prefixed.schedule_defs
    }
    assert {f"energy_solar_{s.name}" for s in plain.sensor_defs} == {s.name for s in prefixed.sensor_defs}


def own_asset(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def own() -> None:
        pass

    return own


def name_jobs(defs: dg.Definitions) -> list[str]:
    """The names of all jobs but Dagster's own."""
    return [job.name for job in defs.get_repository_def().get_all_jobs() if job.name[:2] != "__"]


@pytest.mark.long
def test_a_project_takes_it_in_whatever_its_own_things_are_called() -> None:
    """Assets, checks, jobs, schedules, sensors and resources of the same names, and an executor."""
    keys = PLAIN.resolve_asset_graph().materializable_asset_keys
    repository = PLAIN.get_repository_def()
    prices, *others = [own_asset(name) for name in ("prices", *sorted(key.path[-1] for key in keys))]

    @dg.asset(deps=[dg.AssetKey([*PREFIX, "energy_daily"]), prices])
    def mine() -> None:
        pass

    @dg.asset_check(asset="energy_daily", name="complete")
    def complete() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    own = dg.Definitions(
        assets=[prices, mine, *others],
        asset_checks=[complete],
        jobs=[dg.define_asset_job(name, selection=[prices]) for name in name_jobs(PLAIN)],
        schedules=[
            dg.ScheduleDefinition(one.name, cron_schedule="@daily", target=[prices])
            for one in repository.schedule_defs
        ],
        sensors=[
            dg.SensorDefinition(one.name, evaluation_fn=lambda: dg.SkipReason("Nothing."), target=[prices])
            for one in repository.sensor_defs
        ],
        resources={name: object() for name in ("runtime", "notices", "lake")}
        | {"io_manager": dg.InMemoryIOManager()},
        executor=dg.multiprocess_executor,
    )
    settings = load_settings(env_file=None, asset_prefix="/".join(PREFIX))
    merged = dg.Definitions.merge(build_definitions(settings, executor=None), own)
    dg.Definitions.validate_loadable(merged)
    graph = merged.resolve_asset_graph()
    assert graph.get(mine.key).parent_keys == {prices.key, dg.AssetKey([*PREFIX, "energy_daily"])}
    assert graph.materializable_asset_keys >= put_before(keys) | keys
    # A run of our jobs stays one process, whatever executor the project has.
    for name in name_jobs(PREFIXED):
        assert merged.resolve_job_def(name).executor_def is dg.in_process_executor


@pytest.mark.long
def test_a_failed_fetch_is_known_by_its_step_below_the_prefix(settings: Settings, sma: ScriptedSma) -> None:
    """A week that could not be fetched is not made into energy of nothing."""
    sunday, monday = dt.date(2021, 10, 17), dt.date(2021, 10, 18)
    lost = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
    sma.special = lambda request: lost if request.date == str(monday) else None
    prefixed = settings.model_copy(update={"asset_prefix": "solar"})
    runtime = RunContext(prefixed, again=True, now=lambda: NOW, make_session=lambda _: sma)  # type: ignore[arg-type,return-value]
    with runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        with pytest.raises(RunFailedError, match="503") as failure:
            runs.fetch_days(sunday, monday)
        assert failure.value.not_fetched == {monday}
        assert [part["local_date"] for part in runtime.lake.list_parts(EnergyDaily)] == [str(sunday)]


@pytest.mark.long
def test_commands_record_their_runs_under_the_same_keys(settings: Settings, sma: ScriptedSma) -> None:
    prefixed = settings.model_copy(update={"asset_prefix": "solar"})
    runtime = RunContext(prefixed, again=True, now=lambda: NOW, make_session=lambda _: sma)  # type: ignore[arg-type,return-value]
    with runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        runs.fetch_days(*DAYS)
        runs.publish()
        instance = runs.instance
        days = {str(day) for day in DAYS}
        assert instance.get_materialized_partitions(dg.AssetKey(["solar", "energy_daily"])) == days
        assert instance.get_materialized_partitions(dg.AssetKey("energy_daily")) == set()
        assert instance.get_latest_materialization_event(dg.AssetKey(["solar", "warehouse"])) is not None
        # The results of single days, which are reported one by one.
        complete = dg.AssetCheckKey(dg.AssetKey(["solar", "energy_daily"]), "complete")
        events = [
            entry.dagster_event.asset_check_evaluation_data
            for run in instance.get_runs()
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            if entry.dagster_event
        ]
        assert {one.partition for one in events if one.asset_check_key == complete} >= days
        assert all(one.asset_check_key.asset_key.path[0] == "solar" for one in events)


@pytest.mark.parametrize("text", ["a b", "/a", "a/", "a//b", "a.b", "ä"])
def test_a_prefix_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"SUNLEDGER_ASSET_PREFIX.*must consist of letters, digits, _"):
        load_settings(env_file=None, asset_prefix=text)
