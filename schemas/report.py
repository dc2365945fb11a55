"""Report tables: energy per day and month, with its coverage."""

from typing import Any

import polars as pl

from schemas.base import FINITE, Table, Utc, column, energy, ratio
from schemas.core import LOCAL_DATE, NOT_COUNTED_YET, DeviceKey, PlantKey
from schemas.quantities import FULL_MONTH_H, BalanceCovered, BalanceEnergies, covered

INTERVAL = ("interval_start", "interval_end")
LOCAL_HOUR = "Hour of the plant's own clock, 0 to 23."
STATUSES = ["complete", "partial", "missing", "provisional"]


class Covered(Table):
    """How complete a figure is."""

    covered_h: float = column(
        "Part of the expected time that rows with a value cover.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=INTERVAL,
    )
    expected_h: float = column(
        "Time that rows were expected for: the whole day, or sunrise to sunset for inverters that sleep.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=("timezone", "latitude", "longitude"),
    )
    coverage: float = ratio(
        "covered_h divided by expected_h, of the night too where there is a meter; coverage_daily has that of each "
        "quantity.",
        null="nothing was expected",
    )
    largest_gap_min: float = column(
        "Longest expected time without a row.", unit="min", ge=0, le=FINITE, of=INTERVAL
    )
    bridged_h: float = column(
        "Time for which a later row's power was taken, because one or two rows before it may be missing: with the "
        "uncovered time it bounds the error of the energy.",
        unit="h",
        null=NOT_COUNTED_YET,
        ge=0,
        le=FULL_MONTH_H,
        of=("bridged_s",),
    )
    n_rows: pl.Int64 = column("Rows stored.", unit="count", ge=0, of=("interval_end",))
    n_flagged: pl.Int64 = column("Rows with a value that was set aside.", unit="count", ge=0, of=("flagged",))


class Status(Table):
    """Whether a figure can be relied on."""

    status: str = column(
        "complete: no gap. partial: rows, or values of PV or of the meter, are missing (coverage_daily says which). "
        "missing: no row at all. provisional: may still change.",
        isin=STATUSES,
        of=INTERVAL,
    )


class Suspected(Table):
    """How much of a figure is suspicious."""

    n_suspect: pl.Int64 = column(
        "Rows with a value that is kept though suspicious.", unit="count", ge=0, of=("suspect",)
    )


class Coverage(Status, Suspected, Covered):
    """How complete the figures of a row are, and whether they can be relied on."""


class Day(Table):
    """The day that a row is for."""

    local_date: pl.Date = column(LOCAL_DATE)


class Month(Table):
    """The month that a row is for."""

    month: pl.Date = column("First day of the calendar month.", of=("local_date",))
    n_days: pl.Int64 = column(
        "Days of the month that the warehouse holds.", unit="count", ge=0, le=31, of=("local_date",)
    )
    n_days_missing: pl.Int64 = column(
        "Days of these with no row at all.", unit="count", ge=0, le=31, of=("status",)
    )


class PvEnergy(Table):
    """PV energy and the time that it covers."""

    pv_generation_kwh: float = energy("PV generation")
    pv_generation_covered_h: float = covered("PV generation")


class EnergyDaily(
    Coverage,
    BalanceCovered,
    BalanceEnergies,
    Day,
    PlantKey,
    table="energy_daily",
    follows="raw_energy_balance",
    layer="report",
    key=("plant_id", "local_date"),
):
    """Energy of each plant and day, and how complete it is. A silent plant is a row with status missing."""

    timezone: str = column(
        "IANA time zone that the day begins and ends by; that in plants may have been corrected since.",
        null="stored before this was kept; 'sunledger rebuild' fills it in",
    )


class QuantityEnergy(Table):
    """One quantity of those that a plant has."""

    quantity: str = column("The figure: the name of its column in energy_daily, without _kwh.")
    energy_kwh: float = energy("The quantity")


class CoverageDaily(
    Status,
    Covered,
    QuantityEnergy,
    Day,
    PlantKey,
    table="coverage_daily",
    follows="energy_daily",
    asset=False,
    layer="report",
    key=("plant_id", "local_date", "quantity"),
    published="view",
):
    """How complete each figure of a plant's day is: PV between sunrise and sunset, what a meter reads all day long.

    A plant has a row for each quantity with a value that day, for PV, and for what its meter should have read.
    """


class DeviceEnergyDaily(
    Coverage,
    PvEnergy,
    Day,
    DeviceKey,
    table="device_energy_daily",
    follows="pv_intervals",
    layer="report",
    key=("plant_id", "device_id", "local_date"),
):
    """PV energy of each inverter and day, and how complete it is.

    PV alone: what batteries take and give is in battery_intervals. Meters are never added up by device: several may
    count the same energy, so a plant's feed-in and consumption are in energy_daily.
    """


class EnergyMonthly(
    Coverage,
    BalanceCovered,
    BalanceEnergies,
    Month,
    PlantKey,
    table="energy_monthly",
    layer="report",
    key=("plant_id", "month"),
    partition=("month",),
):
    """Energy of each plant and month: the sum of its days, and how complete it is. A closed month stays as it is."""

    closed_at: Utc = column(
        "When the month was closed; what changed in its days since then is in adjustments.",
        null="the month is open",
    )


