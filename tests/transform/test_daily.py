"""Days: energies with the time that they cover, silence that is no zero, and a status to go by."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest

from pipeline.transform.coverage import OF_THE_SUN
from pipeline.transform.daily import DECISIVE, METERED, summarize_day
from pipeline.transform.sun.position import find_daylight
from schemas import CoverageDaily, polars_schema
from tests.transform.plant_day import (
    DAY,
    HOUR,
    QUANTITIES,
    Asked,
    Span,
    asked,
    every,
    figures,
    frame,
    summary,
)
from warehouse.frames import validate

# ---- energies --------------------------------------------------------------------------------------------------------


def test_energies_are_sums_and_what_was_never_measured_is_null() -> None:
    row = summary([*every(60, 240, 720, pv_generation=1000.0), *every(60, 720, 1200, pv_generation=0.0)])
    assert (row["pv_generation_kwh"], row["pv_generation_covered_h"]) == (pytest.approx(8.0), 16.0)
    assert (row["grid_feed_in_kwh"], row["grid_feed_in_covered_h"]) == (None, None)
    assert (row["n_rows"], row["n_flagged"]) == (16, 0)


def test_zero_is_a_measurement() -> None:
    row = summary(every(5, pv_generation=0.0, total_consumption=0.0))
    assert (row["pv_generation_kwh"], row["total_consumption_kwh"]) == (0.0, 0.0)
    assert row["status"] == "complete"


def test_each_quantity_covers_its_own_time() -> None:
    spans = [
        *every(60, 0, 360, total_consumption=500.0),
        *every(60, 360, 1440, total_consumption=500.0, pv_generation=1.0),
    ]
    spans[3] = Span(180, 240, {"pv_generation": 2.0})
    row = summary(spans)
    assert (row["total_consumption_covered_h"], row["pv_generation_covered_h"]) == (23.0, 19.0)
    assert row["total_consumption_kwh"] == pytest.approx(11.5)
    # Some value is there all day, so the rows have no hole; but PV lacks two hours and the meter one.
    assert figures(row) == (24.0, 24.0, 1.0, 0.0, "partial")


def test_flagged_rows_are_counted() -> None:
    spans = [
        *every(60, 0, 1380, total_consumption=1.0),
        Span(1380, 1440, {"total_consumption": 1.0}, flagged=True),
    ]
    assert summary([*spans[:-1], Span(1380, 1440, {"pv_generation": 1.0}, flagged=True)])["n_flagged"] == 1


def test_a_row_whose_pv_generation_was_set_aside_is_a_hole() -> None:
    spans = every(60, total_consumption=300.0, pv_generation=10.0)
    spans[12] = Span(720, 780, {"total_consumption": 300.0}, flagged=True)
    row = summary(spans)
    assert figures(row) == (23.0, 24.0, pytest.approx(23 / 24), 60.0, "partial")
    assert (row["total_consumption_kwh"], row["n_flagged"]) == (pytest.approx(7.2), 1)


def test_a_row_that_is_flagged_for_something_else_at_night_is_no_hole() -> None:
    """As a merged hour is, or a consumption that was set aside, where inverters sleep and send no key."""
    day = [
        Span(
            at, at + 60, {"total_consumption": 300.0} | ({"pv_generation": 10.0} if 240 <= at < 1200 else {})
        )
        for at in range(0, 1440, 60)
    ]
    for number in (0, 1, 22, 23):
        day[number] = replace(day[number], flagged=True)
    row = summary(day)
    assert (row["covered_h"], row["coverage"], row["status"]) == (24.0, 1.0, "complete")
    # By day it is one, also where several rows in a row lost theirs.
    for number in (11, 12):
        day[number] = Span(number * 60, number * 60 + 60, {"total_consumption": 300.0}, flagged=True)
    assert figures(summary(day)) == (22.0, 24.0, pytest.approx(22 / 24), 120.0, "partial")


# ---- coverage --------------------------------------------------------------------------------------------------------


def test_a_metered_plant_is_expected_all_day() -> None:
    assert figures(summary(every(5, total_consumption=1.0))) == (24.0, 24.0, 1.0, 0.0, "complete")
    by_day = summary(every(5, 240, 1200, total_consumption=1.0))
    assert figures(by_day) == (16.0, 24.0, pytest.approx(2 / 3), 240.0, "partial")


@pytest.mark.parametrize("quantity", METERED)
def test_every_quantity_of_a_meter_makes_a_plant_metered(quantity: str) -> None:
    assert summary(every(60, 600, 660, **{quantity: 1.0}))["expected_h"] == 24.0


@pytest.mark.parametrize("quantity", sorted(set(QUANTITIES) - set(METERED)))
def test_other_quantities_sleep_at_night(quantity: str) -> None:
    assert summary(every(60, 600, 660, **{quantity: 1.0}))["expected_h"] == 16.0


def test_a_sleeping_plant_is_expected_from_sunrise_to_sunset() -> None:
    assert figures(summary(every(5, 240, 1200))) == (16.0, 16.0, 1.0, 0.0, "complete")


def test_rows_beyond_sunset_do_not_count_as_coverage_but_as_energy() -> None:
    row = summary(every(60))
    assert figures(row) == (16.0, 16.0, 1.0, 0.0, "complete")
    assert (row["pv_generation_kwh"], row["pv_generation_covered_h"]) == (pytest.approx(24.0), 24.0)


@pytest.mark.parametrize(
    ("late", "gap", "status"), [(0, 0.0, "complete"), (60, 0.0, "complete"), (65, 5.0, "partial")]
)
def test_an_inverter_may_wake_an_hour_late_and_sleep_an_hour_early(
    late: int, gap: float, status: str
) -> None:
    at_dawn, at_dusk = summary(every(5, 240 + late, 1200)), summary(every(5, 240, 1200 - late))
    for row in (at_dawn, at_dusk):
        assert (row["largest_gap_min"], row["status"]) == (gap, status)
        assert row["coverage"] == pytest.approx(1 - late / 960)


@pytest.mark.parametrize(
    ("kind", "gap"), [({"pv_generation": 1.0}, 10.0), ({"total_consumption": 1.0}, 10.0)]
)
def test_a_gap_inside_the_day_is_a_gap_whatever_its_length(kind: dict[str, float], gap: float) -> None:
    row = summary([*every(10, 0, 600, **kind), *every(10, 610, 1440, **kind)])
    assert (row["largest_gap_min"], row["status"]) == (gap, "partial")


def test_the_largest_of_all_gaps_is_told() -> None:
    spans = [*every(10, 10, 300, total_consumption=1.0), *every(10, 330, 900, total_consumption=1.0)]
    assert summary(spans)["largest_gap_min"] == 540.0
    assert summary([*spans, *every(10, 920, 1420, total_consumption=1.0)])["largest_gap_min"] == 30.0


def test_a_metered_day_has_no_hour_to_wake() -> None:
    assert summary(every(5, 5, 1440, total_consumption=1.0))["largest_gap_min"] == 5.0
    assert summary(every(5, 0, 1435, total_consumption=1.0))["largest_gap_min"] == 5.0


@pytest.mark.parametrize("hours", [23, 25])
def test_a_day_with_a_change_of_clocks_is_expected_for_its_own_length(hours: int) -> None:
    row = summary(every(60, 0, hours * 60, total_consumption=1000.0), Asked(hours=hours))
    assert figures(row) == (hours, hours, 1.0, 0.0, "complete")
    assert row["total_consumption_kwh"] == pytest.approx(hours)


def test_rows_without_any_value_cover_nothing() -> None:
    row = summary([Span(begin, begin + 60, {}) for begin in range(0, 1440, 60)])
    assert figures(row) == (0.0, 16.0, 0.0, 960.0, "partial")
    assert (row["n_rows"], row["pv_generation_kwh"]) == (24, None)


def test_a_metered_day_of_nothing_but_holes_is_one_gap() -> None:
    row = summary([Span(690, 750, {"total_consumption": 1.0}, flagged=True)], Asked(720, 720))
    assert figures(row) == (0.0, 24.0, 0.0, 1440.0, "partial")


def test_pv_that_is_set_aside_is_a_hole_by_day_and_none_while_the_sun_is_down() -> None:
    by_day = every(60, 240, 1200, pv_generation=1.0, total_consumption=1.0)
    of_meter = {"total_consumption": 1.0}
    night = [*every(60, 0, 240, **of_meter), *every(60, 1200, 1440, **of_meter)]
    dark = [replace(span, flagged=not 180 <= span.begin <= 1200) for span in night]
    assert figures(summary([*dark[:4], *by_day, *dark[4:]])) == (24.0, 24.0, 1.0, 0.0, "complete")
    twilight = replace(night[3], flagged=True)
    assert summary([*night[:3], twilight, *by_day, *night[4:]])["covered_h"] == 23.0
    at_noon = replace(by_day[8], watts=of_meter, flagged=True)
    holed = summary([*night[:4], *by_day[:8], at_noon, *by_day[9:], *night[4:]])
    assert figures(holed) == (23.0, 24.0, pytest.approx(23 / 24), 60.0, "partial")


# ---- nights ----------------------------------------------------------------------------------------------------------

NIGHT = [*every(5, 0, 180, pv_generation=0.0), *every(5, 1300, 1440, pv_generation=3.0)]


@pytest.mark.parametrize("sun", [(240, 1200), (None, None)])
def test_a_day_of_which_only_the_night_was_measured_has_no_energy(sun: tuple[int | None, int | None]) -> None:
    """The sun is up from 4 to 20 o'clock; where the place is not known, it is up around noon all the same."""
    row = summary(NIGHT, Asked(*sun))
    assert (row["pv_generation_kwh"], row["pv_generation_covered_h"]) == (None, None)
    assert row["n_rows"] == len(NIGHT)
    assert quantities(NIGHT, Asked(240, 1200))["pv_generation"][:6] == (
        None,
        0.0,
        16.0,
        0.0,
        960.0,
        "partial",
    )


