"""The release of the program."""

from functools import cache
from importlib.metadata import version


@cache
def find_release() -> str:
    """The version of sunledger that is installed, which is read from a file once a process."""
    return version("sunledger")
