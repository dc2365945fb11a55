"""Compares files with their digests, and remembers the result so that a file need not be read again.

Files are never written twice, so one of which size, times and place on the disk are as they were at the last look is
taken as unchanged. What a disk forgets by itself changes none of these: `verify` reads every file, remembered or not.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from schemas import Table, polars_schema
from warehouse.damage import CURE, Damage, DamageKind
from warehouse.digests import StoredFile, digest_of
from warehouse.lake_reader import LakeReader, find_part

# Several readers are not faster on one disk, but they are on an object store.
READERS, REMOTE_READERS = 2, 16
# It is in the folder of uncommitted files: backups leave it out, and removing it costs only time.
REMEMBERED = "checked-files.json"


def find_file_damage(
    files: pafs.FileSystem, model: type[Table], path: str, known: StoredFile | None
) -> Damage | None:
    """Read a file and compare it with its digest when it was written (None if it is not known)."""
    part = find_part(path, polars_schema(model))
    try:
        found = digest_of(files, path)
    except FileNotFoundError:
        return Damage(DamageKind.FILE_MISSING, model, part, path, f"its file {path} is missing. {CURE}")
    except OSError as fault:
        sentence = f"its file {path} can't be read ({fault}). {CURE}"
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
        new = self._place.with_name(f".{REMEMBERED}.{secrets.token_hex(4)}.new")
        # If the result can't be stored, the file is read again next time.
        with suppress(OSError):
            self._place.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self._now))
            Path(new).replace(self._place)


def read_facts(path: str) -> list[object] | None:
    """The facts of the file system about a file, which change with the file; None where it does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of files at each publication, and a Path costs more than the call
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
