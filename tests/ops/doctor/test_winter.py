"""A fleet in winter, an hour from UTC: the doctor asks for a day of another season, and decides."""

import datetime as dt
from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl
import pytest

from pipeline.billing.spending import CostNotAllowedError, allow_units, find_new_units
from pipeline.common.settings import load_settings
from pipeline.ops.doctor.examination import examine
from pipeline.ops.doctor.result import Diagnosis, Level
from pipeline.run.context import RunContext
from pipeline.sma.clock import Clock
from schemas import ApiRequests
from tests.small_sma import SmallSma, listed, serving
from tests.transform.sun.roof import watts
from warehouse.lake import Lake

WINTER = dt.datetime(2024, 12, 15, 12, tzinfo=dt.UTC)
PLACES = {
    "11": ("Europe/Berlin", 52.5, 13.4),
    "12": ("Europe/Paris", 48.9, 2.3),
    "13": ("Europe/Madrid", 40.4, -3.7),
    "14": ("Europe/London", 51.5, -0.1),
}


@pytest.fixture
def sma() -> Iterator[SmallSma]:
    plants = [listed(plant, *place) for plant, place in PLACES.items()]
    with serving(SmallSma(plants, power=lambda plant, at: watts(at, *PLACES[plant][1:]))) as it:
        yield it


def time_basis(home: Path, sma: SmallSma, setting: str, now: dt.datetime = WINTER) -> Diagnosis:
    names = {name.lower(): value for name, value in sma.settings.items()}
    names |= {"sma_time_basis": setting, "home": str(home / setting)}
    facts = {name.removeprefix("sunledger_"): value for name, value in names.items()}
    findings = examine(load_settings(env_file=None, **facts), clock=Clock(now=lambda: now), plants_asked=3)
    (found,) = [finding for finding in findings if finding.check == "time basis"]
    return found


@pytest.mark.long
@pytest.mark.parametrize("true", ["utc", "plant_local"])
def test_the_basis_is_told_in_winter(tmp_path: Path, sma: SmallSma, true: str) -> None:
    sma.basis = true
    false = {"utc": "plant_local", "plant_local": "utc"}[true]
    well = time_basis(tmp_path, sma, true)
    assert well.level is Level.OK, well.text
    wrong = time_basis(tmp_path, sma, false)
    assert wrong.level is Level.FAIL, wrong.text
    assert f"Set SMA_TIME_BASIS={true}" in wrong.text
    # December alone tells nothing: its energy comes by day, an hour more or less.
    assert "(12 requests): on 2024-12-" in wrong.text
    assert "; on 2024-0" in wrong.text


@pytest.mark.parametrize("only", PLACES)
def test_one_plant_is_enough_and_makes_one_pu(tmp_path: Path, sma: SmallSma, only: str) -> None:
    """London's clock shows UTC in winter, and not in summer. All requests fall into one month."""
    sma.plants = [plant for plant in sma.plants if plant["plantId"] == only]
    found = time_basis(tmp_path, sma, "plant_local")
    assert found.level is Level.OK, found.text
    asked = Lake(str(tmp_path / "plant_local" / "lake"), tmp_path / "tmp").scan(ApiRequests).collect()
    assert set(asked["plant_id"]) == {"", only}
    assert len([path for path in sma.asked if "/measurements/sets/" in path]) <= 4


@pytest.mark.long
@pytest.mark.parametrize("plants_asked", [3, None])
def test_what_is_still_to_be_asked_when_the_month_ends_is_not_asked(
    tmp_path: Path, sma: SmallSma, plants_asked: int | None
) -> None:
    facts = {name.lower().removeprefix("sunledger_"): value for name, value in sma.settings.items()}
    settings = load_settings(env_file=None, **facts, home=str(tmp_path))
    settings = settings.model_copy(update={"max_eur_per_month": None})

    def agree(runtime: RunContext, plants: Collection[str], *, capacities: pl.DataFrame) -> None:
        allow_units(runtime, find_new_units(runtime, plants, listed=capacities))

    if plants_asked is None:
        list(examine(settings, clock=Clock(now=lambda: WINTER), plants_asked=3, agree=agree))
    sma.asked.clear()

    def count_measured() -> int:
        return len([path for path in sma.asked if "/measurements/sets/" in path])

    def read_late_clock() -> dt.datetime:
        return dt.datetime(2024, 12, 31, 23, 59, tzinfo=dt.UTC) + dt.timedelta(minutes=2 * count_measured())

    examined = examine(settings, clock=Clock(now=read_late_clock), plants_asked=plants_asked, agree=agree)
    if plants_asked is None:
        (found,) = [finding for finding in examined if finding.check == "time basis"]
        assert (found.level, found.text[:46]) == (
            Level.SKIP,
            "not tested, because the month ended meanwhile:",
        )
    else:
        with pytest.raises(CostNotAllowedError, match="2025-01"):
            list(examined)
    assert count_measured() == 1
