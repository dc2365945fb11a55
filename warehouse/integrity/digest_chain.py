"""The chain of a table's digest records: continued by who commits, completed after a kill, begun for an old table."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from deltalake.exceptions import CommitFailedError

from pipeline.common.store_faults import StoreError
from pipeline.common.text import quote_fault
from schemas import Table, polars_schema
from warehouse.integrity.damage import CURE, Damage, DamagedError, DamageKind
from warehouse.integrity.digests import (
    WHOLE_EVERY,
    DigestRecord,
    StoredFile,
    UnreadableRecordError,
    digest_of,
    list_stored_names,
)
from warehouse.lake_log import ENTRY, LOG, name_entry
from warehouse.lake_reader import LakeReader
from warehouse.part_folders import cut_table_path, find_part

READERS = 4
# The key of our facts in a commit's own ones.
COMMIT_KEY = "sunledger"
ADOPTED = (
    "Tables that an older version wrote have no digests yet. Their present content is taken as correct, and later "
    "changes of it will be detected."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one log entry says: files added (with bytes, rows and digest), files removed, and whose commit it is.

    `before` is the digest of the record before, None where there was none. `ours` says whether sunledger committed it;
    of other programs' commits no digest is known.
    """

    text: str
    added: Mapping[str, StoredFile]
    removed: tuple[str, ...]
    before: str | None
    ours: bool

    @property
    def changes(self) -> Iterator[tuple[str, StoredFile | None]]:
        """Each file that the entry is about, with None for those that it removes."""
        yield from ((path, None) for path in self.removed)
        yield from self.added.items()


