"""Which tables the lake of a home had when it was last published, kept apart from the lake.

The lake can tell of a part, a log or a table that is missing, by what is left of it. Where all is gone, with the
digests, an empty lake looks like a new one; then this file of the home tells of it. Where a home has no such file yet,
the published file does.
"""

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import duckdb

from pipeline.common.errors import SunledgerError
from pipeline.common.files.atomic_files import write_file
from pipeline.common.text import pluralize
from schemas import TABLES, Table, storage
from warehouse.integrity.damage import CURE, Damage, DamagedError, DamageKind
from warehouse.integrity.log_check import list_tables_with_log
from warehouse.lake_reader import LakeReader
from warehouse.published_file.open_published import NotPublishedError, connect

FILE = "known-tables.json"
LOST_LAKE = "--lost-lake"


class LakeLostError(SunledgerError):
    """The lake holds none of the tables that were published from it: its folder or bucket is not there or is empty."""

    def __init__(self, root: str, count: int) -> None:
        super().__init__(
            f"The lake {root} is lost: it has none of the {pluralize(count, 'table')} that were published from it. "
            "Nothing was changed. Bring the folder or bucket back, for instance by mounting its disk, correct "
            "SUNLEDGER_LAKE, or restore a backup. If the lake is gone for good, "
            f"'sunledger repair {LOST_LAKE}' makes a new one from what the published file and SMA still have."
        )


class KnownTables:
    """The tables that were there at the last publication of a home, in a file of it."""

    def __init__(self, home: Path, warehouse: Path) -> None:
        self._file, self._warehouse = home / FILE, warehouse

    def read(self) -> frozenset[type[Table]]:
        """The tables; by the published file where the home has no list that can be read."""
        names = self._read_file()
        if names is None:
            names = self._read_published()
        return frozenset(model for model in TABLES if storage(model).table in names)

    def record(self, lake: LakeReader) -> None:
        """Keep the tables that the lake has now. Raises OSError."""
        self._write(list_tables_with_log(lake))

    def forget(self, models: Collection[type[Table]]) -> None:
        """Keep no longer that these were there, since they are known to be lost. Raises OSError."""
        self._write(self.read() - set(models))

    def find_missing(self, lake: LakeReader) -> list[type[Table]]:
        """The tables that were there and of which neither a log nor digests are left. Raises OSError."""
        known = self.read()
        gone = known - list_tables_with_log(lake) if known else frozenset()
        return [model for model in TABLES if model in gone and not lake.open_records(model).list_versions()]

    def check_lake(self, lake: LakeReader) -> None:
        """Raise LakeLostError where none of the tables is left. Raises OSError."""
        known = self.read()
        if known and not known & list_tables_with_log(lake):
            raise LakeLostError(lake.root, len(known))

    def check_tables(self, lake: LakeReader) -> None:
        """Raise LakeLostError where none of the tables is left, and DamagedError where nothing is left of one."""
        self.check_lake(lake)
        if missing := self.find_missing(lake):
            raise DamagedError(report_lost_table(missing[0]))

    def _write(self, models: Collection[type[Table]]) -> None:
        names = [storage(model).table for model in TABLES if model in models]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._read_file() != names:
            write_file(self._file, json.dumps(names, indent=1).encode())

    def _read_file(self) -> list[str] | None:
        with suppress(OSError, ValueError):
            found = json.loads(self._file.read_text())
            return found if isinstance(found, list) else None
        return None

    def _read_published(self) -> list[str]:
        try:
            with connect(self._warehouse) as connection:
                ((versions,),) = connection.execute("SELECT source_versions FROM _meta").fetchall()
        except (NotPublishedError, duckdb.Error, ValueError):
            return []
        return [name for name, version in json.loads(versions).items() if version >= 0]


def report_lost_table(model: type[Table]) -> Damage:
    """The damage that nothing is left of a table."""
    sentence = f"the table is lost with its log and its digests, although it was published before. {CURE}"
    return Damage(DamageKind.LOG_LOST, model, None, None, sentence)
