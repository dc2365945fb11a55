"""Core tables: plants, devices, sets, intervals, logs, and what was set aside."""

from typing import Any

import polars as pl

from schemas.base import CAPACITY_CLASSES, FINITE, LocalTime, Table, Utc, column
from schemas.quantities import BalanceEnergies, BalancePowers, BalanceStates, PvPower

PLANT_ID = "Plant's id: digits on ennexOS, a GUID on Sunny Portal Classic."
DEVICE_ID = "Device's id."
SUB_PLANT_ID = "SMA's id of a section of the plant."
LOCAL_DATE = "Calendar day in the plant's own time zone."
NOT_COUNTED_YET = "stored before this was counted; 'sunledger rebuild' counts it"


def _former(power: str, unit: str) -> Any:
    """A column for the largest power of a plant or device before the API gave a smaller one."""
    return column(
        f"Largest {power} that the API gave before it gave a smaller one or none.",
        unit=unit,
        null="the power was never reduced, or was not given before",
        ge=0,
        le=FINITE,
    )


def _reduced_on() -> Any:
    """A column for the day up to which values are possible that the former power allows."""
    return column(
        "Day (UTC) of the last list that gave less power than before; values of days up to then are set aside only if "
        "the former power does not allow them either.",
        null="the power was never reduced",
    )


def _former_powers(powers: str) -> Any:
    """A column for the powers of a plant or device before the API gave others, by date."""
    return column(
        f"Powers before the API gave others, as a JSON array in the order of time: each entry has {powers}, and until, "
        "the last local_date to which they belong. Figures of a day are related to those of its first entry that has "
        "not ended before; rated_power() finds it.",
        null="the API never gave others",
    )


class Plants(Table, table="plants", layer="core", key=("plant_id",), partition=()):
    """Every plant that the credentials have ever shown, with its place, its power and its time zone."""

    plant_id: str = column(PLANT_ID)
    name: str = column("Name that the owner gave.")
    backend: str = column("Portal that holds the plant.", isin=["classic", "ennexos"])
    timezone: str = column("IANA time zone; it decides where the plant's days begin.")
    previous_timezone: str = column(
        "The zone that the API gave before it was corrected; days that were made with it are in v_days_to_check.",
        null="no correction of the zone is known",
    )
    latitude: float = column(
        "Latitude, north positive.", unit="°", null="not given by the API", ge=-90, le=90
    )
    longitude: float = column(
        "Longitude, east positive.", unit="°", null="not given by the API", ge=-180, le=180
    )
    country: str = column("Country as the API gives it.", null="not given by the API")
    peak_power_kw: float = column(
        "DC peak power.", unit="kW", null="not given, or given as 0", ge=0, le=FINITE
    )
    ac_power_kw: float = column(
        "Nominal AC power; where SMA gives 0 for it, the calculated AC power.",
        unit="kW",
        null="not given",
        ge=0,
        le=FINITE,
    )
    former_ac_power_kw: float = _former("AC power", "kW")
    former_peak_power_kw: float = _former("DC peak power", "kW")
    power_reduced_on: pl.Date = _reduced_on()
    former_powers: str = _former_powers("ac_power_kw, peak_power_kw")
    capacity_class: str = column(
        "Class of AC power by which SMA charges.",
        null="AC power not given",
        isin=CAPACITY_CLASSES,
    )
    co2_factor_g_per_kwh: float = column(
        "CO2 avoided per kWh.", unit="g/kWh", null="not given", ge=0, le=FINITE
    )
    start_up: Utc = column(
        "Start of operation; no data is expected for earlier days. Of a plant that moved it is the earliest that any "
        "portal gave.",
        null="not given",
    )
    migrated_from: str = column(
        "Id that this plant had before it moved, usually on Sunny Portal Classic; report tables list the plant under"
        " its newest id.",
        null="no move is known",
    )
    first_seen: pl.Date = column("First day (UTC) on which the API listed the plant.")
    last_seen: pl.Date = column("Latest day (UTC) on which the API listed the plant.")
    excluded_from: pl.Date = column(
        "First local_date from which SUNLEDGER_INCLUDE_PLANTS and SUNLEDGER_EXCLUDE_PLANTS exclude the plant; "
        "1970-01-01 where they exclude it on all days. Daily tables keep the days that are stored; open months, "
        "views and reports leave the plant out.",
        null="not excluded",
    )
    plant_group_id: str = column("SMA's id of the system group that the plant belongs to.", null="not given")


