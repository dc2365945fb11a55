"""Keeps a table small: its log gets checkpoints and loses old entries, and files that nothing needs are removed.

Writers may work meanwhile. What is removed is named by nobody any more, so a kill between two files leaves a sound
table and the rest to the next time.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pyarrow.fs as pafs

from pipeline.common.errors import SunledgerError
from pipeline.common.store_faults import translate_store_faults
from schemas import Table, storage
from warehouse.dead_files import (
    OldFile,
    TableFiles,
    find_dead_files,
    find_old_entries,
    list_table_files,
)
from warehouse.integrity.damage import CURE, Damage, DamagedError, DamageKind
from warehouse.integrity.digest_chain import Chain
from warehouse.lake_lock import take_write_turn
from warehouse.lake_log import sync_version
from warehouse.lake_reader import LakeReader
from warehouse.part_folders import cut_table_path
from warehouse.removed_answers import FOLDER

# Opening a table takes an object a commit since its last checkpoint. By themselves they come every 100 commits.
CHECKPOINT_EVERY = 10
REMOVERS = 8


class WrongClockError(SunledgerError):
    """This machine and the store disagree about the time, so nobody knows how old files are."""


@dataclass(frozen=True, slots=True)
class TableUpkeep:
    """What can go, or went, of a table: data files, and entries and checkpoints of its log."""

    model: type[Table]
    live_bytes: int
    files: tuple[OldFile, ...]
    entries: tuple[OldFile, ...]

    @property
    def table(self) -> str:
        """The table's name."""
        return storage(self.model).table


def keep_up_table(
    lake: LakeReader, model: type[Table], shown: Collection[str], now: dt.datetime, *, dry_run: bool = False
) -> TableUpkeep | None:
    """Remove what nothing needs at `now` (with time zone); None where the table was never written.

    `shown` are the names of files that the published file reads. With `dry_run` nothing is changed. Raises DamagedError
    where the log is not what was committed: to remove files then could remove the last copy of rows. Raises
    UnreadableLogError, StoreError and OSError.
    """
    with take_write_turn(lake.root, lake.tell), translate_store_faults():
        table = lake.open(model)
        if table is None:
            return None
        # Files that are committed after this look are younger than all that may be removed.
        files = list_table_files(lake, model)
        version = table.version()
        chain = Chain(lake, model)
        active = {cut_table_path(model, uri) for uri in table.file_uris()}
        recorded = chain.list_active_files(chain.read_head(version))
        if stray := active ^ recorded.keys():
            raise DamagedError(chain.report_other_file(min(stray)))
        _check_versions(model, files, version)
        newest = max(files.checkpoints, default=-1)
        if not dry_run and version - newest >= CHECKPOINT_EVERY:
            table.delta.create_checkpoint()
            sync_version(lake.find_uri(model), version)
            files = list_table_files(lake, model)
        dead = find_dead_files(lake, model, files, active, shown, now)
        old = find_old_entries(files, now)
        if not dry_run:
            opened = lake.open_files(model)
            # Entries go one after another, so that what is left has no hole after a kill.
            _remove_files(opened, old)
            with ThreadPoolExecutor(REMOVERS) as removers:
                list(removers.map(lambda one: _remove_files(opened, [one]), dead))
            if old:
                chain.prune(version)
        live = sum(file.bytes for file in recorded.values())
        return TableUpkeep(model, live, tuple(dead), tuple(old))


def check_clock(lake: LakeReader, now: dt.datetime) -> None:
    """Raise WrongClockError where `now` is over a day ahead of the object store, whose times say how old its files are.

    A file that a writer has just put would look old enough to go. A folder has the times of this machine's own clock.
    """
    if not lake.remote:
        return
    with translate_store_faults():
        root, probe = lake.open_root(), f"{FOLDER}/{uuid.uuid4().hex}"
        # An empty object of which only the time is looked at.
        with root.open_output_stream(probe) as sink:
            sink.write(b"")
        written = root.get_file_info(probe).mtime
        root.delete_file(probe)
    if written is not None and now - written > dt.timedelta(days=1):
        raise WrongClockError(
            f"Nothing was removed, because this machine's clock says {now:%Y-%m-%d %H:%M} UTC and the object store's "
            f"{written:%Y-%m-%d %H:%M} UTC: set the clock, then run this again."
        )


def _check_versions(model: type[Table], files: TableFiles, version: int) -> None:
    """Raises DamagedError where the log has a hole after its newest checkpoint, by which files would look unneeded."""
    base = max((each for each in files.checkpoints if each <= version), default=-1)
    missing = [each for each in range(base + 1, version + 1) if each not in files.entries]
    if missing:
        sentence = f"the log of the table has lost its entry of version {missing[0]}. {CURE}"
        raise DamagedError(Damage(DamageKind.ENTRY_MISSING, model, None, None, sentence))


def _remove_files(opened: pafs.FileSystem, files: Iterable[OldFile]) -> None:
    for one in files:
        # Another upkeep may have been faster.
        with suppress(FileNotFoundError):
            opened.delete_file(one.path)
