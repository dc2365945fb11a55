"""Mean power to energy: the whole way from bytes to rows equals an oracle in exact fractions."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.local_time import MergedHour, TimeBasis
from pipeline.transform import anomalies
from schemas import EnergyBalanceIntervals
from tests.transform import oracle
from tests.transform.answers import Outcome, Row, balance, body, examples, places, raw, row
from tests.transform.days import DATES, FIELDS, ZONES, PlantDay, Shape, plant_day, shapes
from warehouse.frames import validate

MAX_ERROR = 1e-9
BASES: tuple[TimeBasis, ...] = ("plant_local", "utc")
HOURS: tuple[MergedHour, ...] = ("gap", "mean")
UTC = dt.UTC
# So few rows do not tell in which order they come.
FEW = 5


def transform(days: Sequence[PlantDay]) -> Outcome:
    """All plants' answers of one day through the whole path; plants are called 00, 01, ..."""
    named = [(f"{number:02}", each) for number, each in enumerate(days)]
    frame = raw((plant, content) for plant, each in named for content in each.bodies())
    where = places({plant: each.shape.zone for plant, each in named})
    return balance([frame], where, days[0].day, days[0].basis, days[0].shape.hour)


def assert_equal_to_oracle(rows: pl.DataFrame, day: PlantDay) -> None:
    expected = day.expected()
    assert rows["interval_end"].to_list() == [interval.end for interval, _ in expected]
    assert rows["interval_start"].to_list() == [interval.start for interval, _ in expected]
    assert rows["interval_basis"].to_list() == [interval.basis for interval, _ in expected]
    assert rows["flagged"].to_list() == [merged for _, merged in expected]
    beyond = [(interval.end - interval.start - day.resolution).total_seconds() for interval, _ in expected]
    assert rows["bridged_s"].to_list() == [max(0, seconds) for seconds in beyond]
    for api, name in FIELDS.items():
        exact = [interval.kwh[api] for interval, _ in expected]
        found = rows[f"{name}_kwh"]
        assert found.is_null().to_list() == [kwh is None for kwh in exact]
        # The float nearest to a fraction is some 1e-16 off.
        nearest = pl.Series([None if kwh is None else float(kwh) for kwh in exact], dtype=pl.Float64)
        assert ((found - nearest).abs() <= nearest * MAX_ERROR).all()


DRAWN_DAYS = given(
    st.sampled_from(DATES),
    st.sampled_from(BASES),
    st.sampled_from(HOURS),
    st.lists(shapes, min_size=10, max_size=10),
)


@examples(20, shrink=False)
@DRAWN_DAYS
def test_every_interval_and_energy_equals_the_oracle(
    day: dt.date, basis: TimeBasis, hour: MergedHour, drawn: list[Shape]
) -> None:
    compare_with_oracle(day, basis, hour, drawn)


@pytest.mark.long
@examples(130, shrink=False)
@DRAWN_DAYS
def test_every_interval_and_energy_of_many_days_equals_the_oracle(
    day: dt.date, basis: TimeBasis, hour: MergedHour, drawn: list[Shape]
) -> None:
    compare_with_oracle(day, basis, hour, drawn)


def compare_with_oracle(day: dt.date, basis: TimeBasis, hour: MergedHour, drawn: list[Shape]) -> None:
    days = [plant_day(replace(shape, hour=hour), day, basis) for shape in drawn]
    outcome = transform(days)
    validate(EnergyBalanceIntervals, outcome.rows, {"local_date": day})
    for number, each in enumerate(days):
        assert_equal_to_oracle(outcome.rows.filter(plant_id=f"{number:02}"), each)
    account = outcome.account
    sent = sum(len(each.rows) for each in days)
    assert sent == account.rows_in
    left = account.rows_aside + account.rows_of_neighbours - account.rows_of_second_pass
    assert sent == account.rows_out + left
    assert account.rows_of_second_pass == (account.merged_rows if hour == "mean" else 0)


# ---- constant power --------------------------------------------------------------------------------------------------


