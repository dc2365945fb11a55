"""All settings, from the environment or a `.env` file in the working directory. Nothing is read at import.

Secrets are `SecretStr`: they are shown as stars wherever a settings object is printed. Everything works
without credentials except calls of SMA's services, which begin with `require_credentials()`.
"""

import datetime as dt
import re
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.common.data_settings import (
    CostSettings,
    FetchSettings,
    PlantSettings,
    ReaderSettings,
    RuleSettings,
)
from pipeline.common.env_file import check_env_file
from pipeline.common.errors import ConfigurationError
from pipeline.common.operation_settings import (
    AlertSettings,
    ClusterSettings,
    DagsterSettings,
    StorageSettings,
)
from pipeline.common.sma_settings import SmaSettings
from pipeline.common.text import escape_line

ENV_FILE = Path(".env")
# What a value that can't be read should be, where the words of the library that reads it are those of a programmer.
_READABLE = {
    "int_parsing": "it should be a whole number",
    "float_parsing": "it should be a number, with a point before decimals",
    "decimal_parsing": "it should be a number, with a point before decimals",
    "date_parsing": "it should be a day, written as YYYY-MM-DD",
    "date_from_datetime_inexact": "it should be a day, written as YYYY-MM-DD",
    "date_from_datetime_parsing": "it should be a day, written as YYYY-MM-DD",
    "path_type": "it should be a path in UTF-8, so choose or rename to a name without other bytes",
}
# How a number and a day are written. pydantic also takes 1_000 for a thousand, digits of other alphabets, exponents,
# and a number for the day that lies so many seconds after 1970: each of them is a slip here.
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*")
_DAY = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*")
_WRITTEN = {
    int: ("int_parsing", _NUMBER),
    float: ("float_parsing", _NUMBER),
    Decimal: ("decimal_parsing", _NUMBER),
    dt.date: ("date_parsing", _DAY),
}


class Settings(
    # pydantic takes the fields of the last class first.
    ReaderSettings,
    RuleSettings,
    CostSettings,
    FetchSettings,
    PlantSettings,
    AlertSettings,
    DagsterSettings,
    ClusterSettings,
    StorageSettings,
    SmaSettings,
    BaseSettings,
):
    """Every setting of sunledger. `name_variable` gives the environment variable of a field."""

    model_config = SettingsConfigDict(
        frozen=True,
        defer_build=False,
        extra="ignore",
        env_prefix="SUNLEDGER_",
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
        validate_default=True,
        str_strip_whitespace=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_written_form(cls, value: object, info: ValidationInfo) -> object:
        """The value of a number or day, if it is written as one."""
        if not isinstance(value, str):
            return value
        annotation = cls.model_fields[str(info.field_name)].annotation
        for kind in get_args(annotation) or (annotation,):
            name, form = _WRITTEN.get(kind, ("", None))
            if form is not None and not form.fullmatch(value):
                raise PydanticCustomError(name, "{text}", {"text": _READABLE[name]})
        return value

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


def load_settings(
    *, env_file: Path | None = ENV_FILE, from_options: Collection[str] = (), **overrides: Any
) -> Settings:
    """Settings from `overrides` (field names), then the environment, then `env_file` (None: no file).

    `from_options` are the overrides that options of a command have given. Raises ConfigurationError with one sentence:
    the variable or the option, its value unless that is a secret, the cure.
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
        raise ConfigurationError(_build_sentence(fault.errors(include_url=False)[0], from_options)) from None


def _build_sentence(error: ErrorDetails, from_options: Collection[str]) -> str:
    field = str(error["loc"][0]).removeprefix("SUNLEDGER_").lower()
    value = error.get("input")
    # Never repeat a secret, nor a URL that may carry a password in its user part.
    hidden = Settings.model_fields[field].annotation is SecretStr or "@" in str(value)
    shown = "" if hidden else f"={value}"
    message = _READABLE.get(error["type"], error["msg"].replace("Input", "it", 1))
    clause = message if error["type"] == "setting" else f"is wrong: {message}"
    name = f"--{field.replace('_', '-')}" if field in from_options else name_variable(field)
    return escape_line(f"{name}{shown} {clause}.")
