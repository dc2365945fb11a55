"""Sets beside EnergyBalance and PV: arrays, units, bounds, and sets that nobody knows."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from pipeline.common.local_time import TimeBasis
from pipeline.run.measurement_sets import SOURCES
from pipeline.transform import row_rules
from pipeline.transform.decode import Decoder
from pipeline.transform.generic_intervals import OtherTransform
from pipeline.transform.intervals import SetTransform
from schemas import (
    BatteryIntervals,
    BatteryStackIntervals,
    DcDeviceIntervals,
    DcEnergyIntervals,
    DcIntervals,
    GridIntervals,
    OtherIntervals,
    Quarantine,
    Table,
    polars_schema,
    storage,
)
from tests.transform.answers import DAY, Outcome, Row, body, places, raw
from warehouse.frames import sort, validate

WHERE = places({"1": "Europe/Berlin"}, device="7")
NOON, FIVE_PAST = "2025-07-09T12:00:00", "2025-07-09T12:05:00"
SOURCE_OF = {storage(source.intervals).table: source for source in SOURCES}


def array(*elements: tuple[object, object]) -> list[Row]:
    return [{"index": index, "value": value} for index, value in elements]


def run(
    model: type[Table],
    rows: list[Row],
    basis: TimeBasis = "plant_local",
    resolution: str | None = "FiveMinutes",
) -> Outcome:
    """Rows of one device's answer as rows of the table."""
    source = SOURCE_OF[storage(model).table]
    frame = raw([("1", body(rows, resolution))], device="7")
    outcome = Outcome.of(model, SetTransform(source.set, model, basis).transform_day([frame], WHERE, DAY))
    found = outcome.rows
    validate(model, found, {"local_date": DAY})
    assert sort(model, found, {"local_date": DAY}).equals(found)
    validate(Quarantine, outcome.quarantine, {"local_date": DAY})
    return outcome


def told(outcome: Outcome) -> list[tuple[Any, ...]]:
    return outcome.quarantine.select("scope", "reason", "field", "value", "detail").sort(pl.all()).rows()


# ---- every set -------------------------------------------------------------------------------------------------------

PLAIN = sorted(set(SOURCE_OF) - {"energy_balance_intervals"})


@pytest.mark.parametrize("basis", ["utc", "plant_local"])
@pytest.mark.parametrize("table", PLAIN)
def test_every_field_of_every_set_reaches_its_column(table: str, basis: TimeBasis) -> None:
    source = SOURCE_OF[table]
    is_long = storage(source.intervals).key[-1] != "interval_end"
    # A field that may be either is here what this table takes.
    fields = sorted(source.set.fields, key=lambda f: f.array == is_long)
    mine = [f for f in fields if f.value_column in polars_schema(source.intervals)]
    values = {f.api: array(("A", 0.5), ("B", 0.25)) if f.array else 0.5 for f in fields}
    outcome = run(source.intervals, [{"time": NOON, **values}, {"time": FIVE_PAST, **values}], basis)
    assert (outcome.quarantine.height, outcome.account.unknown_fields) == (0, set())
    assert outcome.rows.height == (4 if is_long else 2)
    for field in mine:
        if field.array == is_long:
            assert outcome.rows[field.value_column][0] == pytest.approx(0.5 * field.factor, rel=1e-15)
        if field.power:
            assert outcome.rows[f"{field.column}_kwh"][0] == pytest.approx(0.5 / 12 / 1000, rel=1e-12)
    hours = 12 if basis == "utc" else 10
    assert outcome.rows["interval_end"][0] == dt.datetime(2025, 7, 9, hours, tzinfo=dt.UTC)
    assert outcome.rows["interval_basis"].unique().sort().to_list() == ["previous_row", "resolution"]


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ("battery_stack_intervals", "batteryCurrent", -33.3),
        ("battery_stack_intervals", "batteryTemperature", -20.0),
        ("ac_intervals", "reactivePower", -512.0),
        ("ac_intervals", "activePower", -7.0),
        ("ac_intervals", "displacementPowerFactor", -0.98),
        ("dc_intervals", "dcCurrentInput", -0.02),
        ("sensor_intervals", "ambientTemperature", -31.5),
        ("sensor_intervals", "externalInsolation", -3.0),
    ],
)
def test_what_has_a_sign_keeps_it(table: str, field: str, value: float) -> None:
    source = SOURCE_OF[table]
    (mine,) = [f for f in source.set.fields if f.api == field]
    outcome = run(source.intervals, [{"time": NOON, field: array(("A", value)) if mine.array else value}])
    assert outcome.quarantine.height == 0
    assert outcome.rows[mine.value_column].to_list() == [value]
    if mine.power:
        assert outcome.rows[f"{mine.column}_kwh"][0] < 0


