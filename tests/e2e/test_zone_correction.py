"""A plant's zone that is corrected in the portal: told with the days, and made right by the command that is named."""

import datetime as dt
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from schemas import EnergyBalanceIntervals, EnergyDaily
from tests.programs import sunledger
from tests.small_sma import SmallSma, listed, serving
from warehouse.lake import Lake

pytestmark = pytest.mark.long

DAYS = ["2024-06-03", "2024-06-04", "2024-06-05"]


@pytest.fixture
def sma() -> Iterator[SmallSma]:
    with serving(SmallSma([listed("11", "UTC"), listed("12", "Europe/Berlin")], basis="utc")) as it:
        yield it


def backfill(home: Path, sma: SmallSma, first: str, last: str) -> tuple[int, str]:
    result = sunledger(home, "backfill", "--from", first, "--to", last, **sma.settings)
    return result.returncode, result.stdout + result.stderr


def days(home: Path) -> dict[tuple[str, str], tuple[str, float]]:
    """Status and kWh by plant and day."""
    lake = Lake(str(home / "home" / "lake"), home / "tmp")
    rows = lake.scan(EnergyDaily).select("plant_id", "local_date", "status", "pv_generation_kwh").collect()
    return {(plant, str(day)): (status, round(kwh, 6)) for plant, day, status, kwh in rows.rows()}


def instants(home: Path, plant: str) -> list[dt.datetime]:
    lake = Lake(str(home / "home" / "lake"), home / "tmp")
    rows = lake.scan(EnergyBalanceIntervals).filter(pl.col("plant_id") == plant)
    return rows.select(pl.col("interval_end").sort()).collect()["interval_end"].to_list()


@pytest.mark.parametrize("basis", ["utc", "plant_local"])
def test_it_is_told_and_the_named_command_makes_it_right(tmp_path: Path, sma: SmallSma, basis: str) -> None:
    sma.basis = basis
    # The plant's own clock was right all along.
    sma.clocks = {"11": "Europe/Berlin"}
    assert backfill(tmp_path, sma, DAYS[0], DAYS[1])[0] == 0
    sma.plants = [listed("11", "Europe/Berlin"), listed("12", "Europe/Berlin")]
    refreshed = sunledger(tmp_path, "refresh", **sma.settings)
    assert refreshed.returncode == 3
    told = (
        "2024-06-03 energy_daily plant 11: its time zone is Europe/Berlin now, but the energy of 2 days from "
        "2024-06-03 to 2024-06-04 was made with UTC: "
    )
    assert told in refreshed.stdout
    if basis == "utc":
        assert sunledger(tmp_path, "publish", **sma.settings).returncode == 0
        query = "SELECT plant_id, local_date FROM v_days_to_check WHERE reasons LIKE '%other_timezone%' ORDER BY ALL"
        shown = sunledger(tmp_path, "sql", "--format", "csv", query, **sma.settings).stdout.splitlines()
        assert shown == ["plant_id,local_date", *(f"11,{day}" for day in DAYS[:2])]
    # Later days are cut by the new zone: two hours of the old days are now in two days.
    code, said = backfill(tmp_path, sma, DAYS[2], DAYS[2])
    assert (code, told in said) == (3, True)
    if basis == "utc":
        assert len(instants(tmp_path, "11")) - len(set(instants(tmp_path, "11"))) == 24
    (command,) = set(re.findall(r"'sunledger ((?:backfill|rebuild) [^']+)'", said))
    sma.asked.clear()
    mended = sunledger(tmp_path, *shlex.split(command), **sma.settings)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "time zone" not in mended.stdout
    assert days(tmp_path) == {(plant, day): ("complete", 24.0) for plant in ("11", "12") for day in DAYS}
    assert len(set(instants(tmp_path, "11"))) == len(instants(tmp_path, "11")) == 3 * 288
    assert instants(tmp_path, "11") == instants(tmp_path, "12")
    # Only the plant in question is asked, and where its clock is the basis nobody.
    measured = [path for path in sma.asked if "/sets/EnergyBalance/" in path]
    assert all(path.startswith("/v1/plants/11/") for path in measured)
    assert bool(measured) == (basis == "utc")
    assert sunledger(tmp_path, "refresh", **sma.settings).returncode == 0
