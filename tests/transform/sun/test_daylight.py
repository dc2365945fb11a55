"""Sunrise, noon and sunset: against NREL's SPA, at the poles, at the date line and on days of 23 hours."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from pipeline.transform.sun import position
from pipeline.transform.sun.position import (
    HORIZON_DEG,
    KEPT_PLANTS,
    find_daylight,
    find_daylight_of_days,
    find_nights,
)
from tests.later import LaterModule

pd = LaterModule("pandas")
solarposition = LaterModule("pvlib.solarposition")

SEASONS = [date(2021, 1, 1) + timedelta(days=41 * step) for step in range(45)]
LATITUDES = [-60.0, -38.0, 0.0, 23.4, 52.0, 60.0]
LONGITUDES = [-179.9, -71.0, 0.0, 10.0, 145.0, 179.9]

MIDSUMMER = date(2026, 6, 21)
MIDWINTER = date(2026, 12, 21)


def plants(*rows: tuple[str, float | None, float | None, str]) -> pl.DataFrame:
    schema = {"plant_id": pl.String, "latitude": pl.Float64, "longitude": pl.Float64, "timezone": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def one(latitude: float, longitude: float, timezone: str, day: date) -> dict[str, datetime]:
    return find_daylight(plants(("1", latitude, longitude, timezone)), day).row(0, named=True)


def seconds(times: Iterable[datetime]) -> NDArray[np.float64]:
    return np.array([time.timestamp() for time in times])


@pytest.fixture(scope="module")
def seasons() -> pl.DataFrame:
    """The sun of every season at every latitude and longitude, all by the clocks of UTC."""
    places = [(f"{a},{o}", a, o, "Etc/UTC") for a in LATITUDES for o in LONGITUDES]
    sites = plants(*places)
    return pl.concat([find_daylight(sites, day) for day in SEASONS]).join(sites, on="plant_id")


@pytest.mark.parametrize("latitude", LATITUDES)
@pytest.mark.parametrize("longitude", LONGITUDES)
def test_spa_sees_the_sun_on_the_horizon_and_in_the_meridian_at_our_times(
    seasons: pl.DataFrame, latitude: float, longitude: float
) -> None:
    found = seasons.filter(latitude=latitude, longitude=longitude)

    def elevation(times: pl.Series) -> NDArray[np.float64]:
        moments = pd.DatetimeIndex(times.to_list())
        spa = solarposition.get_solarposition(moments, latitude, longitude, method="nrel_numpy")
        return np.asarray(spa["elevation"])

    # The slowest sun here, at 60 degrees in midwinter, sinks 0.1 degrees in a minute.
    assert np.abs(elevation(found["sunrise"]) - HORIZON_DEG).max() < 0.02
    assert np.abs(elevation(found["sunset"]) - HORIZON_DEG).max() < 0.02
    assert (found["sunrise"] < found["noon"]).all()
    assert (found["noon"] < found["sunset"]).all()
    highest = elevation(found["noon"])
    for beside in (timedelta(minutes=-6), timedelta(minutes=6)):
        assert (elevation(found["noon"] + beside) < highest).all()


@pytest.mark.parametrize("latitude", LATITUDES)
def test_agrees_with_pvlib_within_a_few_seconds(seasons: pl.DataFrame, latitude: float) -> None:
    # Only at Greenwich: where an event falls on the neighbouring UTC day, pvlib 0.16's own function gives the
    # next day's event less 24 hours, minutes off at high latitudes.
    found = seasons.filter(latitude=latitude, longitude=0.0)
    expected = solarposition.sun_rise_set_transit_spa(pd.DatetimeIndex(SEASONS, tz="UTC"), latitude, 0.0)
    for ours, theirs in (("sunrise", "sunrise"), ("noon", "transit"), ("sunset", "sunset")):
        assert np.abs(seconds(found[ours]) - seconds(expected[theirs])).max() < 15


def test_polar_day_is_the_whole_calendar_day_by_the_plants_clock() -> None:
    sun = one(69.65, 18.96, "Europe/Oslo", MIDSUMMER)
    assert sun["sunrise"] == datetime(2026, 6, 20, 22, tzinfo=UTC)
    assert sun["sunset"] == datetime(2026, 6, 21, 22, tzinfo=UTC)


def test_polar_night_is_empty() -> None:
    sun = one(69.65, 18.96, "Europe/Oslo", MIDWINTER)
    assert sun["sunrise"] == sun["noon"] == sun["sunset"]
    assert sun["noon"].date() == MIDWINTER


@pytest.mark.parametrize(("pole", "up"), [(90.0, MIDSUMMER), (-90.0, MIDWINTER)])
def test_poles_have_a_day_and_a_night_of_half_a_year(pole: float, up: date) -> None:
    down = MIDWINTER if up == MIDSUMMER else MIDSUMMER
    sun = one(pole, 0.0, "Etc/UTC", up)
    assert sun["sunset"] - sun["sunrise"] == timedelta(days=1)
    sun = one(pole, 0.0, "Etc/UTC", down)
    assert sun["sunset"] == sun["sunrise"]


def test_days_grow_without_a_jump_into_polar_day() -> None:
    site = plants(("1", 69.65, 18.96, "Europe/Oslo"))
    spring = pl.concat([find_daylight(site, date(2026, 1, 1) + timedelta(days=d)) for d in range(160)])
    hours = (spring["sunset"] - spring["sunrise"]).dt.total_seconds() / 3600
    assert hours[0] == 0
    assert hours[-1] == 24
    assert (hours.diff().drop_nulls() >= 0).all()
    # The first sun of the year and the last night are short, not half a day long.
    assert hours.diff().max() < 2.5


@pytest.mark.parametrize(
    ("latitude", "longitude", "timezone"),
    [
        (-13.83, -171.77, "Pacific/Apia"),  # UTC+13, though the sun is 11.5 hours behind Greenwich
        (1.87, -157.4, "Pacific/Kiritimati"),  # UTC+14
        (-43.95, -176.56, "Pacific/Chatham"),  # UTC+12:45 or 13:45
        (52.9, 172.9, "America/Adak"),  # east of the line, with a western date
        (39.47, 75.99, "Asia/Shanghai"),  # noon at three by the clock
        (64.5, -165.4, "America/Nome"),
        (-37.81, 144.96, "Australia/Melbourne"),
    ],
)
@pytest.mark.parametrize("day", [date(2026, 3, 29), MIDSUMMER, date(2026, 10, 25)])
def test_noon_falls_on_the_plants_own_calendar_day(
    latitude: float, longitude: float, timezone: str, day: date
) -> None:
    sun = one(latitude, longitude, timezone, day)
    assert sun["noon"].astimezone(ZoneInfo(timezone)).date() == day


def test_sunset_after_local_midnight_is_kept() -> None:
    sunset = one(64.5, -165.4, "America/Nome", MIDSUMMER)["sunset"].astimezone(ZoneInfo("America/Nome"))
    assert sunset.date() == MIDSUMMER + timedelta(days=1)
    assert (sunset.hour, sunset.minute) in {(1, 46), (1, 47), (1, 48)}


def test_each_plant_keeps_its_place_and_missing_coordinates_stay_missing() -> None:
    sites = plants(
        ("b", 52.5, 13.4, "Europe/Berlin"),
        ("no place", None, None, "Europe/Berlin"),
        ("a", -37.8, 145.0, "Australia/Melbourne"),
        ("half a place", 52.5, None, "Europe/Berlin"),
        ("other half", None, 13.4, "Europe/Berlin"),
    )
    found = find_daylight(sites, MIDSUMMER)
    assert found["plant_id"].to_list() == sites["plant_id"].to_list()
    timed = found.filter(pl.any_horizontal(pl.col("sunrise", "noon", "sunset").is_not_null()))
    assert timed["plant_id"].to_list() == ["b", "a"]
    utc = pl.Datetime("us", "UTC")
    assert found.schema == {"plant_id": pl.String, "sunrise": utc, "noon": utc, "sunset": utc}
    assert found.row(0, named=True) == one(52.5, 13.4, "Europe/Berlin", MIDSUMMER) | {"plant_id": "b"}


def test_the_sun_of_several_days_is_that_of_each() -> None:
    sites = plants(
        ("a", 52.5, 13.4, "Europe/Berlin"),
        ("no place", None, None, "Europe/Berlin"),
        ("b", 70.0, 25.0, "UTC"),
    )
    days = [MIDWINTER, date(2026, 3, 29), MIDSUMMER]
    each = [find_daylight(sites, day).with_columns(local_date=pl.lit(day)) for day in days]
    found = find_daylight_of_days(sites, days)
    keys = ["local_date", "plant_id"]
    assert found.sort(keys).equals(pl.concat(each).select(found.columns).sort(keys))
    assert find_daylight_of_days(sites, []).schema == found.schema


def test_no_plants_give_no_rows_of_the_same_columns() -> None:
    found = find_daylight(plants(), MIDSUMMER)
    assert found.is_empty()
    assert found.schema == find_daylight(plants(("1", 0.0, 0.0, "Etc/UTC")), MIDSUMMER).schema


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        one(0.0, 0.0, "Europe/Atlantis", MIDSUMMER)


@pytest.mark.parametrize(("count", "looks"), [(KEPT_PLANTS, 2), (KEPT_PLANTS + 1, 4)])
def test_the_sun_of_few_plants_is_looked_at_once_a_day(
    monkeypatch: pytest.MonkeyPatch, count: int, looks: int
) -> None:
    """Every step of a day asks for the same plants; nobody changes what the next one gets."""
    sites = plants(*((f"{n} of {count}", 50.0 + n / 10, 8.0, "Europe/Berlin") for n in range(count)))
    made: list[date] = []
    compute = position._compute_daylight
    monkeypatch.setattr(
        position, "_compute_daylight", lambda sites, day: made.append(day) or compute(sites, day)
    )
    first = find_daylight(sites, MIDSUMMER)
    again = find_daylight(sites.with_columns(name=pl.lit("x")), MIDSUMMER)
    assert again.equals(first)
    again[0, "noon"] = None
    assert find_daylight(sites, MIDWINTER)["noon"].null_count() == 0
    assert find_daylight(sites, MIDSUMMER).equals(first)
    assert len(made) == looks
    nights = [find_nights(sites, MIDSUMMER, below_deg=deg) for deg in (1.0, 1.0, 3.0)]
    assert nights[0].equals(nights[1])
    assert not nights[0].equals(nights[2])