class Chain:
    """The records of one model's table, and the log entries that they follow from."""

    def __init__(self, lake: LakeReader, model: type[Table]) -> None:
        self._lake, self._model = lake, model
        self._files = lake.open_files(model)
        self.store = lake.open_records(model)

    def prepare_commit(self, version: int) -> DigestRecord:
        """The record that a commit on this version goes on from.

        Raises DamagedError where the records know of a later version: to commit would put another one in its place.
        Raises CommitFailedError where another run has just committed that one.
        """
        record = self.read_head(version)
        if record.adopted and not self.store.has(version):
            self.store.write(record)
        if self.store.has(version + 1):
            table = self._lake.open(self._model)
            if table is not None and table.version() > version:
                raise CommitFailedError("another run was faster")
            raise DamagedError(self.report_missing_entry(version + 1))
        return record

    def record_commit(self, before: DigestRecord, version: int) -> None:
        """Write the record of the version that was just committed on `before`."""
        # What is not written here, after a kill, on a full disk or without the store, the next one who looks makes from
        # the log entry.
        with suppress(OSError, StoreError):
            record = self.follow(before, version)
            self.store.write(record)
            if record.base is None:
                self.prune(version)

    def read_head(self, version: int) -> DigestRecord:
        """The record of a version that the table has. One that is missing or truncated is rebuilt.

        A table of an older version that never had records is adopted as it is. Raises DamagedError where the version
        does not follow from the ones before, and OSError.
        """
        try:
            return self.store.read(version)
        except (FileNotFoundError, UnreadableRecordError):
            return self._complete_record(version)

    def list_active_files(self, record: DigestRecord) -> dict[str, StoredFile]:
        """The active files of the record's version by their paths in the table. Raises DamagedError and OSError."""
        files: dict[str, StoredFile | None] = dict(record.files)
        if record.base is not None:
            version, digest = record.base
            base = self.read_head(version)
            if base.digest != digest:
                raise DamagedError(self.report_broken(version))
            files = {**base.files, **files}
        return {path: file for path, file in files.items() if file is not None}

    def read_entry(self, version: int) -> bytes:
        """The bytes of a log entry. Raises FileNotFoundError and OSError."""
        with self._files.open_input_file(name_entry(version)) as source:
            return bytes(source.read())

    def list_entries(self) -> list[int]:
        """The versions of which the log has an entry, rising."""
        found = map(ENTRY.fullmatch, list_stored_names(self._files, LOG))
        return sorted(int(entry[1]) for entry in found if entry)

    def follow(self, before: DigestRecord | None, version: int) -> DigestRecord:
        """The record of a version, from its log entry and the record before it. Raises DamagedError and OSError."""
        entry = self._parse_entry(version)
        if entry.added or entry.removed:
            self._check(entry, before, version)
        changes: dict[str, StoredFile | None] = {unquote(path): file for path, file in entry.changes}
        digest = before.digest if before else None
        if before is None or version % WHOLE_EVERY == 0:
            files = {**(self.list_active_files(before) if before else {}), **changes}
            kept = {path: file for path, file in files.items() if file is not None}
            return DigestRecord(version, digest, entry.text, None, kept)
        if before.base is None:
            return DigestRecord(version, digest, entry.text, (before.version, before.digest), changes)
        return DigestRecord(version, digest, entry.text, before.base, {**before.files, **changes})

    def adopt(self, version: int) -> DigestRecord:
        """Take a version's files as they are, whatever they hold: the chain begins again with this record.

        A file that is missing or can't be read is adopted without a digest.
        """
        table = self._lake.open_anew(self._model, version)
        paths = sorted(cut_table_path(self._model, uri) for uri in table.file_uris())
        with ThreadPoolExecutor(READERS) as readers:
            files = dict(zip(paths, readers.map(self._adopt_file, paths), strict=True))
        text = None
        with suppress(OSError, ValueError):
            text = self.read_entry(version).decode()
        record = DigestRecord(version, None, text, None, files, adopted=True)
        # Where the disk is full, the table can be verified all the same.
        with suppress(OSError, StoreError):
            self.store.write(record)
        return record

    def report_missing_entry(self, version: int) -> Damage:
        """The damage that the log does not have a version that it had."""
        return self._build_damage(
            DamageKind.ENTRY_MISSING,
            f"the log of the table has lost its entry of version {version}, so the changes of that version are missing",
        )

    def report_lost_log(self) -> Damage:
        """The damage that the log is gone, while records say that there was one."""
        return self._build_damage(
            DamageKind.LOG_LOST, "the log of the table is lost, and with it all rows of the table"
        )

    def report_other_file(self, path: str) -> Damage:
        """The damage that the log names a file that was not committed, or does not name one that was."""
        part = find_part(path, polars_schema(self._model))
        sentence = f"the log of the table differs from the commit of {path}. {CURE}"
        return Damage(DamageKind.ENTRY_CHANGED, self._model, part, path, sentence)

    def report_changed_entry(self, version: int) -> Damage:
        """The damage that a log entry is another one than was committed."""
        return self._build_damage(
            DamageKind.ENTRY_CHANGED,
            f"the entry of version {version} in the log of the table is not the one that was committed",
        )

    def report_unreadable(self, fault: OSError) -> Damage:
        """The damage that the records can't be read."""
        return self._build_damage(
            DamageKind.DIGESTS_LOST, f"the digests of its files can't be read ({quote_fault(fault)})"
        )

    def report_broken(self, version: int) -> Damage:
        """The damage that a record does not go on from the one before."""
        return self._build_damage(DamageKind.DIGESTS_LOST, _EXCHANGED.format(version=version))

    def _adopt_file(self, path: str) -> StoredFile:
        try:
            return digest_of(self._files, path)
        except OSError:
            return StoredFile(0, None, None)

    def _complete_record(self, version: int) -> DigestRecord:
        # Nothing comes before a table's first version, which holds no files.
        record = self._find_newest_before(version) if version else None
        if record is None and not (version == 0 or self._is_ours_from_the_start()):
            self._lake.tell_once(ADOPTED)
            return self.adopt(version)
        for each in range(record.version + 1 if record else 0, version + 1):
            record = self.follow(record, each)
            with suppress(OSError, StoreError):
                self.store.write(record)
        assert record is not None  # noqa: S101 - versions begin at 0
        return record

    def _find_newest_before(self, version: int) -> DigestRecord | None:
        for each in reversed(self.store.list_versions()):
            if each < version:
                with suppress(FileNotFoundError, UnreadableRecordError):
                    return self.store.read(each)
        return None

    def _is_ours_from_the_start(self) -> bool:
        """Whether records follow from the whole log; not where an older version wrote it.

        Raises DamagedError where there were records, and they can't be rebuilt from what the log still has.
        """
        versions = self.list_entries()
        entries = [self._parse_entry(version) for version in versions]
        writing = [entry for entry in entries if entry.added or entry.removed]
        if versions[:1] == [0] and all(entry.ours for entry in writing):
            return True
        if any(entry.ours for entry in writing):
            lost = "the digests of its files are lost, so the files can't be compared with what was written"
            raise DamagedError(self._build_damage(DamageKind.DIGESTS_LOST, lost))
        return False

    def _parse_entry(self, version: int) -> Entry:
        try:
            return parse_entry(self.read_entry(version))
        except FileNotFoundError:
            raise DamagedError(self.report_missing_entry(version)) from None
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            unreadable = (
                f"the entry of version {version} in the log of the table can't be read ({quote_fault(fault)})"
            )
            raise DamagedError(self._build_damage(DamageKind.ENTRY_CHANGED, unreadable)) from fault

    def _check(self, entry: Entry, before: DigestRecord | None, version: int) -> None:
        if not entry.ours:
            foreign = f"version {version} of the table was written by another program than sunledger"
            raise DamagedError(self._build_damage(DamageKind.NOT_OURS, foreign))
        if entry.before != (before.digest if before else None) or any(
            file.digest is None for file in entry.added.values()
        ):
            stray = f"the entry of version {version} in the log of the table does not continue the version before it"
            raise DamagedError(self._build_damage(DamageKind.ENTRY_CHANGED, stray))

    def record(self, version: int) -> DigestRecord:
        """A record that is stored; one that is truncated or changed is rebuilt, where that is possible.

        Raises DamagedError, FileNotFoundError and OSError.
        """
        try:
            return self.store.read(version)
        except UnreadableRecordError:
            return self._complete_record(version)

    def prune(self, version: int) -> None:
        """Remove records of versions that the log has no entry of any more, and that nothing goes on from."""
        oldest = min([*self.list_entries(), version - 3 * WHOLE_EVERY])
        for each in self.store.list_versions():
            if each < oldest:
                self.store.remove(each)

    def _build_damage(self, kind: DamageKind, clause: str) -> Damage:
        return Damage(kind, self._model, None, None, f"{clause}. {CURE}")


_EXCHANGED = "the digests of version {version} do not fit the versions before and after it"


def commit_facts(before: DigestRecord | None, digests: Mapping[str, str]) -> dict[str, str]:
    """What a commit carries: the digest of the record before, and the digests of the files that it adds."""
    return {COMMIT_KEY: json.dumps({"before": before and before.digest, "digests": dict(digests)})}


def parse_entry(content: bytes) -> Entry:
    """A log entry's actions. Raises ValueError, KeyError or TypeError for what is no log entry."""
    text = content.decode()
    actions = [json.loads(line) for line in text.splitlines() if line.strip()]
    facts: dict[str, Any] = {}
    for action in actions:
        facts |= action.get("commitInfo") or {}
    ours = json.loads(facts[COMMIT_KEY]) if COMMIT_KEY in facts else None
    added = {}
    for add in (action["add"] for action in actions if "add" in action):
        digest = ours["digests"].get(add["path"]) if ours else None
        added[add["path"]] = StoredFile(
            add["size"], json.loads(add.get("stats") or "{}").get("numRecords"), digest
        )
    removed = tuple(action["remove"]["path"] for action in actions if "remove" in action)
    return Entry(text, added, removed, ours and ours["before"], ours is not None)
