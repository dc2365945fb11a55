"""Which files of a lake on disks are known to be what was written, so that steps need not compare them again.

A step that made figures from a damaged file would book them: they would be published once the file is healed, as if
they had been true. So each file is compared with its digest before a process first reads it, unless the last
publication did so and the file system says that nothing touched it since.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from schemas import Table
from warehouse.damage import DamagedError
from warehouse.digest_chain import Chain
from warehouse.digests import StoredFile
from warehouse.file_check import REMEMBERED, find_file_damage, read_facts
from warehouse.lake_reader import LakeReader


class SoundFiles:
    """The files that this process has compared with their digests, or has written itself."""

    def __init__(self, lake: LakeReader) -> None:
        self._lake = lake
        self._seen: dict[str, list[object]] = {}
        self._digests: dict[type[Table], Mapping[str, StoredFile]] = {}
        self._remembered: dict[str, list[object]] | None = None

    def check(self, model: type[Table], paths: Collection[str]) -> None:
        """Compare files of the model's table that are not known yet. Raises DamagedError.

        Files that the newest record does not have, as replaced ones and those of an older version's table, are passed:
        nobody has their digests.
        """
        unseen = [path for path in paths if not self._is_known(f"{self._lake.find_uri(model)}/{path}")]
        if not unseen:
            return
        files, known = self._lake.open_files(model), self._read_digests(model, unseen)
        for path in unseen:
            if path in known:
                if damage := find_file_damage(files, model, path, known[path]):
                    raise DamagedError(damage)
                self.add(model, path)

    def _read_digests(self, model: type[Table], paths: Collection[str]) -> Mapping[str, StoredFile]:
        """What the files of the newest record were when they were written; read again only for files that are new."""
        known = self._digests.get(model, {})
        if all(path in known for path in paths):
            return known
        chain = Chain(self._lake, model)
        # The table itself is not opened: its handle would move under a writer that has compared an earlier version.
        versions = chain.store.list_versions()
        self._digests[model] = chain.list_active_files(chain.record(versions[-1])) if versions else {}
        return self._digests[model]

    def add(self, model: type[Table], path: str) -> None:
        """Take the file for sound as it lies there now."""
        place = f"{self._lake.find_uri(model)}/{path}"
        if facts := read_facts(place):
            self._seen[place] = facts

    def _is_known(self, place: str) -> bool:
        facts = read_facts(place)
        if facts is None:
            return False
        return self._seen.get(place) == facts or self._read_remembered().get(place, [])[:-1] == facts

    def _read_remembered(self) -> dict[str, list[object]]:
        """What the last publication compared: facts of each file, and its digest."""
        if self._remembered is None:
            self._remembered = {}
            with suppress(OSError, ValueError, AttributeError):
                self._remembered = dict(
                    json.loads(Path(self._lake.scratch / REMEMBERED).read_bytes()).items()
                )
        return self._remembered
