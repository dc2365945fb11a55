"""A Delta table's log as files: what its entries say, which of them are damaged, and entries that take their place.

Delta opens no table with a cut entry or a gap, and takes an entry that lost its last lines for a smaller one. Here each
entry is read by itself. What is known of our tables helps: every commit replaces one part, whose new rows are at most
one file, and names the files that it takes out. So a later entry of a part says all of it, whatever came before.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.files.atomic_files import sync_file
from pipeline.common.files.regular_files import is_regular, list_regular_names
from pipeline.common.text import quote_fault
from warehouse.part_folders import find_folder

Action: TypeAlias = dict[str, Any]

LOG, HINT = "_delta_log", "_last_checkpoint"
ENTRY = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\..+)?\.parquet")
# What has not got its name yet, because its writer was killed.
UNNAMED = ".new"
# How many versions in a row a log may have lost; Delta writes a checkpoint after a hundred.
MOST_LOST = 1000
# The operation of entries that repair writes.
REPAIR = "REPAIR"


@dataclass(slots=True)
class TableLog:
    """What can be read of a log.

    `actions` has what the newest whole checkpoint says, under its version, and each later entry; of `damaged` versions
    what is left of them. `bad_files` are the files that can't stay: entries and checkpoints that can't be read.
    """

    folder: Path
    version: int = -1
    actions: dict[int, list[Action]] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    bad_files: dict[Path, str] = field(default_factory=dict)


@dataclass(slots=True)
class LogState:
    """What a log says of files, by their paths in the table.

    Which are active, which are named at all, and the version that a part was last replaced by.
    """

    active: dict[str, Action] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    replaced_at: dict[str, int] = field(default_factory=dict)


def name_entry(version: int) -> str:
    """The path of a log entry in its table."""
    return f"{LOG}/{version:020d}.json"


def read_log(folder: Path, at_least: int = -1) -> TableLog:
    """Read a table's log; `at_least` is a version that it is known to have had."""
    log = TableLog(folder, at_least)
    names = list_regular_names(folder)
    entries = {int(found[1]): folder / name for name in names if (found := ENTRY.fullmatch(name))}
    checkpoints = {int(found[1]): folder / name for name in names if (found := CHECKPOINT.fullmatch(name))}
    if entries or checkpoints:
        log.version = _find_version(at_least, {*entries, *checkpoints})
        for named in (entries, checkpoints):
            for version in [one for one in named if one > log.version]:
                log.bad_files[named.pop(version)] = "has a number far beyond the others"
    base = -1
    for version, file in checkpoints.items():
        try:
            said = _read_checkpoint(file)
        except (OSError, pa.ArrowException, ValueError) as fault:
            log.bad_files[file] = f"can't be read ({quote_fault(fault)})"
        else:
            base, log.actions = version, {version: said}
    hinted = _read_hint(log, checkpoints)
    if (entries or checkpoints) and hinted <= log.version + MOST_LOST:
        log.version = max(log.version, hinted)
    for version in range(base + 1, log.version + 1):
        log.actions[version], lack = _read_entry(entries.get(version), first=version == 0)
        if lack:
            log.damaged[version] = lack
    _complete_cut_entries(log)
    return log


def _find_version(at_least: int, numbers: Iterable[int]) -> int:
    """The newest version of a log whose files have these numbers, and that is known to have had a version.

    A changed digit makes the number of a file large. All versions before it would be missing, and repair writes those.
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number - runs[-1][-1] <= MOST_LOST:
            runs[-1].append(number)
        else:
            runs.append([number])
    known = [run for run in runs if run[0] - MOST_LOST <= at_least <= run[-1] + MOST_LOST]
    return max(at_least, max(known if at_least >= 0 and known else runs, key=len)[-1])


def replay(log: TableLog) -> LogState:
    """What the readable entries say, one after another."""
    state = LogState()
    for version, actions in log.actions.items():
        for action in actions:
            if removed := action.get("remove"):
                state.active.pop(removed["path"], None)
                state.named.add(removed["path"])
                state.replaced_at[find_folder(removed["path"])] = version
        for action in actions:
            if added := action.get("add"):
                state.active[added["path"]] = added
                state.named.add(added["path"])
                state.replaced_at[find_folder(added["path"])] = version
    return state


def build_add(path: str, size: int, rows: int) -> Action:
    """The action that makes a file active."""
    return {
        "add": {
            "path": path,
            "partitionValues": _read_values(path),
            "size": size,
            "modificationTime": _read_clock_ms(),
            "dataChange": True,
            "stats": json.dumps({"numRecords": rows}),
        }
    }


def build_remove(path: str, size: int = 0) -> Action:
    """The action that takes a file out."""
    return {
        "remove": {
            "path": path,
            "dataChange": True,
            "deletionTimestamp": _read_clock_ms(),
            "extendedFileMetadata": True,
            "partitionValues": _read_values(path),
            "size": size,
        }
    }


def write_entry(
    log: TableLog,
    version: int,
    actions: Iterable[Action],
    *,
    over: bool = False,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write an entry that says these actions, whole or not at all; `facts` are those of its commit.

    Raises FileExistsError where there is one, unless `over` says that it may be replaced.
    """
    info = {"timestamp": _read_clock_ms(), "operation": REPAIR, "operationParameters": {}, **(facts or {})}
    said = [one for one in actions if "commitInfo" not in one]
    content = "\n".join(json.dumps(one, separators=(",", ":")) for one in [{"commitInfo": info}, *said])
    write_text(log, version, content, over=over)