@pytest.mark.parametrize(
    ("spans", "known", "kwh"),
    [
        # The hour in which an inverter wakes says as little as the night, a minute more is of the day.
        (every(5, 0, 300, pv_generation=0.0), Asked(), None),
        (every(5, 0, 305, pv_generation=0.0), Asked(), 0.0),
        (every(5, 1140, 1440, pv_generation=0.0), Asked(), None),
        (every(5, 1135, 1440, pv_generation=0.0), Asked(), 0.0),
        # Of a short day all counts.
        (every(5, 0, 675, pv_generation=0.0), Asked(670, 780), 0.0),
        # In the polar night there is no day to measure, nor before the operation began or after it ended.
        (every(5, 0, 300, pv_generation=0.0), Asked(720, 720), 0.0),
        (every(5, 1300, 1440, pv_generation=0.0), Asked(start_up=1290), 0.0),
        (every(5, 0, 200, pv_generation=0.0), Asked(ended=210), 0.0),
        # Power in what is taken for the night is real: the place or the clock is wrong.
        (every(60, 0, 180, pv_generation=500.0), Asked(), 1.5),
    ],
)
def test_only_what_a_night_alone_says_is_no_figure(
    spans: list[Span], known: Asked, kwh: float | None
) -> None:
    assert summary(spans, known)["pv_generation_kwh"] == (None if kwh is None else pytest.approx(kwh))


