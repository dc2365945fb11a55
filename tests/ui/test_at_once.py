"""Two backfills and the run of a schedule at once, by Dagster's daemon: within the budget, each day once and whole."""

import datetime as dt
from typing import Any

import polars as pl

from assets.run_control.run_tags import DUE_AT, RANGE_END, RANGE_START
from schemas import ApiRequests, EnergyDaily
from tests.control_room import REPOSITORY, ControlRoom, eventually
from tests.ui.conftest import BUDGET, PLANTS
from warehouse.lake import Lake

NEWEST = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=40)

LAUNCH_BACKFILL = """
mutation launch($days: [String!]!, $repository: RepositorySelector!) {
  launchPartitionBackfill(backfillParams: {
    selector: {partitionSetName: "energy_days_partition_set", repositorySelector: $repository}, partitionNames: $days
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""


def days_back(first: int, last: int) -> list[str]:
    return [str(NEWEST - dt.timedelta(days=n)) for n in range(first, last - 1, -1)]


def runs_over(room: ControlRoom, days: set[str]) -> list[dict[str, Any]]:
    """The runs that are about any of these days."""
    return [run for run in room.runs() if {run["tags"].get(RANGE_START), run["tags"].get(RANGE_END)} & days]


def test_two_backfills_and_a_schedule_keep_budget_and_days(control_room: ControlRoom) -> None:
    first, second, scheduled = days_back(5, 3), days_back(4, 2), days_back(3, 1)
    every = {*first, *second, *scheduled}
    began = dt.datetime.now(dt.UTC)
    # By themselves the runs are over too soon to meet: the portal is silent until all three have started.
    with control_room.portal_silent():
        for days in (first, second):
            answer = control_room.ask(LAUNCH_BACKFILL, days=days, repository=REPOSITORY)
            assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", answer
        tags = {
            RANGE_START: scheduled[0],
            RANGE_END: scheduled[-1],
            DUE_AT: dt.datetime.now(dt.UTC).isoformat(),
        }
        control_room.launch_days(tags)
        eventually(lambda: _started(runs_over(control_room, every)))

    runs = eventually(lambda: _ended(runs_over(control_room, every)))
    assert [run["status"] for run in runs] == ["SUCCESS"] * 3
    assert max(run["startTime"] for run in runs) < min(run["endTime"] for run in runs)

    assert control_room.sunledger("verify").returncode == 0
    lake = Lake(str(control_room.home / "lake"), control_room.home / "tmp")
    daily = lake.scan(EnergyDaily).collect().filter(pl.col("local_date").cast(pl.String).is_in(sorted(every)))
    assert daily.height == daily.select("plant_id", "local_date").n_unique() == PLANTS * len(every)
    asked = lake.scan(ApiRequests).select("asked_at", "status").sort("asked_at").collect()
    assert asked.filter(pl.col("status") == 429).height == 0
    rolling = asked.rolling("asked_at", period="60s").agg(pl.len())
    # The bucket holds a little more than what flows in: see pipeline/sma/budget/shared_budget.py.
    most = BUDGET / 5 * 0.99 + 0.99 + BUDGET * 0.01 + 1
    assert rolling["len"].max() <= most  # type: ignore[operator]
    # Without a budget the lists alone would have taken more within seconds.
    assert most < asked.filter(pl.col("asked_at") < began).height


def _started(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The three runs, when all have started."""
    return runs if len(runs) == 3 and all(run["startTime"] for run in runs) else []


def _ended(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The three runs, when all have ended."""
    return runs if len(runs) == 3 and all(run["endTime"] for run in runs) else []
