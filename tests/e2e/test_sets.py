"""All sets and logs through the steps: against the sandbox that serves them, and with answers that nobody expects."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from pipeline.common.errors import TransientError, UsageError
from pipeline.common.settings import Settings, load_settings
from pipeline.extract.fetch import OtherSetsFetch, SetFetch, fetch_device_logs, fetch_logs
from pipeline.extract.missing_answers import plan_missing
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SETS, SOURCES, check_sets
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from pipeline.tables.interval_tables import write_intervals, write_other_intervals
from pipeline.tables.log_tables import write_log_messages, write_logs
from sandbox.launch import run_sandbox
from schemas import (
    AcIntervals,
    BatteryIntervals,
    BatteryStackIntervals,
    ConsumptionIntervals,
    DcDeviceIntervals,
    DcEnergyIntervals,
    DcIntervals,
    EnergyBalanceIntervals,
    EnergyMixIntervals,
    GridIntervals,
    GridSettingsIntervals,
    LogMessages,
    Logs,
    OtherIntervals,
    Plants,
    PvIntervals,
    Quarantine,
    RawOtherSets,
    SensorIntervals,
    Table,
    storage,
)
from schemas.site_sets import GRID_SETTINGS
from tests.noticed import noticed
from tests.scripted import ScriptedSma
from tests.whole_days import refresh
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

New = Callable[..., RunContext]
MONDAY, TUESDAY = dt.date(2021, 10, 4), dt.date(2021, 10, 5)
SUMMER = dt.date(2024, 6, 1)


def run(runtime: RunContext, *days: dt.date) -> Notices:
    """Everything that the settings choose, of days of one week."""
    notices = Notices()
    for source in SETS:
        notices.add(noticed(SetFetch(source)(runtime, days)))
    notices.add(noticed(OtherSetsFetch()(runtime, days)))
    notices.add(noticed(fetch_logs(runtime, days)))
    notices.add(noticed(fetch_device_logs(runtime, days)))
    for day in days:
        notices.add(noticed(write_intervals(runtime, source, day) for source in SOURCES))
        notices.add(noticed([write_other_intervals(runtime, day), write_logs(runtime, day)]))
    notices.add(noticed([write_log_messages(runtime)]))
    return notices


# ---- the sandbox -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["utc", "plant_local"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunContext]:
    """A summer day of four plants with everything: meters, batteries, sensors, a charging station."""
    home = tmp_path_factory.mktemp("sets")
    with run_sandbox("--plants", "4", "--seed", "7", f"--time-basis={request.param}") as address:
        settings = load_settings(
            env_file=None,
            home=home,
            sma_client_id=address.client_id,
            sma_client_secret=address.client_secret,
            sma_time_basis=address.time_basis,
            sma_monitoring_url=f"{address.url}/monitoring",
            sma_auth_url=address.url,
            sets="all",
            logs="devices",
        )
        with RunContext(settings) as runtime:
            refresh(runtime)
            run(runtime, SUMMER)
            yield runtime


def kwh(runtime: RunContext, model: type[Table], column: str, by: str = "plant_id") -> dict[str, float]:
    rows = runtime.lake.scan(model).group_by(by).agg(pl.col(column).sum()).sort(by).collect()
    return dict(rows.rows())


def test_every_set_reaches_its_table_and_nothing_is_set_aside(fleet: RunContext) -> None:
    tables = [source.intervals for source in SOURCES]
    counts = {storage(model).table: fleet.lake.scan(model).collect().height for model in tables}
    assert {table for table, count in counts.items() if not count} == set()
    assert fleet.lake.scan(Quarantine).filter(~pl.col("kept")).collect().height == 0


def test_the_sets_agree_with_each_other(fleet: RunContext) -> None:
    """Watt-hours of the energy set are those of the power set; the AC side is what the inverter made."""
    by = "device_id"
    counted = kwh(fleet, DcEnergyIntervals, "dc_energy_input_kwh", by)
    # At dawn an inverter may skip a step: the power of its next row is taken for the time before as well.
    assert kwh(fleet, DcIntervals, "dc_power_input_kwh", by) == pytest.approx(counted, rel=1e-3)
    made = kwh(fleet, PvIntervals, "pv_generation_kwh", by)
    assert kwh(fleet, AcIntervals, "active_power_kwh", by) == pytest.approx(made, rel=1e-9)
    for model, columns in {
        GridIntervals: ["grid_feed_in_kwh", "grid_consumption_kwh"],
        BatteryIntervals: ["battery_charging_kwh", "battery_discharging_kwh"],
    }.items():
        for column in columns:
            plant = kwh(fleet, EnergyBalanceIntervals, column)
            device = kwh(fleet, model, column)
            assert device == pytest.approx({key: plant[key] for key in device}, rel=1e-6)


def test_arrays_have_a_row_for_each_input_and_stack(fleet: RunContext) -> None:
    inputs = fleet.lake.scan(DcIntervals).collect()
    rows = fleet.lake.scan(AcIntervals).collect()
    assert inputs.height == 2 * rows.height
    assert inputs["input_index"].unique().sort().to_list() == ["A", "B"]
    # One isolation of the whole device is no row of an input.
    assert inputs["isolation_resistance_ohm"].null_count() == inputs.height
    whole = fleet.lake.scan(DcDeviceIntervals).collect()
    assert whole.height == rows.height
    assert whole["isolation_resistance_ohm"].is_between(2e6, 4e6).all()
    stacks = fleet.lake.scan(BatteryStackIntervals).collect()
    assert stacks.height == fleet.lake.scan(BatteryIntervals).collect().height
    assert stacks["battery_current_a"].min() < 0 < stacks["battery_current_a"].max()  # type: ignore[operator]


def test_shares_weather_and_consumption_are_within_sense(fleet: RunContext) -> None:
    mix = fleet.lake.scan(EnergyMixIntervals).collect()
    shares = mix.select(pl.sum_horizontal(pl.col("^.*_rate$")))
    assert shares.to_series().drop_nulls().is_between(0.99, 1.01).all()
    assert fleet.lake.scan(SensorIntervals).collect()["module_temperature_c"].is_between(-40, 90).all()
    assert all(found > 0 for found in kwh(fleet, ConsumptionIntervals, "consumption_kwh").values())


def test_grid_settings_are_kept_generically(fleet: RunContext) -> None:
    found = fleet.lake.scan(OtherIntervals).collect()
    assert found["set_type"].unique().to_list() == ["GridSettings"]
    assert found["device_id"].null_count() == found.height
    assert found["value"].unique().to_list() == [100.0]
    assert found.group_by("plant_id").len()["len"].unique().to_list() == [96]


def test_the_limit_of_active_power_has_a_table_beside(fleet: RunContext) -> None:
    found = fleet.lake.scan(GridSettingsIntervals).collect()
    assert found["active_power_limitation_pct"].unique().to_list() == [100.0]
    others = fleet.lake.scan(OtherIntervals).select("plant_id", "interval_end").collect()
    assert found.select("plant_id", "interval_end").equals(others.sort("plant_id", "interval_end"))
    assert found["interval_basis"].unique().sort().to_list() == ["midnight", "previous_row"]


def test_grid_settings_that_devices_answer_are_no_row_of_the_plant(fleet: RunContext, tmp_path: Path) -> None:
    """SMA may offer the set of devices too: only what the plant answers is the plant's limit."""
    settings = load_settings(
        env_file=None, home=tmp_path, sma_time_basis=fleet.settings.sma_time_basis, sets="GridSettings"
    )
    runtime = RunContext(settings)
    runtime.lake.replace(Plants, {}, [fleet.lake.scan(Plants).collect()])
    part = {"local_date": SUMMER, "set_type": "GridSettings"}
    answers = pl.concat(fleet.lake.read_batches(RawOtherSets, part))
    of_devices = answers.with_columns(device_id=pl.lit("d"))
    runtime.lake.replace(RawOtherSets, part, [pl.concat([answers, of_devices]).sort("plant_id", "device_id")])
    write_intervals(runtime, GRID_SETTINGS, SUMMER)
    expected = fleet.lake.scan(GridSettingsIntervals).collect()
    assert runtime.lake.scan(GridSettingsIntervals).collect().equals(expected)


