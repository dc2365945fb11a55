"""TOML that a user has written, as Python's own reader gives it, with one kind of error for all that can't be used."""

import tomllib
from collections.abc import Callable
from typing import Any, Final

# TOML's whole numbers. Python's reader has no bound, and a longer one can become neither a text nor a float.
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1


def parse_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """The document as Python values. Raises tomllib.TOMLDecodeError, also for nesting and numbers without a bound."""
    try:
        found = tomllib.loads(text, parse_float=parse_float)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("its lists or tables are nested too deeply") from None
    except ValueError:
        # Python converts no more than some thousand digits.
        raise tomllib.TOMLDecodeError("it has a whole number of more than 64 bits") from None
    left: list[Any] = [found]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
            raise tomllib.TOMLDecodeError("it has a whole number of more than 64 bits")
    return found
