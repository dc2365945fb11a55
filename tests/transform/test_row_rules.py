"""Quality rules on a day of sun: what is set aside and what is kept but told, each by its own threshold."""

import datetime as dt
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest

from pipeline.transform import anomalies, row_rules
from pipeline.transform.limited_power.power_limits import build_sites
from pipeline.transform.thresholds import load_thresholds
from schemas import EnergyBalanceIntervals, Quarantine
from schemas.quantities import ENERGY_BALANCE
from tests.transform.answers import DAY, Outcome, Row, balance, body, inverters, places, raw, row
from warehouse.frames import validate

LIMITS = load_thresholds()
RATED, PEAK = 6000.0, 7000.0
# Berlin in July, by clocks of UTC: sunrise 02:55, noon 11:12, sunset 19:27.
BERLIN = {"latitude": 52.5, "longitude": 13.4}
PLANT = places({"1": "UTC"}, rated_w=RATED, peak_w=PEAK, **BERLIN)
STEP_NAMES = {5: "FiveMinutes", 15: "FifteenMinutes", 60: "OneHour"}
Change = Callable[[int, Row], Row | None]
ODD_VALUES = [None, 0.0, -0.0, -1e-9, 1.0, 1.0000001, 1e12, 1.1e12, -1e12, math.nan, math.inf, -math.inf]


def sunny(step: int = 5, change: Change = lambda _, each: each, *, shift_min: int = 0) -> list[Row]:
    """The rows of a clear day; `change` sees the minute at which each ends and may drop it."""
    found = []
    for minute in range(step, 1441, step):
        angle = (minute - step / 2 - shift_min - 180) / (1160 - 180)
        watts = round(5000 * math.sin(math.pi * angle), 1) if 0 < angle < 1 else 0.0
        time = dt.datetime.combine(DAY, dt.time()) + dt.timedelta(minutes=minute)
        changed = change(minute, row(time.isoformat(), watts))
        if changed is not None:
            found.append(changed)
    return found


def run(rows: Sequence[Row], where: pl.DataFrame = PLANT, resolution: str = "FiveMinutes") -> Outcome:
    outcome = balance([raw([("1", body(rows, resolution))])], where)
    validate(EnergyBalanceIntervals, outcome.rows, {"local_date": DAY})
    validate(Quarantine, outcome.quarantine, {"local_date": DAY})
    return outcome


def at(minute: int, **values: Any) -> Change:
    return lambda now, each: each | values if now == minute else each


def told(outcome: Outcome) -> list[tuple[Any, ...]]:
    return outcome.quarantine.select("scope", "kept", "reason", "n_rows").rows()


def kwh(outcome: Outcome) -> float:
    return float(outcome.rows["pv_generation_kwh"].sum())


CLEAR = run(sunny())


def test_a_clear_day_breaks_no_rule() -> None:
    assert told(CLEAR) == []
    assert not CLEAR.rows["suspect"].any()
    assert not CLEAR.rows["flagged"].any()


# ---- set aside -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minute", "watts"),
    [
        (185, 4000.0),  # the first row of the day carries an outage, far below twice the rating
        (190, 9000.0),
        (240, 11_900.0),
    ],
)
def test_the_energy_of_an_outage_in_one_row_is_set_aside_below_the_rated_bound_too(
    minute: int, watts: float
) -> None:
    assert watts < LIMITS.beyond_rated_times * RATED
    outcome = run(sunny(change=at(minute, pvGeneration=watts, totalGeneration=watts, gridFeedIn=watts)))
    found = outcome.quarantine.select("field", "reason", "value").sort("field").rows()
    assert found == [
        (field, row_rules.BEYOND_SUN, watts) for field in ("gridFeedIn", "pvGeneration", "totalGeneration")
    ]
    assert kwh(outcome) == pytest.approx(kwh(CLEAR), abs=0.1)
    assert outcome.rows["flagged"].sum() == 1


def test_after_an_outage_the_first_row_is_judged_by_the_sun() -> None:
    def outage(minute: int, each: Row) -> Row | None:
        return None if 900 < minute <= 1080 else at(1085, pvGeneration=11_500.0)(minute, each)

    outcome = run(sunny(change=outage))
    assert outcome.quarantine["reason"].to_list() == [row_rules.BEYOND_SUN]


