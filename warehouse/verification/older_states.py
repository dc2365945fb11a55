"""Whether tables of the lake are older than the published file, as in a home that was copied while a run wrote to it.

Each table is sound in itself then, and its log and digests belong together: only the published file tells of the later
state. So nothing is made or published on top, which would bring the lake to later versions and hide that.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

import duckdb

from pipeline.common.errors import SunledgerError
from pipeline.common.files.refused_files import FileRefusedError
from schemas import TABLES, storage
from warehouse.integrity.damage import CURE, Damage, DamagedError, DamageKind
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.lake_reader import LakeReader
from warehouse.published_file.foreign_publication import is_of_other_lake
from warehouse.published_file.publication import find_change
from warehouse.published_file.publication_base import read_last_base


class OlderLakeError(SunledgerError):
    """The lake is older than the published file, and that file is not as it was published, so it can't be used."""

    def __init__(self, damage: Damage, target: Path) -> None:
        super().__init__(
            f"{damage.place}: {damage.fault} A home that was copied while a run wrote to it looks like that, and "
            f"nothing was changed. Copy it again while nothing writes, or restore a backup. If the older state is what "
            f"you want, delete {target} first."
        )


def check_age(lake: LakeReader, target: Path) -> None:
    """Raise DamagedError where tables are older than what is published at `target`.

    Raises OlderLakeError where they are and that file is not the one that was recorded, so that nothing can be repaired
    from it. A publication that was forgotten on purpose says nothing, and neither does one of an object store, where a
    table that another machine has repaired may begin again. Raises OSError.
    """
    recorded = read_last_base(target) if target.is_file() and not lake.remote else None
    if recorded is None:
        return
    changed = find_change(target)
    # Whoever copied the file later than its record has a later state in it.
    shown = [recorded.sources.inputs.versions, _read_versions(target) if changed else {}]
    older = next(chain.from_iterable(find_older_states(lake, one) for one in shown), None)
    if older is None or is_of_other_lake(target, lake):
        return
    if changed:
        raise OlderLakeError(older, target)
    raise DamagedError(older)


def find_older_states(lake: LakeReader, shown: Mapping[str, int]) -> Iterator[Damage]:
    """The tables of which a version that was `shown`, by the table's name, is later than all that the lake has.

    The file that shows them was read before: versions only grow. A log that can't be read is a damage of its own.
    """
    for model in TABLES:
        version = shown.get(storage(model).table, -1)
        if version < 0 or (newest := max(lake.open_records(model).list_versions(), default=-1)) >= version:
            continue
        with suppress(UnreadableLogError, FileRefusedError, OSError):
            stored = lake.take_snapshot(model).version
            if newest <= stored < version:
                sentence = (
                    f"the published file shows version {version} of the table, but its log ends with "
                    f"{f'version {stored}' if stored >= 0 else 'none'}: an older state was put in its place. {CURE}"
                )
                yield Damage(DamageKind.OLDER_STATE, model, None, None, sentence)


def _read_versions(target: Path) -> Mapping[str, int]:
    """The versions that a file says of itself that it shows, whoever wrote it; none where it can't be read."""
    try:
        with duckdb.connect(str(target), read_only=True) as connection:
            ((versions,),) = connection.execute("SELECT source_versions FROM _meta").fetchall()
        return {str(name): int(version) for name, version in json.loads(versions).items()}
    except (duckdb.Error, ValueError, TypeError, AttributeError):
        return {}
