"""Lost energy, worked by hand: a plant of 10 kW whose house takes 1 kW, on days of one brightness each."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from pipeline.transform.limited_power import curtailed_energy
from pipeline.transform.performance import lost_energy, theoretical_power
from schemas.curtailment import SENSOR, SPITZ

BEFORE, DAY = dt.date(2024, 6, 15), dt.date(2024, 6, 16)
RATED_W, HOUSE_W = 10_000.0, 1_000.0
UTC = pl.Datetime("us", "UTC")
LIGHT_SCHEMA = {"plant_id": pl.String, "series": pl.String, "quarter_start": UTC, "g": pl.Float64}


def at(day: dt.date, hour: float) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(hours=hour)


def limit(begin: float, end: float, kw: float, kind: str = "feed_in", **more: Any) -> dict[str, Any]:
    told = {"plant_id": "1", "limit_start": at(DAY, begin), "limit_end": at(DAY, end), "kind": kind}
    return told | {"asked_by": "grid_operator", "method": None, "limit_w": kw * 1000} | more


def quarter(day: dt.date, hour: float, pv_kw: float, feed_in_kw: float | None = None) -> dict[str, Any]:
    """A row of a quarter of an hour; without `feed_in_kw` the house takes its part first."""
    pv = pv_kw * 1000
    fed = max(pv - HOUSE_W, 0.0) if feed_in_kw is None else feed_in_kw * 1000
    return {
        "plant_id": "1",
        "local_date": day,
        "interval_start": at(day, hour),
        "interval_end": at(day, hour + 0.25),
        "pv_generation_w": pv,
        "grid_feed_in_w": fed,
        "grid_consumption_w": max(HOUSE_W - pv, 0.0),
    }


def whole_day(
    day: dt.date, pv_kw: float, instead: dict[tuple[float, float], float] | None = None
) -> list[Any]:
    """Rows from 6 to 18 h; `instead` has other powers for some hours."""
    hours = [6 + number / 4 for number in range(48)]
    other = instead or {}
    return [
        quarter(day, hour, next((kw for (a, b), kw in other.items() if a <= hour < b), pv_kw))
        for hour in hours
    ]


def light_of(**kw_of: float) -> pl.DataFrame:
    """Irradiance of one hundred W/m² for each kW that the plant would give, on both days."""
    days = {"before": BEFORE, "day": DAY}
    rows = [
        {"plant_id": "1", "series": "", "quarter_start": at(days[name], 6 + number / 4), "g": kw * 100}
        for name, kw in kw_of.items()
        for number in range(48)
    ]
    return pl.DataFrame(rows, schema=LIGHT_SCHEMA)


def judge(
    limits: list[Any],
    rows: list[Any],
    light: pl.DataFrame | None = None,
    without_meter: Sequence[str] = (),
    peak_before_w: float = RATED_W,
) -> dict[str, Any]:
    """The row of the day with the limit. Before it, the plant may have had another peak power."""
    dates = sorted({row["local_date"] for row in rows})
    days = pl.DataFrame(
        [
            {
                "plant_id": "1",
                "local_date": date,
                "day_start": at(date, 0),
                "day_end": at(date, 24),
                "sunrise": at(date, 5),
                "sunset": at(date, 20),
                "rated_w": RATED_W,
                "peak_w": RATED_W if date == DAY else peak_before_w,
            }
            for date in dates
        ],
        schema_overrides=dict.fromkeys(("day_start", "day_end", "sunrise", "sunset"), UTC),
    )
    held = pl.DataFrame(
        limits, schema_overrides={"limit_start": UTC, "limit_end": UTC, "method": pl.String}, orient="row"
    )
    found = pl.DataFrame(
        rows, schema_overrides={"interval_start": UTC, "interval_end": UTC, "grid_feed_in_w": pl.Float64}
    )
    segments = curtailed_energy.cut_limits(held, days)
    pieces = curtailed_energy.find_binding(found, segments, days, without_meter)
    kwh = pl.col("pv_generation_w", "grid_feed_in_w") / 4000
    quarters = found.with_columns(kwh).rename(
        {
            "interval_start": "quarter_start",
            "pv_generation_w": "pv_generation_kwh",
            "grid_feed_in_w": "grid_feed_in_kwh",
        }
    )
    quarters = lost_energy.prepare_quarters(
        quarters.with_columns(pv_generation_covered_h=pl.lit(0.25)),
        segments,
        curtailed_energy.sum_binding_quarters(pieces),
        days,
    )
    hours = curtailed_energy.sum_limited_hours(segments, pieces, days).filter(pl.col("local_date") == DAY)
    theories = [
        theoretical_power.scale_clear_sky_day(quarters),
        theoretical_power.hold_last_quarter(quarters, segments),
    ]
    if light is not None:
        theories.append(theoretical_power.scale_by_light(quarters, light, SPITZ, SENSOR))
    chosen = lost_energy.choose_methods(pl.concat(theories), quarters, hours)
    (row,) = lost_energy.sum_lost(quarters, chosen, segments, hours).rows(named=True)
    return dict(row)


# From 10 to 12 h the sun would give 8 kW. Only 3 kW may be fed in, and the house takes 1 kW: 4 kW are left.
BINDING = [*whole_day(BEFORE, 5), *whole_day(DAY, 8, {(10, 12): 4})]
LIGHT = light_of(before=5, day=8)


def test_lost_is_what_the_sun_would_have_given_less_what_was_measured() -> None:
    row = judge([limit(10, 12, 3)], BINDING, LIGHT)
    assert (row["limited_h"], row["binding_h"], row["unjudged_h"], row["above_limit_h"]) == (2, 2, 0, 0)
    assert (row["method"], row["reference"], row["comparison_date"]) == ("spitz", "sensor", BEFORE)
    # (8 kW - 4 kW) x 2 h; the theoretical power less the limit would be 10 kWh.
    assert row["lost_kwh"] == pytest.approx(8.0)
    assert row["lost_by_grid_operator_kwh"] == pytest.approx(8.0)
    # The formula fits the comparison day, so what is left is the least error of 1 % of 8 kW in 2 h.
    assert (row["lost_low_kwh"], row["lost_high_kwh"]) == (pytest.approx(7.84), pytest.approx(8.16))
    assert row["method_reason"] is None


def test_a_limit_that_does_not_bind_costs_nothing() -> None:
    """The irradiation says 8 kW, but feed-in stays below the limit: something else than the limit took the power."""
    row = judge([limit(10, 12, 6)], BINDING, LIGHT)
    assert (row["limited_h"], row["binding_h"], row["lost_kwh"]) == (2, 0, 0.0)
    assert (row["method"], row["method_reason"]) == (None, "not_binding")


def test_a_plant_that_takes_power_from_the_grid_is_not_held_back_by_a_limit_of_zero() -> None:
    rows = [*whole_day(BEFORE, 5), *whole_day(DAY, 8, {(10, 11): 0.5, (11, 12): 1})]
    row = judge([limit(10, 12, 0)], rows, LIGHT)
    # From 10 to 11 h the house draws 0.5 kW: it would have used more. From 11 h on the limit binds.
    assert (row["binding_h"], row["lost_kwh"]) == (1, pytest.approx(7.0))


def test_theoretical_power_ends_at_the_rated_power() -> None:
    row = judge([limit(10, 12, 3)], BINDING, light_of(before=5, day=12))
    assert row["lost_kwh"] == pytest.approx((10 - 4) * 2)
    assert row["lost_high_kwh"] == pytest.approx(12.0)


def test_a_limit_of_the_inverters_is_compared_with_their_power() -> None:
    row = judge([limit(10, 12, 4, "generation")], BINDING, LIGHT)
    assert (row["binding_h"], row["lost_kwh"]) == (2, pytest.approx(8.0))


def test_what_a_trader_s_limit_would_have_cost_is_no_loss_by_the_grid_operator() -> None:
    """Without the operator, feed-in of 5 kW and the house's 1 kW would have been left."""
    row = judge([limit(10, 12, 3), limit(10, 12, 5, asked_by="energy_trader")], BINDING, LIGHT)
    assert row["lost_kwh"] == pytest.approx(8.0)
    assert row["lost_by_grid_operator_kwh"] == pytest.approx((6 - 4) * 2)
    assert row["asked_by"] == "energy_trader,grid_operator"
    assert row["limited_h"] == 2


