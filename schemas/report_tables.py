"""Report tables: energy per day and month, with its coverage."""

from typing import Any

import polars as pl

from schemas.base import FINITE, Table, Utc, column, energy, ratio
from schemas.core import LOCAL_DATE, NOT_COUNTED_YET, DeviceKey, PlantKey
from schemas.quantities import FULL_MONTH_H, BalanceCoverage, BalanceEnergies, covered

INTERVAL = ("interval_start", "interval_end")
LOCAL_HOUR = "Hour of the plant's own clock, 0 to 23."
STATUSES = ["complete", "partial", "missing", "provisional"]


class CoveredHours(Table):
    """How complete a figure is."""

    covered_h: float = column(
        "Part of the expected time that is covered by rows with a value.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=INTERVAL,
    )
    expected_h: float = column(
        "Time for which rows were expected: the whole day, or sunrise to sunset for inverters that switch off at "
        "night.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=("timezone", "latitude", "longitude"),
    )
    coverage: float = ratio(
        "covered_h divided by expected_h, including the night where there is a meter; coverage_daily has the "
        "coverage of each quantity.",
        null="nothing was expected",
    )
    largest_gap_min: float = column(
        "Longest expected time without a row.", unit="min", ge=0, le=FINITE, of=INTERVAL
    )
    bridged_h: float = column(
        "Time to which a later row's power was applied, because one or two rows before that row may be missing: "
        "together with the uncovered time it bounds the error of the energy.",
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
        "complete: there is no data gap. partial: rows, or values of PV or of the meter, are missing (coverage_daily"
        " shows which). missing: there is no row at all. provisional: the row may still change.",
        isin=STATUSES,
        of=INTERVAL,
    )


class SuspectedEnergy(Table):
    """How much of a figure is suspicious."""

    n_suspect: pl.Int64 = column(
        "Rows with a value that is suspicious but was kept.", unit="count", ge=0, of=("suspect",)
    )


class Coverage(Status, SuspectedEnergy, CoveredHours):
    """How complete the figures of a row are, and whether they can be relied on."""


class Day(Table):
    """The day that a row is for."""

    local_date: pl.Date = column(LOCAL_DATE)


class Month(Table):
    """The month that a row is for."""

    month: pl.Date = column("First day of the calendar month.", of=("local_date",))
    n_days: pl.Int64 = column(
        "Days of the month that the warehouse holds. Energy and coverage are of these days alone; a month that lacks a "
        "day is partial at best, whatever its coverage is.",
        unit="count",
        ge=0,
        le=31,
        of=("local_date",),
    )
    n_days_missing: pl.Int64 = column(
        "Stored days without any row.",
        unit="count",
        ge=0,
        le=31,
        of=("status",),
    )


class PvEnergy(Table):
    """PV energy and the time that it covers."""

    pv_generation_kwh: float = energy("PV generation")
    pv_generation_covered_h: float = covered("PV generation")


class EnergyDaily(
    Coverage,
    BalanceCoverage,
    BalanceEnergies,
    Day,
    PlantKey,
    table="energy_daily",
    follows="raw_energy_balance",
    layer="report",
    key=("plant_id", "local_date"),
):
    """Energy of each plant and day, and how complete it is. A plant that sent no data has a row with status missing.

    A day that was never fetched has no row. Days on which the settings exclude the plant are here, and not in
    v_energy_daily and energy_monthly.
    """

    timezone: str = column(
        "IANA time zone by which the day begins and ends; the zone in plants may have been corrected since then.",
        null="stored before this was kept; 'sunledger rebuild' fills it in",
    )


class QuantityEnergy(Table):
    """A quantity of a plant and its energy."""

    quantity: str = column("Quantity: the name of its column in energy_daily without _kwh.")
    energy_kwh: float = energy("The quantity")


