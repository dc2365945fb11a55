"""Facts about this machine for the doctor: disks, locks and who holds them, versions, the published file."""

import os
import platform
import re
import shutil
import time
from contextlib import suppress
from importlib.metadata import distributions, metadata, requires
from pathlib import Path

import duckdb

from pipeline.common.files.file_locks import take_lock
from pipeline.common.files.lock_waits import find_holders
from pipeline.common.files.regular_files import list_regular_files
from pipeline.common.settings import Settings
from pipeline.ops.doctor.machine import HeldLock, Place, Publication
from pipeline.run.request_log import RECORD_FOLDER, UNREADABLE
from pipeline.sma.auth.secret_files import FOLDER
from schemas import TABLES
from warehouse.lake_lock import FILE as LAKE_LOCK
from warehouse.published_file.meta import hash_schema
from warehouse.published_file.open_published import check_published, connect
from warehouse.published_file.publication import is_recorded

# Locks are held for moments; whoever has one for longer than all these looks makes no progress or waits for SMA.
LOOKS = 20
LOOK_EVERY_S = 0.02
NAME_AND_VERSION = re.compile(r"^(Name|Version): *(.+?) *$", re.MULTILINE)
LOCK_FILE = Path(__file__).parents[3] / "requirements.lock.txt"


def list_places(settings: Settings) -> list[Place]:
    """Where state is kept on disks of this machine, each place once."""
    wanted = [("SUNLEDGER_HOME", settings.home), ("SUNLEDGER_WAREHOUSE", settings.warehouse.parent)]
    if "://" not in settings.lake:
        wanted.append(("SUNLEDGER_LAKE", Path(settings.lake)))
    found = [_find_place(setting, path) for setting, path in wanted]
    return list({place.path: place for place in reversed(found)}.values())[::-1]


def _find_place(setting: str, path: Path) -> Place:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir():
        return Place(setting, there, 0, "it is a file instead of a folder")
    fault = "" if os.access(there, os.W_OK | os.X_OK) else "this user has no permission"
    return Place(setting, there, shutil.disk_usage(there).free, fault)


def find_held_locks(settings: Settings) -> list[HeldLock]:
    """Locks of ours that somebody holds for longer than a moment. Makes and changes nothing."""
    published = settings.warehouse.with_name(f".{settings.warehouse.name}.lock")
    start = settings.home / "dagster" / "start.lock"
    lake = [] if "://" in settings.lake else [Path(settings.lake) / LAKE_LOCK]
    files = [
        *list_regular_files(settings.home / "budget", ".state"),
        *list_regular_files(settings.home / FOLDER, ".lock"),
        start,
        published,
        *lake,
    ]
    return [_find_holder(path) for path in sorted(files) if _is_kept_locked(path)]


def find_leftovers(settings: Settings) -> list[Path]:
    """Private files whose process is gone: a token may be in them."""
    found = (settings.home / FOLDER).glob(".*.*-*")
    return [path for path in found if not _is_running(path.name.rpartition(".")[2].partition("-")[0])]


def find_unreadable_records(settings: Settings) -> list[Path]:
    """Files that keep lines of the record of requests which nobody could read."""
    return list_regular_files(settings.home / RECORD_FOLDER, UNREADABLE)


def find_refused_files(settings: Settings) -> list[Path]:
    """Files and folders of the home that belong to another user, and that this one may not read and write."""
    found = []
    for folder, folders, names in os.walk(settings.home):
        # There are as many of these folders as days; who made one has written to the log of its table too.
        folders[:] = [name for name in folders if "=" not in name]
        for path in (Path(folder, name) for name in (*folders, *names)):
            with suppress(FileNotFoundError):
                is_mine = path.lstat().st_uid == os.geteuid()
                if not is_mine and not path.is_symlink() and not os.access(path, os.R_OK | os.W_OK):
                    found.append(path)
    return sorted(found)


def _is_kept_locked(path: Path) -> bool:
    """Whether the lock of a file is never free while we look."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        for _ in range(LOOKS):
            if take_lock(descriptor):
                return False
            time.sleep(LOOK_EVERY_S)
    finally:
        os.close(descriptor)
    return True


def _find_holder(path: Path) -> HeldLock:
    """Whose lock it is, as far as the system says."""
    holders = find_holders(path)
    return (
        HeldLock(path, holders[0].pid, holders[0].stopped) if holders else HeldLock(path, None, stopped=False)
    )


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True


def read_python_version() -> str:
    """Of this Python."""
    return platform.python_version()


def read_required_python() -> str:
    """What the project asks for."""
    return str(metadata("sunledger")["Requires-Python"])


def read_required_packages() -> list[str]:
    """The project's requirements."""
    return list(requires("sunledger") or [])


def read_locked_packages() -> list[str]:
    """The lines of the lock that lies beside the code; none in an installation without it."""
    if not LOCK_FILE.exists():
        return []
    return [line.removesuffix("\\").strip() for line in LOCK_FILE.read_text().splitlines() if "==" in line]


def read_installed_packages() -> dict[str, str]:
    """Version by name, in lower case with hyphens."""
    texts = (one.read_text("METADATA") or one.read_text("PKG-INFO") or "" for one in distributions())
    # The description, which is nearly all of the text, follows the first empty line: to parse it takes a second.
    found = (dict(NAME_AND_VERSION.findall(text.partition("\n\n")[0])) for text in texts)
    return {one["Name"].lower().replace("_", "-"): one.get("Version", "") for one in found if "Name" in one}


def read_publication(path: Path) -> Publication | None:
    """What the published file says of itself; None when there is none.

    Raises NotPublishedError for another file, and for one that was changed after it was published.
    """
    if not path.exists():
        return None
    check_published(path)
    recorded = is_recorded(path)
    query = "SELECT product_version, schema_hash, published_at, first_day, last_day FROM _meta"
    with connect(path) as connection:
        try:
            ((version, tables, at, first, last),) = connection.execute(query).fetchall()
        except (duckdb.Error, ValueError):
            return Publication(path, "of an unknown version", same_tables=False, recorded=recorded)
    same_tables = tables == hash_schema(TABLES)
    return Publication(path, version, same_tables, recorded, at, first, last)