def test_logs_of_both_levels_hold_each_event_once(fleet: RunContext) -> None:
    found = fleet.lake.scan(Logs).collect()
    assert found.height == found.select("plant_id", "raw_time", "message").unique().height
    only_plants = load_settings(env_file=None, home=fleet.settings.home, logs="plants")
    assert len(list(plan_missing(RunContext(only_plants), [SUMMER]))) < len(
        list(plan_missing(fleet, [SUMMER]))
    )


# ---- what nobody expects ---------------------------------------------------------------------------------------------


def brandnew(request: Request) -> bytes | None:
    """An SMA that has added a set to the devices and one to the plants."""
    if request.endpoint == "sets":
        return json.dumps(
            {"sets": ["EnergyAndPowerPv", "Brandnew"] if request.device_id else ["Tides"]}
        ).encode()
    if request.set_type in {"Brandnew", "Tides"}:
        start = dt.date.fromisoformat(request.date)
        rows = [
            {"time": f"{start + dt.timedelta(days=i)}T12:00:00", "flux": 7.5, "mode": "on"}
            for i in range(7 if request.period == "Week" else 1)
        ]
        return json.dumps({"resolution": "NineMinutes", "set": rows}).encode()
    return None


@pytest.fixture
def choose(settings: Settings, new_runtime: New) -> Callable[..., RunContext]:
    """A fresh runtime that asks for these sets and logs."""

    def build(sets: str = "all", logs: str = "none") -> RunContext:
        runtime = new_runtime()
        runtime.settings = settings.model_copy(update={"sets": sets, "logs": logs})
        return runtime

    return build


