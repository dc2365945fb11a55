"""A home that is built once and lies as it was, at the same place, before each test.

A published file and what it is compared with name the place of their lake, so a copy at another place is another home.
"""

import shutil
from collections.abc import Callable
from pathlib import Path


class HomeTemplate:
    """A folder that `build` fills when it is first asked for; each later test gets it back as it was then."""

    def __init__(self, root: Path, build: Callable[[Path], object]) -> None:
        # A name that needs quoting.
        self._place, self._kept, self._build = root / "it's home", root / "kept", build

    def restore(self) -> Path:
        """The folder, as it was built."""
        if self._kept.exists():
            shutil.rmtree(self._place, ignore_errors=True)
            shutil.copytree(self._kept, self._place, symlinks=True)
        else:
            self._place.mkdir()
            self._build(self._place)
            shutil.copytree(self._place, self._kept, symlinks=True)
        return self._place
