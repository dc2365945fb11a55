"""All settings, from the environment or a `.env` file in the working directory. Nothing is read at import.

Secrets are `SecretStr`: they are shown as stars wherever a settings object is printed. Everything works
without credentials except calls of SMA's services, which begin with `require_credentials()`.
"""

import datetime as dt
import ipaddress
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.common.errors import ConfigurationError
from pipeline.common.file_modes import Readers
from pipeline.common.text import escape_line

ENV_FILE = Path(".env")
# Names of sets stand in paths of requests and of the lake.
SET_NAME = re.compile(r"[A-Za-z0-9_-]+")
ASSET_PREFIX = re.compile(r"\w+(/\w+)*", re.ASCII)
# delta-rs takes these for parts of a URL, and panics or looks elsewhere; DuckDB puts its log beside another file.
NO_LAKE = re.compile(r"[\[\]%|^\\\x00-\x1f\x7f]")
NO_WAREHOUSE = re.compile(r"[?\x00-\x1f\x7f]")
HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


class Hosts(NamedTuple):
    """Where one environment's services live: everything before `/v1` or `/oauth2`."""

    auth: str
    consent: str
    monitoring: str
    live: str
    gridcontrol: str


HOSTS: dict[str, Hosts] = {
    "sandbox": Hosts(
        auth="https://sandbox-auth.smaapis.de",
        consent="https://sandbox.smaapis.de",
        monitoring="https://sandbox.smaapis.de/monitoring",
        live="https://sandbox.smaapis.de/live",
        gridcontrol="https://sandbox.smaapis.de/gridcontrol",
    ),
    "production": Hosts(
        auth="https://auth.smaapis.de",
        consent="https://async-auth.smaapis.de",
        monitoring="https://monitoring.smaapis.de",
        live="https://live.smaapis.de",
        gridcontrol="https://gridcontrol.smaapis.de",
    ),
}


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine (`localhost`, 127.0.0.0/8, ::1)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _build_rejection(cure: str) -> PydanticCustomError:
    """A rejected value. `cure` is a clause that follows the variable and its value in the message."""
    return PydanticCustomError("setting", "{cure}", {"cure": cure})


def _check_base_url(value: str) -> str:
    """Accept https, or http to this machine, and cut the trailing slash."""
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError as fault:
        raise _build_rejection("is not a URL; write it as https://host[:port][/prefix]") from fault
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_ok:
        raise _build_rejection("is not a URL; write it as https://host[:port][/prefix]")
    if parts.username is not None or parts.password is not None:
        raise _build_rejection(
            "must not hold a user name or password; use SMA_CLIENT_ID and SMA_CLIENT_SECRET"
        )
    if parts.query or parts.fragment:
        raise _build_rejection("must end before any ? or #; it is the part before /v1 or /oauth2")
    if parts.scheme == "http" and not is_loopback(value):
        raise _build_rejection(
            "would send secrets unencrypted; use https (plain http is allowed only on this machine)"
        )
    return value.rstrip("/")


def _make_absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _check_lake(value: str) -> str:
    """An absolute folder, or an s3 address as it is (without a trailing slash)."""
    remote = "://" in value
    value = value.rstrip("/") if remote else str(_make_absolute(Path(value)))
    if odd := NO_LAKE.search(value):
        raise _build_rejection(
            f"can't be the lake: Delta can't open a folder with {odd[0]!r} in its path. Set SUNLEDGER_LAKE or "
            "SUNLEDGER_HOME to another one"
        )
    if remote:
        parts = urlsplit(value)
        if parts.scheme != "s3" or not parts.netloc:
            raise _build_rejection("is neither a folder nor s3://bucket/prefix")
    return value


def _check_warehouse(value: Path) -> Path:
    """An absolute path of a file that DuckDB can write."""
    file = _make_absolute(value)
    if odd := NO_WAREHOUSE.search(str(file)):
        raise _build_rejection(
            f"can't be the published file: DuckDB can't write one with {odd[0]!r} in its path. Set "
            "SUNLEDGER_WAREHOUSE or SUNLEDGER_HOME to another one"
        )
    return file