def values(runtime: RunContext) -> list[tuple[object, ...]]:
    found = runtime.lake.scan(OtherIntervals).sort("set_type", "plant_id", "local_date", "field").collect()
    columns = ["set_type", "plant_id", "device_id", "field", "value", "value_text"]
    return found.filter(plant_id="11", local_date=MONDAY).select(columns).rows()


NEW_ROWS = [
    ("Brandnew", "11", "111", "flux", 7.5, None),
    ("Brandnew", "11", "111", "mode", None, "on"),
    ("Tides", "11", None, "flux", 7.5, None),
    ("Tides", "11", None, "mode", None, "on"),
]


def test_a_set_that_sma_adds_lands_in_the_generic_table(
    choose: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    sma.special = brandnew
    runtime = choose()
    notices = noticed([refresh(runtime), run(runtime, MONDAY, TUESDAY)])
    assert values(runtime) == NEW_ROWS
    assert notices.missing == []
    assert len(runtime.lake.list_parts(RawOtherSets)) == 4


def test_a_set_asked_for_alone_leaves_the_others_alone(
    choose: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    sma.special = brandnew
    runtime = choose()
    refresh(runtime)
    run(runtime, MONDAY)
    again = choose("tides")
    again.again = True
    sma.asked.clear()
    list(OtherSetsFetch()(again, [MONDAY]))
    write_other_intervals(again, MONDAY)
    assert {request.set_type for request in sma.asked} == {"Tides"}
    assert values(again) == NEW_ROWS


def test_a_failing_set_keeps_what_is_stored_and_is_told_beside_the_others(
    choose: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    sma.special = brandnew
    refresh(choose())
    run(choose(), MONDAY)
    fault = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
    sma.special = lambda request: (
        fault if request.set_type == "Brandnew" and request.plant_id == "11" else brandnew(request)
    )
    again = choose()
    again.again = True
    notices = run(again, MONDAY)
    assert values(again) == NEW_ROWS
    assert {(missing.table, missing.plant_id) for missing in notices.missing} == {("raw_other_sets", "11")}
    told = again.lake.scan(Quarantine).filter(scope="answer").select("source", "plant_id", "reason").collect()
    assert told.rows() == [("raw_other_sets-Brandnew", "11", "request_failed")]


def test_a_set_with_a_name_that_fits_nowhere_is_told(
    choose: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    sma.special = lambda request: b'{"sets": ["../etc"]}' if request.endpoint == "sets" else None
    runtime = choose()
    notices = noticed([refresh(runtime), *OtherSetsFetch()(runtime, [MONDAY])])
    assert {missing.reason for missing in notices.missing} == {
        "the set '../etc' can't be fetched, because its name is not a plain word"
    }


def test_a_set_that_nobody_has_is_wrong_usage(choose: Callable[..., RunContext]) -> None:
    runtime = choose("EnergyBalance,Enery")
    refresh(runtime)
    with pytest.raises(
        UsageError, match=r"has a set 'Enery': choose from EnergyAndPowerPv, EnergyBalance, or all"
    ):
        check_sets(runtime)
    check_sets(choose("energybalance,PowerDc"))


def test_only_what_is_chosen_is_planned(choose: Callable[..., RunContext], sma: ScriptedSma) -> None:
    sma.special = brandnew
    runtime = choose()
    refresh(runtime)

    def planned(sets: str, logs: str) -> dict[str, int]:
        parts = plan_missing(choose(sets, logs), [MONDAY])
        return {storage(part.model).table: len(part.requests) for part in parts if part.requests}

    assert planned("EnergyAndPowerPv", "none") == {"raw_pv": 2}
    assert planned("brandnew", "plants") == {"raw_other_sets": 2, "raw_logs": 2}
    assert planned("PowerDc", "devices") == {"raw_logs": 2, "raw_device_logs": 2}


# ---- logs ------------------------------------------------------------------------------------------------------------


def test_classic_gets_the_event_id_of_its_tag_where_that_is_unique(
    choose: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    classic = "8bdad230-294f-4703-9cd8-5df17e4b6dd1"
    sma.lists = ["11", classic]
    sma.devices = {classic: [{"deviceId": "7", "name": "Inverter", "isActive": True}]}

    def logbook(request: Request) -> bytes | None:
        if request.endpoint != "logs":
            return None
        entries = [
            {"timestamp": "2021-10-04T10:00:00", "messageTagId": tag, "message": text, "level": "Info"}
            for tag, text in ((620, "Fan"), (700, "Ground"), (900, "New"))
        ]
        if request.plant_id == classic:
            return json.dumps({"logs": [entry | {"logId": ""} for entry in entries]}).encode()
        first = [entry | {"logId": event} for entry, event in zip(entries, (7701, 3501), strict=False)]
        return json.dumps({"logs": [*first, entries[1] | {"logId": 3502}]}).encode()

    sma.special = logbook
    runtime = choose("EnergyBalance", "devices")
    refresh(runtime)
    run(runtime, MONDAY)
    publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version="1")
    with connect(runtime.settings.warehouse) as db:
        query = "SELECT backend, message, event_id, event_id_from FROM v_logs ORDER BY ALL"
        assert db.execute(query).fetchall() == [
            ("classic", "Fan", 7701, "tag"),
            ("classic", "Ground", None, "several"),
            ("classic", "New", None, "unknown"),
            ("ennexos", "Fan", 7701, "given"),
            ("ennexos", "Ground", 3501, "given"),
            ("ennexos", "Ground", 3502, "given"),
        ]
    learned = runtime.lake.scan(LogMessages).filter(message="Ground").collect()
    assert learned.select("backend", "event_id", "n_event_ids", "n_entries").rows() == [
        ("classic", None, 2, 1),
        ("ennexos", None, 2, 2),
    ]
