"""What a value of a setting must be, and the form in which it is kept.

Each check raises a rejection whose text follows the variable and its value in the message.
"""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, SecretStr
from pydantic_core import PydanticCustomError

from pipeline.common.sma_hosts import is_loopback

# Names of sets stand in paths of requests and of the lake.
SET_NAME = re.compile(r"[A-Za-z0-9_-]+")
ASSET_PREFIX = re.compile(r"\w+(/\w+)*", re.ASCII)
# delta-rs takes these for parts of a URL, and panics or looks elsewhere; DuckDB puts its log beside another file.
NO_LAKE = re.compile(r"[\[\]%|^\\\x00-\x1f\x7f]")
NO_WAREHOUSE = re.compile(r"[?\x00-\x1f\x7f]")
# How many days of detail a published file has: at most four digits.
DETAIL_DAYS = re.compile(r"([1-9]\d{0,3})d")
# A longer name would be cut by PostgreSQL.
ROLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
SHORTEST_KEY = 32
# In bytes: SQLite's own limit, and without the longest name of a database below the home with that of its journal.
LONGEST_PATH = 511
LONGEST_HOME = LONGEST_PATH - len("/dagster/schedules/schedules.db-journal")
HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


class SettingGroup(BaseModel, defer_build=True):
    """Settings of one subject, whose docstring is their heading in docs/settings.md. `Settings` consists of them.

    A group makes no object of its own, so pydantic need not prepare that when it is imported.
    """


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


def check_home(value: Path) -> Path:
    """An absolute folder whose path is short enough for the databases in it."""
    home = _make_absolute(value)
    if len(os.fsencode(os.path.realpath(home))) > LONGEST_HOME:
        raise _build_rejection(
            f"can't be the home: SQLite opens no file with a path of more than {LONGEST_PATH} bytes, so that of the "
            f"home may have {LONGEST_HOME}. Set SUNLEDGER_HOME to a shorter one"
        )
    return home


# S3 and what speaks it; Azure's and Google's stores, which nobody has tried.
STORES = ("s3", "az", "gs")


def check_lake(value: str) -> str:
    """An absolute folder, or the address of an object store as it is (without a trailing slash)."""
    remote = "://" in value
    value = value.rstrip("/") if remote else str(_make_absolute(Path(value)))
    if odd := NO_LAKE.search(value):
        raise _build_rejection(
            f"can't be the lake: Delta can't open a folder with {odd[0]!r} in its path. Set SUNLEDGER_LAKE or "
            "SUNLEDGER_HOME to another one"
        )
    if remote:
        parts = urlsplit(value)
        if parts.scheme not in STORES or not parts.netloc:
            raise _build_rejection(
                "is neither a folder nor s3://bucket/prefix, az://container/prefix or gs://bucket/prefix"
            )
    return value


def check_publish_target(value: str) -> str:
    """An absolute folder, or the s3 address of a DuckDB file."""
    if not value or "://" not in value:
        return str(_make_absolute(Path(value))) if value else ""
    parts = urlsplit(value)
    if (
        parts.scheme != "s3"
        or not parts.netloc
        or parts.query
        or parts.fragment
        or not parts.path.endswith(".duckdb")
    ):
        raise _build_rejection("is neither a folder nor s3://bucket/prefix/name.duckdb")
    return value


def choose_warehouse(home: Path, target: str) -> Path:
    """The published file where none is set: in the folder of the target, or in the home."""
    folder = Path(target) if target and "://" not in target else home
    return folder / "sunledger.duckdb"


def check_warehouse(value: Path) -> Path:
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


def _check_postgres_url(value: SecretStr) -> SecretStr:
    """An address of PostgreSQL. It may hold a password, so no message repeats it."""
    if not value.get_secret_value():
        return value
    form = "write it as postgresql://user:password@host[:port]/database"
    try:
        parts = urlsplit(value.get_secret_value())
        well = parts.scheme == "postgresql" and bool(parts.hostname and parts.username) and parts.port != 0
    except ValueError as fault:
        raise _build_rejection(f"is not an address of PostgreSQL; {form}") from fault
    if not well or not parts.path.strip("/"):
        raise _build_rejection(f"is not an address of PostgreSQL; {form}")
    return value


def _check_cluster_key(value: SecretStr) -> SecretStr:
    """A secret that is too long to be guessed, or none."""
    if value.get_secret_value() and len(value.get_secret_value()) < SHORTEST_KEY:
        raise _build_rejection(
            f"is too short; it needs at least {SHORTEST_KEY} characters, for instance those that 'openssl rand "
            "-base64 32' prints"
        )
    return value


def split_ids(value: object) -> object:
    """Ids from a list separated by commas."""
    return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value


def split_host_names(value: object) -> object:
    """Names of hosts from a list separated by commas, without ports."""
    if not isinstance(value, str):
        return value
    names = value.replace(",", " ").split()
    if not all(HOST_NAME.fullmatch(name) for name in names):
        raise _build_rejection(
            "is not a list of host names; write names without ports, separated by commas: sun.example.org"
        )
    return frozenset(names)


def check_asset_prefix(text: str) -> str:
    """A prefix of asset keys: words of letters, digits and _, with / between them, or nothing."""
    if text and not ASSET_PREFIX.fullmatch(text):
        raise ValueError("must consist of letters, digits, _ and /")
    return text


def split_sets(value: str) -> str:
    """Names of sets without white space, in the order given."""
    names = [name.strip() for name in value.split(",")]
    if not all(SET_NAME.fullmatch(name) for name in names):
        raise _build_rejection(
            "is not a list of measurement sets; write SMA's names, separated by commas, or: all"
        )
    return ",".join(names)


def check_detail(value: str) -> str:
    """An amount of detail to publish."""
    if value not in {"none", "month", "all"} and not DETAIL_DAYS.fullmatch(value):
        raise _build_rejection(
            "is not an amount of detail; write none, month, all, or a number of days as in 31d"
        )
    return value


def check_push_schema(value: str) -> str:
    """A name of a schema of PostgreSQL that is not one of its own."""
    if not ROLE_NAME.fullmatch(value) or value.startswith("pg_") or value == "information_schema":
        raise _build_rejection(
            "can't be the schema; use small letters, digits and _, at most 63, and not the beginning pg_"
        )
    return value


def check_push_reader(value: str) -> str:
    """A name of a role of PostgreSQL that is not one of its own, or nothing."""
    if value and (not ROLE_NAME.fullmatch(value) or value.startswith("pg_") or value == "public"):
        raise _build_rejection(
            "can't be the role of readers; use small letters, digits and _, at most 63, and not the beginning pg_"
        )
    return value


BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_check_postgres_url)]
ClusterKey = Annotated[SecretStr, AfterValidator(_check_cluster_key)]
BudgetUrl = Annotated[SecretStr, AfterValidator(_check_budget_url)]
AbsolutePath = Annotated[Path, AfterValidator(_make_absolute)]