def test_whatever_the_sun_makes_has_no_figure_and_what_a_meter_read_at_night_has_one() -> None:
    zeros = dict.fromkeys(OF_THE_SUN, 0.0)
    row = summary(every(60, 0, 180, **zeros, total_consumption=300.0, grid_consumption=300.0))
    assert {row[f"{name}_{what}"] for name in OF_THE_SUN for what in ("kwh", "covered_h")} == {None}
    assert (row["total_consumption_kwh"], row["grid_consumption_kwh"]) == (
        pytest.approx(0.9),
        pytest.approx(0.9),
    )
    assert (row["covered_h"], row["status"]) == (3.0, "partial")
    # A battery may feed in by night.
    fed = summary(every(60, 0, 180, **zeros | {"grid_feed_in": 800.0}))
    assert (fed["pv_generation_kwh"], fed["grid_feed_in_kwh"]) == (None, pytest.approx(2.4))


def test_each_plant_of_a_day_is_judged_by_itself() -> None:
    frames = [pl.concat([frame(NIGHT, "1"), frame(every(60, pv_generation=0.0), "2"), frame(every(60), "3")])]
    known = asked(**{plant: Asked() for plant in "123"})
    table = summarize_day(frames, known, keys=["plant_id"], quantities=QUANTITIES).rows
    assert table.select("plant_id", "pv_generation_kwh").rows() == [("1", None), ("2", 0.0), ("3", 24.0)]


