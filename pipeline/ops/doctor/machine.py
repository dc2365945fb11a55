"""Disk, locks and versions of this machine."""

import datetime as dt
import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline.common.files.refused_files import find_refusal
from pipeline.common.text import join_first, pluralize
from pipeline.ops.doctor.result import Diagnosis, fail, pass_check, warn
from warehouse.published_file.publication_lag import PublicationLag

# A year of 1,000 plants takes some 2 GB with its raw answers; less than this fills up in a first backfill.
FREE_GB_WANTED = 5.0
# More names than these help nobody.
NAMES_SHOWN = 3
# Runs of large fleets take so long from their first table to the publication.
LONGEST_LAG = dt.timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of ours, or the nearest one above it that is there. `fault` says why nothing can be written to it."""

    setting: str
    path: Path
    free_bytes: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that somebody holds. `pid` is None where the system does not say whose it is."""

    path: Path
    pid: int | None
    stopped: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """What the published file says of itself, and whether there is a record to know it by."""

    path: Path
    version: str
    same_tables: bool
    recorded: bool
    at: dt.datetime | None = None
    first_day: dt.date | None = None
    last_day: dt.date | None = None


def judge_folders(places: Sequence[Place]) -> list[Diagnosis]:
    """A finding for each place that cannot be written; one for all when there is none."""
    found = [
        fail(
            "folders",
            f"{place.path} can't be written ({place.fault}): give this user permission to write there, or set "
            f"{place.setting} to another path.",
        )
        for place in places
        if place.fault
    ]
    return found or [
        pass_check("folders", f"{', '.join(str(place.path) for place in places)} can be written")
    ]


def judge_record(unreadable: Sequence[Path]) -> list[Diagnosis]:
    """The files with lines of the record of requests that could not be read; nothing where there are none."""
    if not unreadable:
        return []
    names = join_first([str(path) for path in unreadable], NAMES_SHOWN)
    return [
        warn(
            "folders",
            f"some lines of the record of requests can't be read and are not counted: look at {names}, compare the "
            "month with SMA's invoice, and delete these files.",
        )
    ]


def judge_refused(refused: Sequence[Path]) -> list[Diagnosis]:
    """One finding of the files of another user that this one may not use; nothing where there are none."""
    if not refused:
        return []
    fault = find_refusal(PermissionError(errno.EACCES, "", str(refused[0])))
    return [
        fail("folders", f"{pluralize(len(refused), 'file')} can't be used, of which one says why: {fault}")
    ]


def judge_disk(places: Sequence[Place]) -> list[Diagnosis]:
    """A finding for each place with too little room; one for all when there is none."""
    found = [
        fail(
            "disk",
            f"only {place.free_bytes / 1e9:.1f} GB are free at {place.path}, and {FREE_GB_WANTED:.0f} GB are "
            f"recommended: free some space, or set {place.setting} to a larger disk.",
        )
        for place in places
        if not place.fault and place.free_bytes / 1e9 < FREE_GB_WANTED
    ]
    least = min(place.free_bytes for place in places) / 1e9
    return found or [pass_check("disk", f"{least:.0f} GB are free at {places[0].path}")]


def judge_locks(held: Sequence[HeldLock], leftovers: Collection[Path]) -> list[Diagnosis]:
    """Who holds what, and what was left behind."""
    found = [_describe_held_lock(one) for one in held]
    if leftovers:
        names = ", ".join(str(path) for path in sorted(leftovers)[:NAMES_SHOWN])
        found.append(
            warn(
                "locks",
                f"killed processes left {pluralize(len(leftovers), 'private file')} that may hold a token: delete "
                f"{names}.",
            )
        )
    return found or [pass_check("locks", "no process holds a lock, and no private file was left behind")]


def _describe_held_lock(one: HeldLock) -> Diagnosis:
    if one.pid is None:
        return warn("locks", f"another process holds {one.path}, and runs wait until it releases it.")
    if one.stopped:
        return fail(
            "locks",
            f"process {one.pid} is suspended and holds {one.path}, so every run waits for it: resume it with kill "
            f"-CONT {one.pid}, or end it with kill -KILL {one.pid}.",
        )
    return pass_check("locks", f"process {one.pid} uses {one.path} at the moment")


def judge_versions(
    python: str,
    wanted_python: str,
    installed: Mapping[str, str],
    required: Collection[str],
    locked: Collection[str],
) -> list[Diagnosis]:
    """Python and packages against what the project asks for, and against its lock.

    `installed` has version by name in lower case with hyphens; `required` and `locked` are requirement lines.
    """
    if python not in SpecifierSet(wanted_python):
        text = (
            f"this is Python {python}, but sunledger needs {wanted_python}: make a new one with 'make setup'."
        )
        return [fail("versions", text)]
    wrong = _list_unmet(required, installed)
    if wrong:
        text = (
            f"some packages are not what sunledger needs ({join_first(wrong, NAMES_SHOWN)}): set the environment up "
            "again with 'make setup'."
        )
        return [fail("versions", text)]
    other = _list_unmet(locked, installed)
    if other:
        text = (
            f"some packages differ from the tested versions ({join_first(other, NAMES_SHOWN)}): 'make setup' installs "
            "the locked versions."
        )
        return [warn("versions", text)]
    as_locked = f"{len(locked)} packages as locked" if locked else f"{len(required)} packages that fit"
    return [pass_check("versions", f"Python {python}, {as_locked}")]


def _list_unmet(lines: Collection[str], installed: Mapping[str, str]) -> list[str]:
    """What is missing or of another version, in words."""
    wanted = [Requirement(line) for line in lines]
    found = []
    for one in wanted:
        if one.marker and not _holds(one.marker):
            continue
        version = installed.get(one.name.lower().replace("_", "-"))
        if version is None:
            found.append(f"{one.name} is missing")
        elif not one.specifier.contains(version, prereleases=True):
            found.append(f"{one.name} is {version}, not {one.specifier}")
    return found


def _holds(marker: Marker) -> bool:
    # Extras are what nobody has to have.
    return marker.evaluate({"extra": ""})


def judge_warehouse(path: Path, published: Publication | None, version: str) -> list[Diagnosis]:
    """The published file, if there is one, and whether it is of this version."""
    if published is None:
        return [
            pass_check(
                "warehouse", f"there is no published file at {path} yet; the first backfill creates it"
            )
        ]
    if not published.same_tables:
        text = (
            f"sunledger {published.version} published {path} with other tables than version {version} has: run "
            "'sunledger publish'."
        )
        return [warn("warehouse", text)]
    if not published.recorded:
        text = (
            f"{path} has no record beside it, so changes by other programs would not be noticed: run 'sunledger "
            "publish'."
        )
        return [warn("warehouse", text)]
    days = f"days {published.first_day} to {published.last_day}" if published.first_day else "no day yet"
    return [pass_check("warehouse", f"{path}, published {published.at:%Y-%m-%d %H:%M} UTC, {days}")]


def judge_lag(place: str, lag: PublicationLag | None, now: dt.datetime) -> list[Diagnosis]:
    """Whether what is published is behind the lake for longer than a run takes; nothing where it is not behind."""
    if lag is None:
        return []
    text = f"{place} is {lag.describe()}"
    if lag.since is not None and now - lag.since < LONGEST_LAG:
        return [pass_check("warehouse", f"{text}: the run that made them publishes them at its end")]
    text += ": unless a run is at work, which publishes at its end, run 'sunledger publish', which says why it fails."
    return [warn("warehouse", text)]
