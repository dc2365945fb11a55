"""Measurement sets: every set, every period, units, labels, sums, and what may be absent."""

import math

import pytest

from sandbox.series import set_names
from tests.sandbox.served_sandbox import Json, Serve, Served

DAY = "2023-06-10"
IDENTITY_W = 0.0025  # three values rounded to 0.001


def metered(it: Served, *, battery: bool, step: int = 300) -> str:
    return next(
        source.plant.plant_id
        for source in it.world.sources()
        if source.plant.metered and bool(source.plant.battery) is battery and source.plant.step_s == step
    )


def device_of(it: Served, set_type: str) -> str:
    return next(
        device.device_id
        for source in it.world.sources()
        if source.plant.index >= 0 and source.plant.step_s == 300
        for device in source.plant.devices
        if set_type in source.sets(device) and device.deactivated_at is None
    )


@pytest.mark.parametrize("step", [300, 900])
def test_the_balance_adds_up_row_by_row(sandbox: Served, step: int) -> None:
    for row in sandbox.rows(metered(sandbox, battery=True, step=step), Date=DAY):
        assert abs(row["totalGeneration"] - row["selfConsumption"] - row["gridFeedIn"]) < IDENTITY_W
        assert abs(row["totalConsumption"] - row["selfSupply"] - row["gridConsumption"]) < IDENTITY_W
        sources = row["pvGeneration"] + row["batteryDischarging"] + row["gridConsumption"]
        sinks = row["totalConsumption"] + row["batteryCharging"] + row["gridFeedIn"]
        assert abs(sources - sinks) < 2 * IDENTITY_W
        assert row["autarkyRate"] == pytest.approx(row["selfSupply"] / row["totalConsumption"], abs=1e-5)
        if row["totalGeneration"]:
            share = row["selfConsumption"] / row["totalGeneration"]
            assert row["selfConsumptionRate"] == pytest.approx(
                share, abs=1e-3 / row["totalGeneration"] + 1e-5
            )
        assert 0 <= row["batteryStateOfCharge"] <= 100
        assert all(value >= 0 for key, value in row.items() if key != "time")


def test_keys_that_do_not_apply_are_absent_and_never_null(sandbox: Served) -> None:
    rows = sandbox.rows(metered(sandbox, battery=False), Date=DAY)
    assert not any(key.startswith(("battery", "diesel")) for row in rows for key in row)
    assert any("selfConsumptionRate" not in row for row in rows)  # at night nothing is generated
    text = sandbox.http.get(
        f"/monitoring/v1/plants/{metered(sandbox, battery=False)}/measurements/sets/EnergyBalance/Day",
        params={"Date": DAY},
    ).text
    assert "null" not in text
    assert "-0.0" not in text


def test_day_rows_are_labelled_by_their_end_and_midnight_belongs_to_the_day_before(sandbox: Served) -> None:
    times = [row["time"] for row in sandbox.rows(metered(sandbox, battery=True), Date=DAY)]
    assert times[0] == "2023-06-10T00:05:00"
    assert times[-1] == "2023-06-11T00:00:00"
    assert len(times) == 288


def test_inverters_sleep_at_night_and_meters_do_not(sandbox: Served) -> None:
    inverter = sandbox.device_rows(device_of(sandbox, set_names.PV), set_names.PV, Date=DAY)
    meter = sandbox.device_rows(device_of(sandbox, set_names.IN_OUT), set_names.IN_OUT, Date=DAY)
    assert 100 < len(inverter) < 250
    assert all(row["pvGeneration"] > 0 for row in inverter)
    assert len(meter) == 288