def test_a_bright_row_among_clouds_is_no_spike() -> None:
    cloudy = sunny(
        change=lambda minute, each: each | {"pvGeneration": 300.0 + minute % 7 if 400 < minute < 900 else 0.0}
    )
    bright = [
        each | {"pvGeneration": 6500.0} if each["time"].endswith("11:30:00") else each for each in cloudy
    ]
    assert told(run(bright)) == []


def test_without_a_place_the_sun_is_taken_to_stand_high() -> None:
    nowhere = places({"1": "UTC"}, rated_w=RATED, peak_w=PEAK)
    assert told(run(sunny(change=at(185, pvGeneration=4000.0)), nowhere)) == []
    reasons = run(sunny(change=at(185, pvGeneration=11_900.0)), nowhere).quarantine["reason"].to_list()
    assert reasons == [row_rules.BEYOND_SUN]


def test_a_wrong_peak_power_takes_no_energy() -> None:
    wrong = places({"1": "UTC"}, rated_w=3000.0, peak_w=500.0, **BERLIN)
    assert kwh(run(sunny(), wrong)) == kwh(CLEAR)


def test_a_rate_of_an_inverter_bounds_it_before_that_of_its_plant() -> None:
    rows = sunny(change=at(700, pvGeneration=13_000.0))
    outcome = inverters(
        [raw([("1", body(rows))], device="a")], places({"1": "UTC"}, rated_w=RATED, device="a")
    )
    assert outcome.quarantine["reason"].to_list() == [row_rules.BEYOND]


def fleet(*rated: float | None, own: str = "1") -> pl.DataFrame:
    """Plant `1` without any rating beside others."""
    others = [places({f"{number + 2}": "UTC"}, rated_w=watts) for number, watts in enumerate(rated)]
    return pl.concat([places({own: "UTC"}, **BERLIN), *others])


def test_without_a_rating_the_fleet_bounds_a_spike() -> None:
    rows = sunny(change=at(185, pvGeneration=2e6, totalGeneration=2e6))
    usual = fleet(5000.0, 6000.0, 8000.0, 10_000.0, 25_000.0, 1e9)
    outcome = run(rows, usual)
    assert set(outcome.quarantine["reason"]) == {row_rules.BEYOND_FLEET}
    assert kwh(outcome) == pytest.approx(kwh(CLEAR), abs=0.1)
    too_few = fleet(5000.0, 6000.0, None, None)
    assert set(run(rows, too_few).quarantine["reason"]) == {row_rules.BEYOND_SERIES}
    assert told(run(sunny(change=at(185, pvGeneration=90_000.0)), too_few)) == []


def test_a_plant_that_is_larger_than_the_fleet_keeps_its_energy() -> None:
    large = [each | {"pvGeneration": each["pvGeneration"] * 1000} for each in sunny()]
    usual = fleet(5000.0, 6000.0, 8000.0, 10_000.0, 25_000.0)
    outcome = run(large, usual)
    assert told(outcome) == []
    assert kwh(outcome) == pytest.approx(1000 * kwh(CLEAR))
    spiked = [each | {"pvGeneration": 1e9} if each["time"].endswith("03:05:00") else each for each in large]
    assert run(spiked, usual).quarantine["value"].to_list() == [1e9]


def test_one_wrong_rating_does_not_move_the_bound_of_the_fleet() -> None:
    def bound(*rated: float) -> float:
        return float(build_sites(fleet(*rated), DAY, LIMITS)["bound_w"][0])

    assert bound(*[5000.0, 6000.0, 8000.0, 10_000.0, 25_000.0] * 3, 1e12) < 3e5


def drawing(watts: float) -> Change:
    """What an inverter draws while the sun is down, as an inverter may say it: as negative generation."""
    return lambda _, each: each | ({} if each["pvGeneration"] else dict.fromkeys(GENERATED, -watts))


GENERATED = ("pvGeneration", "totalGeneration", "selfConsumption")