def write_text(log: TableLog, version: int, content: str, *, over: bool = False) -> None:
    """Write the text of an entry, as `write_entry` does."""
    log.folder.mkdir(parents=True, exist_ok=True)
    put_entry(log.folder.parent, version, content.encode(), over=over)


def put_entry(table: Path, version: int, content: bytes, *, over: bool = False) -> None:
    """Write an entry's bytes into the log of the table's folder, durable before they have their name.

    Raises FileExistsError where there is one, unless `over` says that it may be replaced.
    """
    place = table / name_entry(version)
    new = place.parent / f".{place.name}.{secrets.token_hex(4)}{UNNAMED}"
    try:
        with new.open("xb") as file:
            file.write(content)
        sync_file(new)
        if over:
            new.replace(place)
        else:
            os.link(new, place)
    finally:
        new.unlink(missing_ok=True)


def sync_version(table: str, version: int) -> None:
    """Make durable what delta-rs has written for a version of a table in a folder, which it does not do itself.

    An object store does. Raises OSError.
    """
    if "://" not in table:
        folder = Path(table) / LOG
        for name in list_regular_names(folder):
            if name.startswith(f"{version:020d}.") or name == HINT:
                sync_file(folder / name)


def _complete_cut_entries(log: TableLog) -> None:
    """Find entries that add to a part and do not take out what it held: their last lines are lost, and follow."""
    active: dict[str, str] = {}
    for version, actions in log.actions.items():
        for removed in _list_files(actions, "remove"):
            if active.get(find_folder(removed)) == removed:
                del active[find_folder(removed)]
        for added in _list_files(actions, "add"):
            before = active.get(find_folder(added))
            if before not in {None, added}:
                actions.append(build_remove(before))
                log.damaged.setdefault(version, "lacks lines")
            active[find_folder(added)] = added


def _list_files(actions: Iterable[Action], kind: str) -> Iterator[str]:
    return (action[kind]["path"] for action in actions if kind in action)


def _read_entry(file: Path | None, *, first: bool) -> tuple[list[Action], str]:
    """The actions of an entry, and what is wrong with it; of a damaged one those of its whole lines."""
    if file is None:
        return [], "is missing"
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return [], "is missing"
    actions: list[Action] = []
    fault = "" if lines else "is empty"
    for line in filter(bytes.strip, lines):
        action = None
        with suppress(ValueError):
            action = json.loads(line)
        if not isinstance(action, dict) or not all(isinstance(said, dict) for said in action.values()):
            fault = "can't be read"
        elif not _is_consistent(action):
            fault = "contradicts itself"
        else:
            actions.append(action)
    return actions, fault or _find_lack(actions, first=first)


def _find_lack(actions: list[Action], *, first: bool) -> str:
    """What an entry lacks that every entry of its operation has."""
    kinds = {kind for action in actions for kind in action}
    if first:
        return "" if {"protocol", "metaData"} <= kinds else "lacks lines"
    operations = [action["commitInfo"].get("operation") for action in actions if "commitInfo" in action]
    if not operations or ("WRITE" in operations and not kinds & {"add", "remove"}):
        return "lacks lines"
    return ""


def _is_consistent(action: Action) -> bool:
    """Whether a file is in the folder of its part."""
    said = action.get("add")
    if said is None:
        return "path" in action["remove"] if "remove" in action else True
    values = said.get("partitionValues")
    return (
        isinstance(values, dict)
        and isinstance(said.get("path"), str)
        and _read_values(said["path"]) == values
    )


def _read_values(path: str) -> Mapping[str, str]:
    return dict(folder.split("=", 1) for folder in path.split("/")[:-1] if "=" in folder)


def _read_checkpoint(file: Path) -> list[Action]:
    """The actions of a checkpoint. Raises ValueError for one without the table's own facts."""
    with pq.ParquetFile(file) as parquet:
        table = parquet.read()
    kinds = [name for name in ("protocol", "metaData", "add", "remove") if name in table.column_names]
    rows = table.select(kinds).to_pylist(maps_as_pydicts="strict")
    actions = [{kind: said for kind, said in row.items() if said is not None} for row in rows]
    if not {"protocol", "metaData"} <= {kind for action in actions for kind in action}:
        raise ValueError("it lacks rows")
    return [action for action in actions if action]


def _read_hint(log: TableLog, checkpoints: Mapping[int, Path]) -> int:
    """The version that `_last_checkpoint` names; -1 for none. One that leads nowhere is a bad file."""
    file = log.folder / HINT
    if not is_regular(file):
        return -1
    try:
        version = int(json.loads(file.read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        log.bad_files[file] = "can't be read"
        return -1
    if version not in checkpoints:
        log.bad_files[file] = "names a checkpoint that does not exist"
    elif checkpoints[version] in log.bad_files:
        log.bad_files[file] = "names a checkpoint that can't be read"
    return version


def _read_clock_ms() -> int:
    return time.time_ns() // 10**6
