"""The credentials that feed the warehouse: those of the settings, or several from the file of SMA_CREDENTIALS.

Each credential is a name and settings of its own, so that whatever works with one works with each of several. The
file is TOML and as private as a password: a table [[credential]] for each, in the order of preference.
"""

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.common.files.toml_text import parse_toml
from pipeline.common.settings import Settings
from pipeline.common.text import escape_line

SETTING = "SMA_CREDENTIALS"
_TABLE = "credential"
_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Credential:
    """A client of SMA's developer portal. `settings` are those of a warehouse that has this one only.

    `name` is empty where the settings have no SMA_CREDENTIALS.
    """

    name: str
    settings: Settings


class _Entry(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True
    )

    name: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")
    client_id: _Text
    client_secret: SecretStr | None = Field(default=None, min_length=1)
    client_secret_file: _Text | None = None
    flow: Literal["custom", "code"] = "custom"
    refresh_token: SecretStr | None = None
    requests_per_5_min: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if (self.client_secret is None) == (self.client_secret_file is None):
            raise ValueError("needs either client_secret or client_secret_file")
        return self


def read_credentials(settings: Settings) -> tuple[Credential, ...]:
    """The credentials in the order of preference; one without a name where SMA_CREDENTIALS is not set.

    Raises ConfigurationError with the file and the credential's name, never with a value of it.
    """
    file = settings.sma_credentials
    if file is None:
        return (Credential("", settings),)
    entries = _read_entries(file)
    for field in ("name", "client_id"):
        values = [getattr(entry, field).lower() for entry in entries]
        if twice := next((place for place, value in enumerate(values) if value in values[:place]), None):
            raise ConfigurationError(
                f"{SETTING}={file}: the credential {entries[twice].name!r} has the {field} of another one: give each "
                "its own."
            )
    return tuple(_build_credential(settings, file, entry) for entry in entries)


def select_credentials(settings: Settings, name: str | None) -> tuple[Credential, ...]:
    """The credential of that name, or all where none is given.

    Raises UsageError for another name, and ConfigurationError as `read_credentials`.
    """
    found = read_credentials(settings)
    if name is None:
        return found
    named = [one for one in found if one.name == name]
    if not named:
        names = ", ".join(one.name for one in found if one.name)
        cure = (
            f"choose from {names}" if names else f"leave the option out, or list credentials with {SETTING}"
        )
        raise UsageError(f"There is no credential {name!r}: {cure}.")
    return tuple(named)


def take_only_credential(found: Sequence[Credential]) -> Credential:
    """The one credential that is left. Raises UsageError where somebody has to choose."""
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise UsageError(f"{SETTING} lists several credentials: choose one with --credential ({names}).")
    return found[0]


def find_flow(settings: Settings) -> Literal["custom", "code"]:
    """How owners grant access: custom as soon as one credential has that flow. Raises as `read_credentials`."""
    return (
        "custom" if any(one.settings.sma_flow == "custom" for one in read_credentials(settings)) else "code"
    )


def _read_entries(file: Path) -> list[_Entry]:
    try:
        content = parse_toml(_read_private_text(file))
    except tomllib.TOMLDecodeError as fault:
        # Its text names a place, and never a value.
        raise ConfigurationError(f"{SETTING}={file} is not TOML ({fault}): correct it.") from None
    tables = content.get(_TABLE)
    if not isinstance(tables, list) or not tables or set(content) != {_TABLE}:
        raise ConfigurationError(
            f"{SETTING}={file} must hold tables [[{_TABLE}]] and nothing else, one for each credential, with name, "
            "client_id and client_secret."
        )
    return [_parse_entry(file, place, table) for place, table in enumerate(tables, start=1)]


def _parse_entry(file: Path, place: int, table: Mapping[str, Any]) -> _Entry:
    try:
        return _Entry.model_validate(table)
    except ValidationError as fault:
        error = fault.errors(include_url=False, include_input=False)[0]
        where = f"{error['loc'][0]} of " if error["loc"] else ""
        said = error["msg"].removeprefix("Value error, ").replace("Input", "it", 1)
        raise ConfigurationError(
            escape_line(f"{SETTING}={file}: {where}credential number {place} is wrong: {said}.")
        ) from None


def _build_credential(settings: Settings, file: Path, entry: _Entry) -> Credential:
    secret = entry.client_secret
    if entry.client_secret_file is not None:
        text = _read_private_text(file.parent / Path(entry.client_secret_file).expanduser()).strip()
        if not text:
            raise ConfigurationError(
                f"{SETTING}={file}: the client_secret_file of the credential {entry.name!r} is empty: write the secret "
                "into it."
            )
        secret = SecretStr(text)
    changes = {
        "sma_credentials": None,
        "sma_client_id": entry.client_id,
        "sma_client_secret": secret,
        "sma_flow": entry.flow,
        "sma_refresh_token": entry.refresh_token or SecretStr(""),
        "sma_requests_per_5_min": entry.requests_per_5_min or settings.sma_requests_per_5_min,
    }
    return Credential(entry.name, settings.model_copy(update=changes))


def _read_private_text(file: Path) -> str:
    """The text of a file that others can't read. Raises ConfigurationError.

    A file that somebody else owns is mounted, as secrets of Kubernetes are: its group is this process's way to it.
    """
    if file.exists() and not file.is_file():
        raise ConfigurationError(f"{SETTING}: {file} is a folder or a pipe: name a file.")
    try:
        with file.open("rb") as opened:
            facts = os.fstat(opened.fileno())
            content = opened.read()
    except OSError as fault:
        raise ConfigurationError(
            f"{SETTING}: {file} can't be read ({fault.strerror}): correct the path."
        ) from None
    refused = stat.S_IRWXO if facts.st_uid != os.geteuid() else stat.S_IRWXO | stat.S_IRWXG
    if facts.st_mode & refused:
        raise ConfigurationError(
            f"{SETTING}: {file} holds a secret, and others may use it (mode {facts.st_mode & 0o777:04o}): run "
            f"'chmod 600 {file}'; of a mounted secret set the mode to 0440."
        )
    try:
        # Notepad begins a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{SETTING}: {file} is not a UTF-8 text file: save it as UTF-8.") from None
