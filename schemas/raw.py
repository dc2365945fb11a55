"""The raw lake: SMA's answers as received. All kinds of answers share one model, and each kind has its own table."""

import polars as pl

from schemas.base import FINITE, Table, Utc, column

# A plant's day is about 75 kB of JSON: 128 of them are some 10 MB in memory.
RAW_ROW_GROUP = 128


class RawAnswers(
    Table,
    layer="raw",
    published="no",
    key=("plant_id", "device_id", "set_type", "request_date"),
    volatile=("fetched_at", "elapsed_ms", "attempts"),
    row_group=RAW_ROW_GROUP,
):
    """Answers of SMA's API as received, each with its request.

    An answer for several days is split: each day holds its own rows in the answer's envelope.
    """

    plant_id: str = column("Plant that the request names; empty for the list of plants.")
    device_id: str = column(
        "Device that the request names; empty where it asks for a plant. In raw_plants the name of the credential "
        "whose list it is, where there are several."
    )
    set_type: str = column("Measurement set as the API names it; empty where the request has none.")
    request_date: str = column("The request's date as sent, or its first and last; empty where it has none.")
    local_date: pl.Date = column(
        "Partition: the plant-local day that was requested, the first day of the requested month or year, or the "
        "day of the request."
    )
    target: str = column(
        "Path and query that gave the answer, without the host. After a move of the plant they have the new id."
    )
    time_basis: str = column(
        "Time basis that was assumed when the days to request were chosen and an answer for several days was split.",
        isin=["utc", "plant_local"],
    )
    asked_timezone: str = column(
        "Time zone of the plant that was assumed when the dates to request were chosen and an answer for several "
        "days was split.",
        null="the answer belongs to no day, or was stored before this column existed",
    )
    status: pl.Int32 = column("HTTP status of the answer.", ge=100, le=599)
    fetched_at: Utc = column("When the answer had arrived completely.")
    elapsed_ms: float = column(
        "Time from sending the request to the end of the answer.", unit="ms", ge=0, le=FINITE
    )
    attempts: pl.Int32 = column("Number of tries until the answer came.", unit="count", ge=1)
    final: bool = column("False where the day could still grow when the answer was read.")
    no_rows: bool = column("True where the answer holds no rows, which is not the same as zero energy.")
    body: pl.Binary = column(
        "Body of the answer, byte for byte; for an answer for several days, the part of the day."
    )


class RawPlants(RawAnswers, table="raw_plants"):
    """Answers with the list of plants. A partition holds the answers of one day of requests."""


class RawDevices(RawAnswers, table="raw_devices"):
    """Answers with the devices of each plant. A partition holds the answers of one day of requests."""


class RawMeasurementSets(RawAnswers, table="raw_measurement_sets"):
    """Answers with the measurement sets of each plant and device.

    A partition holds the answers of one day of requests.
    """


class RawEnergyBalance(RawAnswers, table="raw_energy_balance"):
    """Answers for each plant's EnergyBalance. A partition is one plant-local day."""


class RawPv(RawAnswers, table="raw_pv"):
    """Answers for each device's EnergyAndPowerPv. A partition is one plant-local day."""


class RawBattery(RawAnswers, table="raw_battery"):
    """Answers for each battery's EnergyAndPowerBattery. A partition is one plant-local day."""


class RawGrid(RawAnswers, table="raw_grid"):
    """Answers for each meter's EnergyAndPowerInOut. A partition is one plant-local day."""


class RawConsumption(RawAnswers, table="raw_consumption"):
    """Answers for each device's EnergyAndPowerConsumption. A partition is one plant-local day."""


class RawEnergyMix(RawAnswers, table="raw_energy_mix"):
    """Answers for each device's EnergyMix. A partition is one plant-local day."""


class RawAc(RawAnswers, table="raw_ac"):
    """Answers for each inverter's PowerAc. A partition is one plant-local day."""


class RawDc(RawAnswers, table="raw_dc"):
    """Answers for each inverter's PowerDc. A partition is one plant-local day."""


class RawDcEnergy(RawAnswers, table="raw_dc_energy"):
    """Answers for each inverter's EnergyDc. A partition is one plant-local day."""


class RawSensor(RawAnswers, table="raw_sensor"):
    """Answers for each sensor's Sensor set. A partition is one plant-local day."""


class RawEnergyMonths(RawAnswers, table="raw_energy_months"):
    """Answers for each plant's EnergyBalance by the month: SMA's own energy of each day. A partition is a month."""


class RawEnergyYears(RawAnswers, table="raw_energy_years"):
    """Answers for each plant's EnergyBalance by the year: SMA's own energy of each month. A partition is a year."""


class RawEnergyValues(RawAnswers, table="raw_energy_values"):
    """Answers for each plant's EnergyBalance as energies of the intervals. A partition is one plant-local day."""


class RawOtherSets(RawAnswers, table="raw_other_sets", partition=("local_date", "set_type")):
    """Answers of every set that has no table of its own. A partition is one set and plant-local day."""


class RawLogs(RawAnswers, table="raw_logs"):
    """Answers with each plant's log. A partition is one day."""


class RawDeviceLogs(RawAnswers, table="raw_device_logs"):
    """Answers with each device's log, which are requested only where the settings say so. A partition is one day."""