@pytest.mark.parametrize("watts", [0.001, 4.0, 20.0, 60.0])
def test_the_draw_of_a_sleeping_inverter_is_no_generation_and_told_once(watts: float) -> None:
    outcome = run(sunny(change=drawing(watts)))
    nights = sum(not each["pvGeneration"] for each in sunny())
    assert told(outcome) == [("rows", True, row_rules.STANDBY, nights)]
    assert outcome.quarantine.select("field", "value").rows() == [("pvGeneration", -watts)]
    assert (outcome.rows["flagged"].sum(), outcome.rows["suspect"].sum()) == (0, 0)
    assert outcome.rows["pv_generation_w"].to_list() == CLEAR.rows["pv_generation_w"].to_list()
    assert outcome.rows["total_generation_w"].drop_nulls().to_list() == [0.0] * nights
    assert kwh(outcome) == kwh(CLEAR)


@pytest.mark.parametrize(
    ("rated", "watts", "reason"),
    [
        (None, 20.0, row_rules.STANDBY),
        (None, 20.1, row_rules.NEGATIVE),
        (RATED, 60.1, row_rules.NEGATIVE),
        (500_000.0, 4000.0, row_rules.STANDBY),
    ],
)
def test_how_much_an_inverter_may_draw_is_a_matter_of_its_size(
    rated: float | None, watts: float, reason: str
) -> None:
    outcome = run([row("2025-07-09T01:00:00", -watts)], places({"1": "UTC"}, rated_w=rated))
    assert outcome.quarantine["reason"].to_list() == [reason]


def test_the_draw_of_each_input_and_inverter_is_told_with_its_device() -> None:
    rows = sunny(change=drawing(4.0))
    outcome = inverters(
        [raw([("1", body(rows))], device=device) for device in ("a", "b")],
        pl.concat([places({"1": "UTC"}, rated_w=RATED, device=device) for device in ("a", "b")]),
    )
    assert outcome.quarantine.select("device_id", "reason").rows() == [
        ("a", row_rules.STANDBY),
        ("b", row_rules.STANDBY),
    ]


def test_the_row_that_closes_the_day_before_is_no_sign_of_another_time_basis() -> None:
    closing = {**sunny()[0], "time": f"{DAY}T00:00:00"}
    outcome = run([closing, *sunny()])
    assert told(outcome) == [("row", False, row_rules.DAY_BEFORE, 1)]
    assert kwh(outcome) == kwh(CLEAR)


# ---- kept but told ---------------------------------------------------------------------------------------------------


def test_a_frozen_value_is_told_once_and_keeps_its_energy() -> None:
    frozen = sunny(
        change=lambda minute, each: each | {"pvGeneration": 2345.0} if 600 < minute <= 800 else each
    )
    outcome = run(frozen)
    assert outcome.quarantine.select(
        "scope", "kept", "reason", "n_rows", "value", "field", "raw_time", "detail"
    ).rows() == [
        (
            "rows",
            True,
            anomalies.FROZEN,
            40,
            2345.0,
            "pvGeneration",
            "2025-07-09T10:05:00",
            "up to 2025-07-09T13:20:00",
        )
    ]
    assert outcome.rows["suspect"].sum() == 40
    assert not outcome.rows["flagged"].any()
    assert kwh(outcome) == pytest.approx(sum(each["pvGeneration"] for each in frozen) / 12_000)


def clipped(most: float, minute: int, each: Row) -> Row:
    return each | {"pvGeneration": min(each["pvGeneration"], most)}


@pytest.mark.parametrize("step", [5, 15, 60])
@pytest.mark.parametrize("most", [1500.0, 2345.0, 3456.7, 4000.0])
@pytest.mark.parametrize("rated", [RATED, None])
def test_the_plateau_of_a_limit_is_not_frozen(step: int, most: float, rated: float | None) -> None:
    where = places({"1": "UTC"}, rated_w=rated, peak_w=PEAK, **BERLIN)
    rows = sunny(step, lambda minute, each: clipped(most, minute, each))
    assert sum(each["pvGeneration"] == most for each in rows) * step >= LIMITS.frozen_min
    assert told(run(rows, where, STEP_NAMES[step])) == []