class QuarterHour(Table):
    """The quarter of an hour that a row is for, and whether there is any data."""

    quarter_start: Utc = column("When the quarter of an hour begins.", of=INTERVAL)
    covered_h: float = column(
        "Time of the quarter that rows with any value cover: 0 where there is no data.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=INTERVAL,
    )


def rest(name: str, formula: str) -> Any:
    """The part of an energy that the quantities in the formula do not explain: 0 as a rule, so it takes no space."""
    return column(
        f"{name} less ({formula}), absent ones taken for 0; energy_quarter_hourly has the energy itself.",
        unit="kWh",
        null="nothing measured (not the same as zero)",
        ge=-FINITE,
        le=FINITE,
        of=(name,),
    )


class QuarterEnergies(Table):
    """The energies of the EnergyBalance set, those that follow from others as what is left of them."""

    pv_generation_kwh: float = energy("PV generation")
    diesel_generation_kwh: float = energy("Diesel generation")
    grid_feed_in_kwh: float = energy("Feed-in to the grid")
    total_consumption_kwh: float = energy("Total consumption")
    grid_consumption_kwh: float = energy("Consumption from the grid")
    battery_charging_kwh: float = energy("Battery charging")
    total_generation_rest_kwh: float = rest(
        "total_generation_kwh", "pv_generation_kwh + diesel_generation_kwh"
    )
    self_consumption_rest_kwh: float = rest("self_consumption_kwh", "total_generation_kwh - grid_feed_in_kwh")
    direct_consumption_rest_kwh: float = rest(
        "direct_consumption_kwh", "self_consumption_kwh - battery_charging_kwh"
    )
    self_supply_rest_kwh: float = rest("self_supply_kwh", "total_consumption_kwh - grid_consumption_kwh")
    battery_discharging_rest_kwh: float = rest(
        "battery_discharging_kwh", "self_supply_kwh - direct_consumption_kwh"
    )


class QuarterHours(
    BalanceCovered,
    QuarterEnergies,
    QuarterHour,
    Day,
    PlantKey,
    table="quarter_hours",
    layer="report",
    key=("plant_id", "quarter_start"),
    published="view",
):
    """Energy of each plant and quarter of an hour as it is stored, to be small: read energy_quarter_hourly.

    Energies are whole multiples of 2^-29 kWh (0.000002 Wh), rounded so that those of a day add up to the day.
    """


class Hour(Table):
    """The hour that a row is for."""

    hour_start: Utc = column(
        "When the hour begins. The repeated hour of autumn is two hours.", of=("quarter_start",)
    )
    local_hour: pl.Int64 = column(LOCAL_HOUR, ge=0, le=23, of=("quarter_start", "timezone"))


class EnergyHourly(
    BalanceCovered,
    BalanceEnergies,
    Hour,
    Day,
    PlantKey,
    table="energy_hourly",
    follows="energy_daily",
    layer="report",
    key=("plant_id", "hour_start"),
    published="view",
):
    """Energy of each plant and hour of its own clock, with the time that it covers.

    An interval that lies in two hours gives each its share. The hours of a day add up to the day. Each plant and day of
    energy_daily has all its hours: one without data has covered_h 0 and no energy.
    """

    covered_h: float = column(
        "Time of the hour that rows with any value cover: 0 where there is no data.",
        unit="h",
        null="stored before this was counted, when hours without data had no row; 'sunledger rebuild' counts it",
        ge=0,
        le=FULL_MONTH_H,
    )


class ProfileHour(Table):
    """The month and the hour of its average day that a row is for."""

    month: pl.Date = column("First day of the calendar month.", of=("local_date",))
    local_hour: pl.Int64 = column(LOCAL_HOUR, ge=0, le=23)
    n_days: pl.Int64 = column("Days with a row in this hour.", unit="count", ge=1, le=31, of=("local_date",))


class ProfileMonthly(
    BalanceCovered,
    BalanceEnergies,
    ProfileHour,
    PlantKey,
    table="profile_monthly",
    layer="report",
    key=("plant_id", "month", "local_hour"),
    partition=("month",),
):
    """The average day of each plant and month: energy of each hour of the plant's clock, summed over the days.

    The mean power of an hour in kW is its energy divided by the time that it covers. The average day of a closed month
    stays as it was closed.
    """


class LogMessages(
    Table,
    table="log_messages",
    layer="report",
    key=("message_tag_id", "backend", "message"),
    partition=(),
):
    """Dictionary of log messages, learned from all stored entries: each text of each message tag and portal."""

    message_tag_id: pl.Int64 = column("SMA's number of the message text.")
    backend: str = column("Portal whose entries these are.", isin=["classic", "ennexos"])
    message: str = column("Message text as entries carry it.", null="entries without a text")
    event_id: pl.Int64 = column(
        "Event id of this tag on ennexOS; it serves Classic too, whose entries have none.",
        null="no entry of ennexOS names one, or they name several",
    )
    n_event_ids: pl.Int64 = column("Different event ids of this tag on ennexOS.", unit="count", ge=0)
    n_entries: pl.Int64 = column("Entries with this text.", unit="count", ge=1)
    first_seen: Utc = column("Time of the first entry.", null="no entry has a time that can be read")
    last_seen: Utc = column("Time of the latest entry.", null="no entry has a time that can be read")
