"""The cloudless sky against pvlib: the sum of a day on the ground, towards the sun, and on the best of all planes."""

import datetime as dt

import polars as pl
import pytest

from pipeline.transform.sun.clear_sky import LINKE_TURBIDITY, compute_clear_sky, project_on_best_plane
from tests.later import LaterModule

pd = LaterModule("pandas")
atmosphere = LaterModule("pvlib.atmosphere")
clearsky = LaterModule("pvlib.clearsky")
irradiance = LaterModule("pvlib.irradiance")
solarposition = LaterModule("pvlib.solarposition")

STEPS_AN_HOUR = 12
PLACES = [
    (52.5, 13.4, dt.date(2025, 6, 21)),
    (52.5, 13.4, dt.date(2025, 12, 21)),
    (-37.8, 145.0, dt.date(2021, 10, 10)),
    (0.0, 10.0, dt.date(2025, 3, 20)),
    (69.6, 19.0, dt.date(2025, 6, 21)),  # the sun goes all the way round
]


def steps(latitude: float | None, longitude: float | None, day: dt.date) -> pl.DataFrame:
    start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) - dt.timedelta(
        hours=(longitude or 0) / 15
    )
    at = [start + dt.timedelta(minutes=2.5 + 5 * i) for i in range(24 * STEPS_AN_HOUR)]
    moments = pl.Series(at, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"at": moments}).select(
        "at",
        plant_id=pl.lit("a"),
        latitude=pl.lit(latitude, pl.Float64),
        longitude=pl.lit(longitude, pl.Float64),
    )


@pytest.mark.parametrize(("latitude", "longitude", "day"), PLACES, ids=str)
def test_a_day_agrees_with_pvlib(latitude: float, longitude: float, day: dt.date) -> None:
    frame = steps(latitude, longitude, day)
    ours = compute_clear_sky(frame)
    best = float(project_on_best_plane(ours).sum())
    moments = pd.DatetimeIndex(frame["at"].to_list())
    sun = solarposition.get_solarposition(moments, latitude, longitude)
    mass = atmosphere.get_absolute_airmass(atmosphere.get_relative_airmass(sun.apparent_zenith), 101325.0)
    theirs = clearsky.ineichen(
        sun.apparent_zenith, mass, LINKE_TURBIDITY, 0, irradiance.get_extra_radiation(day.timetuple().tm_yday)
    ).fillna(0)
    assert ours["ghi"].sum() == pytest.approx(theirs.ghi.sum(), rel=0.02)
    assert ours["dni"].sum() == pytest.approx(theirs.dni.sum(), rel=0.02)
    planes = [
        irradiance.get_total_irradiance(
            tilt, facing, sun.apparent_zenith, sun.azimuth, theirs.dni, theirs.ghi, theirs.dhi, albedo=0.2
        )
        .poa_global.fillna(0)
        .sum()
        for tilt in range(0, 91, 10)
        for facing in range(0, 360, 30)
    ]
    # No plane catches more, but for the refraction that pvlib knows, and the best one hardly less.
    assert max(planes) * 0.985 < best < max(planes) * 1.02


def test_there_is_no_irradiation_at_night_and_none_known_without_a_place() -> None:
    night = compute_clear_sky(steps(80.0, 10.0, dt.date(2025, 12, 21)))
    assert project_on_best_plane(night).to_list() == [0.0] * night.height
    nowhere = compute_clear_sky(steps(None, 10.0, dt.date(2025, 6, 21)))
    assert project_on_best_plane(nowhere).null_count() == nowhere.height
