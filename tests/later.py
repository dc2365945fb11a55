"""A module that is loaded when a test first uses it.

Each process collects all tests, and with them would load what a few of them compare with: pvlib takes half a second.
"""

from importlib import import_module
from typing import Any


class LaterModule:
    """Stands for the module of that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, part: str) -> Any:
        if part.startswith("_"):
            # Pytest looks for names of its own in all that a module of tests has.
            raise AttributeError(part)
        return getattr(import_module(self._name), part)
