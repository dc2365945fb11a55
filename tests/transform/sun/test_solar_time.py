"""What the sun says of a fleet's times: true alarms on the recordings, and none on a simulated fleet."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipeline.common.local_time import TimeBasis
from pipeline.transform.sun.fleet_verdict import (
    FLEET_FROM,
    FLEET_NOON_MIN,
    SolarTime,
    judge_fleet,
)
from pipeline.transform.sun.time_basis import judge_time_basis
from sandbox.fleet.plant_model import Plant
from sandbox.fleet.simulated_fleet import build_fleet
from sandbox.physics.flows import simulate_flows
from tests.transform.answers import balance, body, places, raw, row

RECORDINGS = Path("sandbox/recordings")
MELBOURNE = ("sb4000tl_melbourne", "Australia/Brisbane", -37.8, 145.0, dt.date(2021, 10, 4))
NETHERLANDS = ("stp6000_netherlands", "Europe/Amsterdam", 52.4, 4.9, dt.date(2025, 7, 10))
Recording = tuple[str, str, float, float, dt.date]


def judge(intervals: pl.DataFrame, plants: pl.DataFrame, *, read_as: TimeBasis) -> SolarTime:
    """What the sun says of these intervals."""
    return judge_fleet(judge_time_basis(intervals, plants, read_as=read_as), read_as=read_as)


def recorded(recording: Recording, days: int = 3) -> tuple[list[tuple[dt.date, bytes]], pl.DataFrame]:
    """The recording's days as answers with plant-local times, and the plant."""
    name, zone, latitude, longitude, first = recording
    rows = pl.read_parquet(RECORDINGS / f"{name}.parquet").filter(pl.col("mean_power_w").is_not_null())
    local = rows.with_columns(
        label=pl.col("interval_end_utc").dt.convert_time_zone(zone).dt.strftime("%Y-%m-%dT%H:%M:%S"),
        day=(pl.col("interval_end_utc").dt.convert_time_zone(zone) - pl.duration(seconds=1)).dt.date(),
    )
    answers = []
    for day in (first + dt.timedelta(days=number) for number in range(days)):
        mine = local.filter(pl.col("day") == day).select("label", "mean_power_w").rows()
        answers.append((day, body([row(label, watts) for label, watts in mine])))
    plant = pl.DataFrame(
        {"plant_id": ["1"], "latitude": [latitude], "longitude": [longitude], "timezone": [zone]}
    )
    return answers, plant


@pytest.mark.parametrize("recording", [MELBOURNE, NETHERLANDS], ids=lambda found: found[0])
def test_the_recordings_are_plant_local_however_they_are_read(recording: Recording) -> None:
    answers, plant = recorded(recording)
    bodies = raw([("1", content) for _, content in answers])
    where = places({"1": recording[1]})
    found = {}
    for basis in ("plant_local", "utc"):
        days = [balance([bodies], where, day, basis).rows for day, _ in answers]
        found[basis] = judge(pl.concat(days), plant, read_as=basis)
    assert found["plant_local"].agrees
    assert not found["utc"].agrees
    assert found["utc"].otherwise == ("1",)
    assert "plant 1" in found["utc"].describe()
    assert "SMA_TIME_BASIS=plant_local" in found["utc"].describe()


