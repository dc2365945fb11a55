"""Powers that can't be are no energy in any field of any set, and every load, battery and feed-in that can be is."""

import datetime as dt
import math
from collections.abc import Callable, Iterable
from functools import cache
from random import Random
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.run.measurement_sets import SOURCES, VALUES
from pipeline.transform import row_rules
from pipeline.transform.intervals import SetTransform
from schemas import Quarantine, polars_schema, storage
from schemas.base import FINITE
from schemas.quantities import ENERGY_BALANCE, Field
from tests.transform.answers import DAY, Outcome, Row, body, examples, places, raw
from warehouse.frames import validate

RATED = 5000.0
BERLIN = {"latitude": 52.5, "longitude": 13.4}
BALANCE = next(source for source in SOURCES if source.set is ENERGY_BALANCE)
SENTINELS = (2147483647.0, 4294967295.0, 65535000.0, 2147483.647, 4294967.295, 65535.0)
STEPS = {5: "FiveMinutes", 15: "FifteenMinutes", 60: "OneHour"}
# Every set that carries power or energy, by the table that it fills.
CARRIERS = {
    storage(source.intervals).table: source
    for source in (*SOURCES, VALUES)
    if any(f.high >= FINITE and f.value_column in polars_schema(source.intervals) for f in source.set.fields)
}
LIMITLESS = [
    (table, field.api)
    for table, source in CARRIERS.items()
    for field in source.set.fields
    if field.high >= FINITE and field.value_column in polars_schema(source.intervals)
]


def house(rated: float | None = RATED, peak: float | None = None, device: str | None = None) -> pl.DataFrame:
    return places({"1": "UTC"}, rated_w=rated, peak_w=peak, device=device, **BERLIN)


def moments(step: int = 5) -> Iterable[tuple[int, str]]:
    """The minutes at which the rows of the day end, with their labels."""
    midnight = dt.datetime.combine(DAY, dt.time())
    for minute in range(step, 1441, step):
        yield minute, (midnight + dt.timedelta(minutes=minute)).isoformat()


def sun(minute: float, peak: float = RATED) -> float:
    angle = (minute - 180) / 980
    return peak * math.sin(math.pi * angle) if 0 < angle < 1 else 0.0


def balanced(label: str, *, pv: float, load: float, charging: float = 0.0, discharging: float = 0.0) -> Row:
    """A row in which all powers agree, as the portal computes them; a battery may take from the grid and feed it."""
    direct = min(pv, load)
    of_grid = max(charging - (pv - direct), 0.0)
    to_house = min(discharging, load - direct)
    self_consumption = direct + charging - of_grid
    values = {
        "pvGeneration": pv,
        "totalGeneration": pv,
        "directConsumption": direct,
        "selfConsumption": self_consumption,
        "gridFeedIn": pv - self_consumption + discharging - to_house,
        "totalConsumption": load + of_grid,
        "selfSupply": direct + to_house,
        "gridConsumption": load - direct - to_house + of_grid,
        "batteryCharging": charging,
        "batteryDischarging": discharging,
    }
    return {"time": label, **{name: round(max(value, 0.0), 3) for name, value in values.items()}}


def made(
    rows: list[Row], where: pl.DataFrame, table: str = "energy_balance_intervals", step: int = 5
) -> Outcome:
    """Rows of one answer as rows of the table, and what was set aside."""
    return made_together({"1": rows}, where, table, step)


def made_together(
    days: dict[str, list[Row]], where: pl.DataFrame, table: str = "energy_balance_intervals", step: int = 5
) -> Outcome:
    """The same for the answers of several plants."""
    source = CARRIERS[table]
    answers = [(plant, body(rows, STEPS[step])) for plant, rows in days.items()]
    frame = raw(answers, device="7" if source.of_devices else "")
    transform = SetTransform(source.set, source.intervals, "plant_local")
    outcome = Outcome.of(source.intervals, transform.transform_day([frame], where, DAY))
    validate(source.intervals, outcome.rows, {"local_date": DAY})
    validate(Quarantine, outcome.quarantine, {"local_date": DAY})
    return outcome


class OwnRows(NamedTuple):
    """What one plant's day became."""

    rows: pl.DataFrame
    quarantine: pl.DataFrame


