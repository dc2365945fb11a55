"""Settings of the data: which plants, what is fetched of them, what it may cost, how it is judged and who reads it."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from pipeline.common.setting_values import (
    AbsolutePath,
    PostgresUrl,
    SettingGroup,
    check_push_reader,
    check_push_schema,
    split_ids,
    split_sets,
)


class PlantSettings(SettingGroup):
    """Your plants."""

    include_plants: str = Field(
        default="",
        description="Your plants, separated by commas: ids, names (`*` matches any text and `?` one character; upper "
        "and lower case are equal), `group:NAME` for a group of SUNLEDGER_PLANT_ATTRIBUTES, or `@FILE`, a file with "
        "one entry in each line. Default: none, so that every plant that SMA lists is yours.",
    )
    exclude_plants: str = Field(
        default="",
        description="Exceptions from SUNLEDGER_INCLUDE_PLANTS, written in the same way and optionally with a day "
        "(`5000022 from 2026-10-15`). From that day on no request names these plants, they cost nothing, and they do "
        "not count as missing. Default: none.",
    )
    today_plants: str = Field(
        default="",
        description="Plants whose current day matters most, written as in SUNLEDGER_INCLUDE_PLANTS. Where the request "
        "budget can't hold the current day of all plants, the schedule `today` reads these each hour and the others "
        "in turn. Default: none, so that all take turns.",
    )
    professional_plants: Annotated[frozenset[str], NoDecode, BeforeValidator(split_ids)] = Field(
        default=frozenset(),
        description="Ids, separated by commas, of the plants on Sunny Portal Classic with the Professional package, "
        "whose data is available after 15 minutes instead of 2 hours. Default: none.",
    )
    plant_attributes: AbsolutePath | None = Field(
        default=None,
        description="Your own facts about plants, CSV or TOML: group, owner, region, tariff, battery_capacity_kwh, "
        "expected_01_kwh to expected_12_kwh, and others, by plant_id; see docs/plant-attributes.md. Default: none.",
    )


class FetchSettings(SettingGroup):
    """What is fetched."""

    sets: Annotated[str, AfterValidator(split_sets)] = Field(
        default="EnergyBalance,EnergyAndPowerPv",
        description="Measurement sets to fetch for each day, separated by commas, or `all`. Each set needs one "
        "request per day for every plant or device that has it (`sunledger plan --sets …` counts them). Default: "
        "EnergyBalance and EnergyAndPowerPv.",
    )
    logs: Literal["none", "plants", "devices"] = Field(
        default="plants",
        description="Logs to fetch for each day: none, plants (one request for each plant; its log also holds the "
        "events of its devices) or devices (one more request for each device). Default: plants.",
    )
    window_days: int = Field(
        default=7,
        ge=1,
        le=31,
        description="Number of closed days (1 to 31) that are fetched again each day, because SMA corrects figures. "
        "Default: 7.",
    )
    lists_cycle_days: int = Field(
        default=14,
        ge=1,
        le=31,
        description="Days in which the devices and measurement sets of each plant are fetched again, each plant on a "
        "day of its own, because they hardly change. Those of new plants, and of plants whose installation changed in "
        "the list of plants, are fetched at once; 1 fetches all of them each day. Default: 14.",
    )
    energy_values: Literal["on", "off"] = Field(
        default="off",
        description="Whether each plant's EnergyBalance is fetched a second time as energies (ReturnEnergyValues), "
        "with one more request for each plant and day. The table reconciliation shows them beside the measured ones. "
        "Default: off.",
    )
    energy_years: Literal["on", "off"] = Field(
        default="off",
        description="Whether the schedule `year` fetches SMA's energies of each past year, with one request for each "
        "plant and year. `sunledger reconcile --year` fetches them in any case. Default: off.",
    )
    live: Literal["on", "off"] = Field(
        default="off",
        description="Whether `sunledger live` may call SMA's Live API, whose requests and answers were never compared "
        "with the real service; see docs/live.md. Default: off.",
    )
    grid_control: Literal["off", "read", "command"] = Field(
        default="off",
        description="Whether sunledger uses SMA's GridControl API, whose requests and answers were never compared with "
        "the real service: off, read (schedules and commands are read) or command (`sunledger grid` may also send "
        "commands, each after a question); see docs/grid-control.md. Default: off.",
    )


class CostSettings(SettingGroup):
    """What the API costs."""

    prices: AbsolutePath | None = Field(
        default=None,
        description="File with the price list (TOML). Default: none, so that the price list of sunledger applies.",
    )
    max_eur_per_month: Decimal | None = Field(
        default=None,
        ge=0,
        max_digits=12,
        description="Highest cost of a month's PU, in the currency of the price list. New PU below it need no other "
        "consent. Above it no command, schedule or run of Dagster's page sends requests for plants that are not on "
        "the month's bill yet. Default: none, so every new PU needs consent: an answer on a terminal, `--yes`, or "
        "the run tag `sunledger/max_eur`.",
    )


class RuleSettings(SettingGroup):
    """How days are judged."""

    quality: AbsolutePath | None = Field(
        default=None,
        description="File with thresholds of the quality rules (TOML). Default: none, so that the thresholds of "
        "sunledger apply.",
    )
    gap_policy: Literal["none", "vendor"] = Field(
        default="none",
        description="Figure that the table reconciliation proposes to book for a day with a data gap that SMA's own "
        "figure bridges: none (the measured figure) or vendor (SMA's figure). It changes no other table. Default: "
        "none.",
    )
    irradiation: AbsolutePath | None = Field(
        default=None,
        description="File with your own irradiation on the plane of the modules, such as a satellite series: CSV or "
        "Parquet with plant_id, interval_start, interval_end and w_per_m2 or kwh_per_m2; see docs/irradiation.md. "
        "Default: none.",
    )
    curtailment_limits: AbsolutePath | None = Field(
        default=None,
        description="File with limits of your plants' power that somebody asked for: CSV or TOML with plant_id, "
        "limit_start, limit_end and limit_kw or limit_percent; see docs/curtailment.md. Default: none.",
    )


class ReaderSettings(SettingGroup):
    """What readers get."""

    own_tables: AbsolutePath | None = Field(
        default=None,
        description="Folder of tables of your own, NAME.csv or NAME.parquet with its columns in NAME.toml, which are "
        "published in the schema `own`; see docs/own-tables.md. Default: none.",
    )
    csv: Literal["standard", "excel", "excel-de"] = Field(
        default="standard",
        description="Form of the CSV files that `export`, `pack`, `sql --output` and `billing check --output` write: "
        "standard (commas, decimal point), excel (the same, marked as UTF-8 so that Excel reads it) or excel-de "
        "(semicolons and decimal comma, for a German Excel). Default: standard.",
    )
    language: Literal["en", "de"] = Field(
        default="en",
        description="Language of the pack for finance: en or de. Default: en.",
    )
    push_url: PostgresUrl = Field(
        default=SecretStr(""),
        description="PostgreSQL to which `sunledger push` writes the report tables for BI servers: "
        "postgresql://user:password@host[:port]/database, with options of libpq such as ?sslmode=verify-full. The "
        "job push of Dagster follows each publication. Needs the extra `postgresql`. Default: none.",
    )
    push_schema: Annotated[str, AfterValidator(check_push_schema)] = Field(
        default="sunledger",
        description="Schema of the pushed tables, which holds nothing else. Default: sunledger.",
    )
    push_reader: Annotated[str, AfterValidator(check_push_reader)] = Field(
        default="",
        description="Role of PostgreSQL that may read the pushed tables and nothing else of the schema; grant it to "
        "the users of BI tools. It is created, without login, where it does not exist. Default: none.",
    )
