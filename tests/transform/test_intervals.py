"""Answers to rows of a table: nothing is lost, nothing is mixed, and what is set aside says why."""

import datetime as dt
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.local_time import TimeBasis
from pipeline.transform import anomalies, row_rules
from schemas import EnergyBalanceIntervals, PvIntervals, Quarantine, polars_schema
from schemas.base import FINITE
from tests.transform.answers import DAY, Outcome, Row, balance, body, examples, inverters, places, raw, row
from tests.transform.days import Shape, plant_day
from warehouse.frames import sort, validate

UTC_PLANT = places({"1": "UTC"}, rated_w=1000.0)
NOON = "2025-07-09T12:00:00"
ASIDE = {"kept": False, "n_rows": 1}
NOTHING = ASIDE | {"device_id": None, "raw_time": None, "field": None, "value": None, "detail": None}


def run(rows: list[Row], resolution: str | None = "FiveMinutes", **how: Any) -> Outcome:
    """One answer of one plant in UTC, rated 1000 W."""
    return balance([raw([("1", body(rows, resolution))])], UTC_PLANT, **how)


def only(outcome: Outcome) -> Row:
    """The only thing that was set aside."""
    (found,) = outcome.quarantine.rows(named=True)
    return found


# ---- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("soon", row_rules.UNREADABLE_TIME),
        ("2025-07-09T12:00:00Z", row_rules.UNREADABLE_TIME),
        ("2025-07-09T00:00:00", row_rules.DAY_BEFORE),
        ("2025-07-10T00:00:01", row_rules.FOREIGN_DAY),
        ("1999-01-01T00:00:00", row_rules.FOREIGN_DAY),
        ("2999-01-01T00:00:00", row_rules.FOREIGN_DAY),
    ],
)
def test_a_row_is_set_aside_with_its_time_and_the_reason(time: str, reason: str) -> None:
    outcome = run([row(NOON, 5.0), row(time, 7.0)])
    assert outcome.rows["pv_generation_w"].to_list() == [5.0]
    assert only(outcome) == NOTHING | {
        "local_date": DAY,
        "source": "energy_balance_intervals",
        "plant_id": "1",
        "scope": "row",
        "reason": reason,
        "raw_time": time,
    }
    account = outcome.account
    assert (account.rows_in, account.rows_out, account.rows_aside, account.rows_of_neighbours) == (2, 1, 1, 0)


def test_a_row_without_a_time_is_set_aside() -> None:
    found = only(run([{"pvGeneration": 1.0}]))
    assert (found["reason"], found["raw_time"]) == (row_rules.UNREADABLE_TIME, None)


def test_a_time_that_the_clocks_skip_is_set_aside() -> None:
    frame = raw([("1", body([row("2025-03-30T02:30:00", 1.0)]))])
    outcome = balance([frame], places({"1": "Europe/Berlin"}), dt.date(2025, 3, 30))
    assert only(outcome)["reason"] == row_rules.NO_SUCH_LOCAL_TIME


@pytest.mark.parametrize(("ahead_min", "aside"), [(0, False), (15, False), (16, True)])
def test_a_row_from_the_future_is_set_aside(ahead_min: int, aside: bool) -> None:
    asked = dt.datetime(2025, 7, 9, 12, tzinfo=dt.UTC) - dt.timedelta(minutes=ahead_min)
    outcome = balance([raw([("1", body([row(NOON, 1.0)]))], fetched=asked)], UTC_PLANT)
    assert outcome.quarantine["reason"].to_list() == [row_rules.FUTURE] * aside
    assert outcome.rows.height == (not aside)


def test_of_doubles_the_first_as_sent_stays() -> None:
    late = "2025-07-09T13:00:00"
    outcome = run([row(late, 1.0), row(NOON, 2.0), row(late, 3.0), row(NOON, 4.0), row(late, 5.0)])
    assert outcome.rows["pv_generation_w"].to_list() == [2.0, 1.0]
    assert outcome.quarantine.select("scope", "reason", "raw_time").rows() == [
        ("row", row_rules.DUPLICATE, NOON),
        ("row", row_rules.DUPLICATE, late),
        ("row", row_rules.DUPLICATE, late),
        ("rows", anomalies.UNSORTED, NOON),
    ]


