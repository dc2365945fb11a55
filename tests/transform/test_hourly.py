"""Interval rows to quarters of an hour and hours of the plants' clocks, and hours to the average day of a month."""

import datetime as dt
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.local_time import ONE_DAY, UTC_US, find_local_day
from pipeline.transform import hourly
from pipeline.transform.daily import sum_exactly
from pipeline.transform.hourly import (
    QUARTER,
    STORED_KWH,
    build_quarters_frame,
    clear_unknown_days,
    pack_quarters,
    summarize_hours,
    summarize_profile,
    summarize_quarters,
    unpack_quarters,
)
from schemas import EnergyHourly, ProfileMonthly, QuarterHours, polars_schema
from schemas.quantities import ENERGY_BALANCE
from warehouse.frames import validate

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
DAY = dt.date(2025, 7, 9)
BERLIN = "Europe/Berlin"
ONE_KW = 1000.0


def rows(day: dt.date, zones: dict[str, str], minutes: int = 5, watts: float = ONE_KW) -> pl.DataFrame:
    """A day of constant power of each plant; every quantity but PV is absent."""
    frames = []
    for plant, zone in sorted(zones.items()):
        bounds = find_local_day(day, zone)
        step = dt.timedelta(minutes=minutes)
        starts = pl.datetime_range(
            bounds.start, bounds.end, step, closed="left", time_unit="us", time_zone="UTC", eager=True
        )
        frames.append(
            pl.DataFrame({"interval_start": starts}, schema={"interval_start": UTC_US}).with_columns(
                plant_id=pl.lit(plant),
                interval_end=pl.min_horizontal(pl.col("interval_start") + step, pl.lit(bounds.end, UTC_US)),
            )
        )
    nothing = [pl.lit(None, pl.Float64).alias(f"{name}_kwh") for name in QUANTITIES]
    length = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds()
    return pl.concat(frames).with_columns(nothing).with_columns(pv_generation_kwh=length * watts / 3.6e12)


def places(zones: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame({"plant_id": list(zones), "timezone": list(zones.values())})


def quarters_of(day: dt.date, zones: dict[str, str], frame: pl.DataFrame) -> pl.DataFrame:
    """The quarters as they are read again after they were stored in the shape of the table, checked against it."""
    found = summarize_quarters([frame], places(zones), day, QUANTITIES)
    stored = pack_quarters(found, QUANTITIES).with_columns(local_date=pl.lit(day))
    stored = stored.select(polars_schema(QuarterHours).names())
    validate(QuarterHours, stored, {"local_date": day})
    return unpack_quarters(stored).drop("local_date")


def hours_of(day: dt.date, zones: dict[str, str], frame: pl.DataFrame) -> pl.DataFrame:
    """The hours in the shape of the table, checked against it."""
    quarters = quarters_of(day, zones, frame)
    found = summarize_hours(quarters, places(zones), day, QUANTITIES).with_columns(local_date=pl.lit(day))
    found = found.select(polars_schema(EnergyHourly).names())
    validate(EnergyHourly, found, {"local_date": day})
    return found


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (DAY, BERLIN, list(range(24))),
        (dt.date(2025, 3, 30), BERLIN, [0, 1, *range(3, 24)]),
        (dt.date(2025, 10, 26), BERLIN, [0, 1, 2, 2, *range(3, 24)]),
        # Its hours begin at half past by UTC.
        (DAY, "Asia/Kolkata", list(range(24))),
        # Clocks go back by half an hour at two: from half past one to two comes twice.
        (dt.date(2025, 4, 6), "Australia/Lord_Howe", [0, 1, 1, *range(2, 24)]),
    ],
)
def test_a_day_has_the_hours_of_its_clock(day: dt.date, zone: str, hours: list[int]) -> None:
    found = hours_of(day, {"a": zone}, rows(day, {"a": zone}))
    assert found["local_hour"].to_list() == hours
    assert found["hour_start"].is_sorted()
    assert found["pv_generation_covered_h"].sum() == pytest.approx(find_local_day(day, zone).hours, abs=1e-12)
    # One kW: the energy of an hour is the time that it covers.
    assert found["pv_generation_kwh"].to_list() == pytest.approx(found["pv_generation_covered_h"].to_list())


