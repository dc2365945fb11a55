"""Compares files with their digests, and remembers the result so that a file need not be read again.

Files are never written twice, so one of which size, times and place on the disk are as they were at the last look is
taken as unchanged. What a disk forgets by itself changes none of these: `verify` reads every file, remembered or not.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from pipeline.common.files.atomic_files import write_file
from pipeline.common.files.refused_files import find_refusal
from pipeline.common.text import quote_fault
from schemas import Table, polars_schema
from warehouse.integrity.damage import CURE, Damage, DamagedError, DamageKind
from warehouse.integrity.digest_chain import Chain
from warehouse.integrity.digests import StoredFile, digest_of
from warehouse.lake_reader import LakeReader
from warehouse.part_folders import cut_table_path, find_part

# Several readers are not faster on one disk, but they are on an object store.
READERS, REMOTE_READERS = 2, 16
# It is in the folder of uncommitted files: backups leave it out, and removing it costs only time.
REMEMBERED = "checked-files.json"


def find_file_damage(
    files: pafs.FileSystem, model: type[Table], path: str, known: StoredFile | None
) -> Damage | None:
    """Read a file and compare it with its digest when it was written (None if it is not known).

    Raises FileRefusedError for a file that this user may not read, which is no damage.
    """
    part = find_part(path, polars_schema(model))
    try:
        found = digest_of(files, path)
    except FileNotFoundError:
        return Damage(DamageKind.FILE_MISSING, model, part, path, f"its file {path} is missing. {CURE}")
    except OSError as fault:
        if error := find_refusal(fault):
            raise error from fault
        sentence = f"its file {path} can't be read ({quote_fault(fault)}). {CURE}"
        return Damage(DamageKind.FILE_UNREADABLE, model, part, path, sentence)
    if known is None or found.digest == known.digest:
        return None
    sentence = f"its file {path} was changed after it was written, by the disk or another program. {CURE}"
    return Damage(DamageKind.FILE_CHANGED, model, part, path, sentence)


class CheckedFiles:
    """Files that were compared with their digests, by what the file system says of them since. Use it as a context."""

    def __init__(self, lake: LakeReader) -> None:
        self._lake = lake
        self._place = lake.scratch / REMEMBERED
        self._before: dict[str, list[object]] = {}
        self._now: dict[str, list[object]] = {}

    def find_damage(
        self, model: type[Table], known: Mapping[str, StoredFile], *, again: bool
    ) -> Iterator[Damage]:
        """The damage of each file; those that are unchanged since the last look are read if `again` is set only."""
        seen = self._look(model, known)
        unread = [path for path in known if again or path not in seen or not self._is_known(seen[path])]
        files = self._lake.open_files(model)
        with ThreadPoolExecutor(REMOTE_READERS if self._lake.remote else READERS) as readers:
            found = readers.map(lambda path: find_file_damage(files, model, path, known[path]), unread)
            damaged = {path: damage for path, damage in zip(unread, found, strict=True) if damage}
        for path, (name, facts) in seen.items():
            if path not in damaged:
                self._now[name] = facts
        yield from damaged.values()

    def _is_known(self, seen: tuple[str, list[object]]) -> bool:
        name, facts = seen
        return self._before.get(name) == facts

    def _look(
        self, model: type[Table], known: Mapping[str, StoredFile]
    ) -> dict[str, tuple[str, list[object]]]:
        """A name for each file that is there, and what would be different if it were another one."""
        root = self._lake.find_uri(model)
        if self._lake.remote:
            listed = self._lake.open_files(model).get_file_info(pafs.FileSelector("/", recursive=True))
            facts: dict[str, list[object]] = {
                info.path.removeprefix("/"): [info.size, info.mtime_ns] for info in listed
            }
        else:
            facts = {path: found for path in known if (found := read_facts(f"{root}/{path}"))}
        return {
            path: (f"{root}/{path}", [*facts[path], file.digest])
            for path, file in known.items()
            if path in facts
        }

    def __enter__(self) -> "CheckedFiles":
        with suppress(OSError, ValueError, AttributeError):
            self._before = dict(json.loads(self._place.read_bytes()).items())
        return self

    def __exit__(self, *_: object) -> None:
        # If the result can't be stored, the file is read again next time.
        with suppress(OSError):
            self._place.parent.mkdir(parents=True, exist_ok=True)
            write_file(self._place, json.dumps(self._now).encode())


class SoundFiles:
    """The files of a lake on disks that this process has compared with their digests, or has written itself.

    A step that made figures from a damaged file would book them: they would be published once the file is healed, as
    if they had been true. So each file is compared with its digest before a process first reads it, unless the last
    publication did so and the file system says that nothing touched it since.
    """

    def __init__(self, lake: LakeReader) -> None:
        self._lake = lake
        self._checked: set[str] = set()
        self._seen: dict[str, list[object]] = {}
        self._digests: dict[type[Table], Mapping[str, StoredFile]] = {}
        self._remembered: dict[str, list[object]] | None = None

    def check(self, model: type[Table], uris: Collection[str]) -> None:
        """Compare files of the model's table that are not known yet. Raises DamagedError.

        Each file is looked at once: a run reads the same days for many tables, and lasts minutes. Files that the newest
        record does not have, as replaced ones and those of an older version's table, are passed: nobody has their
        digests.
        """
        paths = [cut_table_path(model, uri) for uri in uris if uri not in self._checked]
        unseen = [path for path in paths if not self._is_known(f"{self._lake.find_uri(model)}/{path}")]
        if unseen:
            self._compare(model, unseen)
        self._checked.update(uris)

    def _compare(self, model: type[Table], paths: Collection[str]) -> None:
        files, known = self._lake.open_files(model), self._read_digests(model, paths)
        for path in paths:
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


def read_facts(path: str) -> list[object] | None:
    """The facts of the file system about a file, which change with the file; None where it does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of files at each publication, and a Path costs more than the call
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
