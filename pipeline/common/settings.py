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

ENV_FILE = Path(".env")
# Names of sets stand in paths of requests and of the lake.
SET_NAME = re.compile(r"[A-Za-z0-9_-]+")
ASSET_PREFIX = re.compile(r"\w+(/\w+)*", re.ASCII)
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


def _invalid(cure: str) -> PydanticCustomError:
    """A rejected value. `cure` is a clause that follows the variable and its value in the message."""
    return PydanticCustomError("setting", "{cure}", {"cure": cure})


def _base_url(value: str) -> str:
    """Accept https, or http to this machine, and cut the trailing slash."""
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError as fault:
        raise _invalid("is not a URL; write it as https://host[:port][/prefix]") from fault
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_ok:
        raise _invalid("is not a URL; write it as https://host[:port][/prefix]")
    if parts.username is not None or parts.password is not None:
        raise _invalid("must not hold a user name or password; use SMA_CLIENT_ID and SMA_CLIENT_SECRET")
    if parts.query or parts.fragment:
        raise _invalid("must end before any ? or #; it is the part before /v1 or /oauth2")
    if parts.scheme == "http" and not is_loopback(value):
        raise _invalid("would send secrets unencrypted; use https (plain http is for this machine only)")
    return value.rstrip("/")


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _lake(value: str) -> str:
    """An absolute folder, or an s3 address as it is (without a trailing slash)."""
    if "://" not in value:
        return str(_absolute(Path(value)))
    parts = urlsplit(value)
    if parts.scheme != "s3" or not parts.netloc:
        raise _invalid("is neither a folder nor s3://bucket/prefix")
    return value.rstrip("/")


def _budget_url(value: SecretStr) -> SecretStr:
    """An address of Redis. It may hold a password, so no message repeats it."""
    if not value.get_secret_value():
        return value
    form = "write it as redis://[user:password@]host[:port][/database], or with rediss:// for TLS"
    try:
        parts = urlsplit(value.get_secret_value())
        well = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError as fault:
        raise _invalid(f"is not an address of Redis; {form}") from fault
    if not well or not (parts.path.strip("/") or "0").isdecimal():
        raise _invalid(f"is not an address of Redis; {form}")
    if parts.query or parts.fragment:
        # redis-py would take options from there, among them one that switches the check of certificates off.
        raise _invalid(f"must end before any ? or #; {form}")
    return value


def _ids(value: object) -> object:
    """Ids from a list joined by commas."""
    return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value


def _host_names(value: object) -> object:
    """Names of hosts from a list joined by commas, without ports."""
    if not isinstance(value, str):
        return value
    names = value.replace(",", " ").split()
    if not all(HOST_NAME.fullmatch(name) for name in names):
        raise _invalid("is no list of host names; write names without ports, with commas: sun.example.org")
    return frozenset(names)


def _asset_prefix(text: str) -> str:
    if text and not ASSET_PREFIX.fullmatch(text):
        raise ValueError("has to be words of letters, digits and _, separated by /")
    return text


def _sets(value: str) -> str:
    """Names of sets without white space, in the order given."""
    names = [name.strip() for name in value.split(",")]
    if not all(SET_NAME.fullmatch(name) for name in names):
        raise _invalid("is no list of measurement sets; write names as SMA does, with commas, or: all")
    return ",".join(names)


