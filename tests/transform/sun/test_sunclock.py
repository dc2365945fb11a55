"""The time basis judged by the sun: clear days of many places, read rightly and wrongly."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from pipeline.common.local_time import TimeBasis
from pipeline.transform.sun.time_basis import judge_time_basis
from tests.later import LaterModule

pd = LaterModule("pandas")
solarposition = LaterModule("pvlib.solarposition")

STEP = timedelta(minutes=5)

MELBOURNE = ("m", -37.8, 145.0, "Australia/Brisbane")
BERLIN = ("b", 52.5, 13.4, "Europe/Berlin")
BOSTON = ("u", 42.3, -71.1, "America/New_York")
REYKJAVIK = ("r", 64.1, -21.9, "Atlantic/Reykjavik")

Place = tuple[str, float | None, float | None, str]


def sites(*places: Place) -> pl.DataFrame:
    schema = {"plant_id": pl.String, "latitude": pl.Float64, "longitude": pl.Float64, "timezone": pl.String}
    return pl.DataFrame(places, schema=schema, orient="row")


def clear_days(place: tuple[str, float, float, str], first: date, days: int = 3) -> pl.DataFrame:
    """Intervals of a flat plant under a clear sky, with true UTC times; the sun's height is from NREL's SPA."""
    plant_id, latitude, longitude, timezone = place
    start = datetime.combine(first, datetime.min.time(), ZoneInfo(timezone)).astimezone(UTC)
    ends = [start + STEP * (n + 1) for n in range(288 * days)]
    middles = pd.DatetimeIndex([end - STEP / 2 for end in ends])
    spa = solarposition.get_solarposition(middles, latitude, longitude, method="nrel_numpy")
    height = np.sin(np.radians(spa["elevation"].to_numpy()))
    return pl.DataFrame(
        {
            "plant_id": plant_id,
            "interval_start": [end - STEP for end in ends],
            "interval_end": ends,
            "pv_generation_kwh": np.where(height > 0.01, height, 0.0),
        }
    ).with_columns(
        pl.col("interval_start", "interval_end").cast(pl.Datetime("us", "UTC")),
        local_date=pl.col("interval_start").dt.convert_time_zone(timezone).dt.date(),
    )


def shifted(intervals: pl.DataFrame, by: timedelta) -> pl.DataFrame:
    """The same intervals as a wrong reading stores them."""
    return intervals.with_columns(pl.col("interval_start", "interval_end") + by)


def verdict(intervals: pl.DataFrame, place: Place, read_as: TimeBasis) -> dict[str, object]:
    return judge_time_basis(intervals, sites(place), read_as=read_as).row(0, named=True)


@pytest.mark.parametrize(
    ("place", "day", "offset_h"),
    [
        (MELBOURNE, date(2021, 10, 4), 10),
        (BOSTON, date(2025, 3, 28), -4),
        (BOSTON, date(2025, 12, 20), -5),
        (BERLIN, date(2025, 6, 20), 2),
        (BERLIN, date(2025, 12, 20), 1),
    ],
)
def test_the_truth_is_found_however_the_times_were_read(
    place: tuple[str, float, float, str], day: date, offset_h: int
) -> None:
    true = clear_days(place, day)
    offset = timedelta(hours=offset_h)
    # The API writes local clock time: read as local it is right, read as UTC every row is off by the offset.
    assert verdict(true, place, "plant_local")["verdict"] == "plant_local"
    assert verdict(shifted(true, offset), place, "utc")["verdict"] == "plant_local"
    # The API writes UTC: the same the other way round.
    assert verdict(true, place, "utc")["verdict"] == "utc"
    assert verdict(shifted(true, -offset), place, "plant_local")["verdict"] == "utc"


def test_the_evidence_is_the_energy_in_the_dark_and_the_distance_from_noon() -> None:
    found = verdict(clear_days(MELBOURNE, date(2021, 10, 4)), MELBOURNE, "plant_local")
    assert found["n_days"] == 3
    assert found["kwh"] == pytest.approx(clear_days(MELBOURNE, date(2021, 10, 4))["pv_generation_kwh"].sum())
    assert found["dark_share_plant_local"] == 0
    assert found["noon_offset_min_plant_local"] == pytest.approx(0, abs=2)
    assert found["dark_share_utc"] > 0.8  # type: ignore[operator]
    assert found["noon_offset_min_utc"] == pytest.approx(600, abs=2)


def test_an_offset_beyond_half_a_day_is_told_round_the_dial() -> None:
    place = ("a", -13.8, -171.8, "Pacific/Apia")  # UTC+13
    found = verdict(clear_days(place, date(2025, 6, 20)), place, "plant_local")
    assert found["noon_offset_min_utc"] == pytest.approx(13 * 60 - 24 * 60, abs=2)
    assert found["verdict"] == "plant_local"


def test_a_clock_that_shows_utc_fits_either_reading() -> None:
    assert verdict(clear_days(REYKJAVIK, date(2025, 3, 1)), REYKJAVIK, "utc")["verdict"] == "either"


def test_a_zone_in_polar_day_tells_nothing() -> None:
    tromso = ("t", 69.65, 18.96, "Europe/Oslo")
    assert verdict(clear_days(tromso, date(2025, 6, 20)), tromso, "utc")["verdict"] == "undecided"


def test_neither_reading_fits_a_clock_that_is_simply_wrong() -> None:
    wrong = shifted(clear_days(MELBOURNE, date(2021, 10, 4)), timedelta(hours=5))
    assert verdict(wrong, MELBOURNE, "plant_local")["verdict"] == "undecided"


def test_each_plant_has_a_row_also_without_place_or_energy() -> None:
    nowhere: Place = ("n", None, None, "Europe/Berlin")
    idle: Place = ("i", 52.5, 13.4, "Europe/Berlin")
    day = date(2025, 6, 20)
    rows = pl.concat(
        [
            clear_days(BERLIN, day),
            clear_days(BERLIN, day).with_columns(plant_id=pl.lit("n")),
            clear_days(BERLIN, day).with_columns(plant_id=pl.lit("i"), pv_generation_kwh=pl.lit(0.0)),
        ]
    )
    found = judge_time_basis(rows, sites(nowhere, BERLIN, idle), read_as="plant_local")
    assert found["plant_id"].to_list() == ["n", "b", "i"]
    assert found["verdict"].to_list() == ["undecided", "plant_local", "undecided"]
    assert found["n_days"].to_list() == [3, 3, 0]
    assert found["dark_share_utc"].is_null().to_list() == [True, False, True]
    assert found["noon_offset_min_utc"].is_null().to_list() == [True, False, True]


def test_no_intervals_at_all_decide_nothing() -> None:
    rows = clear_days(BERLIN, date(2025, 6, 20))
    found = judge_time_basis(rows.clear(), sites(BERLIN), read_as="utc")
    assert found.schema == judge_time_basis(rows, sites(BERLIN), read_as="utc").schema
    assert found["verdict"].to_list() == ["undecided"]