def fleet(days: Iterable[dt.date], plants: Sequence[Plant]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Intervals of simulated plants as the truth has them (roofs of all directions, clouds), and the plants."""
    pairs = [(plant, day) for plant in plants for day in days]
    frames = []
    for plant, day in pairs:
        flows = simulate_flows([plant], [day], 7)
        frames.append(
            pl.DataFrame(
                {
                    "interval_end": pl.from_epoch(pl.Series(flows.ends.ravel()).cast(pl.Int64)),
                    "pv_generation_kwh": flows.pv.ravel() / 12_000,
                }
            ).with_columns(plant_id=pl.lit(plant.plant_id), local_date=pl.lit(day))
        )
    ends = pl.concat(frames).with_columns(
        pl.col("interval_end").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )
    sites = pl.DataFrame(
        [(p.plant_id, p.site.latitude, p.site.longitude, p.site.zone) for p in plants],
        schema=["plant_id", "latitude", "longitude", "timezone"],
        orient="row",
    )
    return ends.with_columns(interval_start=pl.col("interval_end") - pl.duration(minutes=5)), sites


SEASONS = [dt.date(2025, month, day) for month in (3, 6, 9, 12) for day in (20, 21, 22)]


@pytest.fixture(scope="module")
def year() -> tuple[pl.DataFrame, pl.DataFrame]:
    return fleet(SEASONS, build_fleet(48, seed=7))


def misread(intervals: pl.DataFrame, sites: pl.DataFrame, *, later: bool) -> pl.DataFrame:
    """The same intervals with local times taken for UTC (later), or the reverse."""
    parts = []
    for (zone,), plants in sites.group_by("timezone"):
        mine = intervals.join(plants.select("plant_id"), on="plant_id", how="semi")
        for (day,), rows in mine.group_by("local_date"):
            noon = dt.datetime.combine(day, dt.time(12), ZoneInfo(zone))
            offset = (noon.utcoffset() or dt.timedelta()) * (1 if later else -1)
            parts.append(rows.with_columns(pl.col("interval_start", "interval_end") + offset))
    return pl.concat(parts)


@pytest.mark.parametrize("season", [0, 3, 6, 9])
@pytest.mark.parametrize("basis", ["utc", "plant_local"])
def test_a_fleet_that_is_read_rightly_raises_no_alarm_in_any_season(
    year: tuple[pl.DataFrame, pl.DataFrame], season: int, basis: TimeBasis
) -> None:
    intervals, sites = year
    days = SEASONS[season : season + 3]
    found = judge(intervals.filter(pl.col("local_date").is_in(days)), sites, read_as=basis)
    assert found.agrees, found.describe()
    assert found.judged == sites.height


@pytest.mark.parametrize("season", [0, 3, 6, 9])
@pytest.mark.parametrize("basis", ["utc", "plant_local"])
def test_a_fleet_that_is_read_wrongly_is_found_in_every_season(
    year: tuple[pl.DataFrame, pl.DataFrame], season: int, basis: TimeBasis
) -> None:
    intervals, sites = year
    rows = intervals.filter(pl.col("local_date").is_in(SEASONS[season : season + 3]))
    found = judge(misread(rows, sites, later=basis == "utc"), sites, read_as=basis)
    assert not found.agrees
    assert found.basis_is_wrong
    assert f"SMA_TIME_BASIS={found.other}" in found.describe()


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone"),
    [
        (64.1, -21.9, "Atlantic/Reykjavik"),
        (67.3, 14.4, "Europe/Oslo"),
        (69.65, 18.96, "Europe/Oslo"),
        (64.5, -165.4, "America/Nome"),
        (-54.8, -68.3, "America/Argentina/Ushuaia"),
    ],
)
def test_a_rightly_read_fleet_near_the_poles_raises_no_alarm(
    latitude: float, longitude: float, zone: str
) -> None:
    plants = [
        replace(plant, site=replace(plant.site, latitude=latitude, longitude=longitude, zone=zone))
        for plant in build_fleet(8, seed=3)
    ]
    rows, sites = fleet(SEASONS, plants)
    for first in (0, 3, 6, 9):
        some = rows.filter(pl.col("local_date").is_in(SEASONS[first : first + 3]))
        for basis in ("utc", "plant_local"):
            found = judge(some, sites, read_as=basis)
            assert found.agrees, found.describe()


def test_a_plant_in_a_wrong_zone_is_named_and_the_basis_is_left_alone(
    year: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    intervals, sites = year
    rows = intervals.filter(pl.col("local_date").is_in(SEASONS[:3]))
    plant = sites.filter(pl.col("timezone") == "Asia/Tokyo")["plant_id"][0]
    shift = pl.when(pl.col("plant_id") == plant).then(pl.duration(hours=5)).otherwise(pl.duration())
    moved = rows.with_columns(pl.col("interval_start", "interval_end") + shift)
    found = judge(moved, sites, read_as="plant_local")
    assert (found.neither, found.otherwise, found.basis_is_wrong) == ((plant,), (), False)
    assert plant in found.describe()
    assert "time zones" in found.describe()


FIGURES = [
    f"{what}_{basis}" for what in ("dark_share", "noon_offset_min") for basis in ("utc", "plant_local")
]


def verdicts(*noons: float | None, verdict: str = "undecided", dark: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "plant_id": [str(number) for number in range(len(noons))],
            "n_days": [0 if noon is None else 3 for noon in noons],
            "dark_share_utc": [None if noon is None else dark for noon in noons],
            "dark_share_plant_local": [None if noon is None else dark for noon in noons],
            "noon_offset_min_utc": list(noons),
            "noon_offset_min_plant_local": [None if noon is None else noon + 120 for noon in noons],
            "verdict": [verdict] * len(noons),
        },
        schema_overrides=dict.fromkeys(FIGURES, pl.Float64),
    )


@pytest.mark.parametrize("count", [1, FLEET_FROM - 1, FLEET_FROM])
@pytest.mark.parametrize("noon", [FLEET_NOON_MIN, FLEET_NOON_MIN + 1, -FLEET_NOON_MIN - 1])
def test_the_noon_of_a_fleet_is_judged_from_five_plants_on(count: int, noon: float) -> None:
    found = judge_fleet(verdicts(*[noon] * count), read_as="utc")
    assert found.agrees == (count < FLEET_FROM or abs(noon) <= FLEET_NOON_MIN)


def test_few_roofs_to_the_west_do_not_move_the_noon_of_a_fleet() -> None:
    assert judge_fleet(verdicts(110, 120, 0, 5, -4), read_as="utc").agrees


def test_a_late_fleet_is_told_with_both_readings_and_the_nearer_one() -> None:
    found = judge_fleet(verdicts(*[-118.0] * 6), read_as="utc")
    assert "-118 minutes from solar noon (+2 with plant_local)" in found.describe()
    assert "SMA_TIME_BASIS=plant_local" in found.describe()
    assert "time zones" in judge_fleet(verdicts(*[70.0] * 6), read_as="utc").describe()


def test_plants_without_energy_or_place_have_no_say() -> None:
    found = judge_fleet(verdicts(None, None), read_as="utc")
    assert found == SolarTime("utc", 0, (), (), None, None)
    assert found.agrees
    assert "No plant" in found.describe()


def test_noise_of_a_dark_week_is_no_finding() -> None:
    assert judge_fleet(verdicts(10.0, dark=0.3), read_as="utc").agrees
    assert judge_fleet(verdicts(300.0, dark=0.3), read_as="utc").neither == ("0",)


def test_many_plants_are_named_in_part() -> None:
    found = judge_fleet(verdicts(*[0.0] * 9, verdict="plant_local"), read_as="utc")
    assert "plants 0, 1, 2, 3, 4 and 4 more" in found.describe()