def test_every_device_set_has_its_fields(sandbox: Served) -> None:
    fields = {
        set_names.PV: {"pvGeneration"},
        set_names.BATTERY: {
            "batteryCharging", "batteryDischarging", "batteryStateOfCharge", "batteryStateOfHealth",
            "batteryStateOfChargeArray", "batteryStateOfHealthArray", "batteryVoltage", "batteryCurrent",
            "batteryTemperature", "currentBatteryChargingSetVoltage",
        },
        set_names.CONSUMPTION: {"consumption"},
        set_names.IN_OUT: {"gridFeedIn", "gridConsumption"},
        set_names.ENERGY_MIX: {
            "pvConsumptionRate",
            "batteryConsumptionRate",
            "gridConsumptionRate",
            "totalConsumption",
        },
        set_names.POWER_AC: {
            f"{name}{phase}"
            for name in ("voltagePhase", "currentPhase", "activePowerPhase", "reactivePowerPhase", "apparentPowerPhase")
            for phase in "ABC"
        }
        | {"voltagePhaseA2B", "voltagePhaseB2C", "voltagePhaseC2A", "activePower", "reactivePower", "apparentPower"}
        | {"gridFrequency", "displacementPowerFactor"},
        set_names.POWER_DC: {"dcPowerInput", "dcVoltageInput", "dcCurrentInput", "isolationResistance"},
        set_names.ENERGY_DC: {"dcEnergyInput"},
        set_names.SENSOR: {"externalInsolation", "ambientTemperature", "moduleTemperature", "windSpeed"},
    }  # fmt: skip
    assert set(fields) == set(set_names.DEVICE_SETS)
    for set_type, names in fields.items():
        row = sandbox.device_rows(device_of(sandbox, set_type), set_type, Date=DAY)[60]
        assert set(row) - {"time"} == names, set_type


def test_isolation_is_one_number_of_the_device_and_the_envelope_names_it_by_three_keys(
    sandbox: Served,
) -> None:
    """As in every recorded answer of production."""
    device = device_of(sandbox, set_names.POWER_DC)
    answer = sandbox.get(
        f"/monitoring/v1/devices/{device}/measurements/sets/{set_names.POWER_DC}/Day", Date=DAY
    )
    assert set(answer["device"]) == {"deviceId", "name", "timezone"}
    assert all(isinstance(row["isolationResistance"], float) for row in answer["set"])


def test_arrays_carry_an_index_and_agree_with_the_power(sandbox: Served) -> None:
    device = device_of(sandbox, set_names.POWER_DC)
    dc = sandbox.device_rows(device, set_names.POWER_DC, Date=DAY)
    ac = {row["time"]: row for row in sandbox.device_rows(device, set_names.POWER_AC, Date=DAY)}
    wh = {row["time"]: row for row in sandbox.device_rows(device, set_names.ENERGY_DC, Date=DAY)}
    for row in dc[20:-20]:
        assert [item["index"] for item in row["dcPowerInput"]] == ["A", "B"]
        power = sum(item["value"] for item in row["dcPowerInput"])
        assert power > ac[row["time"]]["activePower"]
        assert sum(item["value"] for item in wh[row["time"]]["dcEnergyInput"]) == pytest.approx(
            power / 12, abs=0.01
        )
        for number in range(2):
            volts, amperes = row["dcVoltageInput"][number]["value"], row["dcCurrentInput"][number]["value"]
            assert volts * amperes == pytest.approx(row["dcPowerInput"][number]["value"], abs=0.5)
    for row in ac.values():
        assert math.hypot(row["activePower"], row["reactivePower"]) == pytest.approx(
            row["apparentPower"], abs=0.01
        )


def test_sensors_agree_with_the_power(sandbox: Served) -> None:
    source = next(s for s in sandbox.world.sources() if s.plant.index == 0)
    sensor = next(d for d in source.plant.devices if set_names.SENSOR in source.sets(d))
    light = {row["time"]: row for row in sandbox.device_rows(sensor.device_id, set_names.SENSOR, Date=DAY)}
    rows = sandbox.rows(source.plant.plant_id, Date=DAY)
    bright = [row for row in rows if light[row["time"]]["externalInsolation"] > 200]
    assert bright
    assert all(row["pvGeneration"] > 0 for row in bright)
    assert all(light[r["time"]]["moduleTemperature"] > light[r["time"]]["ambientTemperature"] for r in bright)
    dark = [row for row in rows if light[row["time"]]["externalInsolation"] == 0]
    assert all(row["pvGeneration"] == 0 for row in dark)


