"""Is the lake whole, and is the published file what was published?

Each log of the lake is compared with the records of digests, each active file with its digest, and every row is read
again: the model's rules, the order, the key.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.common.files.refused_files import FileRefusedError
from pipeline.common.text import pluralize, quote_fault
from schemas import TABLES, Table, polars_schema, storage
from warehouse.frames import BadFrameError, name_place, sort, validate
from warehouse.integrity.damage import CURE, Damage, DamageKind
from warehouse.integrity.digests import StoredFile
from warehouse.integrity.file_check import find_file_damage
from warehouse.integrity.log_check import LakeListing, check_log
from warehouse.lake_reader import LakeReader
from warehouse.part_folders import Part, find_part
from warehouse.published_file.home_guard import find_marker, is_marker_whole
from warehouse.published_file.open_published import (
    NotPublishedError,
    check_published,
    connect,
    is_guarded,
)
from warehouse.published_file.published_copy import open_published_copy
from warehouse.verification.known_tables import KnownTables, report_lost_table
from warehouse.verification.older_states import OlderLakeError, check_age, find_older_states


@dataclass(frozen=True, slots=True)
class VerifiedPart:
    """A part that was read, or a table's log with a fault, and what is wrong with it (None: nothing).

    A `refusal` says that this user may not read it, which is no damage.
    """

    place: str
    damage: Damage | None
    refusal: FileRefusedError | None = None

    @property
    def fault(self) -> str | None:
        """The damage as a sentence that ends with its cure."""
        return self.damage.sentence if self.damage else None


def verify_lake(lake: LakeReader, models: Iterable[type[Table]] = TABLES) -> Iterator[VerifiedPart]:
    """One result for each fault of a table's log and for each part, tables in their order of definition."""
    listing = LakeListing.take(lake)
    for model in models:
        try:
            checked = check_log(lake, model, listing)
        except FileRefusedError as refusal:
            yield VerifiedPart(storage(model).table, None, refusal)
            continue
        for damage in checked.damages:
            yield VerifiedPart(damage.place, damage)
        for folder, paths in groupby(sorted(checked.files), lambda path: path.rpartition("/")[0]):
            part = find_part(f"{folder}/".removeprefix("/"), polars_schema(model))
            files = {path: checked.files[path] for path in paths}
            try:
                yield VerifiedPart(name_place(model, part), _find_damage(lake, model, part, files))
            except FileRefusedError as refusal:
                yield VerifiedPart(name_place(model, part), None, refusal)


def list_damages(lake: LakeReader) -> list[Damage]:
    """What is damaged in the lake.

    Raises FileRefusedError for files that this user may not read: nobody can say then what a repair has to do.
    """
    found = list(verify_lake(lake))
    refusals = [one.refusal for one in found if one.refusal]
    if len(refusals) > 1:
        raise FileRefusedError(
            f"{refusals[0]} The system refuses this user {pluralize(len(refusals), 'file')} of the lake, and a repair "
            "needs all of them: 'sunledger verify' lists them."
        )
    if refusals:
        raise refusals[0]
    return [one.damage for one in found if one.damage]


def verify_published(lake: LakeReader, path: Path) -> Iterator[VerifiedPart]:
    """One result for the published file and what its views need in the lake; none where nothing is published yet."""
    if not path.exists():
        return
    try:
        check_published(path)
        fault = "" if lake.remote else _find_lost_marker(find_marker(lake.root), path)
    except NotPublishedError as error:
        fault = str(error)
    damage = Damage(DamageKind.PUBLISHED_CHANGED, None, None, None, fault) if fault else None
    yield VerifiedPart("warehouse", damage)


def _find_lost_marker(marker: Path, path: Path) -> str:
    """What to do where no view of the lake's files can be read, as a sentence; empty where they can."""
    if is_marker_whole(marker):
        return ""
    with closing(connect(path)) as connection:
        if not is_guarded(connection):
            return ""
    return (
        f"{marker}, which every view of detail reads first, is lost or damaged: run 'sunledger publish', which writes "
        "it again."
    )


def verify_tables(lake: LakeReader, known: KnownTables) -> Iterator[VerifiedPart]:
    """One result for each table of the last publication of which nothing is left. Raises OSError."""
    for damage in map(report_lost_table, known.find_missing(lake)):
        yield VerifiedPart(damage.place, damage)


def verify_versions(lake: LakeReader, path: Path) -> Iterator[VerifiedPart]:
    """One result for each table whose log ends before the version that the published file shows.

    The log and the digests of such a table belong together, so nothing else tells that an older copy took its place.
    """
    with open_published_copy(path, lake) as copy:
        shown = copy.versions if copy else {}
    for damage in find_older_states(lake, shown):
        yield VerifiedPart(damage.place, damage)
    if not shown:
        try:
            check_age(lake, path)
        except OlderLakeError as fault:
            yield VerifiedPart("warehouse", Damage(DamageKind.OLDER_STATE, None, None, None, str(fault)))


def _find_damage(
    lake: LakeReader, model: type[Table], part: Part, files: Mapping[str, StoredFile | None]
) -> Damage | None:
    opened = lake.open_files(model)
    for path, known in files.items():
        if damage := find_file_damage(opened, model, path, known):
            return damage
    last: pl.DataFrame | None = None
    path = ""
    try:
        # Batches, not the whole: a raw part can be larger than memory.
        for path in files:
            for frame in lake.read_files(model, [f"{lake.find_uri(model)}/{path}"], checked=True):
                validate(model, frame, part)
                sort(model, frame if last is None else pl.concat([last, frame]), part)
                last = frame.tail(1)
    except BadFrameError as fault:
        return Damage(DamageKind.ROWS_INVALID, model, part, path, f"{fault} {CURE}")
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as fault:
        sentence = f"its file {path} can't be read ({quote_fault(fault)}). {CURE}"
        return Damage(DamageKind.FILE_UNREADABLE, model, part, path, sentence)
    return None