def aside(outcome: Outcome | OwnRows) -> list[tuple[str, str]]:
    """Field and reason of each value that was set aside, in the order of both."""
    found = outcome.quarantine.filter(scope="value")
    return found.select("field", "reason").sort("field", "reason").rows()


def field_of(table: str, api: str) -> Field:
    return next(
        f
        for f in CARRIERS[table].set.fields
        if f.api == api and f.value_column in polars_schema(CARRIERS[table].intervals)
    )


# ---- codes for "no value" --------------------------------------------------------------------------------------------


def plain_day(table: str) -> list[Row]:
    """A day with a car that charges with 22 kW for two hours, in every field that has no bound of its own."""
    is_long = storage(CARRIERS[table].intervals).key[-1] != "interval_end"
    rows = []
    for minute, label in moments():
        watts = 22_000.0 if 1100 <= minute < 1220 and "consumption" in table else 300.0 + sun(minute) / 2
        # Energies of five minutes, where the API counts those.
        value = watts / 12 if table in {"dc_energy_intervals", "energy_value_intervals"} else watts
        fields = [api for name, api in LIMITLESS if name == table]
        values = {api: [{"index": "A", "value": value}] if is_long else value for api in fields}
        if table == "energy_balance_intervals":
            values = balanced(label, load=watts, pv=sun(minute)) | {"dieselGeneration": 0.0}
        rows.append({"time": label, **values})
    return rows


# At night, by day, and two of a kind: the first row and the last one.
PLACES_OF_CODES = dict(zip((0, 60, 100, 140, 200, 286, 287), (*SENTINELS, SENTINELS[-1]), strict=True))
BEYOND_W = 43_000_000.5


@cache
def made_fleet(table: str, rated: float | None) -> Outcome:
    """A plant with a plain day, and for each field of the table one with codes in it, and one with a huge power.

    They are called `plain`, `code FIELD` and `huge FIELD`.
    """
    days = {"plain": plain_day(table)}
    for api in (api for name, api in LIMITLESS if name == table):
        is_array = field_of(table, api).array
        for plant, spoilt in ((f"code {api}", PLACES_OF_CODES), (f"huge {api}", {150: BEYOND_W})):
            days[plant] = plain_day(table)
            for place, value in spoilt.items():
                days[plant][place][api] = [{"index": "A", "value": value}] if is_array else value
    device = "7" if CARRIERS[table].of_devices else None
    where = places(dict.fromkeys(days, "UTC"), rated_w=rated, peak_w=None, device=device, **BERLIN)
    return made_together(days, where, table)


def of_plant(outcome: Outcome, plant: str) -> OwnRows:
    return OwnRows(outcome.rows.filter(plant_id=plant), outcome.quarantine.filter(plant_id=plant))


@pytest.mark.parametrize("rated", [RATED, None])
@pytest.mark.parametrize(("table", "api"), LIMITLESS)
def test_a_code_for_no_value_is_no_energy_in_any_field(table: str, api: str, rated: float | None) -> None:
    field = field_of(table, api)
    clean = of_plant(made_fleet(table, rated), "plain")
    assert aside(clean) == []
    outcome = of_plant(made_fleet(table, rated), f"code {api}")
    found = outcome.quarantine.filter(field=api, scope="value")
    assert found["value"].to_list() == list(PLACES_OF_CODES.values())
    assert set(found["reason"]) == {row_rules.SENTINEL}
    assert outcome.rows[field.value_column].null_count() == len(PLACES_OF_CODES)
    energy = f"{field.column}_kwh" if field.power else field.value_column
    assert outcome.rows[energy].sum() <= clean.rows[energy].sum()


@pytest.mark.parametrize("value", [32767.0, 65535.0])
def test_a_large_plant_may_say_what_a_small_one_can_not(value: float) -> None:
    """Where the rest of the day is as large, or a single row is within the rating, a 16-bit number is a power."""
    where = house(100_000.0)
    rows = [balanced(label, pv=sun(minute, 90_000.0), load=500.0) for minute, label in moments()]
    rows[100]["pvGeneration"] = rows[100]["totalGeneration"] = value
    assert aside(made(rows, where)) == []
    assert aside(made([{"time": rows[100]["time"], "pvGeneration": value}], where)) == []
    assert aside(made([{"time": rows[100]["time"], "pvGeneration": value}], house())) != []