def test_doubles_of_two_answers_are_doubles_too() -> None:
    first, second = body([row(NOON, 1.0)]), body([row("2025-07-09T11:55:00", 3.0), row(NOON, 2.0)])
    outcome = balance([raw([("1", first), ("1", second)])], UTC_PLANT)
    assert outcome.rows["pv_generation_w"].to_list() == [3.0, 1.0]
    assert only(outcome)["reason"] == row_rules.DUPLICATE


def test_unsorted_rows_are_sorted_and_lose_nothing() -> None:
    times = [f"2025-07-09T{hour:02}:00:00" for hour in (5, 3, 9, 1, 7)]
    outcome = run([row(time, float(at)) for at, time in enumerate(times)], "OneHour")
    assert outcome.rows["pv_generation_w"].to_list() == [3.0, 1.0, 0.0, 4.0, 2.0]
    assert outcome.rows["interval_basis"].to_list() == ["midnight", *["previous_row"] * 4]
    # It is told, of the rows that came too late alone: those of three, one and seven o'clock.
    found = only(outcome)
    assert (found["reason"], found["kept"], found["n_rows"], found["field"]) == ("unsorted", True, 3, "time")
    assert outcome.rows["suspect"].to_list() == [True, True, False, True, False]
    assert not outcome.rows["flagged"].any()