BaseUrl = Annotated[str, AfterValidator(_base_url)]
BudgetUrl = Annotated[SecretStr, AfterValidator(_budget_url)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


def _sma(name: str, description: str, **kwargs: Any) -> Any:
    """A field read from SMA_... as it is: the alias keeps the SUNLEDGER_ prefix away."""
    return Field(validation_alias=name, description=description, **kwargs)


def _host(role: str, description: str) -> Any:
    """A service's base URL, by default that of the chosen environment."""
    return _sma(
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

    sma_client_id: str = _sma(
        "sma_client_id", "Client id from SMA's developer portal. Default: none.", default=""
    )
    sma_client_secret: SecretStr = _sma(
        "sma_client_secret",
        "Client secret from SMA's developer portal. Default: none.",
        default=SecretStr(""),
    )
    sma_flow: Literal["custom", "code"] = _sma(
        "sma_flow",
        "Way of access: custom (owners consent by e-mail) or code (one user logs in). Default: custom.",
        default="custom",
    )
    sma_refresh_token: SecretStr = _sma(
        "sma_refresh_token",
        "Refresh token of the code flow, used once, in place of `sunledger login`. Default: none.",
        default=SecretStr(""),
    )
    sma_environment: Literal["sandbox", "production"] = _sma(
        "sma_environment",
        "Which of SMA's environments fills the URLs below. Default: sandbox.",
        default="sandbox",
    )
    sma_auth_url: BaseUrl = _host("auth", "Token and login service, the part before /oauth2")
    sma_consent_url: BaseUrl = _host("consent", "Owner consent service, the part before /oauth2")
    sma_monitoring_url: BaseUrl = _host("monitoring", "Monitoring API, the part before /v1")
    sma_live_url: BaseUrl = _host("live", "Live API, the part before /v1")
    sma_gridcontrol_url: BaseUrl = _host("gridcontrol", "GridControl API, the part before /v1")
    sma_time_basis: Literal["utc", "plant_local"] = _sma(
        "sma_time_basis",
        "What the times without offset in SMA's answers mean: utc (SMA's FAQ) or plant_local. Default: utc.",
        default="utc",
    )
    sma_merged_hour: Literal["gap", "mean"] = _sma(
        "sma_merged_hour",
        "What a row of the repeated autumn hour is that came once, not twice: of one pass, the other being a "
        "gap (gap), or the mean of both passes (mean). Default: gap.",
        default="gap",
    )
    sma_requests_per_5_min: int | None = _sma(
        "sma_requests_per_5_min",
        "Requests in any 5 minutes, by all processes that share SUNLEDGER_HOME (or SUNLEDGER_BUDGET_URL). "
        "Default: none, only a 429 slows it.",
        default=None,
        ge=1,
    )
    sma_max_connections: int = _sma(
        "sma_max_connections", "Connections to SMA open at once. Default: 16.", default=16, ge=1, le=256
    )
    sma_max_answer_bytes: int = _sma(
        "sma_max_answer_bytes",
        "Largest answer that is taken, in bytes, decompressed. Default: 33554432 (32 MiB); a plant's day has 100 kB.",
        default=32 * 2**20,
        ge=1,
    )
    home: AbsolutePath = Field(default=Path("data"), description="Folder of all state. Default: ./data.")
    readable_by: Readers = Field(
        default="group",
        description="Who of this machine may read what sunledger writes, beside its secrets: owner, group (the owner's "
        "group, for BI tools of other users) or all. Default: group.",
    )
    lake: Annotated[str, AfterValidator(_lake)] = Field(
        default_factory=lambda data: str(data["home"] / "lake"),
        description="The lake: a folder or s3://bucket/prefix. Default: $SUNLEDGER_HOME/lake.",
    )
    warehouse: AbsolutePath = Field(
        default_factory=lambda data: data["home"] / "sunledger.duckdb",
        description="The published DuckDB file. Default: $SUNLEDGER_HOME/sunledger.duckdb.",
    )
    budget_url: BudgetUrl = Field(
        default=SecretStr(""),
        description="Redis in which machines share the request budget: redis://[user:password@]host[:port][/database], "
        "or rediss:// for TLS. Needs the extra `cluster`. Default: none, the budget is this machine's.",
    )
    professional_plants: Annotated[frozenset[str], NoDecode, BeforeValidator(_ids)] = Field(
        default=frozenset(),
        description="Ids, joined by commas, of the plants on Sunny Portal Classic with the Professional package, whose "
        "data is there after 15 minutes and not 2 hours. Default: none.",
    )
    first_day: dt.date = Field(
        default=dt.date(2015, 1, 1),
        description="First day that the warehouse can hold: where the day partitions begin. Default: 2015-01-01.",
    )
    schedules: Literal["on", "off"] = Field(
        default="off",
        description="Whether schedules and sensors run, unless switched in the UI: on or off. Default: off.",
    )
    window_days: int = Field(
        default=7,
        ge=1,
        le=31,
        description="How many closed days are read again each day, since SMA corrects figures (1 to 31). Default: 7.",
    )
    keep_runs_days: int = Field(
        default=90,
        ge=1,
        description="Runs of Dagster older than so many days are deleted once all that they made was made again. "
        "Default: 90.",
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
        description="How many minutes a run waits for a slot of a pool that other runs hold. Default: 60.",
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
        description="URL that alerts are posted to as JSON: title, text, resolved. Default: none.",
    )
    alert_slack: SecretStr = Field(
        default=SecretStr(""), description="Slack-compatible webhook for alerts. Default: none."
    )
    include_plants: str = Field(
        default="",
        description="The plants that are yours, joined by commas: ids, names (`*` is any text, `?` one sign, upper and "
        "lower case alike), or `@FILE` with one a line. Default: none, every plant that SMA lists.",
    )
    exclude_plants: str = Field(
        default="",
        description="Plants of these that are not yours, written in the same way, each with a day where you like "
        "(`5000022 from 2026-10-15`): from then on they are not asked for, cost nothing, and are missing nowhere. "
        "Default: none.",
    )
    max_eur_per_month: Decimal | None = Field(
        default=None,
        ge=0,
        max_digits=12,
        description="How much the PU of a month may cost, in the price list's currency. New PU within it need no other "
        "consent. Beyond it no plant is asked for that is not on the month's bill already, by commands, schedules and "
        "runs from Dagster's page alike. Default: none, so every new PU needs consent: an answer on a terminal, "
        "`--yes`, or the run tag `sunledger/max_eur`.",
    )
    alert_eur: int | None = Field(
        default=None,
        ge=1,
        description="Alert when this month's PU cost more than so many EUR. Default: none.",
    )
    ui_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(_host_names)] = Field(
        default=frozenset(),
        description="Names of hosts, joined by commas, as which browsers reach the control room, such as that of a "
        "proxy in front of it. Requests for other names are refused. Default: none, only addresses, localhost and the "
        "name given to `--host`.",
    )
    asset_prefix: Annotated[str, AfterValidator(_asset_prefix)] = Field(
        default="",
        description="Put before the keys of all assets in Dagster, as in `solar` or `energy/solar`, and before the "
        "names of jobs, schedules and sensors (`solar_today`): for a page that shows assets of your own too. Runs and "
        "days that were recorded without it stay under the keys that they had. Default: none.",
    )
    docs_url: str = Field(
        default="",
        description="Where people can read the folder docs/ in a browser, as in "
        "`https://git.example.org/sunledger/blob/main/docs`: assets in Dagster link "
        "there. Default: none; they name the file.",
    )
    sets: Annotated[str, AfterValidator(_sets)] = Field(
        default="EnergyBalance,EnergyAndPowerPv",
        description="Measurement sets that a day is asked for, separated by commas, or `all`. Each costs a request for "
        "each plant or device that has it and day (`sunledger plan --sets …` counts them). Default: EnergyBalance and "
        "EnergyAndPowerPv.",
    )
    logs: Literal["none", "plants", "devices"] = Field(
        default="plants",
        description="Logs that a day is asked for: none, those of plants (a request for each plant; they hold their "
        "devices' events too), or those of devices as well (a request more for each device). Default: plants.",
    )
    prices: AbsolutePath | None = Field(
        default=None,
        description="Price list (TOML). Default: none, the price list that comes with sunledger.",
    )

    irradiation: AbsolutePath | None = Field(
        default=None,
        description="Your own irradiation on the modules' plane, such as a satellite series: CSV or Parquet with "
        "plant_id, interval_start, interval_end and w_per_m2 or kwh_per_m2; see docs/irradiation.md. Default: none.",
    )
    quality: AbsolutePath | None = Field(
        default=None,
        description="Thresholds of the quality rules (TOML). Default: none, those that come with sunledger.",
    )

    gap_policy: Literal["none", "vendor"] = Field(
        default="none",
        description="Which figure the table reconciliation says would be booked for a day with a gap that SMA's own "
        "figure bridges: none (the measured one) or vendor (SMA's). No other table follows it. Default: none.",
    )

    energy_values: Literal["on", "off"] = Field(
        default="off",
        description="Whether each plant's EnergyBalance is asked for a second time, as energies (ReturnEnergyValues): "
        "a request more for each plant and day. The table reconciliation has them beside the measured ones. Default: "
        "off.",
    )
    energy_years: Literal["on", "off"] = Field(
        default="off",
        description="Whether the schedule `year` asks for SMA's energies of each year that is over: a request for "
        "each plant and year. `sunledger reconcile --year` asks in any case. Default: off.",
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
            f"There is no setting {unknown[0]!r}: choose from {', '.join(Settings.model_fields)}."
        )
    try:
        return Settings(**{"_env_file": env_file, **overrides})
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file} is not UTF-8 text: save it as UTF-8.") from None
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
    return f"{name_variable(field)}{shown} {clause}."
