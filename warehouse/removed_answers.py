"""Up to which day the raw answers were removed because of their age, kept in the lake beside the tables.

Without it nobody could tell such a day from one whose answers were lost or never fetched.
"""

import datetime as dt
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.common.atomic_files import write_file
from warehouse.lake_reader import LakeReader

FOLDER, FILE = "_retention", "raw-answers.json"
_DONE, _BEGUN = "removed_before", "removing_before"


class AnswerRetention:
    """The record of one lake."""

    def __init__(self, lake: LakeReader) -> None:
        self._lake = lake

    @property
    def removed_before(self) -> dt.date | None:
        """The answers of days before this one were removed; None: of no day."""
        return self._read().get(_DONE)

    @property
    def unfinished_before(self) -> dt.date | None:
        """The answers of days before this one are being removed, or a removal was interrupted: a day may have some."""
        said = self._read()
        begun, done = said.get(_BEGUN), said.get(_DONE)
        return begun if begun is not None and begun != done else None

    def begin(self, before: dt.date) -> None:
        """Say that answers of days before `before` will be removed. Raises OSError and StoreError."""
        said = self._read()
        self._write({**said, _BEGUN: before})

    def finish(self, before: dt.date) -> None:
        """Say that they were. Raises OSError and StoreError."""
        self._write({_BEGUN: before, _DONE: before})

    def describe(self) -> str:
        """A sentence that says what can't be rebuilt any more; empty where nothing was removed."""
        day = self.unfinished_before or self.removed_before
        if day is None:
            return ""
        return (
            f"The raw answers of days before {day} were removed because of their age (SUNLEDGER_KEEP_RAW_DAYS), so the "
            "tables of these days stay as they are and can't be rebuilt."
        )

    def _read(self) -> Mapping[str, dt.date]:
        with suppress(FileNotFoundError, ValueError, AttributeError, TypeError):
            with self._lake.open_root().open_input_file(f"{FOLDER}/{FILE}") as source:
                found: dict[str, Any] = json.loads(bytes(source.read()))
            return {key: dt.date.fromisoformat(day) for key, day in found.items()}
        return {}

    def _write(self, said: Mapping[str, dt.date]) -> None:
        content = json.dumps({key: day.isoformat() for key, day in said.items()}).encode()
        if not self._lake.remote:
            place = Path(self._lake.root) / FOLDER
            place.mkdir(parents=True, exist_ok=True)
            write_file(place / FILE, content)
            return
        with self._lake.open_root().open_output_stream(f"{FOLDER}/{FILE}") as sink:
            sink.write(content)
