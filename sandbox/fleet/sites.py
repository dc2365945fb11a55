"""Towns where simulated plants stand, with their climate and their grid."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """A town. Latitude and longitude in degrees; climate: yearly mean, seasonal and daily swing in °C."""

    city: str
    country: str
    state: str
    zip_code: str
    latitude: float
    longitude: float
    zone: str
    currency: str
    mean_temp_c: float = 11.0
    seasonal_swing_c: float = 9.0
    daily_swing_c: float = 4.0
    clear_days: float = 0.4
    phase_v: float = 230.0
    grid_hz: float = 50.0


KASSEL = Site("Niestetal", "DE", "Hessen", "34266", 51.31, 9.56, "Europe/Berlin", "EUR", 10.0, 9.0, 4.5, 0.35)
BOSTON = Site(
    "Boston",
    "US",
    "Massachusetts",
    "02108",
    42.36,
    -71.06,
    "America/New_York",
    "USD",
    11.0,
    12.0,
    4.5,
    0.45,
    120.0,
    60.0,
)
OSAKA = Site(
    "Osaka", "JP", "Osaka", "530-0001", 34.69, 135.5, "Asia/Tokyo", "JPY", 17.0, 11.5, 4.0, 0.4, 101.0, 60.0
)

# The towns of a small fleet: three zones, two of them with summer time.
FIRST_SITES = (KASSEL, BOSTON, OSAKA)

SITES = (
    *FIRST_SITES,
    Site("Madrid", "ES", "Madrid", "28013", 40.42, -3.7, "Europe/Madrid", "EUR", 15.0, 9.5, 6.0, 0.6),
    Site("Zürich", "CH", "Zürich", "8001", 47.37, 8.54, "Europe/Zurich", "CHF", 10.0, 9.5, 4.5, 0.35),
    Site(
        "Sydney",
        "AU",
        "New South Wales",
        "2000",
        -33.87,
        151.21,
        "Australia/Sydney",
        "AUD",
        18.0,
        5.5,
        4.0,
        0.5,
    ),
    Site(
        "Cape Town",
        "ZA",
        "Western Cape",
        "8001",
        -33.92,
        18.42,
        "Africa/Johannesburg",
        "ZAR",
        17.0,
        4.5,
        4.5,
        0.6,
    ),
    Site(
        "Denver",
        "US",
        "Colorado",
        "80202",
        39.74,
        -104.99,
        "America/Denver",
        "USD",
        10.5,
        12.0,
        7.0,
        0.6,
        120.0,
        60.0,
    ),
    Site("Pune", "IN", "Maharashtra", "411001", 18.52, 73.86, "Asia/Kolkata", "INR", 25.0, 4.0, 6.0, 0.55),
    Site("Lisboa", "PT", "Lisboa", "1100-148", 38.72, -9.14, "Europe/Lisbon", "EUR", 17.0, 6.0, 4.5, 0.55),
    Site("Oslo", "NO", "Oslo", "0150", 59.91, 10.75, "Europe/Oslo", "NOK", 6.5, 11.0, 4.0, 0.3),
    Site(
        "Santiago",
        "CL",
        "RM",
        "8320000",
        -33.45,
        -70.67,
        "America/Santiago",
        "CLP",
        14.5,
        6.5,
        7.0,
        0.65,
        220.0,
        50.0,
    ),
)