def _check_budget_url(value: SecretStr) -> SecretStr:
    """An address of Redis. It may hold a password, so no message repeats it."""
    if not value.get_secret_value():
        return value
    form = "write it as redis://[user:password@]host[:port][/database], or with rediss:// for TLS"
    try:
        parts = urlsplit(value.get_secret_value())
        well = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError as fault:
        raise _build_rejection(f"is not an address of Redis; {form}") from fault
    if not well or not (parts.path.strip("/") or "0").isdecimal():
        raise _build_rejection(f"is not an address of Redis; {form}")
    if parts.query or parts.fragment:
        # redis-py would take options from there, among them one that switches the check of certificates off.
        raise _build_rejection(f"must end before any ? or #; {form}")
    return value


def _split_ids(value: object) -> object:
    """Ids from a list separated by commas."""
    return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value


def _host_names(value: object) -> object:
    """Names of hosts from a list separated by commas, without ports."""
    if not isinstance(value, str):
        return value
    names = value.replace(",", " ").split()
    if not all(HOST_NAME.fullmatch(name) for name in names):
        raise _build_rejection(
            "is not a list of host names; write names without ports, separated by commas: sun.example.org"
        )
    return frozenset(names)


def _check_asset_prefix(text: str) -> str:
    if text and not ASSET_PREFIX.fullmatch(text):
        raise ValueError("must consist of letters, digits, _ and /")
    return text


def _split_sets(value: str) -> str:
    """Names of sets without white space, in the order given."""
    names = [name.strip() for name in value.split(",")]
    if not all(SET_NAME.fullmatch(name) for name in names):
        raise _build_rejection(
            "is not a list of measurement sets; write SMA's names, separated by commas, or: all"
        )
    return ",".join(names)


BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
BudgetUrl = Annotated[SecretStr, AfterValidator(_check_budget_url)]
AbsolutePath = Annotated[Path, AfterValidator(_make_absolute)]


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
    lake: Annotated[str, AfterValidator(_check_lake)] = Field(
        default_factory=lambda data: str(data["home"] / "lake"),
        description="The lake: a folder or s3://bucket/prefix. Default: $SUNLEDGER_HOME/lake.",
    )
    warehouse: Annotated[Path, AfterValidator(_check_warehouse)] = Field(
        default_factory=lambda data: data["home"] / "sunledger.duckdb",
        description="The published DuckDB file. Default: $SUNLEDGER_HOME/sunledger.duckdb.",
    )
    budget_url: BudgetUrl = Field(
        default=SecretStr(""),
        description="Redis in which machines share the request budget: redis://[user:password@]host[:port][/database], "
        "or rediss:// for TLS. Needs the extra `cluster`. Default: none, the budget is this machine's.",
    )
    professional_plants: Annotated[frozenset[str], NoDecode, BeforeValidator(_split_ids)] = Field(
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
    ui_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(_host_names)] = Field(
        default=frozenset(),
        description="Host names, separated by commas, under which browsers reach the control room, such as the name "
        "of a proxy in front of it. Requests for other host names are refused. Default: none, so that only "
        "addresses, localhost and the name given to `--host` work.",
    )
    asset_prefix: Annotated[str, AfterValidator(_check_asset_prefix)] = Field(
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
    sets: Annotated[str, AfterValidator(_split_sets)] = Field(
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
    prices: AbsolutePath | None = Field(
        default=None,
        description="File with the price list (TOML). Default: none, so that the price list of sunledger applies.",
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

    def require_credentials(self) -> None:
        """Raise ConfigurationError naming every credential that is missing (a login is not one of them)."""
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
    try:
        return Settings(**{"_env_file": env_file, **overrides})
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file} is not a UTF-8 text file: save it as UTF-8.") from None
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
