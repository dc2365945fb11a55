"""`sunledger plants`: what is stored of the fleet, by the settings of now and without a request."""

import datetime as dt
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.commands import app
from schemas import EnergyDaily, MeasurementSets, Plants
from tests.small_lake import put
from warehouse.lake import Lake

FIRST, SECOND, SILENT = (dt.date(2021, 10, day) for day in (1, 2, 3))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a name that a terminal would obey, and no credentials: nothing can be asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUNLEDGER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def fill(home: Path) -> None:
    lake = Lake(str(home / "lake"), home / "tmp")
    zone = {"timezone": "Europe/Berlin"}
    put(
        lake, Plants, [{"plant_id": "7", "name": "Z\x1b[2J"} | zone, {"plant_id": "8", "name": "Anna"} | zone]
    )
    sets = [{"plant_id": "7", "set_type": name} for name in ("EnergyBalance", "GridSettings")]
    put(lake, MeasurementSets, [*sets, {"plant_id": "7", "device_id": "d", "set_type": "EnergyBalance"}])
    day = {"plant_id": "7", "covered_h": 24.0, "expected_h": 24.0}
    put(lake, EnergyDaily, [day | {"local_date": at, "n_rows": 288} for at in (FIRST, SECOND)])
    put(lake, EnergyDaily, [day | {"local_date": SILENT, "n_rows": 0, "status": "missing"}])


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_plants_are_listed_with_their_days_sets_and_exclusion(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home)
    monkeypatch.setenv("SUNLEDGER_EXCLUDE_PLANTS", "8")
    found = {plant["plant_id"]: plant for plant in json.loads(typed("plants", "--json").stdout)}
    assert {name: found["7"][name] for name in ("sets", "first_day", "last_day", "excluded_from")} == {
        "sets": ["EnergyBalance", "GridSettings"],
        "first_day": str(FIRST),
        # A silent day is not one of its days.
        "last_day": str(SECOND),
        "excluded_from": None,
    }
    assert (found["8"]["sets"], found["8"]["first_day"]) == ([], None)
    assert found["8"]["excluded_from"] is not None


def test_a_table_is_plain_and_harmless(home: Path) -> None:
    fill(home)
    said = typed("plants").stdout
    assert said.index("Anna") < said.index("Europe/Berlin") < said.rindex("2021-10-02")
    assert "\x1b" not in said


def test_an_empty_home_says_what_to_do(home: Path) -> None:
    found = typed("plants")
    assert (found.exit_code, found.stdout) == (0, "")
    assert "sunledger refresh" in found.stderr
    assert typed("plants", "--json").stdout == "[]\n"
