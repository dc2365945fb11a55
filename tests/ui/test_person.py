"""As a person: find the assets, launch a backfill of three days from the page, watch it end, open a day and a check."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

from tests.control_room import ControlRoom, eventually

# Some days ago, so that days after them are missing. One of them may have a change of clocks.
LAST = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=20)
FIRST = LAST - dt.timedelta(days=2)
# Where screenshots go when somebody wants to see them.
SHOTS = os.environ.get("SUNLEDGER_SCREENSHOTS")
TIMEOUT_MS = 90_000


def shoot(page: Any, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def backfills(room: ControlRoom) -> list[dict[str, Any]]:
    answer = room.ask(
        "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status numPartitions } } } }"
    )
    return list(answer["partitionBackfillsOrError"]["results"])


def status_of(room: ControlRoom, launched: dict[str, Any]) -> str:
    return next(str(b["status"]) for b in backfills(room) if b["id"] == launched["id"])


def test_a_backfill_from_the_page(control_room: ControlRoom, page: Any) -> None:
    page.set_default_timeout(TIMEOUT_MS)

    page.goto(f"{control_room.url}/asset-groups")
    for layer in ("source", "raw", "core", "report", "publish"):
        page.get_by_text(layer, exact=True).first.wait_for()
    shoot(page, "ui-graph")

    page.goto(f"{control_room.url}/locations/sunledger/jobs/energy_days")
    page.get_by_role("button", name="Materialize all").first.click()
    choose, sure = page.get_by_text("Partition selection").first, page.get_by_role("button", name="Confirm")
    choose.or_(sure).first.wait_for()
    # Nothing is asked: what a day does not need is no input, though Dagster has never seen it.
    assert not sure.is_visible()
    # What is chosen at first depends on what is there; the dialog has one field to type into.
    days = page.locator("input:visible").first
    days.fill(f"[{FIRST}...{LAST}]")
    days.press("Tab")
    # The newest of thousands of partitions are there within seconds.
    page.get_by_text("3 partitions", exact=True).wait_for()
    assert not page.get_by_text("Upstream data missing").is_visible()
    shoot(page, "ui-launch")
    before = backfills(control_room)
    page.get_by_role("button", name="Launch backfill").click()

    known = {backfill["id"] for backfill in before}
    (launched,) = eventually(lambda: [b for b in backfills(control_room) if b["id"] not in known])
    assert launched["numPartitions"] == 3
    # An open page draws its progress all the time.
    page.goto("about:blank")
    eventually(lambda: status_of(control_room, launched) not in {"REQUESTED", "COMPLETING"})
    assert status_of(control_room, launched) == "COMPLETED_SUCCESS"
    page.goto(f"{control_room.url}/runs/b/{launched['id']}")
    page.get_by_text("100% completed").wait_for()
    shoot(page, "ui-backfill")

    page.goto(f"{control_room.url}/assets/energy_daily?view=partitions&partition={LAST}")
    page.get_by_text("pv_generation_kwh").first.wait_for()
    shoot(page, "ui-day")
    page.goto(f"{control_room.url}/assets/energy_daily?view=checks&checkDetail=standing")
    page.get_by_text("plant-days are missing").first.wait_for()
    shoot(page, "ui-check")
