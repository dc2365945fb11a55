"""Who of this machine may read what is written here: by default the owner and the owner's group, nobody else.

The umask decides, so that it holds for every writer: Python, Delta, DuckDB, SQLite, and the processes of Dagster that
are started from here. What is a secret is closer still, and sees to that itself.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

Readers: TypeAlias = Literal["owner", "group", "all"]

UMASKS: dict[Readers, int] = {"owner": 0o077, "group": 0o027, "all": 0o022}


def limit_readers(home: Path, readers: Readers) -> None:
    """Let this process and those that it starts write for these readers, and close an older home to others."""
    umask = UMASKS[readers]
    os.umask(umask)
    # A home that is not there yet, that is somebody else's or on a disk that can only be read stays as it is.
    with suppress(OSError):
        mode = home.stat().st_mode & 0o7777
        if mode & umask:
            home.chmod(mode & ~umask)
