"""Who of this machine may read what is written here: by default the owner and the owner's group, nobody else.

The umask decides, so that it holds for every writer: Python, Delta, DuckDB, SQLite, and the processes of Dagster that
are started from here. What is a secret is closer still, and sees to that itself.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

Readers: TypeAlias = Literal["owner", "group", "all"]

# What shows that a folder is a home, and what a new disk has.
SIGNS = frozenset({"dagster", "lake", "credentials", "requests"})
LOST_AND_FOUND = "lost+found"

UMASKS: dict[Readers, int] = {"owner": 0o077, "group": 0o027, "all": 0o022}


def limit_readers(home: Path, readers: Readers) -> None:
    """Let this process and those that it starts write for these readers, and close an older home to others."""
    umask = UMASKS[readers]
    os.umask(umask)
    # A home that is not there yet, that is somebody else's or on a disk that can only be read stays as it is.
    with suppress(OSError):
        mode = stat.S_IMODE(home.stat().st_mode)
        if mode & umask and _is_own_folder(home):
            home.chmod(mode & ~umask)


def _is_own_folder(home: Path) -> bool:
    """Whether the folder is a home, or may become one: what a slip of SUNLEDGER_HOME names is left as others need it.

    That is a device, the folder of temporary files, the root of all folders, or one with files of other programs.
    """
    if not home.is_dir() or home.stat().st_mode & stat.S_ISVTX or home.resolve() == Path("/"):
        return False
    names = {path.name for path in home.iterdir()} - {LOST_AND_FOUND}
    return not names or not names.isdisjoint(SIGNS)