# ---- silence ---------------------------------------------------------------------------------------------------------


def test_a_silent_plant_is_a_row_with_status_missing_and_never_zero() -> None:
    row = summary([])
    assert figures(row) == (0.0, 16.0, 0.0, 960.0, "missing")
    assert (row["n_rows"], row["n_flagged"]) == (0, 0)
    assert {row[f"{name}_{what}"] for name in QUANTITIES for what in ("kwh", "covered_h")} == {None}


def test_a_day_that_may_still_grow_is_provisional() -> None:
    for spans in ([], every(5), every(5, 600, 700)):
        assert summary(spans, Asked(final=False))["status"] == "provisional"


def test_days_before_the_start_of_operation_are_neither_missing_nor_there() -> None:
    known = asked(**{"1": Asked(start_up=1440), "2": Asked(start_up=1439), "3": Asked()})
    table = summarize_day([], known, keys=["plant_id"], quantities=QUANTITIES).rows
    assert table["plant_id"].to_list() == ["2", "3"]


def test_nothing_is_expected_before_the_start_of_operation() -> None:
    row = summary(every(5, 600, 1200), Asked(start_up=600))
    assert figures(row) == (10.0, 10.0, 1.0, 0.0, "complete")


def test_days_after_the_end_of_operation_are_neither_missing_nor_there() -> None:
    known = asked(**{"1": Asked(ended=0), "2": Asked(ended=1), "3": Asked(), "4": Asked(ended=-600)})
    table, named = summarize_day([], known, keys=["plant_id"], quantities=QUANTITIES)
    assert table["plant_id"].to_list() == ["2", "3"]
    assert named["plant_id"].to_list() == ["2", "3"]
    late = summarize_day(
        [frame(every(60))], asked(**{"1": Asked(ended=0)}), keys=["plant_id"], quantities=QUANTITIES
    )
    assert late.rows["pv_generation_kwh"].to_list() == [pytest.approx(24.0)]


def test_nothing_is_expected_after_the_end_of_operation() -> None:
    row = summary(every(5, 240, 600), Asked(ended=600))
    assert figures(row) == (6.0, 6.0, 1.0, 0.0, "complete")


# ---- quantities ------------------------------------------------------------------------------------------------------


def quantities(spans: Sequence[Span], known: Asked | None = None) -> dict[str, tuple[object, ...]]:
    """The figures of each quantity of one plant's day."""
    table = summarize_day(
        [frame(spans)], asked(**{"1": known or Asked()}), keys=["plant_id"], quantities=QUANTITIES
    ).quantities
    daily = table.with_columns(local_date=pl.lit(DAY)).select(polars_schema(CoverageDaily).names())
    validate(CoverageDaily, daily, {"local_date": DAY})
    return {
        each["quantity"]: (each["energy_kwh"], *figures(each), each["n_rows"])
        for each in daily.rows(named=True)
    }


