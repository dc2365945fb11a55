"""A copy of a lake on an object store, on a disk of this machine: there a repair can move and look as it has to.

What the repair changed goes back at the end: first files, then entries of logs in their order, then records of digests;
what was taken out goes last. So a kill in between leaves what the next repair finds and mends.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow.fs as pafs

from pipeline.common.errors import SunledgerError
from pipeline.common.text import pluralize
from warehouse.integrity.digests import FOLDER as DIGESTS
from warehouse.lake import Lake
from warehouse.lake_log import LOG


class LakeInUseError(SunledgerError):
    """Other processes wrote to a lake on an object store while it was repaired."""


class StoredObject(NamedTuple):
    """What a store says of an object: what would be different if it were another one."""

    bytes: int
    changed_ns: int


@contextmanager
def open_mirror(
    lake: Lake, folder: Path, tell: Callable[[str], None], *, keep: bool = True
) -> Iterator[Lake]:
    """A lake on disk in the same state as the one on the object store; with `keep`, its changes go there at the end.

    An object store has no lock, so nobody else may write meanwhile. Raises LakeInUseError where somebody did, and
    SunledgerError where the lake does not fit below `folder`.
    """
    store = lake.open_root()
    before = _list_objects(store)
    size, free = sum(one.bytes for one in before.values()), shutil.disk_usage(folder).free
    if size > free:
        raise SunledgerError(
            f"The lake {lake.root} has {size / 1e9:.1f} GB and must be copied to {folder} for the repair, where only "
            f"{free / 1e9:.1f} GB are free: free some space, or set SUNLEDGER_HOME to a larger disk."
        )
    tell(
        f"{lake.root} is on an object store, which has no lock: let nothing else write to it until this command ends. "
        f"Copying {pluralize(len(before), 'object')}, {size / 1e6:,.1f} MB, to check them."
    )
    with tempfile.TemporaryDirectory(prefix=".sunledger-mirror-", dir=folder) as place:
        root = Path(place) / "lake"
        root.mkdir()
        for path, found in before.items():
            _fetch(store, path, root / path, found)
        copied = _list_files(root)
        yield Lake(str(root), lake.scratch)
        if keep:
            _put_changes(lake, store, root, before, copied)


def _put_changes(
    lake: Lake,
    store: pafs.FileSystem,
    root: Path,
    before: Mapping[str, StoredObject],
    copied: Mapping[str, StoredObject],
) -> None:
    now = _list_files(root)
    changed = [path for path, found in now.items() if copied.get(path) != found]
    gone = copied.keys() - now.keys()
    if not (changed or gone):
        return
    if _list_objects(store) != before:
        raise LakeInUseError(
            f"Other processes wrote to {lake.root} while it was repaired, so nothing in it was changed: stop them, "
            "then run 'sunledger repair' again."
        )
    for path in sorted(changed, key=_order):
        with store.open_output_stream(path) as sink:
            sink.write((root / path).read_bytes())
    for path in sorted(gone, key=_order, reverse=True):
        store.delete_file(path)


def _order(path: str) -> tuple[int, str]:
    """Files, then the logs that name them, then the records that follow from the logs."""
    parts = path.split("/")
    return (2 if parts[0] == DIGESTS else 1 if LOG in parts else 0, path)


def _list_objects(store: pafs.FileSystem) -> dict[str, StoredObject]:
    found = store.get_file_info(pafs.FileSelector("/", allow_not_found=True, recursive=True))
    return {
        info.path.strip("/"): StoredObject(info.size, info.mtime_ns or 0)
        for info in found
        if info.type == pafs.FileType.File
    }


def _list_files(root: Path) -> dict[str, StoredObject]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        path.relative_to(root).as_posix(): StoredObject(path.stat().st_size, path.stat().st_ctime_ns)
        for path in files
    }


def _fetch(store: pafs.FileSystem, path: str, target: Path, found: StoredObject) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with store.open_input_file(path) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    # Of files without digests the newest one counts.
    os.utime(target, ns=(found.changed_ns, found.changed_ns))
