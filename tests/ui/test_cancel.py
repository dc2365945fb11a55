"""A year from the page: it is cut into runs of a month, and cancelling it leaves whole days and free pools at once."""

import datetime as dt
from typing import Any

from assets.run_control.run_tags import RANGE_END, RANGE_START
from schemas import RawEnergyBalance
from tests.control_room import REPOSITORY, ControlRoom, eventually
from tests.ui.test_at_once import LAUNCH_BACKFILL
from warehouse.lake import Lake

FIRST, LAST = dt.date(2023, 1, 1), dt.date(2023, 12, 31)
YEAR = [str(FIRST + dt.timedelta(days=i)) for i in range(365)]
RUNS = """
query runs($id: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
    ... on Runs { results { runId status tags { key value } } }
  }
}
"""
CANCEL = "mutation cancel($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"
STATE = """
query state($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""
POOLS = "{ instance { concurrencyLimits { concurrencyKey activeSlotCount } } }"
ENDED = {"CANCELED", "FAILURE", "SUCCESS"}


def runs_of(room: ControlRoom, backfill: str) -> list[dict[str, Any]]:
    return list(room.ask(RUNS, id=backfill)["runsOrError"]["results"])


def span(run: dict[str, Any]) -> tuple[dt.date, dt.date]:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    return dt.date.fromisoformat(tags[RANGE_START]), dt.date.fromisoformat(tags[RANGE_END])


def state_of(room: ControlRoom, backfill: str) -> str:
    return str(room.ask(STATE, id=backfill)["partitionBackfillOrError"]["status"])


def test_a_year_is_runs_of_a_month_and_can_be_cancelled(control_room: ControlRoom) -> None:
    room = control_room
    launched = room.ask(LAUNCH_BACKFILL, days=YEAR, repository=REPOSITORY)["launchPartitionBackfill"]
    backfill = launched["backfillId"]
    runs = eventually(lambda: found if len(found := runs_of(room, backfill)) >= 12 else None)
    spans = sorted(map(span, runs))
    assert len(spans) == 12
    assert all((last - first).days <= 30 for first, last in spans)
    days = {first + dt.timedelta(days=i) for first, last in spans for i in range((last - first).days + 1)}
    assert {str(day) for day in days} == set(YEAR)

    lake = Lake(str(room.home / "lake"), room.home / "tmp")

    def stored() -> set[str]:
        return {part["local_date"] for part in lake.list_parts(RawEnergyBalance)} & set(YEAR)

    # In the middle of the first month, with a slot of the vendor's pool taken.
    eventually(stored)
    assert room.ask(CANCEL, id=backfill)["cancelPartitionBackfill"]["__typename"] == "CancelBackfillSuccess"
    eventually(lambda: all(run["status"] in ENDED for run in runs_of(room, backfill)))
    assert "CANCELED" in {run["status"] for run in runs_of(room, backfill)}
    assert room.sunledger("verify").returncode == 0
    assert len(stored()) < len(YEAR)
    eventually(lambda: state_of(room, backfill) == "CANCELED")
    eventually(lambda: not _taken(room))
    # What is there stays, and the next one goes on from it.
    day = min(stored())
    done = room.sunledger("backfill", "--from", day, "--to", day)
    assert done.returncode == 0, done.stderr


def _taken(room: ControlRoom) -> list[str]:
    """Pools with a slot in use."""
    pools = room.ask(POOLS)["instance"]["concurrencyLimits"]
    return [pool["concurrencyKey"] for pool in pools if pool["activeSlotCount"]]