@pytest.mark.parametrize(
    ("period", "date", "resolution", "count", "first"),
    [
        ("week", "2023-06-10", "FiveMinutes", 2016, "2023-06-10T00:05:00"),
        ("Month", "2023-06", "OneDay", 30, "2023-06-01T00:00:00"),
        ("YEAR", "2023", "OneMonth", 12, "2023-01-01T00:00:00"),
    ],
)
def test_periods(sandbox: Served, period: str, date: str, resolution: str, count: int, first: str) -> None:
    plant = metered(sandbox, battery=True)
    body = sandbox.get(f"/monitoring/v1/plants/{plant}/measurements/sets/EnergyBalance/{period}/", DATE=date)
    assert (body["resolution"], len(body["set"]), body["set"][0]["time"]) == (resolution, count, first)


def test_total_has_a_row_a_year_from_the_start_up_on(sandbox: Served) -> None:
    rows = sandbox.rows("900001", "Total")
    assert [row["time"] for row in rows] == ["2019-01-01T00:00:00", "2021-01-01T00:00:00"]


def test_recent_is_the_last_row(serve: Serve) -> None:
    it = serve(plants=3)
    plant = metered(it, battery=True)
    rows = it.rows(plant, "Recent")
    assert [row["time"] for row in rows] == ["2024-06-15T13:55:00"]  # 12:00 UTC less five minutes, in Berlin


def test_days_add_up_to_month_year_and_truth(sandbox: Served) -> None:
    plant = metered(sandbox, battery=True)
    month = sandbox.rows(plant, "Month", Date="2023-03")
    year = sandbox.rows(plant, "Year", Date="2023")
    day = sandbox.rows(plant, Date="2023-03-26", ReturnEnergyValues="true")
    exact = sandbox.truth(plant, "pvGeneration", "2023-03-01T00:00:00+01:00", "2023-04-01T00:00:00+02:00")
    assert sum(row["pvGeneration"] for row in day) == pytest.approx(month[25]["pvGeneration"], abs=0.2)
    assert sum(row["pvGeneration"] for row in month) == pytest.approx(year[2]["pvGeneration"], abs=0.05)
    assert sum(row["pvGeneration"] for row in month) / 1000 == pytest.approx(exact, abs=1e-4)


def test_energy_values_are_the_watts_times_the_interval(sandbox: Served) -> None:
    plant = metered(sandbox, battery=False, step=900)
    watts = sandbox.rows(plant, Date=DAY)
    energy = sandbox.rows(plant, Date=DAY, returnenergyvalues="True")
    for one, other in zip(watts, energy, strict=True):
        assert other["gridConsumption"] == pytest.approx(one["gridConsumption"] / 4, abs=1e-3)
        assert other.get("autarkyRate") == one.get("autarkyRate")


def test_with_total_adds_the_sums_in_wh(sandbox: Served) -> None:
    plant = metered(sandbox, battery=True)
    path = f"/monitoring/v1/plants/{plant}/measurements/sets/EnergyBalance/Day"
    body = sandbox.get(path, Date=DAY, WithTotal="true")
    assert body["total"]["pvGeneration"] == pytest.approx(
        sum(r["pvGeneration"] for r in body["set"]) / 12, abs=0.1
    )
    assert "total" not in sandbox.get(path, Date=DAY)


def test_grid_settings_have_an_interval_of_their_own(sandbox: Served) -> None:
    body = sandbox.get(
        f"/monitoring/v1/plants/{metered(sandbox, battery=True)}/measurements/sets/GridSettings/Day", Date=DAY
    )
    assert (body["resolution"], len(body["set"])) == ("FifteenMinutes", 96)