class SubPlants(Table, table="sub_plants", layer="core", key=("plant_id", "sub_plant_id"), partition=()):
    """Sections of plants, as SMA's list of plants gives them. Plants without sections have no row."""

    plant_id: str = column(PLANT_ID)
    sub_plant_id: str = column(SUB_PLANT_ID)
    name: str = column("Name that the owner gave.", null="not given")
    description: str = column("Text that the owner wrote about the section.", null="not given")
    timezone: str = column(
        "IANA time zone of the section; its local days follow the plant's time zone.", null="not given"
    )
    status: str = column("State as the API named it in the latest list.", null="not given")
    first_seen: pl.Date = column("First day (UTC) on which the API listed the section.")
    last_seen: pl.Date = column("Latest day (UTC) on which the API listed the section.")


NO_ATTRIBUTE = "the file does not give it"


def _expected(month: str) -> Any:
    return column(
        f"PV generation that you expect in {month}.", unit="kWh", null=NO_ATTRIBUTE, ge=0, le=FINITE
    )


class PlantAttributes(Table, table="plant_attributes", layer="core", key=("plant_id",), partition=()):
    """Your own facts about plants, from the file of SUNLEDGER_PLANT_ATTRIBUTES.

    Plants that it does not name have no row. The energies are what you expect in that month of any year.
    """

    plant_id: str = column(PLANT_ID)
    plant_group: str = column(
        "Group that the plant belongs to; commands and reports can select plants by it.", null=NO_ATTRIBUTE
    )
    owner: str = column("Who owns the plant.", null=NO_ATTRIBUTE)
    region: str = column("Region of the plant, in your own words.", null=NO_ATTRIBUTE)
    tariff: str = column("Name of the plant's tariff.", null=NO_ATTRIBUTE)
    battery_capacity_kwh: float = column(
        "Usable capacity of the plant's batteries.", unit="kWh", null=NO_ATTRIBUTE, ge=0, le=FINITE
    )
    expected_01_kwh: float = _expected("January")
    expected_02_kwh: float = _expected("February")
    expected_03_kwh: float = _expected("March")
    expected_04_kwh: float = _expected("April")
    expected_05_kwh: float = _expected("May")
    expected_06_kwh: float = _expected("June")
    expected_07_kwh: float = _expected("July")
    expected_08_kwh: float = _expected("August")
    expected_09_kwh: float = _expected("September")
    expected_10_kwh: float = _expected("October")
    expected_11_kwh: float = _expected("November")
    expected_12_kwh: float = _expected("December")
    other_attributes: str = column(
        "All other attributes of the file as a JSON object with text values, as in other_attributes->>'contract'.",
        null="there are none",
    )


class Devices(Table, table="devices", layer="core", key=("plant_id", "device_id"), partition=()):
    """Every device of every plant, including deactivated devices."""

    plant_id: str = column(PLANT_ID)
    device_id: str = column(DEVICE_ID)
    name: str = column("Name that the owner gave.", null="not given")
    type: str = column("Type as the API names it, for instance 'Solar Inverters'.", null="not given")
    product: str = column("Product name.", null="not given")
    product_id: pl.Int64 = column("SMA's number of the product.", null="not given")
    vendor: str = column("Manufacturer.", null="not given")
    serial: str = column("Serial number.", null="the device has none, or it is not given")
    generator_power_w: float = column(
        "Rated AC power.", unit="W", null="not an inverter, or not given", ge=0, le=FINITE
    )
    generator_power_dc_w: float = column("Rated DC power.", unit="W", null="not given", ge=0, le=FINITE)
    former_generator_power_w: float = _former("rated AC power", "W")
    former_generator_power_dc_w: float = _former("rated DC power", "W")
    power_reduced_on: pl.Date = _reduced_on()
    former_powers: str = _former_powers("generator_power_w, generator_power_dc_w")
    is_active: bool = column(
        "True while the device is active, false after it was deactivated.", null="not given"
    )
    deactivated_at: LocalTime = column(
        "When the device was deactivated, in plant-local time.", null="active, or not given"
    )
    first_seen: pl.Date = column("First day (UTC) on which the API listed the device.")
    last_seen: pl.Date = column("Latest day (UTC) on which the API listed the device.")
    sub_plant_id: str = column(SUB_PLANT_ID, null="not given")


class MeasurementSets(
    Table, table="measurement_sets", layer="core", key=("plant_id", "device_id", "set_type"), partition=()
):
    """Which measurement sets the API offers for each plant and device."""

    plant_id: str = column(PLANT_ID)
    device_id: str = column(DEVICE_ID, null="the set belongs to the plant as a whole")
    set_type: str = column("Measurement set as the API names it.")