@pytest.mark.parametrize("lost", ["a row", "a double"])
def test_a_row_that_gets_lost_on_the_way_fails_the_run(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = row_rules.split_doubles

    def careless(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        kept, doubles = real(rows)
        return (kept.head(-1), doubles) if lost == "a row" else (kept, doubles.head(0))

    monkeypatch.setattr(row_rules, "split_doubles", careless)
    with pytest.raises(AssertionError, match="the rules lost some of 3 rows"):
        run([row(NOON, 1.0), row(NOON, 2.0), row("2025-07-09T12:05:00", 1.0)])


def test_rows_of_neighbouring_days_are_left_to_their_own_partition_only_where_they_were_asked_for() -> None:
    rows = [row("2025-07-08T12:00:00", 1.0), row(NOON, 2.0), row("2025-07-10T12:00:00", 3.0)]
    asked = run(rows, basis="utc")
    assert (asked.account.rows_of_neighbours, asked.quarantine.height) == (2, 0)
    unasked = run(rows, basis="plant_local")
    assert (unasked.account.rows_of_neighbours, unasked.quarantine["reason"].to_list()) == (
        0,
        [row_rules.FOREIGN_DAY] * 2,
    )


@pytest.mark.parametrize("time", ["2025-07-07T22:59:59", "2025-07-11T01:00:01"])
def test_a_row_that_no_neighbour_keeps_is_set_aside_under_utc_too(time: str) -> None:
    outcome = run([row(time, 1.0)], basis="utc")
    assert (outcome.account.rows_of_neighbours, only(outcome)["reason"]) == (0, row_rules.FOREIGN_DAY)


def test_values_of_rows_that_belong_elsewhere_are_left_to_them() -> None:
    rows = [row("2025-07-08T12:00:00", -1.0, gridFeedIn="x"), row("2025-07-09T12:00:00", 1.0)]
    outcome = run(rows, basis="utc")
    assert (outcome.account.values_aside, outcome.quarantine.height) == (0, 0)


@pytest.mark.parametrize("basis", ["utc", "plant_local"])
def test_rows_of_a_plant_that_is_in_no_list_are_set_aside(basis: TimeBasis) -> None:
    frame = raw([("1", body([row(NOON, 1.0)])), ("9", body([row(NOON, 2.0), row("soon")]))])
    outcome = balance([frame], UTC_PLANT, basis=basis)
    assert outcome.rows["plant_id"].to_list() == ["1"]
    assert outcome.quarantine.select("plant_id", "reason", "raw_time").rows() == [
        ("9", row_rules.UNLISTED, NOON),
        ("9", row_rules.UNLISTED, "soon"),
    ]


# ---- resolutions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [None, "TwoMinutes", "OneDay"])
def test_an_unheard_of_resolution_is_read_off_the_steps(resolution: str | None) -> None:
    times = ["10:00:00", "10:02:00", "10:04:00", "10:04:00", "10:06:00", "10:30:00"]
    outcome = run([row(f"2025-07-09T{time}", 60.0) for time in times], resolution)
    lasts = (outcome.rows["interval_end"] - outcome.rows["interval_start"]).dt.total_minutes()
    assert lasts.to_list() == [2, 2, 2, 2, 2]
    assert outcome.rows["interval_basis"].to_list()[-1] == "resolution"


def test_an_unheard_of_resolution_is_read_off_rows_in_any_order() -> None:
    times = [f"2025-07-09T12:{minute:02}:00" for minute in (8, 6, 4, 2, 0)]
    rows = run([row(time, 1.0) for time in times], "TwoMinutes").rows
    assert rows["interval_start"][0] == dt.datetime(2025, 7, 9, 11, 58, tzinfo=dt.UTC)


@pytest.mark.parametrize("times", [[NOON], [NOON, NOON]])
def test_without_any_step_there_is_no_interval(times: list[str]) -> None:
    outcome = run([row(time, 60.0) for time in times], "Sometimes")
    assert outcome.rows.height == 0
    assert set(outcome.quarantine["reason"]) == {row_rules.UNKNOWN_RESOLUTION}
    assert outcome.account.rows_aside == len(times)


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "reason", "kept", "detail"),
    [
        ("pvGeneration", -20.001, row_rules.NEGATIVE, -20.001, None),
        ("pvGeneration", 2000.001, row_rules.BEYOND, 2000.001, None),
        ("pvGeneration", 1e300, row_rules.BEYOND, 1e300, None),
        ("gridFeedIn", -5.0, row_rules.NEGATIVE, -5.0, None),
        ("gridFeedIn", 2 * FINITE, row_rules.OUT_OF_RANGE, 2 * FINITE, None),
        ("gridFeedIn", float("nan"), row_rules.NOT_A_NUMBER, None, "NaN"),
        ("gridFeedIn", float("inf"), row_rules.NOT_A_NUMBER, None, "inf"),
        ("gridFeedIn", "NaN", row_rules.NOT_A_NUMBER, None, "NaN"),
        ("gridFeedIn", "abc", row_rules.NOT_A_NUMBER, None, '"abc"'),
        ("gridFeedIn", True, row_rules.NOT_A_NUMBER, None, "true"),
        ("gridFeedIn", [1], row_rules.NOT_A_NUMBER, None, "[1]"),
        ("batteryStateOfCharge", 100.5, row_rules.OUT_OF_RANGE, 100.5, None),
        ("batteryStateOfCharge", -1, row_rules.OUT_OF_RANGE, -1.0, None),
        ("autarkyRate", 1.1, row_rules.OUT_OF_RANGE, 1.1, None),
        ("selfConsumptionRate", float("nan"), row_rules.NOT_A_NUMBER, None, "NaN"),
    ],
)
def test_a_value_is_set_aside_alone_and_its_row_flagged(
    field: str, value: object, reason: str, kept: float | None, detail: str | None
) -> None:
    others = {"totalConsumption": 300.0, field: value}
    outcome = run([row("2025-07-09T11:55:00", 1.0), {"time": NOON, **others}])
    assert only(outcome) == ASIDE | {
        "local_date": DAY,
        "source": "energy_balance_intervals",
        "plant_id": "1",
        "device_id": None,
        "scope": "value",
        "reason": reason,
        "raw_time": NOON,
        "field": field,
        "value": kept,
        "detail": detail,
    }
    assert outcome.rows["flagged"].to_list() == [False, True]
    assert outcome.rows["total_consumption_kwh"].to_list() == [None, pytest.approx(0.025, rel=1e-12)]
    values = outcome.rows.drop(
        "plant_id",
        "local_date",
        "bridged_s",
        "flagged",
        "suspect",
        pl.col("^(interval|total_consumption)_.*$"),
    )
    assert set(values.row(1)) == {None}
    assert (outcome.account.rows_aside, outcome.account.values_aside) == (0, 1)
    validate(EnergyBalanceIntervals, outcome.rows, {"local_date": DAY})
    validate(Quarantine, outcome.quarantine, {"local_date": DAY})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pvGeneration", 2000.0),
        ("pvGeneration", -0.0),
        ("batteryStateOfCharge", 100),
        ("autarkyRate", 0),
        ("gridFeedIn", 400_000.0),
    ],
)
def test_values_at_the_border_are_kept(field: str, value: float) -> None:
    outcome = run([{"time": NOON, field: value}])
    assert (outcome.quarantine.height, outcome.rows["flagged"].to_list()) == (0, [False])


def test_without_a_rated_power_only_the_impossible_is_set_aside() -> None:
    frame = raw([("1", body([row(NOON, 1e9), row("2025-07-09T12:05:00", 2 * FINITE)]))])
    outcome = balance([frame], places({"1": "UTC"}))
    assert outcome.rows["pv_generation_w"].to_list() == [1e9, None]
    assert only(outcome)["reason"] == row_rules.OUT_OF_RANGE