@pytest.mark.parametrize(
    ("table", "field", "value", "reason"),
    [
        ("battery_intervals", "batteryCharging", -1.0, row_rules.NEGATIVE),
        ("battery_intervals", "batteryStateOfHealth", 101.0, row_rules.OUT_OF_RANGE),
        ("grid_intervals", "gridFeedIn", -1.0, row_rules.NEGATIVE),
        ("energy_mix_intervals", "pvConsumptionRate", 1.5, row_rules.OUT_OF_RANGE),
        ("ac_intervals", "gridFrequency", 500.0, row_rules.OUT_OF_RANGE),
        ("ac_intervals", "voltagePhaseA2B", -230.0, row_rules.OUT_OF_RANGE),
        ("sensor_intervals", "moduleTemperature", 4000.0, row_rules.OUT_OF_RANGE),
        ("sensor_intervals", "windSpeed", "calm", row_rules.NOT_A_NUMBER),
    ],
)
def test_what_can_not_be_is_set_aside(table: str, field: str, value: object, reason: str) -> None:
    outcome = run(SOURCE_OF[table].intervals, [{"time": NOON, field: value}])
    ((_, found, api, _, _),) = told(outcome)
    assert (found, api) == (reason, field)
    assert outcome.rows["flagged"].to_list() == [True]


# ---- arrays ----------------------------------------------------------------------------------------------------------


def test_inputs_are_rows_whose_interval_is_that_of_their_row() -> None:
    """A row that lacks an input is no gap of the others, and no reason for its next value to reach further back."""
    rows = [
        {"time": NOON, "dcPowerInput": array(("A", 1200.0), ("B", 600.0))},
        {"time": FIVE_PAST, "dcPowerInput": array(("B", 600.0))},
        {"time": "2025-07-09T12:10:00", "dcPowerInput": array(("A", 1200.0), ("B", 600.0))},
    ]
    found = run(DcIntervals, rows).rows
    assert found.select("input_index", "dc_power_input_w").rows() == [
        ("A", 1200.0), ("B", 600.0), ("B", 600.0), ("A", 1200.0), ("B", 600.0)
    ]  # fmt: skip
    assert found["dc_power_input_kwh"].to_list() == pytest.approx([0.1, 0.05, 0.05, 0.1, 0.05], rel=1e-12)
    assert found["interval_basis"].to_list()[2:] == ["previous_row"] * 3


def test_arrays_of_different_length_meet_at_their_index() -> None:
    row = {
        "time": NOON,
        "dcPowerInput": array(("A", 1.0), ("B", 2.0)),
        "dcVoltageInput": array(("B", 20.0), ("C", 30.0)),
        "isolationResistance": array(("A", 3e6)),
    }
    found = run(DcIntervals, [row]).rows
    columns = ["input_index", "dc_power_input_w", "dc_voltage_input_v", "isolation_resistance_ohm"]
    assert found.select(columns).rows() == [
        ("A", 1.0, None, 3e6),
        ("B", 2.0, 20.0, None),
        ("C", None, 30.0, None),
    ]


def test_odd_names_of_inputs_are_kept_as_they_are() -> None:
    names = ["1", "MPP 2", "ä", "AA", "Z" * 70]
    row = {"time": NOON, "dcPowerInput": [{"index": 7, "value": 7.0}, *array(*((n, 1.0) for n in names))]}
    outcome = run(DcIntervals, [row])
    assert outcome.quarantine.height == 0
    assert outcome.rows["input_index"].to_list() == sorted(["7", *names])