def test_an_outage_is_no_limit_and_its_power_is_not_lost_by_one() -> None:
    row = judge([limit(10, 12, 3), limit(9, 13, 7, "outage")], BINDING, LIGHT)
    assert (row["limited_h"], row["lost_kwh"]) == (2, pytest.approx((7 - 4) * 2))


def test_power_above_the_limit_is_told_and_is_no_loss() -> None:
    row = judge([limit(10, 12, 1)], BINDING, LIGHT)
    assert (row["above_limit_h"], row["binding_h"], row["lost_kwh"]) == (2, 0, 0.0)


def test_without_irradiation_a_cloudless_day_is_scaled_by_the_unlimited_time() -> None:
    """The day gives 4 of the comparison day's 5 kW before and after the limit; it is held at 2 + 1 kW."""
    rows = [*whole_day(BEFORE, 5), *whole_day(DAY, 4, {(10, 12): 3})]
    row = judge([limit(10, 12, 2)], rows)
    assert (row["method"], row["comparison_date"], row["reference"]) == ("clear_sky_day", BEFORE, None)
    assert row["lost_kwh"] == pytest.approx((4 - 3) * 2)
    assert (row["lost_low_kwh"], row["lost_high_kwh"]) == (0.0, pytest.approx((5 - 3) * 2))