def test_a_code_that_a_large_plant_says_all_day_long_is_no_power() -> None:
    rows = [balanced(label, pv=sun(minute, 90_000.0), load=500.0) for minute, label in moments()]
    for row in rows[100:110]:
        row["totalConsumption"] = 65535.0
    outcome = made(rows, house(100_000.0))
    assert aside(outcome) == [("totalConsumption", row_rules.SENTINEL)] * 10


def test_what_the_portal_adds_up_from_a_wrong_value_goes_with_it() -> None:
    rows = plain_day("energy_balance_intervals")
    rows[10] |= {"gridConsumption": 65535.0, "totalConsumption": 65835.0}
    rows[11] |= {
        "batteryCharging": 4294967.295,
        "selfConsumption": 4294967.295,
        "totalGeneration": 4294967.295,
    }
    outcome = made(rows, house())
    assert {field for field, _ in aside(outcome)} == {
        "gridConsumption", "totalConsumption", "batteryCharging", "selfConsumption", "totalGeneration"
    }  # fmt: skip


# ---- the row, the day and the size of the plant ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "api",
    [
        "totalGeneration", "directConsumption", "selfConsumption", "selfSupply", "gridFeedIn", "totalConsumption",
        "gridConsumption", "batteryCharging", "batteryDischarging",
    ],
)  # fmt: skip
@pytest.mark.parametrize("watts", [53_520.0, 123_456.7, 1_961_001.5])
def test_what_the_row_contradicts_is_set_aside_alone(api: str, watts: float) -> None:
    rows = plain_day("energy_balance_intervals")
    rows[20][api] = watts
    assert aside(made(rows, house())) == [(api, row_rules.BEYOND_BALANCE)]


@pytest.mark.parametrize("watts", [53_520.0, 30_000.0])
@pytest.mark.parametrize(
    ("table", "pair"),
    [
        ("energy_balance_intervals", ("gridFeedIn", "gridConsumption")),
        ("energy_balance_intervals", ("batteryCharging", "batteryDischarging")),
        ("grid_intervals", ("gridFeedIn", "gridConsumption")),
        ("battery_intervals", ("batteryCharging", "batteryDischarging")),
    ],
)
@pytest.mark.parametrize("place", [0, 287])
def test_a_correction_that_runs_in_and_out_again_is_no_energy(
    table: str, pair: tuple[str, str], watts: float, place: int
) -> None:
    where = house(6000.0, device="7" if CARRIERS[table].of_devices else None)
    rows = plain_day(table)
    rows[place] |= dict.fromkeys(pair, watts)
    assert aside(made(rows, where, table)) == [(api, row_rules.IN_AND_OUT) for api in sorted(pair)]


def test_a_correction_whose_totals_agree_is_no_energy_either() -> None:
    rows = plain_day("energy_balance_intervals")
    rows[287] |= {"gridFeedIn": 53_520.0, "totalGeneration": 53_520.0, "gridConsumption": 53_520.0}
    rows[287] |= {"totalConsumption": 53_820.0}
    outcome = made(rows, house(6000.0))
    assert {field for field, _ in aside(outcome)} == {
        "gridFeedIn", "totalGeneration", "gridConsumption", "totalConsumption"
    }  # fmt: skip


def test_a_correction_over_two_rows_is_no_energy() -> None:
    where, rows = house(6000.0, device="7"), plain_day("grid_intervals")
    for row in rows:
        row["gridConsumption"] = 300.0
    rows[286]["gridFeedIn"], rows[287]["gridConsumption"] = 53_520.0, 53_520.0
    assert aside(made(rows, where, "grid_intervals")) == [
        ("gridConsumption", row_rules.IN_AND_OUT),
        ("gridFeedIn", row_rules.IN_AND_OUT),
    ]


@pytest.mark.parametrize("rated", [RATED, None])
@pytest.mark.parametrize(("table", "api"), LIMITLESS)
def test_a_power_beyond_any_site_of_this_size_is_set_aside(table: str, api: str, rated: float | None) -> None:
    assert api in {name for name, _ in aside(of_plant(made_fleet(table, rated), f"huge {api}"))}


