"""Checks what a run needs only at its end before its first request, because a late failure would waste the fees."""

import resource
import tempfile
from pathlib import Path

from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.common.settings import Settings
from pipeline.run.supplied_files.plant_attributes import read_plant_attributes
from pipeline.run.supplied_files.supplied_irradiation import read_supplied_irradiation
from pipeline.run.supplied_files.supplied_limits import read_supplied_limits
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from warehouse.integrity.store_check import check_store
from warehouse.lake import Lake
from warehouse.published_file.foreign_publication import describe_other_lake, is_of_other_lake
from warehouse.published_file.own_tables import check_own_folder

# Files of the lake and of the records of runs that are open at once beside the connections: 60 at most, and some room.
FILES_OF_A_RUN = 100


def check_before_requests(settings: Settings) -> None:
    """Look at all that requests would be wasted without: files of the user, the lake, and the warehouse.

    Raises UsageError for a file that can't be read, and for a lake or warehouse that can't be written, and StoreError
    for an object store that can't hold a lake. The price list is not needed for what is asked for: the gate in front of
    new PU reads it.
    """
    _check_connections(settings.sma_max_connections)
    read_thresholds(settings.quality)
    read_supplied_irradiation(settings)
    read_supplied_limits(settings)
    read_plant_attributes(settings)
    check_own_folder(settings.own_tables)
    if settings.warehouse.is_dir():
        raise ConfigurationError(
            f"SUNLEDGER_WAREHOUSE={settings.warehouse} is a folder: set it to the path of the file to publish."
        )
    check_folder("SUNLEDGER_WAREHOUSE", settings.warehouse.parent)
    if "://" in settings.lake:
        check_store(settings.lake)
        return
    check_folder("SUNLEDGER_LAKE", Path(settings.lake))
    lake = Lake(settings.lake, settings.home / "tmp")
    if is_of_other_lake(settings.warehouse, lake):
        raise ConfigurationError(f"{describe_other_lake(settings.warehouse, lake)} Nothing was asked of SMA.")


def _check_connections(connections: int) -> None:
    """Raise UsageError where the process may not open a file for each connection beside those that a run has open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < connections + FILES_OF_A_RUN:
        raise UsageError(
            f"This process may open only {files} files, and {connections} connections to SMA need "
            f"{connections + FILES_OF_A_RUN}, so nothing is asked for: allow more ('ulimit -n 4096'), or lower "
            "SMA_MAX_CONNECTIONS."
        )


def check_folder(setting: str, folder: Path) -> None:
    """Raise UsageError unless a file can be made in the folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as fault:
        raise UsageError(
            f"{folder} can't be written ({fault.strerror or fault}), so no request was sent: give this user permission "
            f"to write there, free some space, or set {setting} to another path."
        ) from fault