def test_a_contract_s_flat_rate_holds_the_last_quarter_before_the_limit() -> None:
    rows = [*whole_day(BEFORE, 5), *whole_day(DAY, 8, {(9.75, 10): 6, (10, 12): 4})]
    row = judge([limit(10, 12, 3, method="pauschal")], rows, LIGHT)
    assert (row["method"], row["lost_kwh"]) == ("pauschal", pytest.approx((6 - 4) * 2))
    assert (row["lost_low_kwh"], row["lost_high_kwh"]) == (0.0, pytest.approx((10 - 4) * 2))


def test_a_quarter_that_the_limit_covers_in_part_counts_with_its_binding_time() -> None:
    rows = [*whole_day(BEFORE, 5), *whole_day(DAY, 8, {(10, 12): 4, (12, 12.25): 6})]
    row = judge([limit(10, 12.125, 3)], rows, LIGHT)
    assert (row["limited_h"], row["binding_h"]) == (2.125, 2.125)
    assert row["lost_kwh"] == pytest.approx(4 * 2 + 2 * 0.25)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (whole_day(DAY, 8, {(10, 12): 4}), "no_comparison_day"),
        ([row | {"grid_feed_in_w": None} for row in BINDING], "nothing_measured"),
        # Too dark to compare with: less than a tenth of the rated power.
        ([*whole_day(BEFORE, 0.9), *whole_day(DAY, 8, {(10, 12): 4})], "no_reference"),
    ],
)
def test_what_can_t_be_estimated_is_null_with_the_reason(rows: list[Any], reason: str) -> None:
    row = judge([limit(10, 12, 3)], rows, LIGHT)
    assert (row["lost_kwh"], row["method"], row["method_reason"]) == (None, None, reason)
    assert row["unjudged_h"] == 2


def test_a_plant_without_a_meter_feeds_in_all_that_it_generates_unless_that_is_above_the_limit() -> None:
    rows = [row | {"grid_feed_in_w": None} for row in BINDING]
    row = judge([limit(10, 12, 4)], rows, LIGHT, ["1"])
    assert (row["binding_h"], row["lost_kwh"], row["unjudged_h"]) == (2, pytest.approx(8.0), 0)
    below = judge([limit(10, 12, 6)], rows, LIGHT, ["1"])
    assert (below["lost_kwh"], below["method_reason"]) == (0.0, "not_binding")
    # The house takes a part that nobody measures: whether the limit binds is not known.
    above = judge([limit(10, 12, 3)], rows, LIGHT, ["1"])
    assert (above["lost_kwh"], above["method_reason"], above["above_limit_h"]) == (
        None,
        "nothing_measured",
        0,
    )


def test_the_comparison_day_is_the_nearest_the_day_before_on_a_tie_and_none_of_the_next_month() -> None:
    limited = pl.DataFrame({"plant_id": ["1"] * 3, "local_date": [dt.date(2024, 6, d) for d in (10, 13, 30)]})
    candidates = pl.DataFrame(
        {
            "plant_id": ["1"] * 5,
            "comparison_date": [
                *(dt.date(2024, 6, d) for d in (9, 11, 14)),
                dt.date(2024, 7, 1),
                dt.date(2024, 4, 1),
            ],
        }
    )
    chosen = theoretical_power.choose_comparison_days(limited, candidates)
    assert chosen["comparison_date"].to_list() == [dt.date(2024, 6, d) for d in (9, 14, 14)]


