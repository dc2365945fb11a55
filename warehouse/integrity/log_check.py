"""Does a table's log say what was committed? It is compared with the records of digests, kept apart from it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow.fs as pafs
from deltalake.exceptions import TableNotFoundError

from pipeline.common.files.refused_files import translate_refusals
from schemas import TABLES, Table, storage
from warehouse.integrity.damage import Damage, DamagedError, report_unreadable_log
from warehouse.integrity.digest_chain import Chain
from warehouse.integrity.digests import DigestRecord, StoredFile, list_record_versions
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.lake_reader import LakeReader
from warehouse.lake_table import LakeTable

# A table that is written in the meantime is looked at again.
LOOKS = 3


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """A table's version (-1: there is none), its active files by their paths, and what is wrong with its log.

    Where the log can't be read, the files are those that the records know of. A file of which nothing is known has
    None.
    """

    version: int
    files: Mapping[str, StoredFile | None]
    damages: tuple[Damage, ...]


@dataclass(frozen=True, slots=True)
class LakeListing:
    """What a lake in an object store has, by two listings of it: the tables, and the versions that have a record."""

    tables: Collection[type[Table]]
    records: Mapping[str, list[int]]

    @classmethod
    def take(cls, lake: LakeReader) -> "LakeListing | None":
        """None for a lake in a folder, where a look at each table costs nothing. Raises StoreError."""
        if not lake.remote:
            return None
        return cls(list_tables_with_log(lake), list_record_versions(lake.open_root()))


def list_tables_with_log(lake: LakeReader) -> set[type[Table]]:
    """The tables that have a log. Raises OSError.

    On an object store one listing tells of all of them.
    """
    if lake.remote:
        found = lake.open_root().get_file_info(pafs.FileSelector("/", allow_not_found=True))
        names = {info.path.strip("/") for info in found}
        return {model for model in TABLES if storage(model).table in names}
    return {model for model in TABLES if (Path(lake.find_uri(model)) / "_delta_log").is_dir()}


def check_log(lake: LakeReader, model: type[Table], listing: LakeListing | None = None) -> CheckedLog:
    """Read the log from its files, every entry and record that is kept, and compare them.

    With a listing of the lake the table is not listed again. What was committed since is no damage. Raises
    FileRefusedError where this user may not read the log or the records.
    """
    chain = Chain(lake, model)
    for look in range(LOOKS):
        if listing is None or look:
            known = chain.store.list_versions()
        else:
            known = listing.records.get(storage(model).table, [])
        is_there = listing is None or look > 0 or model in listing.tables
        # Records without a table: it was created between the two lists of the listing.
        if known and not is_there:
            continue
        table, damages = _open(lake, model) if is_there else (None, [])
        version = -1 if table is None else table.version()
        # A commit between both looks is no damage.
        if table is None or not known or known[-1] <= version or look == LOOKS - 1:
            break
    if table is None:
        return _check_without_log(chain, known, damages)
    damages += [chain.report_missing_entry(each) for each in known if each > version]
    if known:
        known = [*known, *range(known[-1] + 1, version)]
    stored = _list_stored_paths(table)
    files: dict[str, StoredFile | None] = dict.fromkeys(stored)
    try:
        with translate_refusals():
            recorded = chain.list_active_files(chain.read_head(version))
    except DamagedError as fault:
        damages.append(fault.damage)
    except OSError as fault:
        damages.append(chain.report_unreadable(fault))
    else:
        damages += [*_check_chain(chain, [*(each for each in known if each < version), version])]
        damages += [*_compare(chain, model, stored, recorded)]
        files |= recorded
    return CheckedLog(version, files, tuple({str(damage): damage for damage in damages}.values()))


def _open(lake: LakeReader, model: type[Table]) -> tuple[LakeTable | None, list[Damage]]:
    try:
        return lake.open_anew(model, whole=True), []
    except TableNotFoundError:
        return None, []
    except (UnreadableLogError, OSError) as fault:
        return None, [report_unreadable_log(model, fault)]


def _check_without_log(chain: Chain, known: list[int], damages: list[Damage]) -> CheckedLog:
    if known and not damages:
        damages = [chain.report_lost_log()]
    files: dict[str, StoredFile] = {}
    if known:
        with suppress(DamagedError, OSError):
            files = chain.list_active_files(chain.record(known[-1]))
    return CheckedLog(-1, files, tuple(damages))


def _check_chain(chain: Chain, versions: list[int]) -> Iterator[Damage]:
    """Each record goes on from the one before, and each log entry that is left is the one that was committed."""
    entries = chain.list_entries()
    before: DigestRecord | None = None
    for version in versions:
        try:
            record = chain.record(version)
        except FileNotFoundError:
            # Another process has just removed what is too old to be needed.
            continue
        except DamagedError as fault:
            yield fault.damage
            continue
        if before and not (
            record.adopted or (before.version + 1 == version and before.digest == record.before)
        ):
            yield chain.report_broken(version)
        yield from _check_entry(chain, record, entries)
        before = record


def _check_entry(chain: Chain, record: DigestRecord, entries: list[int]) -> Iterator[Damage]:
    version = record.version
    if version not in entries:
        # Delta removes old entries, the oldest first.
        if entries and entries[0] < version:
            yield chain.report_missing_entry(version)
    elif record.entry is not None and chain.read_entry(version) != record.entry.encode():
        yield chain.report_changed_entry(version)


def _list_stored_paths(table: LakeTable) -> dict[str, dict[str, str]]:
    """The active files by their paths, each with the part that the log says it belongs to."""
    actions = pl.DataFrame(table.delta.get_add_actions(flatten=True))
    parts = [name for name in actions.columns if name.startswith("partition.")]
    texts = actions.select("path", pl.col(parts).cast(pl.String)) if parts else actions.select("path")
    return {
        unquote(row.pop("path")): {name.removeprefix("partition."): value for name, value in row.items()}
        for row in texts.to_dicts()
    }


def _compare(
    chain: Chain, model: type[Table], stored: Mapping[str, dict[str, str]], recorded: Mapping[str, StoredFile]
) -> Iterator[Damage]:
    """Compares the present state of the log with what was committed, since a damaged checkpoint changes no entry."""
    for path in sorted({*stored, *recorded}):
        said = stored.get(path)
        if path in recorded and said is not None and _build_folder(model, said) == path.rpartition("/")[0]:
            continue
        yield chain.report_other_file(path)


def _build_folder(model: type[Table], part: Mapping[str, str]) -> str:
    return "/".join(f"{name}={part.get(name)}" for name in storage(model).partition)