def constant(zone: str, day: dt.date, basis: TimeBasis, step_s: int) -> PlantDay:
    """1 kW at every step of the day, from its first instant to its last."""
    start, end = oracle.bounds(day, ZoneInfo(zone))
    count = (end - start) // dt.timedelta(seconds=step_s)
    ends = [start + dt.timedelta(seconds=step_s) * (number + 1) for number in range(count)]
    where = UTC if basis == "utc" else ZoneInfo(zone)
    rows = tuple((t.astimezone(where).replace(tzinfo=None, fold=0), {"pvGeneration": 1000.0}) for t in ends)
    resolution = {60: "OneMinute", 300: "FiveMinutes", 1800: "ThirtyMinutes"}[step_s]
    return PlantDay(Shape(zone, resolution, 0, 0, 0, 0, merged=False), day, basis, rows)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("step_s", [60, 1800])
@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2025-07-09", 24.0),
        ("Europe/Berlin", "2025-03-30", 23.0),
        ("Europe/Berlin", "2025-10-26", 25.0),
        ("Australia/Melbourne", "2025-10-05", 23.0),
        ("Australia/Melbourne", "2025-04-06", 25.0),
        ("Australia/Lord_Howe", "2025-10-05", 23.5),
        ("Australia/Lord_Howe", "2025-04-06", 24.5),
        ("America/Sao_Paulo", "2018-11-03", 24.0),
        ("America/Sao_Paulo", "2018-11-04", 23.0),
        ("America/Sao_Paulo", "2018-02-17", 25.0),
        ("America/Santiago", "2025-04-05", 25.0),
        ("America/Havana", "2025-11-02", 25.0),
        ("Africa/Cairo", "2025-04-25", 23.0),
        ("Atlantic/Azores", "2025-10-26", 25.0),
        ("Asia/Beirut", "2025-10-25", 25.0),
        ("Europe/Berlin", "2024-02-29", 24.0),
    ],
)
def test_a_constant_kilowatt_is_the_length_of_the_day(
    zone: str, day: str, hours: float, step_s: int, basis: TimeBasis
) -> None:
    outcome = transform([constant(zone, dt.date.fromisoformat(day), basis, step_s)])
    assert outcome.rows["pv_generation_kwh"].sum() == pytest.approx(hours, rel=1e-12, abs=0)
    assert (outcome.account.rows_aside, outcome.account.merged_rows) == (0, 0)
    assert outcome.rows["interval_basis"].unique(maintain_order=True).to_list() == [
        "midnight",
        "previous_row",
    ]


MERGED = [
    # The means of both passes (their labels' rows are one), and the row after the hour.
    pytest.param("Europe/Berlin", "2025-10-26", "OneHour", 3600, id="one row"),
    pytest.param("Europe/Berlin", "2025-10-26", "ThirtyMinutes", 1800, id="two rows"),
    pytest.param("Europe/Berlin", "2025-10-26", "FifteenMinutes", 900, id="four rows"),
    pytest.param("Europe/Berlin", "2025-10-26", "FiveMinutes", 300, id="twelve rows"),
    pytest.param("Europe/Berlin", "2025-10-26", "OneMinute", 60, id="sixty rows"),
    pytest.param("Australia/Lord_Howe", "2025-04-06", "ThirtyMinutes", 1800, id="half an hour"),
    pytest.param("America/Havana", "2025-11-02", "FifteenMinutes", 900, id="midnight comes twice"),
    pytest.param("America/Sao_Paulo", "2018-02-17", "ThirtyMinutes", 1800, id="the last hour"),
]


