"""One pandera model per table: the contract of storage, documentation and user interfaces."""

from schemas.access import Consents
from schemas.base import Column, Storage, Table, columns, comment, polars_schema, storage
from schemas.core import (
    Devices,
    EnergyBalanceIntervals,
    Logs,
    MeasurementSets,
    Plants,
    PvIntervals,
    Quarantine,
)
from schemas.raw import (
    RawAnswers,
    RawDevices,
    RawEnergyBalance,
    RawLogs,
    RawMeasurementSets,
    RawPlants,
    RawPv,
)
from schemas.report import DeviceEnergyDaily, EnergyDaily, EnergyMonthly
from schemas.usage import ApiRequests, BillingUnits, Invoices

RAW: tuple[type[RawAnswers], ...] = (
    RawPlants,
    RawDevices,
    RawMeasurementSets,
    RawEnergyBalance,
    RawPv,
    RawLogs,
)
TABLES: tuple[type[Table], ...] = (
    *RAW,
    Plants,
    Devices,
    MeasurementSets,
    Consents,
    EnergyBalanceIntervals,
    PvIntervals,
    Logs,
    Quarantine,
    ApiRequests,
    EnergyDaily,
    DeviceEnergyDaily,
    EnergyMonthly,
    BillingUnits,
    Invoices,
)

__all__ = [
    "RAW",
    "TABLES",
    "ApiRequests",
    "BillingUnits",
    "Column",
    "Consents",
    "DeviceEnergyDaily",
    "Devices",
    "EnergyBalanceIntervals",
    "EnergyDaily",
    "EnergyMonthly",
    "Invoices",
    "Logs",
    "MeasurementSets",
    "Plants",
    "PvIntervals",
    "Quarantine",
    "RawAnswers",
    "RawDevices",
    "RawEnergyBalance",
    "RawLogs",
    "RawMeasurementSets",
    "RawPlants",
    "RawPv",
    "Storage",
    "Table",
    "columns",
    "comment",
    "polars_schema",
    "storage",
]