def test_several_values_of_a_row_are_set_aside_one_by_one() -> None:
    outcome = run([row(NOON, -100.0, gridFeedIn="x", autarkyRate=2)])
    found = outcome.quarantine.select("field", "reason").rows()
    assert sorted(found) == [
        ("autarkyRate", row_rules.OUT_OF_RANGE),
        ("gridFeedIn", row_rules.NOT_A_NUMBER),
        ("pvGeneration", row_rules.NEGATIVE),
    ]
    assert (outcome.rows["flagged"].sum(), outcome.account.values_aside) == (1, 3)


def test_of_two_rows_of_one_label_only_the_broken_one_is_flagged() -> None:
    autumn = dt.date(2025, 10, 26)
    for broken in (-100.0, "abc"):
        rows = [row(f"{autumn}T02:{m}:00", 1.0) for m in ("00", "30")] * 2
        rows[2] = row(f"{autumn}T02:00:00", broken)
        outcome = balance([raw([("1", body(rows, "ThirtyMinutes"))])], places({"1": "Europe/Berlin"}), autumn)
        assert outcome.rows["flagged"].to_list() == [False, False, True, False]
        assert outcome.rows["pv_generation_w"].to_list() == [1.0, 1.0, None, 1.0]


def test_a_broken_value_is_no_reason_to_reach_over_its_row() -> None:
    outcome = run(
        [row("2025-07-09T12:00:00", 1.0), row("2025-07-09T12:05:00", -90.0), row("2025-07-09T12:10:00", 1.0)]
    )
    assert outcome.rows["interval_basis"].to_list() == ["resolution", "previous_row", "previous_row"]
    assert outcome.rows["pv_generation_kwh"].null_count() == 1


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_unreadable_answers_are_set_aside_with_their_plant_and_device() -> None:
    frame = raw([("1", b"<html>"), ("2", body([row(NOON, 1.0)])), ("3", b"\xff"), ("4", b"{}")], device="7")
    outcome = inverters([frame], places(dict.fromkeys("1234", "UTC"), device="7"))
    assert outcome.rows["plant_id"].to_list() == ["2"]
    assert outcome.quarantine.select("plant_id", "device_id", "scope", "reason", "source").rows() == [
        ("1", "7", "answer", "not_json", "pv_intervals"),
        ("3", "7", "answer", "not_utf8", "pv_intervals"),
        ("4", "7", "answer", "wrong_shape", "pv_intervals"),
    ]
    assert outcome.account.answers == 4


def test_unknown_fields_are_counted() -> None:
    assert run([row(NOON, 1.0, novelty=1)]).account.unknown_fields == {"novelty"}


def test_answers_without_rows_make_no_frame() -> None:
    outcome = run([])
    assert (outcome.rows.height, outcome.account.rows_in, outcome.account.answers) == (0, 0, 1)


def test_no_answers_make_no_frame() -> None:
    assert balance([raw([])], UTC_PLANT).account.answers == 0


# ---- boundaries ------------------------------------------------------------------------------------------------------


def test_series_never_mix_where_plants_and_devices_meet() -> None:
    # The next plant's first row is near the last row of the one before.
    rows = body([row("2025-07-09T11:55:00", 12.0), row(NOON, 12.0)])
    frame = pl.concat([raw([(plant, rows)], device=device) for plant in "12" for device in "ab"])
    where = pl.concat([places(dict.fromkeys("12", "UTC"), device=device) for device in "ab"])
    outcome = inverters([frame], where)
    assert outcome.rows["interval_basis"].to_list() == ["resolution", "previous_row"] * 4
    assert outcome.rows["pv_generation_kwh"].to_list() == pytest.approx([0.001] * 8, rel=1e-12)


def test_the_same_answers_make_the_same_rows_however_they_are_cut() -> None:
    days = [
        plant_day(Shape("Europe/Berlin", "OneHour", seed, 0.1, 0.1, 0.5, merged=False), DAY, "utc")
        for seed in range(4)
    ]
    named = [(str(number), content) for number, day in enumerate(days) for content in day.bodies()]
    where = places({str(number): "Europe/Berlin" for number in range(4)})
    whole = balance([raw(named)], where, DAY, "utc")
    assert len(named) == 8
    for size in range(1, len(named)):
        frames = [raw(named)[at : at + size] for at in range(0, len(named), size)]
        cut = balance(frames, where, DAY, "utc")
        assert cut.rows.equals(whole.rows)
        assert (cut.account.rows_in, cut.account.answers) == (whole.account.rows_in, len(named))