def test_clouds_in_a_plateau_make_it_no_frozen_one() -> None:
    def cloudy(minute: int, each: Row) -> Row:
        return each | {"pvGeneration": 400.0} if minute in {640, 900} else clipped(3456.7, minute, each)

    assert told(run(sunny(change=cloudy))) == []


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6, 0.7])
def test_a_step_to_which_the_grid_operator_limits_is_not_frozen(share: float) -> None:
    limited = sunny(
        change=lambda minute, each: clipped(share * RATED, minute, each) if 560 < minute <= 760 else each
    )
    assert told(run(limited)) == []


@pytest.mark.parametrize(
    ("first", "last", "watts"),
    [
        (500, 700, 4111.0),  # it freezes while the sun rises: the day has more
        (690, 1000, 4995.0),  # at the top of the day, and jumps when it thaws
        (690, 1440, 4995.0),  # at the top, and never thaws
        (0, 1440, 2345.0),  # all day long
    ],
)
def test_a_logger_that_freezes_is_told_wherever_it_does(first: int, last: int, watts: float) -> None:
    frozen = sunny(
        change=lambda minute, each: each | {"pvGeneration": watts} if first < minute <= last else each
    )
    assert anomalies.FROZEN in run(frozen).quarantine["reason"]


@pytest.mark.parametrize(
    ("minutes", "watts", "frozen"),
    [
        (175, 2345.0, False),
        (180, 2345.0, True),
        (300, 119.0, False),  # two in a hundred of the rating
        (300, 5400.0, False),  # at its limit
        (300, 0.0, False),
    ],
)
def test_a_value_is_frozen_from_three_hours_on(minutes: int, watts: float, frozen: bool) -> None:
    same = lambda minute, each: each | {"pvGeneration": watts} if 600 < minute <= 600 + minutes else each  # noqa: E731
    assert (anomalies.FROZEN in run(sunny(change=same)).quarantine["reason"]) == frozen


def test_three_hourly_rows_of_one_value_are_not_frozen() -> None:
    same = lambda minute, each: each | {"pvGeneration": 2345.0} if 540 < minute <= 780 else each  # noqa: E731
    assert told(run(sunny(60, same), resolution="OneHour")) == []


def test_production_at_night_is_told_and_kept() -> None:
    outcome = run(sunny(change=at(60, pvGeneration=70.0)))
    assert told(outcome) == [("rows", True, anomalies.NIGHT, 1)]
    assert outcome.rows.filter("suspect")["pv_generation_w"].to_list() == [70.0]
    assert kwh(outcome) == pytest.approx(kwh(CLEAR) + 70 / 12_000)


@pytest.mark.parametrize(("minute", "watts"), [(60, 60.0), (60, 19.0), (150, 300.0), (1185, 500.0)])
def test_noise_at_night_and_light_at_dusk_are_no_finding(minute: int, watts: float) -> None:
    assert told(run(sunny(change=at(minute, pvGeneration=watts)))) == []


@pytest.mark.parametrize("shift_min", [-600, -240, 240, 600])
def test_a_day_in_the_wrong_time_basis_is_one_finding_and_costs_no_energy(shift_min: int) -> None:
    outcome = run(sunny(shift_min=shift_min))
    ((scope, kept, reason, _),) = told(outcome)
    assert (scope, kept, reason) == ("rows", True, anomalies.OUT_OF_STEP)
    expected = sum(each["pvGeneration"] for each in sunny(shift_min=shift_min)) / 12_000
    assert kwh(outcome) == pytest.approx(expected)


def test_a_polar_night_is_all_night_and_a_polar_day_has_none() -> None:
    tromso = {"latitude": 69.65, "longitude": 18.96}
    where = places({"1": "UTC"}, rated_w=RATED, **tromso)
    assert told(run(sunny(change=at(1435, pvGeneration=900.0)), where)) == []
    pole = places({"1": "UTC"}, rated_w=RATED, latitude=-85.0, longitude=18.96)
    ((_, _, reason, _),) = told(run(sunny(), pole))
    assert reason == anomalies.OUT_OF_STEP


