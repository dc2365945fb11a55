"""What the digest records tell a repair of a damaged table, and commits of a repair that go on with them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from schemas import Table
from warehouse.integrity.damage import DamagedError
from warehouse.integrity.digest_chain import COMMIT_KEY, Chain, commit_facts
from warehouse.integrity.digests import DigestRecord, StoredFile, UnreadableRecordError, digest_of
from warehouse.lake_log import Action, build_add, read_log, replay, write_entry
from warehouse.lake_reader import LakeReader


@dataclass(frozen=True, slots=True)
class RecordedTable:
    """The newest version whose active files the records name whole (-1: none), those files, and texts of log entries.

    The texts are by version.
    """

    version: int = -1
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)

    @property
    def actions(self) -> list[Action]:
        """The files as a log would add them."""
        return [build_add(path, file.bytes, file.rows or 0) for path, file in self.files.items()]


def read_recorded(lake: LakeReader, model: type[Table]) -> RecordedTable:
    """What can be read of the records of a model's table."""
    chain, texts = Chain(lake, model), {}
    newest: RecordedTable | None = None
    for version in reversed(chain.store.list_versions()):
        with suppress(FileNotFoundError, UnreadableRecordError, DamagedError, OSError):
            record = chain.store.read(version)
            if record.entry is not None:
                texts[version] = record.entry
            if newest is None:
                newest = RecordedTable(version, chain.list_active_files(record))
    return RecordedTable(newest.version, newest.files, texts) if newest else RecordedTable(texts=texts)


def is_foreign(actions: Iterable[Action]) -> bool:
    """Whether an entry changes files and says nothing of their digests: another program, or a repair, wrote it."""
    said = list(actions)
    changes = any({"add", "remove"} & set(one) for one in said)
    return changes and not any(COMMIT_KEY in one.get("commitInfo", {}) for one in said)


def commit_repair(
    lake: LakeReader, model: type[Table], actions: Iterable[Action], known: Mapping[str, StoredFile]
) -> None:
    """Commit actions on the newest version; `known` has the digests of files that were recorded before.

    The records go on where they can, and begin again where they can't.
    """
    log = read_log(_find_folder(lake, model))
    said, chain = list(actions), Chain(lake, model)
    try:
        before = chain.read_head(log.version)
    except (DamagedError, OSError):
        write_entry(log, log.version + 1, said)
        adopt_known(lake, model, known)
        return
    added = {one["add"]["path"] for one in said if "add" in one}
    digests = {path: (known.get(path) or _digest_now(lake, model, path)).digest for path in added}
    facts = commit_facts(before, {path: digest for path, digest in digests.items() if digest is not None})
    write_entry(log, log.version + 1, said, facts=facts)
    chain.record_commit(before, log.version + 1)


def adopt_known(lake: LakeReader, model: type[Table], known: Mapping[str, StoredFile]) -> list[int]:
    """Begin the records again at the newest version, with the digests that were known and else with those of now.

    Returns the versions of the earlier records, which no longer belong to it.
    """
    log, chain = read_log(_find_folder(lake, model)), Chain(lake, model)
    files = {path: known.get(path) or _digest_now(lake, model, path) for path in replay(log).active}
    text = None
    with suppress(OSError, ValueError):
        text = chain.read_entry(log.version).decode()
    chain.store.write(DigestRecord(log.version, None, text, None, files, adopted=True))
    return [version for version in chain.store.list_versions() if version != log.version]


def _find_folder(lake: LakeReader, model: type[Table]) -> Path:
    return Path(lake.find_uri(model)) / "_delta_log"


def _digest_now(lake: LakeReader, model: type[Table], path: str) -> StoredFile:
    try:
        return digest_of(lake.open_files(model), path)
    except OSError:
        return StoredFile(0, None, None)
