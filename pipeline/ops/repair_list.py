"""The list of parts that a repair has found lost and not yet rebuilt; it outlives a repair that is killed."""

from collections.abc import Iterable
from pathlib import Path

import orjson

from pipeline.sma.auth.secret_files import read_private, write_private
from schemas import TABLES, storage
from warehouse.repairs.lost_parts import LostPart

FILE = "repair/lost.json"
_MODELS = {storage(model).table: model for model in TABLES}


class LostParts:
    """The parts, in the order in which they were found, in a file of the home. Raises SunledgerError without space."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def read(self) -> list[LostPart]:
        """All of them; none where the file is not there or is damaged itself."""
        try:
            rows = orjson.loads(read_private(self._file) or b"[]")
            return [LostPart(_MODELS[table], folder, published) for table, folder, published in rows]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return []

    def add(self, lost: Iterable[LostPart]) -> None:
        """Keep these too. One that is there already stays as it was found first."""
        known = self.read()
        places = {(one.model, one.folder) for one in known}
        new = [one for one in lost if (one.model, one.folder) not in places]
        if new:
            self.write([*known, *new])

    def write(self, lost: Iterable[LostPart]) -> None:
        """Keep these and no others."""
        rows = [[storage(one.model).table, one.folder, one.published] for one in lost]
        if rows or self._file.exists():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_private(self._file, orjson.dumps(rows))
