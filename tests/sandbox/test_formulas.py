"""The sun, the clear sky and the inverter of the simulated plants, beside pvlib: number by number the same."""

import numpy as np
import pytest

from sandbox.physics.flows import compute_inverter_power, compute_module_power
from sandbox.physics.solar_position import (
    compute_azimuth,
    compute_clear_irradiance,
    compute_declination,
    compute_equation_of_time,
    compute_zenith,
)
from tests.later import LaterModule

clearsky = LaterModule("pvlib.clearsky")
inverter = LaterModule("pvlib.inverter")
pvsystem = LaterModule("pvlib.pvsystem")
solarposition = LaterModule("pvlib.solarposition")

DAYS = np.linspace(1.0, 366.99, 20_011)
# pvlib's order of the same operations may be another: a unit or two of the last place.
SAME = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.long
def test_the_sun_s_series() -> None:
    np.testing.assert_allclose(
        compute_equation_of_time(DAYS), solarposition.equation_of_time_spencer71(DAYS), **SAME
    )
    np.testing.assert_allclose(compute_declination(DAYS), solarposition.declination_spencer71(DAYS), **SAME)


@pytest.mark.parametrize("latitude_deg", [-90.0, -37.8, -23.4, 0.0, 23.4, 51.3, 69.6, 90.0])
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered")
def test_the_sun_s_place_at_every_hour(latitude_deg: float) -> None:
    latitude = np.radians(latitude_deg)
    hour_angle = np.radians(np.linspace(-180.0, 180.0, len(DAYS)))
    declination = compute_declination(DAYS)
    zenith = compute_zenith(latitude, hour_angle, declination)
    np.testing.assert_allclose(
        zenith, solarposition.solar_zenith_analytical(latitude, hour_angle, declination), **SAME
    )
    np.testing.assert_allclose(
        compute_azimuth(latitude, hour_angle, declination, zenith),
        solarposition.solar_azimuth_analytical(latitude, hour_angle, declination, zenith),
        **SAME,
    )


def test_the_clear_sky_from_the_horizon_up() -> None:
    elevation = np.linspace(-1.0, 90.0, 9_101)
    ghi, dni = compute_clear_irradiance(elevation)
    theirs = clearsky.simplified_solis(elevation)
    np.testing.assert_allclose(ghi, theirs["ghi"], **SAME)
    np.testing.assert_allclose(dni, theirs["dni"], **SAME)
    assert ghi.max() > 1000


def test_modules_and_inverters_from_the_dark_to_clipping() -> None:
    insolation, module_c = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1400, 200), [-20.0, 25, 70]))
    dc = compute_module_power(insolation, module_c, np.float64(10_000.0))
    np.testing.assert_allclose(dc, pvsystem.pvwatts_dc(insolation, module_c, 10_000.0, -0.0037), **SAME)
    ac = compute_inverter_power(dc, np.float64(6_000.0))
    np.testing.assert_allclose(ac, inverter.pvwatts(dc, 6_000.0), **SAME)
    assert ac[0] == 0
    assert ac.max() == 0.96 * 6_000