def test_an_inverter_is_bounded_by_its_own_rating_and_a_charging_station_by_none() -> None:
    rows = [{"time": label, "activePower": sun(minute)} for minute, label in moments()]
    rows[150]["activePower"] = 11_000.0
    plant = house(device="7")
    assert aside(made(rows, plant, "ac_intervals")) == []
    own = plant.with_columns(own_w=pl.lit(RATED))
    assert aside(made(rows, own, "ac_intervals")) == [("activePower", row_rules.BEYOND)]
    rows[150]["activePower"] = -11_000.0
    assert aside(made(rows, own, "ac_intervals")) == [("activePower", row_rules.BEYOND)]


# ---- what is real ----------------------------------------------------------------------------------------------------


def lived(seed: int) -> tuple[list[Row], pl.DataFrame, int]:
    """A day of a site as it may be, its place, and the minutes of a row."""
    chance = Random(seed)  # noqa: S311 - nothing secret
    step = chance.choice([5, 5, 5, 15, 60])
    rated = chance.choice([600.0, 3000.0, 5000.0, 5000.0, 10_000.0, 60_000.0, 2_000_000.0])
    peak = rated * chance.choice([0.8, 1.0, 1.3, 1.8])
    loads = [_load(chance, rated) for _ in range(chance.randint(0, 3))]
    base = chance.choice([0.0, 80.0, 300.0, 2000.0, 2_000_000.0])
    battery = _battery(chance, rated)
    clouds = chance.choice([0.0, 0.5, 0.97])
    # Panels may beat the rated AC power of their inverters' sum, and clouds' edges the panels.
    most = rated * chance.choice([1.0, 1.3])
    rows = []
    for minute, label in moments(step):
        shade = 1 - clouds * chance.random()
        pv = min(sun(minute - step / 2, peak) * shade * chance.choice([1.0, 1.0, 1.1]), most)
        load = base * (1 + 0.1 * chance.random()) + sum(each(minute, step) for each in loads)
        charging, discharging = battery(minute, pv, load)
        rows.append(balanced(label, pv=pv, load=load, charging=charging, discharging=discharging))
    some = chance.choice([len(rows)] * 4 + [1, 2, 5])
    first = chance.randrange(len(rows) - some + 1)
    known = chance.choice([True, True, False])
    where = house(rated, peak) if known else house(None)
    if not known and chance.random() < 0.5:
        where = pl.concat([where, *(places({f"{n}": "UTC"}, rated_w=6000.0 + n) for n in range(2, 9))])
    return rows[first : first + some], where, step


def _load(chance: Random, rated: float) -> Callable[[int, int], float]:
    """What a car, a crane, a heat pump or a fast charger takes in the row that ends at a minute."""
    kind, start = chance.choice(["car", "crane", "pump", "fast"]), chance.randrange(0, 1200)
    if kind == "car":
        watts, minutes = chance.choice([3680.0, 11_000.0, 22_000.0]), chance.randint(5, 400)
        return lambda minute, _: watts if start < minute <= start + minutes else 0.0
    if kind == "crane":
        lifts = {chance.randrange(5, 1440, 5) for _ in range(chance.randint(1, 20))}
        return lambda minute, step: 40_000.0 if any(minute - step < lift <= minute for lift in lifts) else 0.0
    if kind == "pump":
        watts, cycle = chance.choice([2500.0, 9000.0, 20_000.0]), chance.randint(20, 180)
        return lambda minute, _: watts if minute % cycle < cycle / 3 else 0.0
    watts, minutes = chance.choice([50_000.0, 150_000.0, 350_000.0]), chance.randint(10, 40)
    return lambda minute, _: watts if start < minute <= start + minutes else 0.0


def _battery(chance: Random, rated: float) -> Callable[[int, float, float], tuple[float, float]]:
    """Charging and discharging of a battery of some size, which may trade with the grid at night."""
    watts = chance.choice([0.0, 0.0, 2000.0, rated, rated * 5, 100_000.0])
    trades = chance.random() < 0.3
    hours = sorted(chance.sample(range(0, 1440, 15), 4))

    def run(minute: int, pv: float, load: float) -> tuple[float, float]:
        if trades and hours[0] < minute <= hours[1]:
            return watts, 0.0
        if trades and hours[2] < minute <= hours[3]:
            return 0.0, watts
        return (min(watts, pv - load), 0.0) if pv > load else (0.0, min(watts, load - pv))

    return run


