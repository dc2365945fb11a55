"""What repairs have set aside: how much it is, and when it goes. A folder a repair, named by its moment in UTC."""

import datetime as dt
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.local_time import ONE_DAY
from pipeline.common.settings import Settings, name_variable
from pipeline.common.text import pluralize
from pipeline.ops.repair_list import LostParts
from pipeline.run.fleet_lists.stored_lists import find_confirmed_time
from warehouse.lake import Lake

FOLDER = "set-aside"
NAME = "%Y%m%dT%H%M%S%f"
KEEP_DAYS = name_variable("keep_set_aside_days")


@dataclass(frozen=True, slots=True)
class SetAside:
    """What one repair has set aside: when, where, and how many bytes it takes."""

    at: dt.datetime
    folder: Path
    bytes: int


def name_folder(settings: Settings, now: dt.datetime) -> Path:
    """Where a repair that begins now sets aside."""
    return settings.home / FOLDER / f"{now:{NAME}}"


def list_set_aside(settings: Settings) -> list[SetAside]:
    """What is there, the oldest first. What has no name of ours is left alone."""
    found = []
    for folder in sorted((settings.home / FOLDER).glob("*")):
        with suppress(ValueError, OSError):
            at = dt.datetime.strptime(folder.name, NAME).replace(tzinfo=dt.UTC)
            sizes = [file.lstat().st_size for file in folder.rglob("*") if file.is_file()]
            found.append(SetAside(at, folder, sum(sizes)))
    return found


def describe_set_aside(settings: Settings) -> str:
    """How much was set aside and until when it is kept, as a sentence; empty where there is nothing."""
    found = list_set_aside(settings)
    if not found:
        return ""
    return (
        f"{_describe_size(found)} in {settings.home / FOLDER}, set aside by {pluralize(len(found), 'repair')} since "
        f"{found[0].at:%Y-%m-%d}. Each is deleted after {settings.keep_set_aside_days} days ({KEEP_DAYS}) by the next "
        "'sunledger repair' or by the sensor 'retention'."
    )


def list_outdated(settings: Settings, now: dt.datetime) -> list[SetAside]:
    """What is older than the settings keep it; nothing while lost parts still have to be rebuilt from it.

    A clock that is ahead makes nothing older, and neither does a lake that can't be read.
    """
    found = list_set_aside(settings)
    if not found or LostParts(settings.home).read():
        return []
    try:
        now = find_confirmed_time(Lake(settings.lake, settings.home / "tmp"), now)
    except SunledgerError:
        return []
    before = now - settings.keep_set_aside_days * ONE_DAY
    return [one for one in found if one.at < before]


def delete_outdated(settings: Settings, now: dt.datetime) -> Iterator[str]:
    """Delete what `list_outdated` names; a sentence that says how much it was. Raises OSError."""
    found = list_outdated(settings, now)
    for one in found:
        shutil.rmtree(one.folder)
    if found:
        yield f"Deleted {_describe_size(found)} of {_describe_age(found, settings)}."


def describe_outdated(settings: Settings, now: dt.datetime) -> Iterator[str]:
    """What `delete_outdated` would delete, as a sentence."""
    if found := list_outdated(settings, now):
        yield f"{_describe_size(found)} of {_describe_age(found, settings)} would be deleted."


def _describe_size(found: Iterable[SetAside]) -> str:
    return f"{sum(one.bytes for one in found) / 1e6:,.1f} MB"


def _describe_age(found: list[SetAside], settings: Settings) -> str:
    return f"{pluralize(len(found), 'repair')} from more than {settings.keep_set_aside_days} days ago ({KEEP_DAYS})"
