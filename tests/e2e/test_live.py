"""`sunledger live` as a process against the sandbox: refusals, two processes on one plant, a kill, and Ctrl-C."""

import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from pipeline.billing.units import OF_LIVE
from sandbox.launch import SandboxAddress, run_sandbox
from schemas import ApiRequests, BillingUnits, LiveReadings, Plants
from tests.programs import run, start, wait_until
from warehouse.lake import Lake

PRICES = Path(__file__).parents[2] / "pipeline" / "billing" / "prices.toml"
# As on a new installation, where nobody has accepted any cost.
UNASKED = {"SUNLEDGER_MAX_EUR_PER_MONTH": ""}


@pytest.fixture
def box() -> Iterator[SandboxAddress]:
    with run_sandbox("--plants", "4", "--seed", "7") as address:
        yield address


@pytest.mark.long
def test_a_session_of_the_real_program(tmp_path: Path, box: SandboxAddress) -> None:
    (tmp_path / "prices.toml").write_text(PRICES.read_text().replace("# live_plan", "live_plan"))
    settings = box.settings() | {"SUNLEDGER_PRICES": str(tmp_path / "prices.toml"), "SUNLEDGER_LIVE": "on"}
    lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp")
    code, said = run(tmp_path, "live", "5000000", **settings | {"SUNLEDGER_LIVE": "off"})
    assert (code, "SUNLEDGER_LIVE is off" in said) == (2, True)
    code, said = run(tmp_path, "live", "5000000", **settings)
    assert (code, "has no live values, because it is on ennexOS" in said) == (1, True)
    classic = lake.scan(Plants).filter(pl.col("backend") == "classic").collect()["plant_id"][0]
    code, said = run(tmp_path, "live", classic, **settings | UNASKED)
    assert (code, "Nobody has accepted the plan's 100.00 EUR" in said, "--yes" in said) == (2, True, True)
    code, said = run(tmp_path, "live", classic, **settings | {"SUNLEDGER_MAX_EUR_PER_MONTH": "99"})
    assert (code, "does not allow the plan's 100.00 EUR" in said) == (2, True)
    assert lake.scan(ApiRequests).filter(OF_LIVE).collect().height == 0

    counted = tmp_path / "home" / "live" / "calls.json"
    one = start(tmp_path, "live", classic, "--yes", **settings | UNASKED)
    wait_until(lambda: sum(json.loads(counted.read_text())["months"].values()) >= 1, one)
    # Accepted once, it is accepted for the month.
    two = start(tmp_path, "live", classic, "5000000", **settings | UNASKED)
    wait_until(lambda: lake.scan(LiveReadings).collect().height >= 2, two)
    one.kill()
    one.communicate()
    before = lake.scan(LiveReadings).collect().height
    wait_until(lambda: lake.scan(LiveReadings).collect().height > before, two)
    two.send_signal(signal.SIGINT)
    said, _ = two.communicate()
    assert (two.returncode, "Interrupted" in said) == (130, True)
    assert "5000000 has no live values" in said

    # What the killed process called is in its record, which the next program stores.
    code, said = run(tmp_path, "publish", **settings)
    assert code == 0, said
    calls = lake.scan(ApiRequests).filter(OF_LIVE).sort("asked_at").collect()
    times = calls["asked_at"].to_list()
    assert min((b - a).total_seconds() for a, b in itertools.pairwise(times)) >= 9.9
    assert set(calls["status"]) == {200}
    assert sum(json.loads(counted.read_text())["months"].values()) >= calls.height >= 4
    found = lake.scan(LiveReadings).collect()
    assert set(found["plant_id"]) == {classic}
    assert found["measured_at"].null_count() == found["grid_feed_in_w"].null_count() == 0
    assert lake.scan(BillingUnits).collect().height == 0