def test_a_day_with_a_measure_is_no_comparison_day_and_one_with_a_static_limit_is() -> None:
    measure = limit(13, 14, 9) | {"limit_start": at(BEFORE, 13), "limit_end": at(BEFORE, 14)}
    assert judge([limit(10, 12, 3), measure], BINDING, LIGHT)["method_reason"] == "no_comparison_day"
    static = measure | {"asked_by": "static"}
    assert judge([limit(10, 12, 3), static], BINDING, LIGHT)["lost_kwh"] == pytest.approx(8.0)


@pytest.mark.parametrize("light", [LIGHT, None])
def test_a_day_on_which_the_plant_had_other_powers_is_no_comparison_day(light: pl.DataFrame | None) -> None:
    """The plant was repowered: what it gave before says nothing of what it would have given."""
    rows = [*whole_day(BEFORE, 8), *whole_day(DAY, 8, {(10, 12): 4})]
    assert judge([limit(10, 12, 3)], rows, light)["lost_kwh"] is not None
    found = judge([limit(10, 12, 3)], rows, light, peak_before_w=RATED_W / 2)
    assert (found["lost_kwh"], found["comparison_date"]) == (None, None)


def estimate_theory(
    powers: dict[dt.date, list[float]],
    lights: dict[tuple[str, dt.date], list[float]],
    *,
    by_time: bool = False,
) -> dict[str, Any]:
    """The only row of THEORY: the last quarter of DAY is limited, the others of all days are free."""
    quarters = [
        {
            "plant_id": "1",
            "local_date": date,
            "quarter_start": at(date, 6 + number / 4),
            "pv_w": kw * 1000,
            "covered_h": 0.25,
            "rated_w": RATED_W,
            "peak_w": None,
            "binding_h": 0.25 if date == DAY and number == len(kws) - 1 else 0.0,
            "spare": date != DAY,
        }
        for date, kws in powers.items()
        for number, kw in enumerate(kws)
    ]
    light = [
        {"plant_id": "1", "series": series, "quarter_start": at(date, 6 + number / 4), "g": g}
        for (series, date), gs in lights.items()
        for number, g in enumerate(gs)
    ]
    theory = theoretical_power.scale_by_light(
        pl.DataFrame(quarters, schema_overrides={"quarter_start": UTC, "peak_w": pl.Float64}),
        pl.DataFrame(light, schema=LIGHT_SCHEMA),
        SPITZ,
        SENSOR,
        by_time=by_time,
    )
    (row,) = theory.rows(named=True)
    return dict(row)


def test_power_and_irradiation_of_reference_are_those_of_like_light() -> None:
    """Warm modules give less of strong light: 8 kW of 900 W/m², but 2 kW of 200. The day's sums would say 8.18 kW."""
    light = [200.0] * 8 + [900.0] * 8
    row = estimate_theory(
        {BEFORE: [2.0] * 8 + [8.0] * 8, DAY: [2.0] * 15 + [1.0]}, {("", BEFORE): light, ("", DAY): light}
    )
    assert row["theory_w"] == pytest.approx(8000.0)


def test_the_light_of_another_plane_is_compared_at_the_same_time_of_the_day() -> None:
    """A neighbour that looks to the east has half of the plant's power in the evening, and twice in the morning."""
    row = estimate_theory(
        {BEFORE: [2.0] * 8 + [6.0] * 8, DAY: [2.0] * 15 + [1.0]},
        {("east", BEFORE): [0.4] * 8 + [0.3] * 8, ("east", DAY): [0.4] * 8 + [0.4] * 8},
        by_time=True,
    )
    assert row["theory_w"] == pytest.approx(8000.0)


def test_several_neighbours_share_one_comparison_day_and_the_like_one_has_most_weight() -> None:
    """The series `far` has light on a farther day only; `odd` is of no use on the comparison day."""
    farther = BEFORE - dt.timedelta(days=1)
    row = estimate_theory(
        {farther: [1.0] * 16, BEFORE: [5.0] * 16, DAY: [2.0] * 15 + [1.0]},
        {
            ("far", farther): [0.5] * 16,
            ("far", DAY): [0.5] * 16,
            ("like", BEFORE): [0.5] * 16,
            ("like", DAY): [0.6] * 16,
            ("odd", BEFORE): [0.1, 0.9] * 8,
            ("odd", DAY): [0.9] * 16,
        },
        by_time=True,
    )
    assert row["comparison_date"] == BEFORE
    assert row["theory_w"] == pytest.approx(6000.0, rel=0.01)