def test_an_inverter_that_is_silent_for_hours_shows_beside_a_meter_that_is_not() -> None:
    spans = [
        Span(
            at, at + 60, {"total_consumption": 500.0} | ({} if 600 <= at < 840 else {"pv_generation": 1000.0})
        )
        for at in range(0, 1440, 60)
    ]
    assert figures(summary(spans)) == (24.0, 24.0, 1.0, 0.0, "partial")
    assert quantities(spans) == {
        "pv_generation": (pytest.approx(20.0), 12.0, 16.0, 0.75, 240.0, "partial", 20),
        "total_consumption": (pytest.approx(12.0), 24.0, 24.0, 1.0, 0.0, "complete", 24),
    }


def test_pv_that_sleeps_at_night_beside_a_meter_has_no_gap() -> None:
    spans = [
        Span(at, at + 60, {"total_consumption": 500.0} | ({"pv_generation": 1.0} if 240 <= at < 1200 else {}))
        for at in range(0, 1440, 60)
    ]
    assert summary(spans)["status"] == "complete"
    assert quantities(spans)["pv_generation"][1:6] == (16.0, 16.0, 1.0, 0.0, "complete")


def test_a_listed_meter_that_is_silent_all_day_is_missing_and_not_zero() -> None:
    known = Asked(expects=DECISIVE)
    found = quantities(every(60, 240, 1200), known)
    assert found["grid_feed_in"] == (None, 0.0, 24.0, 0.0, 1440.0, "missing", 0)
    assert found["pv_generation"][5] == "complete"
    silent = quantities([], known)
    assert {name: each[5] for name, each in silent.items()} == dict.fromkeys(sorted(DECISIVE), "missing")
    assert silent["pv_generation"] == (None, 0.0, 16.0, 0.0, 960.0, "missing", 0)


def test_rows_that_lost_a_value_are_counted_for_that_quantity() -> None:
    spans = every(60, total_consumption=300.0, pv_generation=10.0)
    spans[12] = Span(720, 780, {"total_consumption": 300.0}, flagged=True)
    table = summarize_day([frame(spans)], asked(**{"1": Asked()}), keys=["plant_id"], quantities=QUANTITIES)
    assert table.quantities.select("quantity", "n_flagged", "n_rows").rows() == [
        ("pv_generation", 1, 23), ("total_consumption", 0, 24),
    ]  # fmt: skip


def test_a_quantity_of_the_portal_does_not_decide_the_day() -> None:
    spans = [
        Span(at, at + 60, {"total_consumption": 5.0} | ({"battery_charging": 1.0} if at else {}))
        for at in range(0, 1440, 60)
    ]
    assert summary(spans)["status"] == "complete"
    assert quantities(spans)["battery_charging"][5] == "partial"


def bridged(spans: Sequence[Span]) -> dict[str, object]:
    """bridged_h of the whole day and of each quantity."""
    table = summarize_day([frame(spans)], asked(**{"1": Asked()}), keys=["plant_id"], quantities=QUANTITIES)
    return {"": table.rows["bridged_h"].item()} | dict(
        table.quantities.select("quantity", "bridged_h").rows()
    )


def test_what_was_bridged_is_told_of_the_day_and_of_each_quantity() -> None:
    both = {"pv_generation": 1000.0, "grid_feed_in": 500.0}
    spans = [Span(240, 300, both), Span(300, 480, both, bridged_s=7200)]
    assert bridged(spans) == {"": 2.0, "pv_generation": 2.0, "grid_feed_in": 2.0}
    alone = Span(480, 570, {"grid_feed_in": 500.0}, bridged_s=1800)
    assert bridged([*spans, alone]) == {"": 2.5, "pv_generation": 2.0, "grid_feed_in": 2.5}
    assert bridged([]) == {"": 0.0, "pv_generation": 0.0}