def test_an_element_without_index_and_a_second_one_are_set_aside() -> None:
    bad = [{"value": 1.0}, {"index": "", "value": 2.0}, {"index": None, "value": 3.0}]
    row = {"time": NOON, "dcPowerInput": [*bad, *array(("A", 4.0), ("B", 5.0), ("A", 6.0))]}
    outcome = run(DcIntervals, [row])
    assert outcome.rows.select("input_index", "dc_power_input_w").rows() == [("A", 4.0), ("B", 5.0)]
    assert told(outcome) == [
        ("value", row_rules.DUPLICATE, "dcPowerInput", 6.0, "index A"),
        ("value", row_rules.NO_INDEX, "dcPowerInput", 1.0, None),
        ("value", row_rules.NO_INDEX, "dcPowerInput", 2.0, "index "),
        ("value", row_rules.NO_INDEX, "dcPowerInput", 3.0, None),
    ]
    assert outcome.account.values_aside == 4


@pytest.mark.parametrize("value", ["x", True, [1], {}])
def test_a_wrong_type_leaves_a_null_in_its_own_input(value: object) -> None:
    row = {"time": NOON, "dcPowerInput": array(("A", value), ("B", 5.0)), "dcVoltageInput": array(("A", 9.0))}
    outcome = run(DcIntervals, [row])
    found = outcome.rows.select("input_index", "dc_power_input_w", "dc_voltage_input_v", "flagged").rows()
    assert found == [("A", None, 9.0, True), ("B", 5.0, None, False)]
    ((scope, reason, field, _, detail),) = told(outcome)
    assert (scope, reason, field) == ("value", row_rules.NOT_A_NUMBER, "dcPowerInput")
    assert detail.startswith('{"index":"A","value":')


def test_one_isolation_of_a_device_has_a_row_of_its_own() -> None:
    """As every recorded answer gives it: one number a row, beside arrays."""
    rows = [
        {"time": time, "dcPowerInput": array(("A", 1.0), ("B", 2.0)), "isolationResistance": ohm}
        for time, ohm in ((NOON, 3e6), (FIVE_PAST, 2.5e6))
    ]
    inputs, devices = run(DcIntervals, rows), run(DcDeviceIntervals, rows)
    assert (inputs.quarantine.height, devices.quarantine.height) == (0, 0)
    assert devices.rows["isolation_resistance_ohm"].to_list() == [3e6, 2.5e6]
    assert devices.rows["interval_end"].dt.minute().to_list() == [0, 5]
    assert inputs.rows["isolation_resistance_ohm"].null_count() == inputs.rows.height == 4
    assert not inputs.rows["flagged"].any()


def test_isolations_given_by_input_are_kept_by_input() -> None:
    one = {"time": NOON, "isolationResistance": array(("A", 3e6))}
    two = {"time": FIVE_PAST, "isolationResistance": array(("A", 3e6), ("B", 2e6))}
    inputs, devices = run(DcIntervals, [one, two]), run(DcDeviceIntervals, [one, two])
    assert (inputs.quarantine.height, devices.quarantine.height) == (0, 0)
    assert devices.rows["isolation_resistance_ohm"].to_list() == [3e6, None]
    assert inputs.rows["isolation_resistance_ohm"].to_list() == [3e6, 3e6, 2e6]


def test_a_bad_isolation_is_told_once_where_it_belongs() -> None:
    whole = {"time": NOON, "isolationResistance": "x"}
    element = {"time": FIVE_PAST, "isolationResistance": array(("A", "x"), ("B", 2e6))}
    inputs, devices = run(DcIntervals, [whole, element]), run(DcDeviceIntervals, [whole, element])
    assert [each[1:3] for each in told(devices)] == [(row_rules.NOT_A_NUMBER, "isolationResistance")]
    assert [each[1:3] for each in told(inputs)] == [(row_rules.NOT_A_NUMBER, "isolationResistance")]
    assert inputs.rows.select("input_index", "isolation_resistance_ohm").rows() == [("A", None), ("B", 2e6)]
    assert devices.rows["isolation_resistance_ohm"].to_list() == [None, None]


