"""The raw lake: the vendor's answers as received. One model for every kind of answer, one table a kind."""

import polars as pl

from schemas.base import FINITE, Table, Utc, column

# A plant's day is about 75 kB of JSON: 256 of them are some 20 MB in memory.
RAW_ROW_GROUP = 256


class RawAnswers(
    Table,
    layer="raw",
    published="no",
    key=("plant_id", "device_id", "set_type", "request_date"),
    volatile=("fetched_at", "elapsed_ms", "attempts"),
    row_group=RAW_ROW_GROUP,
):
    """Answers of SMA's API as received, with the request that each of them answers.

    An answer for several days is cut: each day holds its own rows in the answer's envelope.
    """

    plant_id: str = column("Plant asked for; empty for the list of plants.")
    device_id: str = column("Device asked for; empty where a plant was asked for.")
    set_type: str = column("Measurement set as the API names it; empty where the request has none.")
    request_date: str = column("The request's date as sent, or its first and last; empty where it has none.")
    local_date: pl.Date = column(
        "Partition: the plant-local day asked for, the first day of a month or year asked for, or the day of asking."
    )
    target: str = column(
        "Path and query that answered, without host: after a move of the plant, those of the new id."
    )
    time_basis: str = column(
        "What its times were taken for when the days to ask for, and the day's part of an answer for several days, "
        "were chosen.",
        isin=["utc", "plant_local"],
    )
    asked_timezone: str = column(
        "The plant's time zone when the dates to ask for, and the day's part of an answer for several days, were "
        "chosen.",
        null="of no day, or stored before this was kept",
    )
    status: pl.Int32 = column("HTTP status of the answer.", ge=100, le=599)
    fetched_at: Utc = column("When the answer had arrived.")
    elapsed_ms: float = column(
        "Time from sending the request to the end of the answer.", unit="ms", ge=0, le=FINITE
    )
    attempts: pl.Int32 = column("Tries that it took.", unit="count", ge=1)
    final: bool = column("False while the day could still grow when it was read.")
    no_rows: bool = column("True where the answer holds no rows, which is not the same as zero energy.")
    body: pl.Binary = column(
        "The answer's body, byte for byte; of an answer for several days, the day's part."
    )


class RawPlants(RawAnswers, table="raw_plants"):
    """Answers to the list of plants, one day of asking a partition."""


class RawDevices(RawAnswers, table="raw_devices"):
    """Answers to the devices of each plant, one day of asking a partition."""


class RawMeasurementSets(RawAnswers, table="raw_measurement_sets"):
    """Answers to which measurement sets each plant and device has, one day of asking a partition."""


class RawEnergyBalance(RawAnswers, table="raw_energy_balance"):
    """Answers to each plant's EnergyBalance, one plant-local day a partition."""


class RawPv(RawAnswers, table="raw_pv"):
    """Answers to each device's EnergyAndPowerPv, one plant-local day a partition."""


class RawBattery(RawAnswers, table="raw_battery"):
    """Answers to each battery's EnergyAndPowerBattery, one plant-local day a partition."""


class RawGrid(RawAnswers, table="raw_grid"):
    """Answers to each meter's EnergyAndPowerInOut, one plant-local day a partition."""


class RawConsumption(RawAnswers, table="raw_consumption"):
    """Answers to each device's EnergyAndPowerConsumption, one plant-local day a partition."""


class RawEnergyMix(RawAnswers, table="raw_energy_mix"):
    """Answers to each device's EnergyMix, one plant-local day a partition."""


class RawAc(RawAnswers, table="raw_ac"):
    """Answers to each inverter's PowerAc, one plant-local day a partition."""


class RawDc(RawAnswers, table="raw_dc"):
    """Answers to each inverter's PowerDc, one plant-local day a partition."""


class RawDcEnergy(RawAnswers, table="raw_dc_energy"):
    """Answers to each inverter's EnergyDc, one plant-local day a partition."""


class RawSensor(RawAnswers, table="raw_sensor"):
    """Answers to each sensor's Sensor set, one plant-local day a partition."""


class RawEnergyMonths(RawAnswers, table="raw_energy_months"):
    """Answers to each plant's EnergyBalance by the month: SMA's own energy of each day. A month a partition."""


class RawEnergyYears(RawAnswers, table="raw_energy_years"):
    """Answers to each plant's EnergyBalance by the year: SMA's own energy of each month. A year a partition."""


class RawEnergyValues(RawAnswers, table="raw_energy_values"):
    """Answers to each plant's EnergyBalance as energies of the intervals, one plant-local day a partition."""


class RawOtherSets(RawAnswers, table="raw_other_sets", partition=("local_date", "set_type")):
    """Answers to every set that has no table of its own, one set and plant-local day a partition."""


class RawLogs(RawAnswers, table="raw_logs"):
    """Answers to each plant's log, one day a partition."""


class RawDeviceLogs(RawAnswers, table="raw_device_logs"):
    """Answers to each device's log, one day a partition; asked for only where a user wants them."""