def test_a_day_that_repeats_itself_is_the_same() -> None:
    assert run([row(NOON, 1.0)]).rows.equals(run([row(NOON, 1.0)]).rows)


# ---- anything --------------------------------------------------------------------------------------------------------

minutes = st.integers(-3000, 4500).map(
    lambda m: (dt.datetime.combine(DAY, dt.time()) + dt.timedelta(minutes=m)).isoformat()
)
times = st.one_of(
    minutes,
    minutes,
    st.sampled_from(
        [NOON, "2025-07-09T00:00:00", "2025-07-10T00:00:00", "garbage", "", "2025-07-09T12:00:00+00:00"]
    ),
    st.sampled_from([None, 5, True, [], "9999-12-31T23:59:59", "0001-01-01T00:00:00"]),
)
values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0, 1e4),
    st.sampled_from([None, "x", "12.5", True, [], {}, -1, 1e13, 10**400]),
)
nasty_rows = st.lists(
    st.fixed_dictionaries(
        {}, optional={"time": times, "pvGeneration": values, "batteryStateOfCharge": values, "new": values}
    ),
    max_size=8,
)
contents = st.one_of(
    st.tuples(nasty_rows, st.sampled_from(["FiveMinutes", "OneHour", None, "Odd"])),
    st.sampled_from([b"", b"<html>", b"\xff", b"[]", b'{"set":{}}']),
)


DRAWN_ANSWERS = given(
    st.lists(st.tuples(st.sampled_from("1239"), contents), max_size=8).map(
        lambda drawn: sorted(drawn, key=lambda d: d[0])
    ),
    st.sampled_from(["utc", "plant_local"]),
    st.integers(1, 8),
)


@examples(15)
@DRAWN_ANSWERS
def test_rows_in_are_rows_out_and_rows_aside_and_rows_of_neighbours(
    drawn: list[tuple[str, Any]], basis: TimeBasis, size: int
) -> None:
    check_all_rows_are_accounted_for(drawn, basis, size)


@pytest.mark.long
@examples(80)
@DRAWN_ANSWERS
def test_rows_of_many_answers_are_accounted_for(
    drawn: list[tuple[str, Any]], basis: TimeBasis, size: int
) -> None:
    check_all_rows_are_accounted_for(drawn, basis, size)


def check_all_rows_are_accounted_for(drawn: list[tuple[str, Any]], basis: TimeBasis, size: int) -> None:
    where = places({"1": "Europe/Berlin", "2": "America/Sao_Paulo", "3": "UTC"}, rated_w=5000.0)
    named = [(plant, body(*content) if isinstance(content, tuple) else content) for plant, content in drawn]
    frames = [raw(named)[at : at + size] for at in range(0, len(named), size)]
    outcome = balance(frames, where, DAY, basis)
    account, aside = outcome.account, outcome.quarantine
    validate(EnergyBalanceIntervals, outcome.rows, {"local_date": DAY})
    validate(Quarantine, aside, {"local_date": DAY})
    assert sort(EnergyBalanceIntervals, outcome.rows, {"local_date": DAY}).equals(outcome.rows)
    sent = sum(len(content[0]) for _, content in drawn if isinstance(content, tuple))
    assert sent == account.rows_in == account.rows_out + account.rows_aside + account.rows_of_neighbours
    assert account.rows_out == outcome.rows.height
    scopes = Counter(aside["scope"])
    assert scopes["row"] == account.rows_aside
    assert scopes["value"] == account.values_aside
    assert scopes["answer"] == sum(not isinstance(content, tuple) for _, content in drawn)
    broken = aside.filter(scope="value").select("plant_id", "raw_time").n_unique()
    assert outcome.rows["flagged"].sum() >= min(broken, 1)
    assert outcome.rows["flagged"].sum() <= account.values_aside
    assert account.rows_of_neighbours == 0 or basis == "utc"


def test_the_tables_of_the_sets_hold_exactly_the_columns_of_their_models() -> None:
    assert run([row(NOON, 1.0)]).rows.schema == polars_schema(EnergyBalanceIntervals)
    frame = raw([("1", body([row(NOON, 1.0)]))], device="7")
    assert inverters([frame], places({"1": "UTC"}, device="7")).rows.schema == polars_schema(PvIntervals)