@pytest.mark.parametrize("table", PLAIN)
def test_every_field_of_every_set_is_taken_in_either_form(table: str) -> None:
    """A number where an array is expected, and an array of one where a number is; among rows of the usual form."""
    source = SOURCE_OF[table]
    is_long = storage(source.intervals).key[-1] != "interval_end"
    mine = [
        f
        for f in source.set.fields
        if f.array == is_long and f.value_column in polars_schema(source.intervals)
    ]
    usual = {f.api: array(("A", 0.5)) if f.array else 0.5 for f in source.set.fields}
    other = {f.api: 0.25 if f.array else array(("A", 0.25)) for f in source.set.fields}
    outcome = run(source.intervals, [{"time": NOON, **usual}, {"time": FIVE_PAST, **other}])
    assert (outcome.quarantine.height, outcome.account.unknown_fields) == (0, set())
    for field in mine:
        if (field.api, is_long) != ("isolationResistance", True):
            found = outcome.rows[field.value_column].to_list()
            assert found == pytest.approx([0.5 * field.factor, 0.25 * field.factor], rel=1e-15), field.api
    assert not outcome.rows["flagged"].any()


@pytest.mark.parametrize("value", [array(("A", 1.0), ("B", 2.0)), [], [1.0], array(("A", "x"))])
def test_several_values_are_not_one(value: object) -> None:
    outcome = run(GridIntervals, [{"time": NOON, "gridFeedIn": value, "gridConsumption": 5.0}])
    assert outcome.rows.select("grid_feed_in_w", "grid_consumption_w").rows() == [(None, 5.0)]
    assert [each[:3] for each in told(outcome)] == [("value", row_rules.NOT_A_NUMBER, "gridFeedIn")]


@pytest.mark.parametrize("value", ["x", True, {"index": "A", "value": 1.0}])
def test_what_is_no_array_is_set_aside(value: object) -> None:
    outcome = run(DcIntervals, [{"time": NOON, "dcPowerInput": value, "dcVoltageInput": array(("A", 9.0))}])
    assert outcome.rows.select("dc_power_input_w", "dc_voltage_input_v").rows() == [(None, 9.0)]
    assert [each[:3] for each in told(outcome)] == [("value", row_rules.NOT_A_NUMBER, "dcPowerInput")]


@pytest.mark.parametrize("value", [[], None, [None], [{}], array(("A", None))])
def test_arrays_without_a_value_are_no_fault(value: object) -> None:
    outcome = run(DcIntervals, [{"time": NOON, "dcPowerInput": value}])
    assert outcome.quarantine.height == 0
    assert (outcome.account.rows_in, outcome.account.rows_out) == (1, 1)
    assert outcome.rows["dc_power_input_w"].null_count() == outcome.rows.height <= 1


def test_a_value_beyond_its_bounds_names_its_input() -> None:
    outcome = run(DcIntervals, [{"time": NOON, "dcVoltageInput": array(("A", 300.0), ("B", 9e9))}])
    assert told(outcome) == [("value", row_rules.OUT_OF_RANGE, "dcVoltageInput", 9e9, "index B")]
    assert outcome.rows["flagged"].to_list() == [False, True]


def test_energy_of_inputs_is_scaled_and_never_made_from_power() -> None:
    """Whatever the interval, Wh are Wh; what is set aside is told as it came."""
    rows = [
        {"time": NOON, "dcEnergyInput": array(("A", 250.0))},
        {"time": "2025-07-09T13:00:00", "dcEnergyInput": array(("A", 250.0), ("B", -4.0))},
    ]
    outcome = run(DcEnergyIntervals, rows)
    assert outcome.rows["dc_energy_input_kwh"].to_list() == [0.25, 0.25, None]
    assert told(outcome) == [("value", row_rules.OUT_OF_RANGE, "dcEnergyInput", -4.0, "index B")]
    assert outcome.account.energies == {}


def test_a_battery_and_its_stacks_share_answers_and_not_their_faults() -> None:
    row = {
        "time": NOON,
        "batteryCharging": -5.0,
        "batteryStateOfCharge": 50.0,
        "batteryStateOfChargeArray": array(("A", 40.0), ("B", 160.0)),
    }
    whole, stacks = run(BatteryIntervals, [row]), run(BatteryStackIntervals, [row])
    assert whole.rows["battery_state_of_charge_pct"].to_list() == [50.0]
    assert stacks.rows.select("stack_index", "battery_state_of_charge_pct").rows() == [
        ("A", 40.0),
        ("B", None),
    ]
    assert [each[2] for each in told(whole)] == ["batteryCharging"]
    assert [each[2] for each in told(stacks)] == ["batteryStateOfChargeArray"]


