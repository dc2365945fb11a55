"""`sunledger grid` as a process that is killed between its request and the answer, and what stays of it."""

import datetime as dt
import json
from pathlib import Path

import httpx
import polars as pl
import pytest

from sandbox.launch import run_sandbox
from schemas import ApiRequests, GridCommandAudit
from tests.programs import ONE_SET, run, start, wait_until
from warehouse.lake import Lake

PLANT = "5000000"


@pytest.mark.long
def test_a_killed_command_is_sent_once_and_its_outcome_is_audited(tmp_path: Path) -> None:
    begin = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)).replace(second=0, microsecond=0)
    words = ["grid", "schedule", PLANT, "--limit-kw", "3", "--start", begin.isoformat(), "--hours", "2"]
    with run_sandbox("--plants", "3", "--seed", "7") as box, httpx.Client(base_url=box.url) as http:
        settings = box.settings() | ONE_SET | {"SUNLEDGER_GRID_CONTROL": "command"}

        def count() -> dict[str, int]:
            found: dict[str, int] = http.get(f"/_truth/gridcontrol/plants/{PLANT}").json()
            return found

        def list_events(home: str) -> list[str]:
            lake = Lake(str(tmp_path / home / "lake"), tmp_path / "tmp")
            return lake.scan(GridCommandAudit).sort("event_number").collect()["event"].to_list()

        slow = {"kind": "slow_first_byte", "path": "/schedules", "method": "POST", "amount": 300}
        assert http.post("/_control/faults", json=slow).status_code == 200
        killed = start(tmp_path, *words, "--send", "--yes", **settings)
        wait_until(lambda: count()["schedules"] == 1, killed)
        killed.kill()
        killed.communicate()
        book = tmp_path / "home" / "grid" / "orders.json"
        (order,) = json.loads(book.read_bytes())["orders"].values()
        assert (order["accepted"], order["last_event"]) == (False, "sending")
        http.delete("/_control/faults")

        code, said = run(tmp_path, *words, "--send", "--yes", **settings)
        assert (code, "is Scheduled. Nothing was sent now." in said) == (0, True), said
        assert count() == {"schedules": 1, "repeated": 0, "cancellations": 0}
        assert list_events("home") == ["sending", "found"]

        day = str(begin.date() - dt.timedelta(days=4))
        for command in (["backfill", "--from", day, "--to", day, "--plants", PLANT], ["rebuild"], ["verify"]):
            code, said = run(tmp_path, *command, **settings)
            assert code == 0, said
        query = "SELECT string_agg(event, ' ' ORDER BY event_number) AS events FROM grid_command_audit"
        code, said = run(tmp_path, "sql", query, **settings)
        assert (code, "sending found" in said) == (0, True), said
        assert run(tmp_path, "sql", "DELETE FROM grid_command_audit", **settings)[0] != 0

        # The open order goes with a backup, so that the restored home follows it to its end.
        assert run(tmp_path, "backup", str(tmp_path / "all.tar"), **settings)[0] == 0
        restored = settings | {"SUNLEDGER_HOME": str(tmp_path / "restored")}
        code, said = run(tmp_path, "restore", str(tmp_path / "all.tar"), **restored)
        assert code == 0, said
        assert http.post("/_control/clock", json={"advance_s": 5 * 3600}).status_code == 200
        code, said = run(tmp_path, "grid", "list", "--follow", **restored)
        assert (code, "is Completed" in said) == (0, True), said
        assert list_events("restored") == ["sending", "found", "new_state"]
        code, said = run(tmp_path, "verify", **restored)
        assert code == 0, said
        requests = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp").scan(ApiRequests)
        assert requests.filter(pl.col("endpoint") == "grid_command").collect().height <= 1
