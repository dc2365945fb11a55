"""Up to which day the raw answers were removed because of their age, kept in the lake beside the tables.

Without it nobody could tell such a day from one whose answers were lost or never fetched.
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipeline.common.files.atomic_files import write_file
from warehouse.lake_reader import LakeReader

FOLDER, FILE = "_retention", "raw-answers.json"
_DONE, _BEGUN, _DAYS = "removed_before", "removing_before", "removing_days"


class AnswerRetention:
    """The record of one lake."""

    def __init__(self, lake: LakeReader) -> None:
        self._lake = lake

    @property
    def removed_before(self) -> dt.date | None:
        """The answers of days before this one were removed; None: of no day."""
        return self._read_day(_DONE)

    @property
    def unfinished_days(self) -> frozenset[dt.date]:
        """The days whose removal was begun and not finished: of such a day some answers may be left."""
        return frozenset(map(dt.date.fromisoformat, self._read().get(_DAYS, [])))

    def begin(self, before: dt.date, days: Collection[dt.date]) -> None:
        """Say that answers of these days, all before `before`, will be removed. Raises OSError and StoreError."""
        begun = max(filter(None, (before, self._read_day(_BEGUN))))
        unfinished = sorted({*days, *self.unfinished_days})
        self._write({**self._read(), _BEGUN: str(begun), _DAYS: [str(day) for day in unfinished]})

    def finish(self) -> None:
        """Say that they were. Raises OSError and StoreError."""
        self._write({_BEGUN: str(self._read_day(_BEGUN)), _DONE: str(self._read_day(_BEGUN))})

    def describe(self) -> str:
        """A sentence that says what can't be rebuilt any more; empty where nothing was removed."""
        day = self._read_day(_BEGUN)
        if day is None:
            return ""
        return (
            f"The raw answers of days before {day} were removed because of their age (SUNLEDGER_KEEP_RAW_DAYS), so the "
            "tables of these days stay as they are and can't be rebuilt."
        )

    def _read_day(self, name: str) -> dt.date | None:
        said = self._read().get(name)
        return None if said is None else dt.date.fromisoformat(said)

    def _read(self) -> Mapping[str, Any]:
        """The record; empty where there is none, or none that can be understood."""
        try:
            with self._lake.open_root().open_input_file(f"{FOLDER}/{FILE}") as source:
                return dict(json.loads(bytes(source.read())))
        except (FileNotFoundError, ValueError, TypeError):
            return {}

    def _write(self, said: Mapping[str, Any]) -> None:
        content = json.dumps(said).encode()
        if not self._lake.remote:
            place = Path(self._lake.root) / FOLDER
            place.mkdir(parents=True, exist_ok=True)
            write_file(place / FILE, content)
            return
        with self._lake.open_root().open_output_stream(f"{FOLDER}/{FILE}") as sink:
            sink.write(content)
