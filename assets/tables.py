"""The asset graph: raw answers, core tables, report tables. Each asset calls one step and reports what it did."""

import datetime as dt
import functools
from collections.abc import Iterable

import dagster as dg

from assets.common import per_day, per_days, whole
from assets.dagster_home import API_POOL
from pipeline.common.settings import Settings
from pipeline.extract.consents import refresh_consents
from pipeline.extract.fetch import (
    OtherSetsFetch,
    SetFetch,
    fetch_device_logs,
    fetch_devices,
    fetch_logs,
    fetch_measurement_sets,
    fetch_plants,
)
from pipeline.extract.request_plan import group_by_week
from pipeline.extract.vendor_energies import fetch_energy_months, fetch_past_years
from pipeline.report.day_pictures import day_pictures
from pipeline.run.context import Runtime
from pipeline.run.sets import SETS, SOURCES, VALUES, SetSource, not_chosen
from pipeline.run.step import Report
from pipeline.tables.billing_tables import write_billing_units, write_invoices
from pipeline.tables.energy_tables import write_device_energy_daily, write_energy_daily, write_energy_monthly
from pipeline.tables.hourly_tables import write_energy_hourly, write_profile_monthly
from pipeline.tables.interval_tables import write_intervals, write_other_intervals
from pipeline.tables.inventory_tables import write_devices, write_measurement_sets, write_plants
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from pipeline.tables.log_tables import write_log_messages, write_logs
from pipeline.tables.reconciliation_tables import write_reconciliation, write_reconciliation_yearly
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

_ask_list = functools.partial(whole, kinds=FROM_API, pool=API_POOL, group=SOURCE)
_make_list = functools.partial(whole, kinds=FROM_LAKE, group=SOURCE)


def list_assets() -> list[dg.AssetsDefinition]:
    """Consents, plants, devices and measurement sets: what is there to be asked for."""
    return [*plant_assets(), *device_assets()]


def plant_assets() -> list[dg.AssetsDefinition]:
    """The list of plants and their owners' consents, which cost nothing to ask for."""
    # A group of their own: they come before all days, and every layer of those reads them.
    return [
        _ask_list(RawPlants, fetch_plants, deps=[]),
        _ask_list(Consents, refresh_consents, deps=["raw_plants"]),
        _make_list(Plants, write_plants, deps=["raw_plants", "consents"]),
    ]


def device_assets() -> list[dg.AssetsDefinition]:
    """Devices and measurement sets, each asked for by its plant: so they make PU."""
    return [
        _ask_list(RawDevices, fetch_devices, deps=["plants"]),
        _make_list(Devices, write_devices, deps=["raw_devices"]),
        _ask_list(RawMeasurementSets, fetch_measurement_sets, deps=["plants", "devices"]),
        _make_list(MeasurementSets, write_measurement_sets, deps=["raw_measurement_sets"]),
    ]