def test_hours_begin_where_the_clock_says() -> None:
    zone = "Asia/Kolkata"
    quarters = build_quarters_frame(DAY, [zone])
    assert quarters["hour_start"].dt.convert_time_zone(zone).dt.minute().unique().to_list() == [0]
    assert quarters.filter("of_day").height == 96


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Etc/UTC"]
)
def test_quarters_are_counted_where_no_clock_changes(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the clock of the zone shows them; only around a change of clocks is each of them asked for its time."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=step) for step in range(365)]
    asked: list[object] = []
    read = hourly.convert_to_wall_clock
    monkeypatch.setattr(
        hourly, "convert_to_wall_clock", lambda moment, zone: asked.append(zone) or read(moment, zone)
    )
    hourly._list_quarters.cache_clear()
    found = pl.concat([build_quarters_frame(day, [zone]).with_columns(day=pl.lit(day)) for day in days])
    assert len(asked) <= 8
    clock = pl.col("quarter_start").dt.convert_time_zone(zone)
    offset = clock.dt.base_utc_offset() + clock.dt.dst_offset()
    expected = found.with_columns(local_hour=clock.dt.hour().cast(pl.Int64)).with_columns(
        hour_start=pl.col("quarter_start").min().over("day", clock.dt.date(), "local_hour", offset)
    )
    for name in ("hour_start", "local_hour"):
        assert found[name].equals(expected[name])
    assert found["of_day"].equals(found.select(clock.dt.date() == pl.col("day")).to_series())
    # A day's quarters, and those of the 24 hours before and after.
    ends = found.group_by("day", maintain_order=True).agg(
        first=pl.col("quarter_start").first(), last=pl.col("quarter_start").last(), quarters=pl.len()
    )
    for (day, first, last, quarters), bounds in zip(
        ends.rows(), (find_local_day(day, zone) for day in days), strict=True
    ):
        assert (first, last + QUARTER) == (bounds.start - ONE_DAY, bounds.end + ONE_DAY), day
        assert quarters == (bounds.end - bounds.start + 2 * ONE_DAY) // QUARTER, day
    hourly._list_quarters.cache_clear()


def test_hours_add_up_to_the_day_whatever_the_steps() -> None:
    zones = {"a": BERLIN, "b": "America/New_York", "c": "Asia/Kolkata"}
    for minutes in (1, 7, 15, 60, 90):
        frame = rows(DAY, zones, minutes)
        days = frame.group_by("plant_id").agg(sum_exactly(pl.col("pv_generation_kwh"))).sort("plant_id")
        found = hours_of(DAY, zones, frame).group_by("plant_id").agg(sum_exactly(pl.col("pv_generation_kwh")))
        assert found.sort("plant_id")["pv_generation_kwh"].to_list() == pytest.approx(
            days["pv_generation_kwh"].to_list(), abs=1e-9
        )


@pytest.mark.parametrize(
    ("day", "zone", "n_quarters"),
    [
        (DAY, BERLIN, 96),
        (dt.date(2025, 3, 30), BERLIN, 92),
        (dt.date(2025, 10, 26), BERLIN, 100),
        (dt.date(2025, 4, 6), "Australia/Lord_Howe", 98),
    ],
)
def test_a_day_has_all_its_quarters_and_one_without_data_says_so(
    day: dt.date, zone: str, n_quarters: int
) -> None:
    frame = rows(day, {"a": zone}).head(6)
    found = quarters_of(day, {"a": zone, "silent": zone}, frame)
    assert found.group_by("plant_id").len().sort("plant_id").rows() == [
        ("a", n_quarters),
        ("silent", n_quarters),
    ]
    assert found.filter(plant_id="a")["covered_h"].to_list() == [0.25, 0.25, *[0.0] * (n_quarters - 2)]
    silent = found.filter(plant_id="silent")
    assert silent["covered_h"].unique().to_list() == [0.0]
    assert silent.select("^.*_kwh$", "^.*_covered_h$").null_count().sum_horizontal().item() == 22 * n_quarters
    hours = hours_of(day, {"a": zone, "silent": zone}, frame).filter(plant_id="silent")
    assert (hours["covered_h"].sum(), hours["pv_generation_kwh"].null_count()) == (0.0, hours.height)


def test_an_interval_gives_each_quarter_its_share() -> None:
    # 12:57 to 13:32 by the clock of Berlin: 3 minutes, two whole quarters, and 2 minutes.
    start = dt.datetime(2025, 7, 9, 10, 57, tzinfo=dt.UTC)
    frame = rows(DAY, {"a": BERLIN}).head(1)
    frame = frame.with_columns(
        interval_start=pl.lit(start, UTC_US),
        interval_end=pl.lit(start + dt.timedelta(minutes=35), UTC_US),
        pv_generation_kwh=pl.lit(7.0),
    )
    found = quarters_of(DAY, {"a": BERLIN}, frame).filter(pl.col("covered_h") > 0)
    assert found["quarter_start"].to_list() == [
        start.replace(hour=hour, minute=minute) for hour, minute in ((10, 45), (11, 0), (11, 15), (11, 30))
    ]
    assert found["pv_generation_kwh"].to_list() == pytest.approx([0.6, 3.0, 3.0, 0.4], abs=2 * STORED_KWH)
    minutes = [Fraction(hours).limit_denominator(1000) * 60 for hours in found["pv_generation_covered_h"]]
    assert minutes == [3, 15, 15, 2]
    hours = hours_of(DAY, {"a": BERLIN}, frame).filter(pl.col("covered_h") > 0)
    assert hours["local_hour"].to_list() == [12, 13]
    assert hours["pv_generation_kwh"].to_list() == pytest.approx([0.6, 6.4], abs=4 * STORED_KWH)


def test_an_interval_beside_its_day_is_not_lost() -> None:
    """Days that were cut by a time zone that was corrected since hold such."""
    frame = rows(DAY, {"a": "Asia/Tokyo"})
    found = quarters_of(DAY, {"a": BERLIN}, frame)
    assert found.filter(pl.col("covered_h") > 0).height == 96
    assert found["pv_generation_kwh"].sum() == pytest.approx(24.0, abs=1e-9)
    assert hours_of(DAY, {"a": BERLIN}, frame)["pv_generation_kwh"].sum() == pytest.approx(24.0, abs=1e-9)


LENGTHS = st.sampled_from([60, 300, 420, 900, 901, 1800, 3600, 5400])
POWERS = st.floats(0, 1e6, allow_subnormal=False)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    day=st.sampled_from([DAY, dt.date(2025, 3, 30), dt.date(2025, 10, 26)]),
    drawn=st.lists(
        st.tuples(st.booleans(), LENGTHS, *[st.none() | POWERS for _ in QUANTITIES]), min_size=1, max_size=40
    ),
)
def test_quarters_and_hours_add_up_to_the_day_whatever_its_rows(
    day: dt.date, drawn: list[tuple[bool, int, *tuple[float | None, ...]]]
) -> None:
    bounds = find_local_day(day, BERLIN)
    found, start = [], bounds.start
    for gap, length, *watts in drawn:
        start += dt.timedelta(seconds=length if gap else 0)
        end = min(start + dt.timedelta(seconds=length), bounds.end)
        if start >= end:
            break
        hours = (end - start) / dt.timedelta(hours=1)
        found.append(["a", start, end, *(None if w is None else w * hours / 1000 for w in watts)])
        start = end
    names = [f"{name}_kwh" for name in QUANTITIES]
    schema = {"plant_id": pl.String(), "interval_start": UTC_US, "interval_end": UTC_US}
    schema |= dict.fromkeys(names, pl.Float64())
    frame = pl.DataFrame(found, schema, orient="row")
    quarters, by_hour = quarters_of(day, {"a": BERLIN}, frame), hours_of(day, {"a": BERLIN}, frame)
    wanted = frame.select(sum_exactly(pl.col(name)) for name in names).row(0)
    for parts in (quarters, by_hour):
        sums = parts.select(sum_exactly(pl.col(name)) for name in names).row(0)
        assert [total is None for total in sums] == [total is None for total in wanted]
        assert all(abs(a - b) <= 1e-9 for a, b in zip(sums, wanted, strict=True) if a is not None)
        time = (frame["interval_end"] - frame["interval_start"]).dt.total_microseconds()
        for name in QUANTITIES:
            covered = time.filter(frame[f"{name}_kwh"].is_not_null()).sum() / 3.6e9
            assert (parts[f"{name}_covered_h"].sum() or 0.0) == pytest.approx(covered, abs=1e-9)
    assert quarters["covered_h"].max() <= 0.25 + 1e-12


