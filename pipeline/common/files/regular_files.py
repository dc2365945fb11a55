"""The files that a folder of ours holds, whatever else lies there.

A folder of a home gathers what other programs leave: conflict copies of a synchronizing service, sockets, pipes, links
that lead nowhere, names in an old encoding. Who opens a pipe may wait without end, and a name that is not UTF-8 can
neither be stored nor printed. None of them is a file of ours, so a list of our files has none of them.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def list_regular_names(folder: str | Path) -> list[str]:
    """The names of the regular files of a folder, sorted; links count as what they lead to. None for no folder.

    Raises OSError for a folder that can't be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_text(entry.name) and _is_regular(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []


def list_regular_files(folder: Path, suffix: str) -> list[Path]:
    """The regular files of a folder with this end of their names, sorted; none for no folder. Raises OSError."""
    return [folder / name for name in list_regular_names(folder) if name.endswith(suffix)]


def walk_regular_files(root: Path) -> Iterator[Path]:
    """All regular files below a folder, as `list_regular_names` has them; links to folders are not followed."""
    for folder, folders, _ in os.walk(root):
        folders[:] = sorted(filter(is_text, folders))
        for name in list_regular_names(folder):
            yield Path(folder, name)


def is_regular(path: str | Path) -> bool:
    """Whether a regular file is there, itself or at the end of a link: what can be opened without waiting."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - called for each look at a table
    except OSError:
        return False


def is_text(name: str) -> bool:
    """Whether the name of a file is UTF-8, so that it can be stored and printed."""
    return name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name)


def _is_regular(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:
        # A link that leads to itself.
        return False