def merged_day(zone: str, day: str, resolution: str, step_s: int) -> tuple[PlantDay, list[dt.datetime]]:
    """A day on which power grows by 1 W a step, the repeated hour merged to means; and the ends of all its steps."""
    start, end = oracle.bounds(dt.date.fromisoformat(day), ZoneInfo(zone))
    step = dt.timedelta(seconds=step_s)
    ends = [start + step * (number + 1) for number in range((end - start) // step)]
    watts: dict[dt.datetime, list[int]] = {}
    for number, moment in enumerate(ends):
        label = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        watts.setdefault(label, []).append(number)
    rows = tuple((label, {"pvGeneration": sum(each) / len(each)}) for label, each in sorted(watts.items()))
    shape = Shape(zone, resolution, 0, 0, 0, 0, merged=True)
    return PlantDay(shape, dt.date.fromisoformat(day), "plant_local", rows), ends


@pytest.mark.parametrize(("zone", "day", "resolution", "step_s"), MERGED)
def test_the_second_pass_of_a_merged_hour_is_a_gap(zone: str, day: str, resolution: str, step_s: int) -> None:
    plant, ends = merged_day(zone, day, resolution, step_s)
    outcome = transform([plant])
    rows = outcome.rows
    known = set(rows["interval_end"])
    lost = [end for end in ends if end not in known]
    assert len(lost) == outcome.account.merged_rows == rows["flagged"].sum()
    # Every row has a step of its own: nobody reaches over what is not known.
    assert (rows["interval_end"] - rows["interval_start"]).unique().to_list() == [
        dt.timedelta(seconds=step_s)
    ]
    assert len(rows) + len(lost) == len(ends)
    alone = rows.filter(~pl.col("flagged"))
    number = {end: float(number) for number, end in enumerate(ends)}
    assert alone["pv_generation_w"].to_list() == [number[end] for end in alone["interval_end"]]


@pytest.mark.parametrize(("zone", "day", "resolution", "step_s"), MERGED)
def test_a_row_that_is_the_mean_of_both_passes_counts_for_both(
    zone: str, day: str, resolution: str, step_s: int
) -> None:
    plant, ends = merged_day(zone, day, resolution, step_s)
    outcome = transform([replace(plant, shape=replace(plant.shape, hour="mean"))])
    rows = outcome.rows
    assert rows["interval_end"].to_list() == ends
    assert outcome.account.rows_of_second_pass == outcome.account.merged_rows
    assert rows["flagged"].sum() == 2 * outcome.account.merged_rows
    assert (rows["interval_end"] - rows["interval_start"]).unique().to_list() == [
        dt.timedelta(seconds=step_s)
    ]
    # No watt-second of the day is lost.
    exact = sum(range(len(ends))) * step_s / 3_600_000
    assert rows["pv_generation_kwh"].sum() == pytest.approx(exact, rel=1e-12)


DRAWN_TO_TURN = given(
    st.sampled_from(DATES), st.sampled_from(HOURS), st.lists(shapes, min_size=10, max_size=10)
)


@pytest.mark.long
@examples(10, shrink=False)
@DRAWN_TO_TURN
def test_newest_rows_first_make_the_same_day(day: dt.date, hour: MergedHour, drawn: list[Shape]) -> None:
    compare_with_turned(day, hour, drawn)


@pytest.mark.long
@examples(60, shrink=False)
@DRAWN_TO_TURN
def test_newest_rows_first_make_the_same_of_many_days(
    day: dt.date, hour: MergedHour, drawn: list[Shape]
) -> None:
    compare_with_turned(day, hour, drawn)


def compare_with_turned(day: dt.date, hour: MergedHour, drawn: list[Shape]) -> None:
    days = [plant_day(replace(shape, hour=hour), day, "plant_local") for shape in drawn]
    days = [each for each in days if len(each.rows) > FEW]
    usual, turned = transform(days), transform([replace(each, rows=each.rows[::-1]) for each in days])
    assert turned.rows.drop("suspect").equals(usual.rows.drop("suspect"))
    assert turned.account.merged_rows == usual.account.merged_rows
    told = turned.quarantine.filter(pl.col("reason").is_in([anomalies.UNSORTED, anomalies.UNORDERED_HOUR]))
    assert set(told["reason"]) <= {anomalies.UNSORTED}


REPEATED = [f"2025-10-26T02:{minute:02}:00" for minute in range(0, 60, 5)]


def repeated_hour(order: list[int]) -> Outcome:
    """The hour from 1 to 2 of Berlin's day of 25 hours, then both passes of the next, its rows in this order."""
    times = [*(f"2025-10-26T01:{minute:02}:00" for minute in range(0, 60, 5)), *REPEATED, *REPEATED]
    sent = [row(times[at], float(at)) for at in order]
    return balance([raw([("1", body(sent))])], places({"1": "Europe/Berlin"}), dt.date(2025, 10, 26))


def test_the_passes_keep_their_values_whichever_end_comes_first() -> None:
    for order in (list(range(36)), list(range(36))[::-1]):
        assert repeated_hour(order).rows["pv_generation_w"].to_list() == [float(at) for at in range(36)]


def test_a_double_within_a_pass_is_not_taken_for_the_other_pass() -> None:
    outcome = repeated_hour([*range(15), 14, *range(15, 36)])
    assert outcome.rows["pv_generation_w"].to_list() == [float(at) for at in range(36)]
    assert outcome.quarantine.select("reason", "value", "raw_time").rows() == [
        ("duplicate", None, REPEATED[2]),
    ]


def test_where_the_order_tells_nothing_it_is_said_and_no_energy_is_lost() -> None:
    outcome = repeated_hour([*range(12), *range(13, 36, 2), *range(12, 36, 2)])
    told = outcome.quarantine.filter(reason=anomalies.UNORDERED_HOUR)
    assert told.select("n_rows", "kept", "field").rows() == [(24, True, "time")]
    assert outcome.rows["suspect"].sum() == 24
    assert outcome.rows["pv_generation_kwh"].sum() == pytest.approx(sum(range(36)) / 12_000)


def test_a_value_set_aside_in_a_merged_row_is_set_aside_once() -> None:
    rows = [
        row("2025-10-26T02:00:00", 1.0),
        row("2025-10-26T02:05:00", -100.0),
        row("2025-10-26T02:10:00", 1.0),
    ]
    where, day = places({"1": "Europe/Berlin"}), dt.date(2025, 10, 26)
    outcome = balance([raw([("1", body(rows))])], where, day, merged_hour="mean")
    assert outcome.rows["pv_generation_w"].to_list() == [1.0, None, 1.0, 1.0, None, 1.0]
    assert outcome.account.values_aside == 1
    assert outcome.account.rows_out == 6


# ---- the rules one by one --------------------------------------------------------------------------------------------


def one_plant(
    rows: list[Row], resolution: str = "FiveMinutes", day: dt.date = dt.date(2025, 7, 9)
) -> pl.DataFrame:
    """A plant in UTC, so that labels are instants."""
    return balance([raw([("1", body(rows, resolution))])], places({"1": "UTC"}), day).rows


@pytest.mark.parametrize(
    ("gap_s", "basis", "reach_s"),
    [
        (1, "previous_row", 1),
        (300, "previous_row", 300),
        (899, "previous_row", 899),
        (900, "previous_row", 900),
        (901, "resolution", 300),
        (7200, "resolution", 300),
    ],
)
def test_a_row_reaches_back_to_the_one_before_up_to_three_resolutions(
    gap_s: int, basis: str, reach_s: int
) -> None:
    before = dt.datetime.fromisoformat("2025-07-09T10:00:00")
    after = before + dt.timedelta(seconds=gap_s)
    last = one_plant([row(before.isoformat(), 0.0), row(after.isoformat(), 3600.0)]).row(1, named=True)
    assert last["interval_basis"] == basis
    assert last["interval_start"] == (after - dt.timedelta(seconds=reach_s)).replace(tzinfo=UTC)
    assert last["pv_generation_kwh"] == pytest.approx(reach_s / 1000, rel=1e-12)


@pytest.mark.parametrize(
    ("time", "basis", "reach_s"),
    [
        ("00:00:01", "midnight", 1),
        ("00:04:59", "midnight", 299),
        ("00:05:00", "midnight", 300),
        ("00:05:01", "resolution", 300),
        ("13:00:00", "resolution", 300),
    ],
)
def test_the_first_row_reaches_back_to_midnight_if_that_is_near(time: str, basis: str, reach_s: int) -> None:
    (first,) = one_plant([row(f"2025-07-09T{time}", 1000.0)]).rows(named=True)
    assert first["interval_basis"] == basis
    assert first["interval_end"] - first["interval_start"] == dt.timedelta(seconds=reach_s)


def test_fractions_of_a_second_count() -> None:
    rows = one_plant(
        [row("2025-07-09T00:00:00.5", 7_200_000.0), row("2025-07-09T00:00:00.750001", 3_600_000.0)]
    )
    assert rows["pv_generation_kwh"].to_list() == pytest.approx([1.0, 0.250001], rel=1e-12)


def test_an_absent_key_is_null_for_its_interval_alone() -> None:
    times = ["2025-07-09T00:05:00", "2025-07-09T00:10:00", "2025-07-09T00:15:00"]
    rows = one_plant(
        [row(times[0], 1200.0), row(times[1], gridFeedIn=600.0), row(times[2], 1200.0, gridFeedIn=0)]
    )
    assert rows["pv_generation_w"].to_list() == [1200.0, None, 1200.0]
    assert rows["pv_generation_kwh"].to_list() == pytest.approx([0.1, None, 0.1])
    assert rows["grid_feed_in_kwh"].to_list() == pytest.approx([None, 0.05, 0.0])
    # The row without a value still ends an interval: the next one doesn't reach over it.
    assert set(rows["interval_basis"]) == {"midnight", "previous_row"}
    assert rows["battery_charging_kwh"].null_count() == 3


def test_the_midnight_row_belongs_to_the_day_before() -> None:
    rows = [row("2025-07-09T00:00:00", 1.0), row("2025-07-09T00:05:00", 2.0), row("2025-07-10T00:00:00", 3.0)]
    assert one_plant(rows)["pv_generation_w"].to_list() == [2.0, 3.0]
    assert one_plant(rows, day=dt.date(2025, 7, 8))["pv_generation_w"].to_list() == [1.0]
    assert one_plant(rows, day=dt.date(2025, 7, 10)).height == 0


def test_every_answer_has_its_own_resolution() -> None:
    at = "2025-07-09T12:00:00"
    frame = raw([("1", body([row(at, 1000.0)], "OneHour")), ("2", body([row(at, 1000.0)], "OneMinute"))])
    rows = balance([frame], places({"1": "UTC", "2": "UTC"})).rows
    assert rows["pv_generation_kwh"].to_list() == pytest.approx([1.0, 1 / 60])


def test_states_have_no_energy() -> None:
    rows = one_plant([row("2025-07-09T00:05:00", batteryStateOfCharge=55.0, autarkyRate=0.5)])
    assert rows.select("battery_state_of_charge_pct", "autarky_rate").row(0) == (55.0, 0.5)
    assert not [name for name in rows.columns if "rate_kwh" in name or "charge_kwh" in name]


# ---- months ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", BASES)
def test_the_days_of_a_month_add_up_whatever_their_order(basis: TimeBasis) -> None:
    """A plant each in zones whose clocks change in that month, on other days or not at all."""
    zones = ["Europe/Berlin", "Australia/Melbourne", "America/Santiago", "Atlantic/Azores"]
    month = [dt.date(2025, 10, 1) + dt.timedelta(days=number) for number in range(31)]
    energies = [
        transform([constant(zone, day, basis, 1800) for zone in zones])
        .rows.group_by("plant_id")
        .agg(pl.col("pv_generation_kwh").sum())
        for day in reversed(month)
    ]
    found = pl.concat(energies).group_by("plant_id").agg(pl.col("pv_generation_kwh").sum()).sort("plant_id")
    bounds = [
        (oracle.bounds(month[0], ZoneInfo(zone))[0], oracle.bounds(month[-1], ZoneInfo(zone))[1])
        for zone in zones
    ]
    hours = [(end - start) / dt.timedelta(hours=1) for start, end in bounds]
    assert dict(zip(zones, found["pv_generation_kwh"], strict=True)) == {
        zone: pytest.approx(expected, rel=1e-12) for zone, expected in zip(zones, hours, strict=True)
    }


def test_a_day_does_not_depend_on_the_plants_beside_it() -> None:
    shapes_ = [
        Shape(zone, "FiveMinutes", seed, 0.1, 0.2, 0.3, merged=False) for seed, zone in enumerate(ZONES[:3])
    ]
    days = [plant_day(shape, dt.date(2025, 10, 26), "plant_local") for shape in shapes_]
    alone = [transform([day]).rows.drop("plant_id") for day in days]
    for order in permutations(range(3)):
        together = transform([days[number] for number in order]).rows
        for place, number in enumerate(order):
            assert together.filter(plant_id=f"{place:02}").drop("plant_id").equals(alone[number])