def test_an_absent_value_covers_no_time_and_is_not_zero() -> None:
    frame = rows(DAY, {"a": BERLIN}).with_row_index()
    frame = frame.with_columns(
        pv_generation_kwh=pl.when(pl.col("index") % 2 == 0).then("pv_generation_kwh"),
        grid_feed_in_kwh=pl.when(pl.col("index") < 12).then(0.0),
    ).drop("index")
    found = hours_of(DAY, {"a": BERLIN}, frame)
    assert found["pv_generation_covered_h"].to_list() == pytest.approx([0.5] * 24)
    assert found["grid_feed_in_kwh"].to_list() == [0.0, *[None] * 23]
    assert found["grid_feed_in_covered_h"].to_list() == pytest.approx([1.0, *[None] * 23])
    assert found["total_consumption_kwh"].null_count() == 24


def test_quarters_do_not_depend_on_how_rows_are_cut() -> None:
    zones = {"a": BERLIN, "b": BERLIN}
    frame = rows(DAY, zones)
    cut = summarize_quarters(frame.iter_slices(100), places(zones), DAY, QUANTITIES)
    whole = summarize_quarters([frame], places(zones), DAY, QUANTITIES)
    assert pack_quarters(cut, QUANTITIES).equals(pack_quarters(whole, QUANTITIES))


