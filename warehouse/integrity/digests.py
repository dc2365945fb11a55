"""Digests of stored files, and the records that keep them apart from the files.

`<lake>/_digests/<table>/<version>.json` says of one version of a table what Delta's log entry held, and the size, rows
and digest of each active file. A record names the digest of the one before, and the commit names it too: a chain, in
which no version can be missing, exchanged or of somebody else without being seen.

A record follows from its log entry and the record before alone. So whoever finds one missing makes it again, and
writers that race write the same bytes.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import pyarrow.fs as pafs
import xxhash

from pipeline.common.files.atomic_files import name_in_faults
from pipeline.common.files.regular_files import list_regular_names

FOLDER = "_digests"
BLOCK = 2**20
# A record of every so many versions names all active files, the ones after it what changed since. It bounds what a
# record holds: with 25, a commit writes a few kilobytes, and two records are all that a reader needs.
WHOLE_EVERY = 25
_NAME_DIGITS = 20


class UnreadableRecordError(ValueError):
    """A record is truncated or changed."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a file was when it was written: bytes, rows (None: not known) and digest (None: it could not be read)."""

    bytes: int
    rows: int | None
    digest: str | None


class Sink(Protocol):
    """What bytes can be written into."""

    def write(self, data: bytes) -> Any:
        """Write all of it."""
        ...


class DigestingSink:
    """A sink that hands on what it is given, and knows its digest. `place` is what it is, for people."""

    closed = False

    def __init__(self, sink: Sink, place: str) -> None:
        self._sink, self._hash, self.size = sink, xxhash.xxh3_128(), 0
        self._place = place

    def write(self, data: bytes) -> int:
        """Hand on the bytes, which may also come as a buffer of them."""
        self._hash.update(data)
        with name_in_faults(self._place):
            self._sink.write(data)
        size = len(memoryview(data))
        self.size += size
        return size

    def tell(self) -> int:
        """How many bytes have come."""
        return self.size

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """The sink behind is closed by who opened it."""

    @property
    def digest(self) -> str:
        """Of all bytes that have come, as hex digits."""
        return self._hash.hexdigest()


def digest_of(files: pafs.FileSystem, path: str) -> StoredFile:
    """Read a file: its size and digest. Raises OSError."""
    found, size = xxhash.xxh3_128(), 0
    with files.open_input_file(path) as source:
        while block := source.read_buffer(BLOCK):
            found.update(block)
            size += len(block)
            if len(block) < BLOCK:
                break
    return StoredFile(size, None, found.hexdigest())


@dataclass(frozen=True)
class DigestRecord:
    """One version of a table: its log entry, and the active files.

    `files` goes on from the record that `base` names by version and digest, with None for a file that was replaced;
    without a base it names all active files. `entry` is the text of the log entry (None: it was not there when an
    older version's table was adopted). `adopted` says that the digests were made of what was found, and not as it was
    written.
    """

    version: int
    before: str | None
    entry: str | None
    base: tuple[int, str] | None
    files: Mapping[str, StoredFile | None]
    adopted: bool = False

    @cached_property
    def packed(self) -> bytes:
        """The record as it is stored: a line of JSON, and a line with the digest of it."""
        files = {path: file and (file.bytes, file.rows, file.digest) for path, file in self.files.items()}
        content = {
            "version": self.version,
            "before": self.before,
            "entry": self.entry,
            "base": self.base,
            "files": files,
            "adopted": self.adopted,
        }
        line = json.dumps(content, sort_keys=True).encode()
        return b"%s\n%s\n" % (line, _digest(line).encode())

    @cached_property
    def digest(self) -> str:
        """What the record after it names."""
        return _digest(self.packed)

    @classmethod
    def unpack(cls, packed: bytes, version: int) -> Self:
        """The record of the version. Raises UnreadableRecordError."""
        line, _, rest = packed.partition(b"\n")
        if rest != b"%s\n" % _digest(line).encode():
            raise UnreadableRecordError("it is truncated or changed")
        found = json.loads(line)
        if found["version"] != version:
            raise UnreadableRecordError(f"it belongs to version {found['version']}")
        files = {path: StoredFile(*file) if file else None for path, file in found["files"].items()}
        base = (found["base"][0], found["base"][1]) if found["base"] else None
        return cls(version, found["before"], found["entry"], base, files, found["adopted"])


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def list_stored_names(files: pafs.FileSystem, folder: str) -> list[str]:
    """The names of the files in a folder of a lake, in no order; none for no folder. Raises OSError.

    On a disk anything may lie there, such as a name that is not UTF-8: only regular files count.
    """
    if isinstance(files, pafs.SubTreeFileSystem) and isinstance(files.base_fs, pafs.LocalFileSystem):
        return list_regular_names(f"{files.base_path}/{folder}")
    found = files.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return [info.base_name for info in found]


class RecordStore:
    """The records of one table, in a folder or below a prefix."""

    def __init__(self, files: pafs.FileSystem, *, remote: bool) -> None:
        self._files, self._remote = files, remote

    def list_versions(self) -> list[int]:
        """The versions that have a record, rising."""
        versions = map(parse_record_name, list_stored_names(self._files, "/" if self._remote else "."))
        return sorted(version for version in versions if version is not None)

    def has(self, version: int) -> bool:
        """Whether there is a record of the version, readable or not."""
        # One call to an object store, where asking for facts of what is not there takes two.
        try:
            self._files.open_input_file(_name(version)).close()
        except FileNotFoundError:
            return False
        return True

    def read(self, version: int) -> DigestRecord:
        """Raises FileNotFoundError, UnreadableRecordError, and OSError."""
        with self._files.open_input_file(_name(version)) as source:
            return DigestRecord.unpack(source.read(), version)

    def write(self, record: DigestRecord) -> None:
        """Store the record, whole or not at all. Raises OSError."""
        name = _name(record.version)
        new = name if self._remote else f".{name}.{secrets.token_hex(4)}.new"
        if not self._remote:
            self._files.create_dir(".", recursive=True)
        with self._files.open_output_stream(new) as sink:
            sink.write(record.packed)
        if not self._remote:
            self._files.move(new, name)

    def remove(self, version: int) -> None:
        """Remove a record that is no longer needed."""
        try:
            self._files.delete_file(_name(version))
        except FileNotFoundError:
            return


def list_record_versions(root: pafs.FileSystem) -> dict[str, list[int]]:
    """The versions that have a record, rising, by table, of all tables of a lake in an object store at once.

    `root` is the file system of the lake. A table without any record is left out.
    """
    found: dict[str, list[int]] = {}
    for info in root.get_file_info(pafs.FileSelector(FOLDER, allow_not_found=True, recursive=True)):
        *_, table, name = info.path.split("/")
        if (version := parse_record_name(name)) is not None:
            found.setdefault(table, []).append(version)
    return {table: sorted(versions) for table, versions in found.items()}


def parse_record_name(name: str) -> int | None:
    """The version that a record is of, by the name of its file; None for another file."""
    digits = name.removesuffix(".json")
    is_one = name.endswith(".json") and digits.isdecimal() and len(digits) == _NAME_DIGITS
    return int(digits) if is_one else None


def _name(version: int) -> str:
    return f"{version:0{_NAME_DIGITS}}.json"