IDENTITY = {"totalGeneration": 3000.0, "selfConsumption": 1000.0, "gridFeedIn": 2000.0}
CONSUMED = {"totalConsumption": 1500.0, "selfSupply": 1000.0, "gridConsumption": 500.0}


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        (IDENTITY | CONSUMED, []),
        (IDENTITY | {"gridFeedIn": 2069.0}, []),
        (IDENTITY | {"gridFeedIn": 2071.0}, [anomalies.GENERATION]),
        (CONSUMED | {"selfSupply": 900.0}, [anomalies.CONSUMPTION]),
        ({"totalGeneration": 3000.0, "selfConsumption": 1000.0}, []),
        (IDENTITY | {"pvGeneration": 100.0, "dieselGeneration": 50.0}, []),  # these need not add up
    ],
)
def test_identities_that_do_not_hold_are_told_and_kept(values: Row, reasons: list[str]) -> None:
    outcome = run(sunny(change=at(700, **values)))
    assert outcome.quarantine["reason"].to_list() == reasons
    assert outcome.quarantine["kept"].to_list() == [True] * len(reasons)
    assert outcome.rows["suspect"].sum() == len(reasons)


def test_a_finding_tells_the_worst_of_its_rows() -> None:
    wrong = lambda minute, each: each | IDENTITY | {"gridFeedIn": float(minute)}  # noqa: E731
    outcome = run(sunny(change=wrong))
    generation = outcome.quarantine.filter(reason=anomalies.GENERATION)
    assert generation.select("field", "value").rows() == [("totalGeneration", 1995.0)]


def test_each_plant_is_told_by_itself_and_rows_are_marked_in_place() -> None:
    night = body(sunny(change=at(60, pvGeneration=70.0)))
    where = places(dict.fromkeys("123", "UTC"), rated_w=RATED, **BERLIN)
    outcome = balance([raw([("1", body(sunny())), ("2", night), ("3", night)])], where)
    assert outcome.quarantine.select("plant_id", "reason").rows() == [("2", "night"), ("3", "night")]
    assert outcome.rows.filter("suspect")["plant_id"].to_list() == ["2", "3"]


# ---- inverters -------------------------------------------------------------------------------------------------------


