"""The asset graph: raw answers, core tables, report tables. Each asset calls one step and reports what it did."""

import datetime as dt
import functools
from collections.abc import Iterable, Iterator

import dagster as dg

from assets.common import per_day, per_days, whole
from pipeline import steps
from pipeline.asking import weeks
from pipeline.instance import API_POOL
from pipeline.runtime import Runtime
from pipeline.settings import Settings
from schemas import (
    RAW,
    BillingUnits,
    Consents,
    DeviceEnergyDaily,
    Devices,
    EnergyDaily,
    EnergyHourly,
    EnergyMonthly,
    Invoices,
    KpiDaily,
    KpiMonthly,
    LogMessages,
    Logs,
    MeasurementSets,
    OtherIntervals,
    Plants,
    ProfileMonthly,
    RawDeviceLogs,
    RawDevices,
    RawEnergyMonths,
    RawEnergyYears,
    RawLogs,
    RawMeasurementSets,
    RawOtherSets,
    RawPlants,
    Reconciliation,
    ReconciliationYearly,
    storage,
)

SOURCE = "source"
FROM_API = {"sma", "httpx", "deltalake"}
FROM_LAKE = {"polars", "deltalake"}


def list_assets() -> list[dg.AssetsDefinition]:
    """Consents, plants, devices and measurement sets: what is there to be asked for."""
    # A group of their own: they come before all days, and every layer of those reads them.
    ask = functools.partial(whole, kinds=FROM_API, pool=API_POOL, group=SOURCE)
    make = functools.partial(whole, kinds=FROM_LAKE, group=SOURCE)
    return [
        ask(RawPlants, steps.fetch_plants, deps=[]),
        ask(Consents, steps.refresh_consents, deps=["raw_plants"]),
        make(Plants, steps.write_plants, deps=["raw_plants", "consents"]),
        ask(RawDevices, steps.fetch_devices, deps=["plants"]),
        make(Devices, steps.write_devices, deps=["raw_devices"]),
        ask(RawMeasurementSets, steps.fetch_measurement_sets, deps=["plants", "devices"]),
        make(MeasurementSets, steps.write_measurement_sets, deps=["raw_measurement_sets"]),
    ]


def day_assets(days: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """What is measured and logged, a plant-local day a partition."""
    return [*fetched_day_assets(days), *made_day_assets(days)]


def fetched_day_assets(days: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The answers of each day as received."""
    ask = functools.partial(per_days, days=days, groups=weeks, kinds=FROM_API, pool=API_POOL)
    lists = ["plants", "measurement_sets", "devices"]
    return [
        *(
            ask(source.raw, steps=functools.partial(_fetch, source), deps=lists)
            for source in (*steps.SETS, steps.VALUES)
        ),
        ask(RawOtherSets, steps=steps.fetch_other_sets, deps=lists),
        ask(RawLogs, steps=steps.fetch_logs, deps=["plants"]),
        ask(RawDeviceLogs, steps=steps.fetch_device_logs, deps=["plants", "devices"]),
    ]


def made_day_assets(days: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """What each day's answers are made into; calls no API."""
    make = functools.partial(per_day, days=days, kinds=FROM_LAKE)
    return [
        *(
            make(
                source.intervals,
                step=functools.partial(_make_intervals, source),
                deps=[storage(source.raw).table, "plants", *(["devices"] if source.of_devices else [])],
            )
            for source in (*steps.SOURCES, steps.VALUES)
        ),
        make(OtherIntervals, step=steps.write_other_intervals, deps=["raw_other_sets", "plants", "devices"]),
        make(Logs, step=steps.write_logs, deps=["raw_logs", "raw_device_logs", "plants"]),
        make(EnergyHourly, step=steps.write_energy_hourly, deps=["energy_balance_intervals", "plants"]),
        make(EnergyDaily, step=_make_energy_daily, deps=["energy_balance_intervals", "raw_pv", "plants"]),
        make(
            DeviceEnergyDaily,
            step=steps.write_device_energy_daily,
            deps=["pv_intervals", "plants", "energy_daily"],
        ),
        make(
            KpiDaily,
            step=steps.write_kpi_daily,
            deps=["energy_daily", "energy_balance_intervals", "sensor_intervals", "plants"],
        ),
    ]


def chosen(assets: Iterable[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets that a run of days makes by the settings: without the sets and logs that are not asked for."""
    idle = steps.not_chosen(settings)
    return [asset for asset in assets if asset.key.path[0] not in idle]


def _fetch(
    source: steps.SetSource, runtime: Runtime, days: Iterable[dt.date]
) -> Iterator[tuple[dt.date, steps.Report]]:
    return steps.fetch_set(runtime, source, days)


def _make_intervals(source: steps.SetSource, runtime: Runtime, day: dt.date) -> steps.Report:
    return steps.write_intervals(runtime, source, day)


def _make_energy_daily(runtime: Runtime, day: dt.date) -> steps.Report:
    report = steps.write_energy_daily(runtime, day)
    pictures = steps.day_pictures(runtime, day)
    report.facts |= {name: dg.MetadataValue.md(text) for name, text in pictures.items()}
    return report


def month_assets() -> list[dg.AssetsDefinition]:
    """Months, and the dictionary of log messages: from all stored days."""
    return [
        whole(
            EnergyMonthly, steps.write_energy_monthly, deps=["energy_daily"], kinds=FROM_LAKE, every="month"
        ),
        whole(
            ProfileMonthly,
            steps.write_profile_monthly,
            deps=["energy_hourly", "plants"],
            kinds=FROM_LAKE,
            every="month",
        ),
        whole(
            KpiMonthly,
            steps.write_kpi_monthly,
            deps=["kpi_daily", "energy_monthly", "plants"],
            kinds=FROM_LAKE,
            every="month",
        ),
        whole(LogMessages, steps.write_log_messages, deps=["logs", "plants"], kinds=FROM_LAKE),
    ]


def vendor_assets() -> list[dg.AssetsDefinition]:
    """SMA's own energies of the last month and, where wanted, of past years, and ours beside them.

    Once a month, since each plant costs a request.
    """
    return [
        whole(
            RawEnergyMonths,
            steps.fetch_energy_months,
            deps=["plants", "measurement_sets"],
            kinds=FROM_API,
            pool=API_POOL,
            every="month",
        ),
        whole(
            Reconciliation,
            steps.write_reconciliation,
            deps=[
                "raw_energy_months",
                "energy_daily",
                "energy_value_intervals",
                "dc_energy_intervals",
                "plants",
            ],
            kinds=FROM_LAKE,
            every="month",
        ),
        whole(
            RawEnergyYears,
            steps.fetch_past_years,
            deps=["plants", "measurement_sets", "raw_energy_balance"],
            kinds=FROM_API,
            pool=API_POOL,
            every="year",
        ),
        whole(
            ReconciliationYearly,
            steps.write_reconciliation_yearly,
            deps=["raw_energy_years", "energy_monthly", "reconciliation", "plants"],
            kinds=FROM_LAKE,
            every="year",
        ),
    ]


def money_assets() -> list[dg.AssetsDefinition]:
    """PU and invoices, from the record of requests: after everything that asks."""
    asking = [storage(model).table for model in RAW if model is not RawPlants]
    make = functools.partial(whole, kinds=FROM_LAKE)
    return [
        make(BillingUnits, steps.write_billing_units, deps=["plants", *asking], every="month"),
        make(Invoices, steps.write_invoices, deps=["billing_units"], every="year"),
    ]
