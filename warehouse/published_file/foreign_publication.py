"""Whether a published file was made from another lake, as where two homes name one file in SUNLEDGER_WAREHOUSE.

A file of a lake has a name that no file of another one has. A copy of a home, as a restored one, has the same files.
"""

from collections.abc import Mapping
from pathlib import Path

from schemas import TABLES, storage
from warehouse.integrity.damage import DamagedError
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.lake_reader import LakeReader
from warehouse.published_file.publication_base import read_last_base


def is_of_other_lake(target: Path, lake: LakeReader) -> bool:
    """Whether the publication shows files of which this lake has none, on its disk or in its logs. Raises OSError.

    False where nothing says what the publication was made of, and for a lake without rows or with a log that can't be
    read: it may need the publication to be repaired from.
    """
    recorded = read_last_base(target) if target.is_file() else None
    files = recorded.sources.inputs.files if recorded else {}
    if not any(files.values()) or _has_any(lake, files):
        return False
    try:
        active = [file for model in TABLES for file in lake.take_snapshot(model).files]
    except (UnreadableLogError, DamagedError):
        return False
    shown = {path.rpartition("/")[2] for paths in files.values() for path in paths}
    return bool(active) and shown.isdisjoint(file.rpartition("/")[2] for file in active)


def _has_any(lake: LakeReader, files: Mapping[str, list[str]]) -> bool:
    """Whether one of the files, by the names of their tables, lies in the lake."""
    for model in TABLES:
        opened = lake.open_files(model)
        paths = files.get(storage(model).table, [])
        # Of a lake of its own the first one is there.
        if any(opened.get_file_info(path).is_file for path in paths):
            return True
    return False


def describe_other_lake(target: Path, lake: LakeReader) -> str:
    """What is wrong, and what to do, as sentences."""
    return (
        f"{target} was published from another lake than {lake.root}, as where two homes name one file in "
        "SUNLEDGER_WAREHOUSE. Give each home a file of its own, or delete this one if nothing else publishes it."
    )