DEVICE_FIELDS = {
    "grid_intervals": {"gridFeedIn": "gridFeedIn", "gridConsumption": "gridConsumption"},
    "consumption_intervals": {"consumption": "totalConsumption"},
    "energy_mix_intervals": {"totalConsumption": "totalConsumption"},
    "battery_intervals": {"batteryCharging": "batteryCharging", "batteryDischarging": "batteryDischarging"},
    "ac_intervals": {"activePower": "totalConsumption", "activePowerPhaseA": "totalConsumption"},
    "pv_intervals": {"pvGeneration": "pvGeneration"},
}


@pytest.mark.long
@examples(8)
@given(st.integers(0, 10**9))
def test_no_load_battery_or_feed_in_that_can_be_is_taken_out(seed: int) -> None:
    check_nothing_is_taken_out(seed)


@pytest.mark.long
@examples(40)
@given(st.integers(0, 10**9))
def test_nothing_of_many_days_that_can_be_is_taken_out(seed: int) -> None:
    check_nothing_is_taken_out(seed)


def check_nothing_is_taken_out(seed: int) -> None:
    rows, where, step = lived(seed)
    outcome = made(rows, where, step=step)
    assert aside(outcome) == []
    assert not outcome.rows["flagged"].any()
    for field in ENERGY_BALANCE.powers:
        expected = [row.get(field.api) for row in rows]
        assert outcome.rows[field.value_column].to_list() == expected
    for table, names in DEVICE_FIELDS.items():
        of_device = [{"time": row["time"], **{api: row[name] for api, name in names.items()}} for row in rows]
        found = made(of_device, where.with_columns(device_id=pl.lit("7")), table, step)
        assert aside(found) == []
        for api, name in names.items():
            column = field_of(table, api).value_column
            assert found.rows[column].to_list() == [row[name] for row in rows]


@pytest.mark.long
@examples(40)
@given(st.integers(0, 10**9), st.sampled_from(SENTINELS), st.sampled_from(ENERGY_BALANCE.powers))
def test_a_code_is_found_on_any_day_whose_own_powers_stay_below_it(
    seed: int, sentinel: float, field: Field
) -> None:
    rows, where, step = lived(seed)
    place = seed % len(rows)
    others = [row[field.api] for row in rows[:place] + rows[place + 1 :] if field.api in row]
    rows[place][field.api] = sentinel
    outcome = made(rows, where, step=step)
    found = outcome.quarantine.filter(field=field.api, scope="value")["value"].to_list()
    if field.column != row_rules.PV:  # whose row is not to be trusted
        assert {api for api, _ in aside(outcome)} <= {field.api}
    rated = where["rated_w"][0] or 0.0
    large = max(others) if len(others) > 3 else max([*others, rated])
    if sentinel < 1e5 and sentinel <= 1.2 * large:
        assert found in ([], [sentinel])
    else:
        assert found == [sentinel]
        kwh = outcome.rows[f"{field.column}_kwh"].sum()
        assert kwh <= sum(others) * step * 3 / 60_000 + 1e-6


def test_a_battery_that_trades_both_ways_within_a_row_is_no_correction() -> None:
    rows = []
    for minute, label in moments(60):
        row = balanced(label, pv=sun(minute - 30), load=400.0)
        if minute in {60, 180}:
            row |= dict.fromkeys(("batteryCharging", "batteryDischarging"), 50_000.0)
            row |= {"gridFeedIn": 50_000.0, "gridConsumption": 50_400.0, "totalConsumption": 50_400.0}
        rows.append(row)
    assert aside(made(rows, house(), step=60)) == []


@pytest.mark.parametrize(
    "api", ["totalConsumption", "gridConsumption", "batteryCharging", "batteryDischarging"]
)
@pytest.mark.parametrize("watts", [11_000.0, 22_000.0, 40_000.0])
def test_what_a_usual_connection_carries_stays_whatever_its_row_says(api: str, watts: float) -> None:
    rows = plain_day("energy_balance_intervals")
    rows[20][api] = watts
    assert aside(made(rows, house())) == []


def test_generation_that_sma_does_not_see_keeps_its_feed_in() -> None:
    """A site with inverters of another maker feeds in more than its total generation, all day long."""
    rows = [balanced(label, pv=sun(minute), load=400.0) for minute, label in moments()]
    for (minute, _), row in zip(moments(), rows, strict=True):
        row["gridFeedIn"] = round(row["gridFeedIn"] + sun(minute, 60_000.0), 3)
    assert aside(made(rows, house())) == []
