"""All settings, from the environment or a `.env` file in the working directory. Nothing is read at import.

Secrets are `SecretStr`: they are shown as stars wherever a settings object is printed. Everything works
without credentials except calls of SMA's services, which begin with `require_credentials()`.
"""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.common.env_file import check_env_file
from pipeline.common.errors import ConfigurationError
from pipeline.common.file_modes import Readers
from pipeline.common.setting_values import (
    AbsolutePath,
    BaseUrl,
    BudgetUrl,
    ClusterKey,
    PostgresUrl,
    check_asset_prefix,
    check_detail,
    check_lake,
    check_publish_target,
    check_push_reader,
    check_push_schema,
    check_warehouse,
    choose_warehouse,
    split_host_names,
    split_ids,
    split_sets,
)
from pipeline.common.sma_hosts import HOSTS
from pipeline.common.text import escape_line

ENV_FILE = Path(".env")


def _declare_sma_field(name: str, description: str, **kwargs: Any) -> Any:
    """A field read from SMA_... as it is: the alias keeps the SUNLEDGER_ prefix away."""
    return Field(validation_alias=name, description=description, **kwargs)


def _host(role: str, description: str) -> Any:
    """A service's base URL, by default that of the chosen environment."""
    return _declare_sma_field(
        f"sma_{role}_url",
        f"{description}. Default: set by SMA_ENVIRONMENT.",
        default_factory=lambda data: getattr(HOSTS[data["sma_environment"]], role),
    )