def test_a_month_s_average_day_is_the_sum_of_its_hours() -> None:
    zones = {"a": BERLIN, "b": BERLIN}
    autumn = dt.date(2025, 10, 26)
    days = [(autumn, ONE_KW), (dt.date(2025, 10, 27), 3 * ONE_KW), (dt.date(2025, 11, 1), ONE_KW)]
    hours = pl.concat([hours_of(day, zones, rows(day, zones, watts=watts)) for day, watts in days])
    found = summarize_profile(hours.sample(fraction=1.0, shuffle=True, seed=1), QUANTITIES)
    found = found.select(polars_schema(ProfileMonthly).names())
    for month, part in found.partition_by("month", as_dict=True).items():
        validate(ProfileMonthly, part, {"month": month[0]})
    two = found.filter(month=dt.date(2025, 10, 1), plant_id="a", local_hour=2).row(0, named=True)
    # The repeated hour at 1 kW, and one at 3 kW.
    assert (two["n_days"], two["pv_generation_kwh"], two["pv_generation_covered_h"]) == (2, 5.0, 3.0)
    three = found.filter(month=dt.date(2025, 10, 1), plant_id="a", local_hour=3).row(0, named=True)
    assert (three["n_days"], three["pv_generation_kwh"], three["pv_generation_covered_h"]) == (2, 4.0, 2.0)
    assert found.height == 2 * 2 * 24
    assert found["grid_feed_in_kwh"].null_count() == found.height


def test_a_day_of_which_only_the_night_is_known_has_no_quarter_of_pv() -> None:
    """Its quarters would add up to 0 kWh of PV, where the day has none; what a meter read at night stays."""
    frame = rows(DAY, {"dark": BERLIN, "lit": BERLIN}, watts=0.0)
    frame = frame.with_columns(grid_consumption_kwh=0.1).sort("plant_id", "interval_end")
    night = frame.filter(pl.col("interval_start") < pl.col("interval_start").min() + dt.timedelta(hours=3))
    found = summarize_quarters([night], places({"dark": BERLIN, "lit": BERLIN}), DAY, QUANTITIES)
    days = pl.DataFrame(
        {"plant_id": ["dark", "lit"], "pv_generation_kwh": [None, 0.0], "grid_feed_in_kwh": [None, None]},
        schema_overrides={"grid_feed_in_kwh": pl.Float64},
    )
    cleared = clear_unknown_days(found, days)
    assert cleared.columns == found.columns
    assert cleared.select("plant_id", "quarter_start", "covered_h").equals(
        found.select("plant_id", "quarter_start", "covered_h")
    )
    sums = cleared.group_by("plant_id", maintain_order=True).agg(
        pl.col("pv_generation_kwh", "pv_generation_covered_h", "grid_consumption_kwh").count()
    )
    assert sums.rows() == [("dark", 0, 0, 12), ("lit", 12, 12, 12)]
    # A day that has all its energies costs nothing.
    assert (
        clear_unknown_days(
            found, days.with_columns(pl.lit(0.0).alias("pv_generation_kwh")).drop("grid_feed_in_kwh")
        )
        is found
    )