def test_a_row_that_comes_twice_brings_its_inputs_once() -> None:
    rows = [{"time": NOON, "dcPowerInput": array(("A", watts), ("B", watts))} for watts in (1.0, 2.0)]
    outcome = run(DcIntervals, rows)
    assert outcome.rows["dc_power_input_w"].to_list() == [1.0, 1.0]
    assert (outcome.account.rows_in, outcome.account.rows_out, outcome.account.rows_aside) == (2, 1, 1)


def test_new_fields_and_new_keys_of_elements_are_noticed_and_cost_only_once() -> None:
    decoder = Decoder(["p"], {"p"})
    rows = [{"time": "a", "p": array(("A", 1.0)), "q": array(("A", 2.0)), "r": 3}]
    text = pl.Series("body", [body(rows)], dtype=pl.Binary)
    assert decoder.decode(text).unknown_fields == ("q", "r")
    assert decoder.extra == {"q": True, "r": False}
    assert decoder.decode(text).unknown_fields == ("q", "r")
    odd = body([{"time": "a", "p": [{"index": "A", "value": 1.0, "unit": "W"}]}])
    read = decoder.decode(pl.Series("body", [odd], dtype=pl.Binary))
    assert read.unknown_fields == ("p.unit",)
    assert read.rows["p"].to_list() == [[{"index": "A", "value": 1.0}]]


# ---- sets that nobody knows ------------------------------------------------------------------------------------------


def others(rows: list[Row], name: str = "Brandnew", resolution: str | None = "Odd") -> Outcome:
    frame = raw([("1", body(rows, resolution))], device="")
    batches = OtherTransform(name, "plant_local").transform_day([frame], places({"1": "UTC"}, device=""), DAY)
    outcome = Outcome.of(OtherIntervals, batches)
    found = outcome.rows
    validate(OtherIntervals, found, {"local_date": DAY})
    assert sort(OtherIntervals, found, {"local_date": DAY}).equals(found)
    validate(Quarantine, outcome.quarantine, {"local_date": DAY})
    return outcome


def test_every_value_of_an_unknown_set_is_a_row() -> None:
    row = {
        "time": NOON, "number": 1.5, "text": "on", "truth": True, "nothing": None, "huge": 1e300,
        "array": [{"index": "A", "value": 2}, {"value": 3}, 4, {"index": "B", "value": "off"}], "object": {"a": 1},
    }  # fmt: skip
    outcome = others([row])
    assert outcome.quarantine.height == 0
    assert outcome.rows.select("field", "element", "value", "value_text").rows() == [
        ("array", "#2", 3.0, None),
        ("array", "#3", 4.0, None),
        ("array", "A", 2.0, None),
        ("array", "B", None, "off"),
        ("huge", None, None, "1e300"),
        ("number", None, 1.5, None),
        ("object", None, None, '{"a":1}'),
        ("text", None, None, "on"),
        ("truth", None, None, "true"),
    ]
    assert outcome.rows["device_id"].null_count() == 9
    assert outcome.rows["set_type"].unique().to_list() == ["Brandnew"]


def test_times_of_unknown_sets_are_judged_as_all_others() -> None:
    outcome = others([{"time": "soon", "a": 1}, {"time": NOON, "a": 1}, {"time": NOON, "a": 2}])
    assert outcome.rows["value"].to_list() == [1.0]
    assert sorted(outcome.quarantine["reason"]) == [row_rules.DUPLICATE, row_rules.UNREADABLE_TIME]


def test_an_index_that_comes_twice_is_kept_once() -> None:
    outcome = others([{"time": NOON, "a": array(("A", 1), ("A", 2))}])
    assert outcome.rows["value"].to_list() == [1.0]
    assert told(outcome) == [("value", row_rules.DUPLICATE, "a", 2.0, "index A")]
