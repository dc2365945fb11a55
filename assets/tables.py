"""The asset graph: raw answers, core tables, report tables. Each asset calls one step and reports what it did."""

import functools

import dagster as dg

from assets.common import per_day, per_days, whole
from pipeline import steps
from pipeline.asking import weeks
from pipeline.instance import API_POOL
from schemas import (
    BillingUnits,
    Consents,
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    Invoices,
    Logs,
    MeasurementSets,
    Plants,
    PvIntervals,
    RawDevices,
    RawEnergyBalance,
    RawLogs,
    RawMeasurementSets,
    RawPlants,
    RawPv,
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
        ask(
            RawEnergyBalance,
            steps=lambda runtime, days: steps.fetch_set(runtime, steps.BALANCE, days),
            deps=lists,
        ),
        ask(RawPv, steps=lambda runtime, days: steps.fetch_set(runtime, steps.PV, days), deps=lists),
        ask(RawLogs, steps=steps.fetch_logs, deps=["plants"]),
    ]


def made_day_assets(days: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """What each day's answers are made into; calls no API."""
    make = functools.partial(per_day, days=days, kinds=FROM_LAKE)
    return [
        make(
            EnergyBalanceIntervals,
            step=lambda runtime, day: steps.write_intervals(runtime, steps.BALANCE, day),
            deps=["raw_energy_balance", "plants"],
        ),
        make(
            PvIntervals,
            step=lambda runtime, day: steps.write_intervals(runtime, steps.PV, day),
            deps=["raw_pv", "plants", "devices"],
        ),
        make(Logs, step=steps.write_logs, deps=["raw_logs", "plants"]),
        make(EnergyDaily, step=steps.write_energy_daily, deps=["energy_balance_intervals", "plants"]),
        make(
            DeviceEnergyDaily,
            step=steps.write_device_energy_daily,
            deps=["pv_intervals", "plants", "energy_daily"],
        ),
    ]


def month_assets() -> list[dg.AssetsDefinition]:
    """Months, from all stored days."""
    return [
        whole(
            EnergyMonthly, steps.write_energy_monthly, deps=["energy_daily"], kinds=FROM_LAKE, every="month"
        )
    ]


def money_assets() -> list[dg.AssetsDefinition]:
    """PU and invoices, from the record of requests: after everything that asks."""
    asking = ["raw_devices", "raw_measurement_sets", "raw_energy_balance", "raw_pv", "raw_logs"]
    make = functools.partial(whole, kinds=FROM_LAKE)
    return [
        make(BillingUnits, steps.write_billing_units, deps=["plants", *asking], every="month"),
        make(Invoices, steps.write_invoices, deps=["billing_units"], every="year"),
    ]