class CoverageDaily(
    Status,
    CoveredHours,
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
    """How complete each quantity of a plant's day is: PV from sunrise to sunset, a meter's quantities all day.

    A plant has a row for each quantity with a value on that day, for PV, and for each quantity that its meter measures.
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

    This table holds PV alone; charging and discharging of batteries is in battery_intervals. Meters are not summed by
    device, because several may count the same energy: a plant's feed-in and consumption are in energy_daily.
    """


class EnergyMonthly(
    Coverage,
    BalanceCoverage,
    BalanceEnergies,
    Month,
    PlantKey,
    table="energy_monthly",
    layer="report",
    key=("plant_id", "month"),
    partition=("month",),
):
    """Energy of each plant and month as the sum of its days, and how complete it is.

    A closed month keeps its figures.
    """

    closed_at: Utc = column(
        "When the month was closed; later changes of its days are in adjustments.",
        null="the month is open",
    )


class QuarterHour(Table):
    """The quarter of an hour that a row is for, and whether there is any data."""

    quarter_start: Utc = column("When the quarter of an hour begins.", of=INTERVAL)
    covered_h: float = column(
        "Time of the quarter that is covered by rows with any value; 0 where there is no data.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=INTERVAL,
    )


def rest(name: str, formula: str) -> Any:
    """A column in kWh for the part of an energy that the formula does not explain, which is usually 0."""
    return column(
        f"{name} minus ({formula}), where absent ones count as 0; energy_quarter_hourly has the energy itself.",
        unit="kWh",
        null="nothing measured (not the same as zero)",
        ge=-FINITE,
        le=FINITE,
        of=(name,),
        few_values=True,
    )


class QuarterEnergies(Table):
    """Energies of the EnergyBalance set; those that follow from others are stored as a difference from them."""

    pv_generation_kwh: float = energy("PV generation")
    diesel_generation_kwh: float = energy("Diesel generation")
    grid_feed_in_kwh: float = energy("Feed-in to the grid")
    grid_consumption_kwh: float = energy("Consumption from the grid")
    battery_charging_kwh: float = energy("Battery charging")
    battery_discharging_kwh: float = energy("Battery discharging")
    total_generation_rest_kwh: float = rest(
        "total_generation_kwh", "pv_generation_kwh + diesel_generation_kwh"
    )
    self_consumption_rest_kwh: float = rest("self_consumption_kwh", "total_generation_kwh - grid_feed_in_kwh")
    direct_consumption_rest_kwh: float = rest(
        "direct_consumption_kwh", "total_generation_kwh - grid_feed_in_kwh - battery_charging_kwh"
    )
    self_supply_rest_kwh: float = rest(
        "self_supply_kwh",
        "total_generation_kwh + battery_discharging_kwh - grid_feed_in_kwh - battery_charging_kwh",
    )
    total_consumption_rest_kwh: float = rest(
        "total_consumption_kwh",
        "total_generation_kwh + battery_discharging_kwh + grid_consumption_kwh - grid_feed_in_kwh - "
        "battery_charging_kwh",
    )


class QuarterHours(
    BalanceCoverage,
    QuarterEnergies,
    QuarterHour,
    Day,
    PlantKey,
    table="quarter_energies",
    layer="report",
    key=("plant_id", "quarter_start"),
    published="view",
):
    """Energy of each plant and quarter of an hour in a compact form; queries should read energy_quarter_hourly.

    Energies are whole multiples of 2^-29 kWh (0.000002 Wh), rounded so that the quarters of a day add up to the day.
    """


class Hour(Table):
    """The hour that a row is for."""

    hour_start: Utc = column(
        "When the hour begins. The hour that is repeated in autumn has two rows.", of=("quarter_start",)
    )
    local_hour: pl.Int64 = column(LOCAL_HOUR, ge=0, le=23, of=("quarter_start", "timezone"))


class EnergyHourly(
    BalanceCoverage,
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
    """Energy of each plant and hour of the plant's own clock, with the time that it covers.

    The energy of an interval that lies in two hours is divided between them by time. The hours of a day add up to the
    day. Each plant and day of energy_daily has all its hours: an hour without data has covered_h 0 and no energy.
    """

    covered_h: float = column(
        "Time of the hour that is covered by rows with any value; 0 where there is no data.",
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
    BalanceCoverage,
    BalanceEnergies,
    ProfileHour,
    PlantKey,
    table="profile_monthly",
    layer="report",
    key=("plant_id", "month", "local_hour"),
    partition=("month",),
):
    """The average day of each plant and month: the energy of each hour of the plant's clock, summed over the days.

    The mean power of an hour in kW is its energy divided by the time that it covers. The average day of a month stays
    unchanged after the month is closed.
    """


class LogMessages(
    Table,
    table="log_messages",
    layer="report",
    key=("message_tag_id", "backend", "message"),
    partition=(),
):
    """Dictionary of log messages from all stored entries, with a row for each text of each message tag and portal."""

    message_tag_id: pl.Int64 = column("SMA's number of the message text.")
    backend: str = column("Portal that the entries come from.", isin=["classic", "ennexos"])
    message: str = column("Message text as entries carry it.", null="entries without a text")
    event_id: pl.Int64 = column(
        "Event id of this tag on ennexOS. It is used for Classic too, whose entries have no event id.",
        null="no entry of ennexOS gives one, or the entries give several",
    )
    n_event_ids: pl.Int64 = column("Different event ids of this tag on ennexOS.", unit="count", ge=0)
    n_entries: pl.Int64 = column("Entries with this text.", unit="count", ge=1)
    first_seen: Utc = column("Time of the first entry.", null="no entry has a time that can be read")
    last_seen: Utc = column("Time of the latest entry.", null="no entry has a time that can be read")