class Settings(BaseSettings):
    """Every setting of sunledger. `name_variable` gives the environment variable of a field."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_prefix="SUNLEDGER_",
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
        validate_default=True,
        str_strip_whitespace=True,
    )

    sma_client_id: str = _declare_sma_field(
        "sma_client_id", "Client id from SMA's developer portal. Default: none.", default=""
    )
    sma_client_secret: SecretStr = _declare_sma_field(
        "sma_client_secret",
        "Client secret from SMA's developer portal. Default: none.",
        default=SecretStr(""),
    )
    sma_flow: Literal["custom", "code"] = _declare_sma_field(
        "sma_flow",
        "How owners grant access: custom (they consent by e-mail) or code (one user logs in). Default: custom.",
        default="custom",
    )
    sma_refresh_token: SecretStr = _declare_sma_field(
        "sma_refresh_token",
        "Refresh token of the code flow, used once instead of `sunledger login`. Default: none.",
        default=SecretStr(""),
    )
    sma_credentials: AbsolutePath | None = _declare_sma_field(
        "sma_credentials",
        "Private file (TOML, mode 0600) that lists several credentials, each with its client id, secret, flow and "
        "request budget, instead of SMA_CLIENT_ID, SMA_CLIENT_SECRET, SMA_FLOW and SMA_REFRESH_TOKEN; see "
        "docs/access.md. Default: none, so that there is one credential.",
        default=None,
    )
    sma_environment: Literal["sandbox", "production"] = _declare_sma_field(
        "sma_environment",
        "SMA's environment, sandbox or production, which sets the URLs below. Default: sandbox.",
        default="sandbox",
    )
    sma_auth_url: BaseUrl = _host("auth", "Token and login service, the part before /oauth2")
    sma_consent_url: BaseUrl = _host("consent", "Owner consent service, the part before /oauth2")
    sma_monitoring_url: BaseUrl = _host("monitoring", "Monitoring API, the part before /v1")
    sma_live_url: BaseUrl = _host("live", "Live API, the part before /v1")
    sma_gridcontrol_url: BaseUrl = _host("gridcontrol", "GridControl API, the part before /v1")
    sma_time_basis: Literal["utc", "plant_local"] = _declare_sma_field(
        "sma_time_basis",
        "Time basis of the times without an offset in SMA's answers: utc (by SMA's FAQ) or plant_local. Default: utc.",
        default="utc",
    )
    sma_merged_hour: Literal["gap", "mean"] = _declare_sma_field(
        "sma_merged_hour",
        "Meaning of a row that came only once in the repeated hour of autumn: the power of one pass, the other pass "
        "being a data gap (gap), or the mean of both passes (mean). Default: gap.",
        default="gap",
    )
    sma_requests_per_5_min: int | None = _declare_sma_field(
        "sma_requests_per_5_min",
        "Most requests in any 5 minutes by all processes that share SUNLEDGER_HOME (or SUNLEDGER_BUDGET_URL). "
        "Default: none, so that only responses with status 429 slow a run down.",
        default=None,
        ge=1,
    )
    sma_max_connections: int = _declare_sma_field(
        "sma_max_connections",
        "Most connections to SMA that are open at the same time. Default: 16.",
        default=16,
        ge=1,
        le=256,
    )
    sma_max_answer_bytes: int = _declare_sma_field(
        "sma_max_answer_bytes",
        "Size of the largest accepted answer in bytes, decompressed. Default: 33554432 (32 MiB); a plant-day has 100 "
        "kB.",
        default=32 * 2**20,
        ge=1,
    )
    home: AbsolutePath = Field(
        default=Path("data"), description="Folder that holds all state. Default: ./data."
    )
    readable_by: Readers = Field(
        default="group",
        description="Users of this machine who may read the files that sunledger writes, except its secrets: owner, "
        "group (the owner's group, for BI tools of other users) or all. Default: group.",
    )
    lake: Annotated[str, AfterValidator(check_lake)] = Field(
        default_factory=lambda data: str(data["home"] / "lake"),
        description="The lake: a folder or s3://bucket/prefix; az://container/prefix and gs://bucket/prefix were never "
        "tried. Default: $SUNLEDGER_HOME/lake.",
    )
    publish_target: Annotated[str, AfterValidator(check_publish_target)] = Field(
        default="",
        description="Where everybody reads what is published: a folder, which then holds sunledger.duckdb, or an "
        "object as s3://bucket/prefix/name.duckdb, of which SUNLEDGER_WAREHOUSE is this machine's copy; see "
        "docs/bi.md. Default: none, and in a cluster _published/sunledger.duckdb in the lake.",
    )
    warehouse: Annotated[Path, AfterValidator(check_warehouse)] = Field(
        default_factory=lambda data: choose_warehouse(data["home"], data.get("publish_target", "")),
        description="The published DuckDB file. Default: sunledger.duckdb in the folder of SUNLEDGER_PUBLISH_TARGET or "
        "in $SUNLEDGER_HOME.",
    )
    budget_url: BudgetUrl = Field(
        default=SecretStr(""),
        description="Redis in which machines share the request budget: redis://[user:password@]host[:port][/database], "
        "or rediss:// for TLS. Needs the extra `cluster`. Default: none, the budget is this machine's.",
    )
    cluster: Literal["none", "kubernetes", "celery"] = Field(
        default="none",
        description="How runs of Dagster are spread over machines: none (this machine does them), kubernetes (each "
        "run is a Kubernetes Job) or celery (Celery workers, `sunledger worker`); see docs/cluster.md. Needs the extra "
        "`cluster`. Default: none.",
    )
    cluster_postgres_url: PostgresUrl = Field(
        default=SecretStr(""),
        description="PostgreSQL in which the machines of a cluster keep Dagster's records, requests on their way to "
        "the lake, logins and consents: postgresql://user:password@host[:port]/database. Default: none.",
    )
    cluster_broker_url: BudgetUrl = Field(
        default=SecretStr(""),
        description="Redis through which Celery workers get their runs: "
        "redis://[user:password@]host[:port][/database], or rediss:// for TLS. Default: none.",
    )
    cluster_key: ClusterKey = Field(
        default=SecretStr(""),
        description="Secret of at least 32 characters, the same on all machines of a cluster, by which logins and "
        "consents are encrypted in PostgreSQL. Default: none.",
    )
    cluster_runs: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="Most runs at a time in a cluster. With Celery at most the slots of all workers together. "
        "Default: 4.",
    )
    cluster_namespace: str = Field(
        default="sunledger",
        pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        description="Kubernetes namespace of the Jobs. Default: sunledger.",
    )
    cluster_image: str = Field(
        default="",
        description="Container image of the Jobs in Kubernetes, for instance registry.example.org/sunledger:0.1. "
        "Default: none.",
    )
    professional_plants: Annotated[frozenset[str], NoDecode, BeforeValidator(split_ids)] = Field(
        default=frozenset(),
        description="Ids, separated by commas, of the plants on Sunny Portal Classic with the Professional package, "
        "whose data is available after 15 minutes instead of 2 hours. Default: none.",
    )
    first_day: dt.date = Field(
        default=dt.date(2015, 1, 1),
        description="First day that the warehouse can hold, and the first day partition. Default: 2015-01-01.",
    )
    schedules: Literal["on", "off"] = Field(
        default="off",
        description="Whether schedules and sensors run (on or off), unless the UI has switched them. Default: off.",
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Runs among which schedules divide the plants of each day, on workers of a cluster or side by "
        "side; a shard should have at least 1,000 plants. Default: 1, so that one run fetches a day.",
    )
    window_days: int = Field(
        default=7,
        ge=1,
        le=31,
        description="Number of closed days (1 to 31) that are fetched again each day, because SMA corrects figures. "
        "Default: 7.",
    )
    keep_runs_days: int = Field(
        default=90,
        ge=1,
        description="Days after which a run of Dagster is deleted, once newer runs have materialized all its "
        "partitions again. Default: 90.",
    )
    keep_raw_days: int | None = Field(
        default=None,
        ge=62,
        description="Days after which `sunledger upkeep` removes the raw answers of a day, at least 62. Its tables "
        "stay as they are but can't be rebuilt any more, and a backfill of the day asks SMA again. Default: none, so "
        "that answers stay.",
    )
    keep_set_aside_days: int = Field(
        default=90,
        ge=1,
        description="What a repair has set aside is deleted after so many days, by the next repair or the sensor "
        "retention. Default: 90.",
    )
    pool_wait_minutes: float = Field(
        default=60,
        gt=0,
        le=1440,
        description="Minutes that a run waits for a slot of a pool that other runs hold. Default: 60.",
    )
    alert_smtp: SecretStr = Field(
        default=SecretStr(""),
        description="Mail server for alerts, smtp[s]://[user:password@]host[:port]; smtp uses STARTTLS. Default: none.",
    )
    alert_mail_from: str = Field(default="", description="Sender of alerts by mail. Default: none.")
    alert_mail_to: str = Field(
        default="", description="Receivers of alerts by mail, separated by commas. Default: none."
    )
    alert_webhook: SecretStr = Field(
        default=SecretStr(""),
        description="URL to which alerts are posted as JSON with the keys title, text and resolved. Default: none.",
    )
    alert_slack: SecretStr = Field(
        default=SecretStr(""), description="Slack-compatible webhook for alerts. Default: none."
    )
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
    plant_attributes: AbsolutePath | None = Field(
        default=None,
        description="Your own facts about plants, CSV or TOML: group, owner, region, tariff, battery_capacity_kwh, "
        "expected_01_kwh to expected_12_kwh, and others, by plant_id; see docs/plant-attributes.md. Default: none.",
    )
    own_tables: AbsolutePath | None = Field(
        default=None,
        description="Folder of tables of your own, NAME.csv or NAME.parquet with its columns in NAME.toml, which are "
        "published in the schema `own`; see docs/own-tables.md. Default: none.",
    )
    detail: Annotated[str, AfterValidator(check_detail)] = Field(
        default="none",
        description="Detail (intervals, hours, quarter hours) that each publication copies into the file, so that it "
        "can be read anywhere: the last days as in 31d, the newest day's month (month), all, or none, which leaves "
        "it in the lake as views that work in this home alone. Earlier days are not in a file with copied detail. "
        "From a lake in an object store, none copies 7d. Default: none.",
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
    max_eur_per_month: Decimal | None = Field(
        default=None,
        ge=0,
        max_digits=12,
        description="Highest cost of a month's PU, in the currency of the price list. New PU below it need no other "
        "consent. Above it no command, schedule or run of Dagster's page sends requests for plants that are not on "
        "the month's bill yet. Default: none, so every new PU needs consent: an answer on a terminal, `--yes`, or "
        "the run tag `sunledger/max_eur`.",
    )
    alert_eur: int | None = Field(
        default=None,
        ge=1,
        description="Amount in EUR above which the cost of this month's PU raises an alert. Default: none.",
    )
    ui_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(split_host_names)] = Field(
        default=frozenset(),
        description="Host names, separated by commas, under which browsers reach the control room, such as the name "
        "of a proxy in front of it. Requests for other host names are refused. Default: none, so that only "
        "addresses, localhost and the name given to `--host` work.",
    )
    asset_prefix: Annotated[str, AfterValidator(check_asset_prefix)] = Field(
        default="",
        description="Prefix of the keys of all assets in Dagster, such as `solar` or `energy/solar`, and of the names "
        "of ops, jobs, schedules and sensors (`solar_today`), for a project with your own assets. Runs and "
        "partitions that were recorded without the prefix keep their old keys. Default: none.",
    )
    docs_url: str = Field(
        default="",
        description="URL of the folder docs/, such as `https://git.example.org/sunledger/blob/main/docs`, to which "
        "assets in Dagster link. Default: none, so that assets only name the file.",
    )
    sets: Annotated[str, AfterValidator(split_sets)] = Field(
        default="EnergyBalance,EnergyAndPowerPv",
        description="Measurement sets to fetch for each day, separated by commas, or `all`. Each set needs one "
        "request per day for every plant or device that has it (`sunledger plan --sets …` counts them). Default: "
        "EnergyBalance and EnergyAndPowerPv.",
    )
    lists_cycle_days: int = Field(
        default=14,
        ge=1,
        le=31,
        description="Days in which the devices and measurement sets of each plant are fetched again, each plant on a "
        "day of its own, because they hardly change. Those of new plants, and of plants whose installation changed in "
        "the list of plants, are fetched at once; 1 fetches all of them each day. Default: 14.",
    )
    logs: Literal["none", "plants", "devices"] = Field(
        default="plants",
        description="Logs to fetch for each day: none, plants (one request for each plant; its log also holds the "
        "events of its devices) or devices (one more request for each device). Default: plants.",
    )
    prices: AbsolutePath | None = Field(
        default=None,
        description="File with the price list (TOML). Default: none, so that the price list of sunledger applies.",
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

    @property
    def published_object(self) -> str | None:
        """The address of the object that is published, so that machines share it; None where it is a file."""
        if "://" in self.publish_target:
            return self.publish_target
        if self.cluster != "none" and not self.publish_target and "://" in self.lake:
            return f"{self.lake}/_published/sunledger.duckdb"
        return None

    @property
    def published_place(self) -> str:
        """Where the published file is for those who read it: its path, or the address of the object."""
        return self.published_object or str(self.warehouse)

    def require_credentials(self) -> None:
        """Raise ConfigurationError naming every credential that is missing (a login is not one of them).

        Where SMA_CREDENTIALS is set, nothing is needed here: `read_credentials` looks into its file.
        """
        if self.sma_credentials is not None:
            return
        needed = {
            "SMA_CLIENT_ID": self.sma_client_id,
            "SMA_CLIENT_SECRET": self.sma_client_secret.get_secret_value(),
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: put the values of "
                f"SMA's developer portal into the environment or into {ENV_FILE} (flow: {self.sma_flow})."
            )


def name_variable(field: str) -> str:
    """The environment variable of a field: `home` is SUNLEDGER_HOME, `sma_flow` is SMA_FLOW."""
    return field.upper() if field.startswith("sma_") else f"SUNLEDGER_{field.upper()}"


def load_settings(*, env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Settings from `overrides` (field names), then the environment, then `env_file` (None: no file).

    Raises ConfigurationError with one sentence: the variable, its value unless that is a secret, the cure.
    """
    unknown = sorted(set(overrides) - set(Settings.model_fields))
    if unknown:
        raise ConfigurationError(
            f"The setting {unknown[0]!r} does not exist: choose from {', '.join(Settings.model_fields)}."
        )
    if env_file is not None:
        check_env_file(env_file, [name_variable(field) for field in Settings.model_fields])
    try:
        return Settings(**{"_env_file": env_file, **overrides})
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file} is UTF-16 text: save it as UTF-8.") from None
    except ValidationError as fault:
        # A default that depends on a wrong setting is reported too, after the cause: tell the cause.
        raise ConfigurationError(_build_sentence(fault.errors(include_url=False)[0])) from None


def _build_sentence(error: ErrorDetails) -> str:
    field = str(error["loc"][0]).removeprefix("SUNLEDGER_").lower()
    value = error.get("input")
    # Never repeat a secret, nor a URL that may carry a password in its user part.
    hidden = Settings.model_fields[field].annotation is SecretStr or "@" in str(value)
    shown = "" if hidden else f"={value}"
    message = error["msg"]
    clause = message if error["type"] == "setting" else f"is wrong: {message.replace('Input', 'it', 1)}"
    return escape_line(f"{name_variable(field)}{shown} {clause}.")