def days(*rows: tuple[str, str, float | None, str]) -> pl.DataFrame:
    schema = {
        "plant_id": pl.String,
        "device_id": pl.String,
        "pv_generation_kwh": pl.Float64,
        "status": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize(
    ("plant", "devices", "difference"),
    [
        (
            (10.0, "complete"),
            [("a", 6.0, "complete"), ("b", 4.59, "complete")],
            None,
        ),  # within 5 % and 0.1 kWh
        ((10.0, "complete"), [("a", 6.0, "complete"), ("b", 4.61, "complete")], 0.61),
        ((10.0, "complete"), [("a", 6.0, "complete")], -4.0),
        ((10.0, "complete"), [("a", 6.0, "complete"), ("1", 10.0, "complete"), ("b", 4.0, "complete")], None),
        ((10.0, "complete"), [], None),
        # A gap explains less, never more.
        ((10.0, "complete"), [("a", 6.0, "complete"), ("b", None, "missing")], None),
        ((10.0, "complete"), [("a", 6.0, "partial"), ("b", 3.0, "complete")], None),
        ((10.0, "complete"), [("a", 12.0, "partial"), ("b", None, "missing")], 2.0),
        ((0.0, "complete"), [("a", 19.164, "partial")], 19.164),
        ((5.0, "partial"), [("a", 10.0, "complete")], 5.0),
        ((10.0, "partial"), [("a", 6.0, "complete")], -4.0),
        # A plant without a figure has less than inverters that have one.
        ((None, "missing"), [("a", 10.0, "complete"), ("b", None, "missing")], 10.0),
        ((None, "missing"), [("a", None, "missing")], None),
        ((None, "partial"), [("a", 0.0, "complete")], None),
        # What may still change is not compared.
        ((5.0, "provisional"), [("a", 10.0, "complete")], None),
        ((5.0, "complete"), [("a", 10.0, "provisional")], 5.0),
        ((5.0, "complete"), [("a", 2.0, "provisional")], None),
    ],
)
def test_inverters_that_do_not_add_up_to_their_plant_are_told(
    plant: tuple[float | None, str], devices: list[tuple[str, float | None, str]], difference: float | None
) -> None:
    own = days(("1", "", *plant)).drop("device_id")
    mine = days(*(("1", *device) for device in devices))
    found = anomalies.compare_inverters_with_plants(own, mine, LIMITS)
    assert found["value"].to_list() == ([] if difference is None else [pytest.approx(difference)])
    assert set(found["reason"]) <= {anomalies.INVERTERS}


def test_a_contradiction_says_both_figures() -> None:
    plants = days(("1", "", 0.0, "complete"), ("2", "", None, "missing")).drop("device_id")
    devices = days(("1", "a", 19.164, "partial"), ("2", "b", 3.5, "complete"))
    found = anomalies.compare_inverters_with_plants(plants, devices, LIMITS)
    assert found["detail"].to_list() == [
        "inverters 19.164 kWh, plant 0.0 kWh",
        "inverters 3.5 kWh, plant no kWh",
    ]


# ---- days without generation -----------------------------------------------------------------------------------------

NOON = dt.datetime(2025, 7, 9, 12, tzinfo=dt.UTC)
HOURS = dt.timedelta(hours=1)


def hourly(watts: Sequence[float | None], begin: int = 0, plant: str = "1") -> pl.DataFrame:
    starts = [NOON + (begin + hour - 12) * HOURS for hour in range(len(watts))]
    return pl.DataFrame(
        {
            "plant_id": plant,
            "interval_start": starts,
            "interval_end": [at + HOURS for at in starts],
            anomalies.PV: watts,
        },
        schema_overrides={anomalies.PV: pl.Float64},
    )


def bright(hours: float, rated_w: float | None = 5000.0) -> pl.DataFrame:
    """The sun is high for so many hours around noon."""
    times = {"bright_from": NOON - hours / 2 * HOURS, "bright_to": NOON + hours / 2 * HOURS}
    return pl.DataFrame(
        {"plant_id": ["1"], **times, "rated_w": [rated_w]}, schema_overrides={"rated_w": pl.Float64}
    )


@pytest.mark.parametrize(
    ("rows", "sky", "told"),
    [
        (hourly([0.0] * 24), bright(12), True),
        (hourly([10.0] * 24), bright(12), True),
        (hourly([10.1] * 24), bright(12), False),
        (hourly([0.0] * 24), bright(12, None), True),
        (hourly([1.0] * 24), bright(12, None), False),
        (hourly([0.0] * 23 + [900.0]), bright(12), False),
        (hourly([0.0] * 24), bright(3), True),
        (hourly([0.0] * 24), bright(2.9), False),
        (hourly([0.0] * 24), bright(0), False),
        (hourly([0.0] * 3, 9), bright(12), True),
        (hourly([0.0] * 2, 9), bright(12), False),
        (hourly([0.0] * 6), bright(12), False),
        (hourly([None] * 24), bright(12), False),
        (hourly([0.0] * 24, plant="2"), bright(12), False),
    ],
)
def test_a_bright_day_without_any_power_is_told(rows: pl.DataFrame, sky: pl.DataFrame, told: bool) -> None:
    found = anomalies.find_without_generation(rows, sky, LIMITS)
    assert found.select("plant_id", "reason").rows() == ([("1", anomalies.NO_GENERATION)] if told else [])


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_quick_look_at_a_column_agrees_with_its_rule(size: int) -> None:
    rules = row_rules.build_value_rules(
        [f for f in ENERGY_BALANCE.fields if f.column not in row_rules.FROM_PV]
    )
    rules = [rule for rule in rules if rule.column != "pv_generation_w"]
    for rule in rules:
        for values in itertools.product(ODD_VALUES, repeat=size):
            rows = pl.DataFrame({rule.column: values}, schema={rule.column: pl.Float64})
            broken = rows.select(rule.broken.any()).item()
            assert rule.is_kept(rows[rule.column]) == (not broken), (rule.column, values)
