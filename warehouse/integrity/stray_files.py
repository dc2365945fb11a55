"""What lies in a table's log and is none of it, where it stops who lists the log.

delta-rs lists the whole folder. A name that is not UTF-8 and a link that leads to itself end that with an error, and a
pipe in the place of the hint to the last checkpoint is opened and waited for. All else that lies there is passed.
"""

import os
from collections.abc import Callable
from pathlib import Path

from pipeline.common.files.regular_files import is_regular, is_text
from warehouse.lake_log import HINT, LOG

# Below the root of the lake, beside the tables.
FOLDER = "_strays"


def move_strays(table: Path, tell: Callable[[str], None]) -> bool:
    """Move what stops a listing of the table's log out of it, below the lake, and say so; whether there was any.

    Raises OSError for a folder that may not be changed.
    """
    log, place = table / LOG, table.parent / FOLDER / table.name
    with os.scandir(log) as entries:
        strays = [entry.name for entry in entries if not is_text(entry.name) or _is_loop(entry)]
    for name in strays:
        _move(log / name, place, tell)
    return bool(strays)


def move_bad_hint(table: str, tell: Callable[[str], None]) -> None:
    """Move a hint to the last checkpoint away that is a pipe or the like: delta-rs would open it. Raises OSError."""
    hint = f"{table}/{LOG}/{HINT}"
    if os.path.lexists(hint) and not is_regular(hint):
        folder = Path(table)
        _move(Path(hint), folder.parent / FOLDER / folder.name, tell)


def _move(stray: Path, place: Path, tell: Callable[[str], None]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    target = place / stray.name
    number = 1
    while os.path.lexists(target):
        number += 1
        target = place / f"{stray.name}.{number}"
    try:
        stray.rename(target)
    except FileNotFoundError:
        # Another process has moved it.
        return
    tell(
        f"{_show(stray)} does not belong to the log of {stray.parent.parent.name}, and nobody can read the log beside "
        f"it: it was moved to {_show(place)}. Delete it if you don't need it."
    )


def _is_loop(entry: "os.DirEntry[str]") -> bool:
    if not entry.is_symlink():
        return False
    try:
        entry.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _show(path: Path) -> str:
    """The path as text that can be printed."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
