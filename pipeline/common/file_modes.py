"""Who of this machine may read what is written here: by default the owner and the owner's group, nobody else.

The umask decides, so that it holds for every writer: Python, Delta, DuckDB, SQLite, and the processes of Dagster that
are started from here. What is a secret is closer still, and sees to that itself.
"""

import os
from pathlib import Path
from typing import Literal, TypeAlias

Readers: TypeAlias = Literal["owner", "group", "all"]

UMASKS: dict[Readers, int] = {"owner": 0o077, "group": 0o027, "all": 0o022}


def limit_readers(home: Path, readers: Readers) -> None:
    """Let this process and those that it starts write for these readers, and close an older home to others.

    Raises OSError.
    """
    umask = UMASKS[readers]
    os.umask(umask)
    if home.is_dir():
        status = home.stat()
        mode = status.st_mode & 0o7777
        # Of a home that is somebody else's nothing is changed: this user could not.
        if mode & umask and status.st_uid == os.geteuid():
            home.chmod(mode & ~umask)