def day_assets(days: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """What is measured and logged, a plant-local day a partition."""
    return [*fetched_day_assets(days), *made_day_assets(days)]


def fetched_day_assets(days: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The answers of each day as received."""
    ask = functools.partial(per_days, days=days, groups=group_by_week, kinds=FROM_API, pool=API_POOL)
    lists = ["plants", "measurement_sets", "devices"]
    return [
        *(ask(source.raw, steps=SetFetch(source), deps=lists) for source in (*SETS, VALUES)),
        ask(RawOtherSets, steps=OtherSetsFetch(), deps=lists),
        ask(RawLogs, steps=fetch_logs, deps=["plants"]),
        ask(RawDeviceLogs, steps=fetch_device_logs, deps=["plants", "devices"]),
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
            for source in (*SOURCES, VALUES)
        ),
        make(OtherIntervals, step=write_other_intervals, deps=["raw_other_sets", "plants", "devices"]),
        make(Logs, step=write_logs, deps=["raw_logs", "raw_device_logs", "plants"]),
        make(EnergyHourly, step=write_energy_hourly, deps=["energy_balance_intervals", "plants"]),
        make(EnergyDaily, step=_make_energy_daily, deps=["energy_balance_intervals", "raw_pv", "plants"]),
        make(
            DeviceEnergyDaily,
            step=write_device_energy_daily,
            deps=["pv_intervals", "plants", "energy_daily"],
        ),
        make(
            KpiDaily,
            step=write_kpi_daily,
            deps=["energy_daily", "energy_balance_intervals", "sensor_intervals", "plants"],
        ),
    ]


def chosen(assets: Iterable[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets that a run of days makes by the settings: without the sets and logs that are not asked for."""
    idle = not_chosen(settings)
    return [asset for asset in assets if asset.key.path[0] not in idle]


def without_optional_inputs(
    assets: Iterable[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition]:
    """The assets, of which none that every run of days makes depends on one that by the settings no such run makes.

    Those that are not made are read where they are there. Dagster knows no such input: it would warn before each
    backfill that it "may fail" and its days "cannot be materialized", because sets that are not asked for, or SMA's own
    energies before the first month is closed, are not there.
    """
    optional = not_chosen(settings) | {asset.key.path[0] for asset in vendor_assets()}

    def cut(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key.path[0] in optional:
            return spec
        return spec.replace_attributes(
            deps=[dep for dep in spec.deps if dep.asset_key.path[0] not in optional]
        )

    return list(dg.map_asset_specs(cut, assets))


def _make_intervals(source: SetSource, runtime: Runtime, day: dt.date) -> Report:
    return write_intervals(runtime, source, day)


def _make_energy_daily(runtime: Runtime, day: dt.date) -> Report:
    report = write_energy_daily(runtime, day)
    pictures = day_pictures(runtime, day)
    report.facts |= {name: dg.MetadataValue.md(text) for name, text in pictures.items()}
    return report


def month_assets() -> list[dg.AssetsDefinition]:
    """Months, and the dictionary of log messages: from all stored days."""
    return [
        whole(EnergyMonthly, write_energy_monthly, deps=["energy_daily"], kinds=FROM_LAKE, every="month"),
        whole(
            ProfileMonthly,
            write_profile_monthly,
            deps=["energy_hourly", "plants"],
            kinds=FROM_LAKE,
            every="month",
        ),
        whole(
            KpiMonthly,
            write_kpi_monthly,
            deps=["kpi_daily", "energy_monthly", "plants"],
            kinds=FROM_LAKE,
            every="month",
        ),
        whole(LogMessages, write_log_messages, deps=["logs", "plants"], kinds=FROM_LAKE),
    ]


def vendor_assets() -> list[dg.AssetsDefinition]:
    """SMA's own energies of the last month and, where wanted, of past years, and ours beside them.

    Once a month, since each plant costs a request.
    """
    return [
        whole(
            RawEnergyMonths,
            fetch_energy_months,
            deps=["plants", "measurement_sets"],
            kinds=FROM_API,
            pool=API_POOL,
            every="month",
        ),
        whole(
            Reconciliation,
            write_reconciliation,
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
            fetch_past_years,
            deps=["plants", "measurement_sets", "raw_energy_balance"],
            kinds=FROM_API,
            pool=API_POOL,
            every="year",
        ),
        whole(
            ReconciliationYearly,
            write_reconciliation_yearly,
            deps=["raw_energy_years", "energy_monthly", "reconciliation", "plants"],
            kinds=FROM_LAKE,
            every="year",
        ),
    ]


def money_assets() -> list[dg.AssetsDefinition]:
    """PU and invoices, from the record of requests: after everything that asks."""
    asking = [storage(model).table for model in RAW if model is not RawPlants]
    make = functools.partial(whole, kinds=FROM_LAKE, last=True)
    return [
        make(BillingUnits, write_billing_units, deps=["plants", *asking], every="month"),
        make(Invoices, write_invoices, deps=["billing_units"], every="year"),
    ]
