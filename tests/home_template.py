"""A home that is built once and lies as it was, at the same place, before each test.

A published file and what it is compared with name the place of their lake, so a copy at another place is another home.
Only what a test has changed is copied again: a lake of a hundred commits has a thousand files.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

# Which file it is, its mode, and when its content, name or mode was changed last, which no program can set.
State: TypeAlias = tuple[int, int, int]


class HomeTemplate:
    """A folder that `build` fills when it is first asked for; each later test gets it back as it was then."""

    def __init__(self, root: Path, build: Callable[[Path], object]) -> None:
        # A name that needs quoting.
        self._place, self._kept, self._build = root / "it's home", root / "kept", build
        self._states: dict[str, State] = {}

    def restore(self) -> Path:
        """The folder, as it was built."""
        if not self._kept.exists():
            self._place.mkdir()
            self._build(self._place)
            shutil.copytree(self._place, self._kept, symlinks=True)
        else:
            self._place.mkdir(exist_ok=True)
            for name, state in _list_tree(self._place).items():
                if self._states.get(name) != state:
                    _remove(self._place / name)
            there = _list_tree(self._place)
            for name in self._states:
                if name not in there:
                    self._copy(name)
        self._states = _list_tree(self._place)
        return self._place

    def _copy(self, name: str) -> None:
        source, target = self._kept / name, self._place / name
        if source.is_dir() and not source.is_symlink():
            target.mkdir()
            shutil.copystat(source, target)
        else:
            shutil.copy2(source, target, follow_symlinks=False)


def _list_tree(root: Path) -> dict[str, State]:
    """All that lies in a folder, by its path there, each folder before what it holds."""
    found: dict[str, State] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name, about = f"{folder}{entry.name}", entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(about.st_mode):
                    waiting.append(f"{name}/")
                    # What it holds is looked at by itself.
                    found[name] = (0, about.st_mode, 0)
                else:
                    found[name] = (about.st_ino, about.st_mode, about.st_ctime_ns)
    return found


def _remove(path: Path) -> None:
    """Remove what lies there, if its folder did not go before."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