class PlantKey(Table):
    """The plant that a row belongs to."""

    plant_id: str = column(PLANT_ID)


class DeviceKey(PlantKey):
    """The device that a row belongs to."""

    device_id: str = column(DEVICE_ID)


class Interval(Table, layer="core", published="view"):
    """The interval that a row of means is taken over."""

    local_date: pl.Date = column(LOCAL_DATE)
    interval_start: Utc = column("Start of the interval that the row's means are taken over.")
    interval_end: Utc = column("End of the interval: the row's own time.")
    interval_basis: str = column(
        "What the start was determined from: the row before, local midnight, or one declared resolution (for the "
        "day's first row, or the first row after a gap).",
        isin=["previous_row", "midnight", "resolution"],
    )
    bridged_s: pl.Int32 = column(
        "Length of the part of the interval beyond one declared resolution: one or two rows may be missing there, "
        "and the row's mean is applied to their time as well.",
        unit="s",
        null=NOT_COUNTED_YET,
        ge=0,
    )
    flagged: bool = column("True where a value of this row was set aside; quarantine says which and why.")
    suspect: bool = column(
        "True where a value of this row is suspicious but was kept because it is possible; quarantine says why."
    )


class EnergyBalanceIntervals(
    BalanceStates,
    BalanceEnergies,
    BalancePowers,
    Interval,
    PlantKey,
    table="energy_balance_intervals",
    key=("plant_id", "interval_end"),
):
    """Power and energy of each plant in the intervals that the API reports (set EnergyBalance)."""


class PvIntervals(
    PvPower, Interval, DeviceKey, table="pv_intervals", key=("plant_id", "device_id", "interval_end")
):
    """PV power and energy of each inverter in the intervals that the API reports (set EnergyAndPowerPv)."""


class Logs(Table, table="logs", layer="core", partition=("local_date",)):
    """Log entries of plants and devices as the portal keeps them, with level, message and state.

    Each event has one row.
    """

    plant_id: str = column(PLANT_ID)
    local_date: pl.Date = column("Calendar day of the log that the API was asked for.")
    logged_at: Utc = column("Time of the event.", null="the API's time could not be read; see raw_time")
    raw_time: str = column("The time as the API wrote it.", null="not given")
    device_id: str = column(DEVICE_ID, null="the event belongs to the plant, or the device is not named")
    level: str = column("Info, Warning or Error, as the API writes it.", null="not given")
    message_tag_id: pl.Int64 = column("SMA's number of the message text.", null="not given")
    log_id: pl.Int64 = column("Event id.", null="not given: Sunny Portal Classic has no event ids")
    message: str = column("Message text.", null="not given")
    occurrence: str = column("Unsolved, Solved or Ongoing, as the API writes it.", null="not given")
    counter: pl.Int64 = column("How often the event occurred.", unit="count", null="not given")
    sub_plant_id: str = column(SUB_PLANT_ID, null="not given")


class Quarantine(Table, table="quarantine", asset=False, layer="core", partition=("local_date", "source")):
    """Answers, rows and values that were set aside, or kept although they are suspicious, each with its reason."""

    local_date: pl.Date = column(LOCAL_DATE)
    source: str = column(
        "Table that the data was meant for; raw_other_sets-NAME for an answer to a set that has no table of its own."
    )
    plant_id: str = column(PLANT_ID)
    device_id: str = column(DEVICE_ID, null="the plant as a whole")
    scope: str = column(
        "What the reason applies to; rows: several rows of the day, reported once; day: the day's energy.",
        isin=["answer", "row", "value", "rows", "day"],
    )
    kept: bool = column(
        "True where the data stays in its table and counts in the energy, because it is suspicious but possible. "
        "An inverter's own consumption counts as 0."
    )
    reason: str = column("Rule that the data breaks; docs/quality.md explains each rule.")
    raw_time: str = column(
        "The row's time as the API wrote it.", null="a whole answer or day, or no time given"
    )
    n_rows: pl.Int64 = column(
        "Rows that the reason applies to.", unit="count", null="a whole answer or day", ge=1
    )
    field: str = column("The field of the value, as the API names it.", null="a whole answer or row")
    value: float = column(
        "The value; for several rows, the largest one; for sums, the amount by which they are wrong.",
        unit="that of the field",
        null="a whole answer or row, or not a number",
    )
    detail: str = column("Further details.", null="there are none")