def test_of_rows_that_do_not_tell_what_they_bridge_nothing_is_claimed() -> None:
    assert bridged([Span(240, 300, bridged_s=None)]) == {"": None, "pv_generation": None}


def test_plants_come_in_order_whether_they_answered_or_not() -> None:
    known = asked(**{plant: Asked() for plant in "dacb"})
    frames = [frame(every(60, 240, 1200), "b"), frame(every(60, 240, 1200), "d")]
    table = summarize_day(frames, known, keys=["plant_id"], quantities=QUANTITIES).rows
    assert table.select("plant_id", "status").rows() == [
        ("a", "missing"), ("b", "complete"), ("c", "missing"), ("d", "complete"),
    ]  # fmt: skip


def test_nobody_asked_is_nobody_missing() -> None:
    assert summarize_day([], asked(), keys=["plant_id"], quantities=QUANTITIES).rows.height == 0


# ---- sun -------------------------------------------------------------------------------------------------------------


def test_without_coordinates_a_sleeping_plant_is_judged_by_its_own_first_and_last_row() -> None:
    row = summary([*every(5, 300, 600), *every(5, 630, 1100)], Asked(None, None))
    assert figures(row) == (
        pytest.approx(770 / 60),
        pytest.approx(800 / 60),
        pytest.approx(770 / 800),
        30.0,
        "partial",
    )


def test_without_coordinates_a_silent_plant_is_missing_all_day() -> None:
    assert figures(summary([], Asked(None, None))) == (0.0, 24.0, 0.0, 1440.0, "missing")


def test_in_a_polar_night_nothing_is_expected() -> None:
    night = Asked(720, 720)
    assert figures(summary([], night)) == (0.0, 0.0, None, 0.0, "missing")
    awake = summary(every(5, 700, 740, pv_generation=0.0), night)
    assert figures(awake) == (0.0, 0.0, None, 0.0, "complete")
    # A meter does not sleep.
    assert summary(every(5, total_consumption=1.0), night)["coverage"] == 1.0


def test_in_a_polar_day_all_day_is_expected() -> None:
    assert figures(summary(every(5), Asked(0, 1440))) == (24.0, 24.0, 1.0, 0.0, "complete")
    assert summary([], Asked(0, 1440))["expected_h"] == 24.0


def test_a_sunset_after_midnight_is_cut_there() -> None:
    row = summary(every(5, 240, 1440), Asked(240, 1547))
    assert figures(row) == (20.0, 20.0, 1.0, 0.0, "complete")


def test_the_sun_of_the_far_north_is_of_the_kind_that_is_assumed_here() -> None:
    plants = pl.DataFrame(
        {"plant_id": ["1"], "latitude": [78.2], "longitude": [15.6], "timezone": ["Arctic/Longyearbyen"]}
    )
    sunrise, noon, sunset = find_daylight(plants, dt.date(2025, 12, 21)).row(0)[1:]
    assert sunrise == noon == sunset
    sunrise, _, sunset = find_daylight(plants, dt.date(2025, 6, 21)).row(0)[1:]
    assert sunset - sunrise == 24 * HOUR


def test_devices_are_summed_each_by_itself() -> None:
    keys = ["plant_id", "device_id"]
    both = pl.concat([frame(every(60, 240, 1200)).with_columns(device_id=pl.lit(device)) for device in "ab"])
    known = pl.concat([asked(**{"1": Asked()}).with_columns(device_id=pl.lit(device)) for device in "abc"])
    table = summarize_day([both], known, keys=keys, quantities=["pv_generation"]).rows
    assert table.select(*keys, "pv_generation_kwh", "status").rows() == [
        ("1", "a", 16.0, "complete"), ("1", "b", 16.0, "complete"), ("1", "c", None, "missing"),
    ]  # fmt: skip