def test_a_set_that_the_device_lacks_is_an_empty_list_and_an_unknown_one_404(sandbox: Served) -> None:
    assert sandbox.device_rows("9000011", set_names.BATTERY, Date=DAY) == []
    base = "/monitoring/v1/plants/900001/measurements/sets"
    assert sandbox.http.get(f"{base}/Nonsense/Day", params={"Date": DAY}).status_code == 404
    assert sandbox.get(f"{base}/PowerAc/Day", Date=DAY)["set"] == []
    assert sandbox.rows("5000000", "Month", "EnergyAndPowerPv", Date="2023-06") == []


@pytest.mark.parametrize(
    "date", ["1999-01-01", "2100-01-01", "0001-01-01", "9999-12-31", "2005-01-01", "2030-01-01"]
)
@pytest.mark.parametrize("period", ["Day", "Week", "Month", "Year"])
def test_dates_without_data_are_empty(sandbox: Served, date: str, period: str) -> None:
    assert sandbox.rows(metered(sandbox, battery=True), period, Date=date) == []


@pytest.mark.parametrize(
    ("period", "params"),
    [
        ("Day", {}),
        ("Day", {"Date": "2023-02-30"}),
        ("Day", {"Date": "20230610"}),
        ("Day", {"Date": "2023-W10-1"}),
        ("Day", {"Date": "2023-06"}),
        ("Month", {"Date": "2023-13"}),
        ("Year", {"Date": "abcd"}),
        ("Day", {"Date": "٢٠٢٣-٠٦-١٠"}),
        ("Decade", {"Date": DAY}),
        ("Day", {"Date": DAY, "WithTotal": "yes"}),
    ],
)
def test_bad_questions_are_400(sandbox: Served, period: str, params: dict[str, str]) -> None:
    answer = sandbox.http.get(
        f"/monitoring/v1/plants/900001/measurements/sets/EnergyBalance/{period}", params=params
    )
    assert answer.status_code == 400
    assert answer.json()["status"] == 400


def test_faults_of_inverters_happen_while_they_work(sandbox: Served) -> None:
    logs = sandbox.get("/monitoring/v1/plants/5000000/logs", From="2022-01-01", To="2022-12-31")["logs"]
    hours: dict[str, set[int]] = {}
    for entry in logs:
        hours.setdefault(entry["message"].partition(":")[0], set()).add(int(entry["timestamp"][11:13]))
    assert hours["Insulation fault"] <= set(range(8, 14))
    assert hours["Fan speed is low"] <= set(range(10, 18))
    assert len(hours["Communication disturbed"]) > 4
    assert [entry["timestamp"] for entry in logs] == sorted(entry["timestamp"] for entry in logs)


def test_logs_have_event_ids_on_ennexos_only(sandbox: Served) -> None:
    def logs(index: int, **more: str) -> list[Json]:
        plant = next(source.plant for source in sandbox.world.sources() if source.plant.index == index)
        path = f"/monitoring/v1/plants/{plant.plant_id}/logs"
        entries: list[Json] = sandbox.get(path, From="2022-01-01", To="2022-06-30", **more)["logs"]
        return entries

    ennexos, classic = logs(0), logs(3)
    assert all(isinstance(entry["logId"], int) for entry in ennexos)
    assert classic
    assert all("logId" not in entry for entry in classic)
    assert {entry["level"] for entry in logs(0, level="error")} == {"Error"}
    device = ennexos[0]["deviceId"]
    own = sandbox.get(f"/monitoring/v1/devices/{device}/logs", From="2022-01-01", To="2022-06-30")["logs"]
    assert own == [entry for entry in ennexos if entry["deviceId"] == device]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"From": "2022-01-01"},
        {"From": "2022-02-01", "To": "2022-01-01"},
        {"From": "2000-01-01", "To": "2022-01-01"},
        {"From": "0001-01-01", "To": "0001-01-02"},
        {"From": "2022-01-01", "To": "2022-01-02", "Level": "Loud"},
    ],
)
def test_bad_log_questions_are_400(sandbox: Served, params: dict[str, str]) -> None:
    assert sandbox.http.get("/monitoring/v1/plants/900001/logs", params=params).status_code == 400
