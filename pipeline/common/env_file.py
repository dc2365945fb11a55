"""Whether a `.env` file says what its writer meant: a line that its reader would skip without a notice is refused."""

import difflib
import io
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.user_text import build_file_error, check_user_file, read_user_text

# How much a name must be like that of a setting to be a slip of it.
ALIKE = 0.75
# In the environment others have names of their own: Kubernetes makes some of each service's name.
ALIKE_IN_ENVIRONMENT = 0.85
# All settings together have a few kilobytes, and the reader of larger files takes long.
MOST_BYTES = 2**18


def check_env_file(file: Path, names: Collection[str]) -> None:
    """Raise ConfigurationError for a line that can't be read, has no value, misspells a setting's name, or gives one
    another value than a line before it.

    A file that does not exist is none.
    """
    if not file.is_symlink() and not file.exists():
        return
    from dotenv.parser import parse_stream  # noqa: PLC0415 - most homes have no such file

    if check_user_file("", file, "text")[1] > MOST_BYTES:
        raise build_file_error(
            "",
            file,
            "it has more than 256 KiB, which settings never need",
            "put a text file in its place, or remove it",
        )
    given: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(read_user_text("", file))):
        text = binding.original.string
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error:
            raise _build_error(
                file, line, "can't be read", "write NAME=VALUE, and close each quote in its own line"
            )
        if binding.key is None or not (binding.value is None or _is_ours(binding.key)):
            continue
        key = binding.key.strip()
        if key.upper() in names:
            if binding.value is None:
                raise _build_error(file, line, f"has no = after {key}", f"write {key}=VALUE")
            # An empty value, as in a template, means that the setting is not given there.
            if (given.get(key.upper()) or binding.value) != binding.value:
                raise _build_error(
                    file, line, f"gives {key} another value than a line before it", "remove one of them"
                )
            given[key.upper()] = binding.value
            continue
        if alike := difflib.get_close_matches(key.upper(), names, 1, ALIKE) if _is_ours(key) else []:
            raise _build_error(
                file, line, f"names {key}, which is not a setting", f"write {alike[0]}, or remove the line"
            )


def find_misspelled_variables(environment: Iterable[str], names: Collection[str]) -> dict[str, str]:
    """The variables of the environment that are no setting but nearly named like one, each with that one's name."""
    strange = sorted(name for name in environment if _is_ours(name) and name.upper() not in names)
    alike = (
        (name, difflib.get_close_matches(name.upper(), names, 1, ALIKE_IN_ENVIRONMENT)) for name in strange
    )
    return {name: found[0] for name, found in alike if found}


def _is_ours(key: str) -> bool:
    return key.upper().startswith(("SUNLEDGER_", "SMA_"))


def _build_error(file: Path, line: int, what: str, cure: str) -> ConfigurationError:
    # Never the line itself, which may hold a secret.
    return ConfigurationError(f"Line {line} of {file} {what}. To correct it, {cure}.")
