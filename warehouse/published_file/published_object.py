"""The published file as one object of a store, which any number of machines publish and read.

Each machine has a copy in a file of its own. A publication goes on from what the object holds, and puts the whole file
at once on the condition that the object is still the one that it went on from. So readers see the old file or the new
one, and an older snapshot of the lake never takes the place of a newer one: who comes second builds again from the
first one's publication.
"""

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from pipeline.common.files.atomic_files import write_file
from pipeline.common.settings import Settings
from pipeline.common.slow_stores import watch_store
from pipeline.common.store_faults import StoreError, find_store_error
from warehouse.object_store import LONGEST_CALL_S, REQUEST_S, open_store
from warehouse.published_file.lake_script import find_lake_script
from warehouse.published_file.open_published import FIRST_DAYS, NotPublishedError
from warehouse.published_file.publication import (
    digest_file,
    forbid_log,
    read_publications,
    record_publication,
)
from warehouse.published_file.publication_base import name_record
from warehouse.published_file.publication_turn import PublishError, hold_turn, reserve_name

# By S3, for one request.
MOST_BYTES = 5 * 2**30
CONTENT = "sunledger-content"
# A whole file that moves more slowly, in bytes a second, is given up.
SLOWEST_BYTES_S = 5e5


class DamagedObjectError(StoreError):
    """The object `address`, now with this ETag, is not what its publication said it is."""

    def __init__(self, address: str, etag: str) -> None:
        self.address, self.etag = address, etag
        super().__init__(
            f"{address} differs from what was published there: run 'sunledger publish', which then builds it from "
            "nothing, and let nothing else write to this object."
        )


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """An object `address` of a store, and the `file` that is this machine's copy of it.

    `tell` gets what this waits for.
    """

    address: str
    file: Path
    tell: Callable[[str], None]

    def fetch(self) -> str | None:
        """Bring the file to what the object holds, and return the object's ETag; None where there is no object.

        Raises DamagedObjectError and other StoreErrors, and PublishError where another process publishes the file for
        too long.
        """
        file = self.file.resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._translate_faults(), hold_turn(file, self.tell):
            there = self._look()
            if there is None or self._holds_copy(file, there[0]):
                return there and there[0]
            return self._download(file, there[1])

    def put(self, etag: str | None, built: str) -> bool:
        """Put the file in the place of the object with this ETag (None: of no object). False where it is another one.

        `built` is the digest of what was published: False too where the file is another one meanwhile, as when a reader
        of this machine has brought it back to what the object holds. Raises StoreError.
        """
        file, name = self.file.resolve(), self._name
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise PublishError(
                f"{self.address} was not published: the file has {size / 2**30:.1f} GiB, and a store takes "
                f"{MOST_BYTES // 2**30} GiB at once. What was published before is unchanged: set SUNLEDGER_DETAIL to "
                "fewer days."
            )
        with self._translate_faults():
            moving_s = size / SLOWEST_BYTES_S
            store = self._open(moving_s)
            # A store that ignores the condition of a put is at least asked just before.
            there = self._look()
            if (there and there[0]) != etag:
                return False
            with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
                digest = hashlib.sha256(content).hexdigest()
                if digest != built:
                    return False
                with watch_store(self.address, LONGEST_CALL_S + moving_s, moving_s=moving_s):
                    found = _put_whole(store, name, content, digest, etag)
            if found is None:
                return False
            self._record(file, found, digest)
            for beside in (name_record(file), find_lake_script(file)):
                if beside.exists():
                    store.put(self._name_beside(beside), beside.read_bytes())
        return True

    def _download(self, file: Path, size: int) -> str | None:
        store = self._open(size / SLOWEST_BYTES_S)
        with watch_store(self.address, LONGEST_CALL_S):
            found = store.get(self._name)
        with reserve_name(file) as new:
            with new.open("wb") as sink:
                for chunk in found.stream():
                    sink.write(chunk)
            published = digest_file(new)
            if found.attributes.get(CONTENT, published.content) != published.content:
                raise DamagedObjectError(self.address, str(found.meta["e_tag"]))
            name_record(file).unlink(missing_ok=True)
            for beside in (name_record(file), find_lake_script(file)):
                if (content := _read_if_there(store, self._name_beside(beside))) is not None:
                    write_file(beside, content)
            record_publication(published, file)
            forbid_log(self.file)
            new.replace(file)
        etag = str(found.meta["e_tag"])
        self._record(file, etag, published.content)
        return etag

    def _look(self) -> tuple[str, int] | None:
        """The ETag and the bytes of the object; None where there is none."""
        try:
            with watch_store(self.address, LONGEST_CALL_S):
                found = self._open().head(self._name)
        except FileNotFoundError:
            return None
        return str(found["e_tag"]), int(found["size"])

    def _holds_copy(self, file: Path, etag: str) -> bool:
        """Whether the file is the copy of that object, by what this machine recorded of both."""
        published = read_publications(file)
        try:
            of = json.loads(_name_copy_record(file).read_text())
        except (OSError, ValueError):
            return False
        known = {"address": self.address, "etag": etag, "content": published[0].content if published else ""}
        return file.is_file() and of == known

    def _record(self, file: Path, etag: str, content: str) -> None:
        of = {"address": self.address, "etag": etag, "content": content}
        write_file(_name_copy_record(file), json.dumps(of).encode())

    @property
    def _name(self) -> str:
        return self.address.rpartition("/")[2]

    def _name_beside(self, file: Path) -> str:
        """The object that has the place beside this one that `file` has beside the copy."""
        return file.name.replace(self.file.resolve().stem, self._name.removesuffix(".duckdb"), 1)

    def _open(self, moving_s: float = 0.0) -> Any:
        return open_store(self.address.rpartition("/")[0], {}, request_s=REQUEST_S + moving_s)

    @contextmanager
    def _translate_faults(self) -> Iterator[None]:
        try:
            yield
        except BaseError as fault:
            raise find_store_error(fault) or StoreError(
                f"{self.address} can't be used ({str(fault).partition(chr(10))[0]}): check SUNLEDGER_PUBLISH_TARGET "
                "and the settings of its store."
            ) from fault


def open_target(settings: Settings, tell: Callable[[str], None]) -> PublishedObject | None:
    """The object that the settings publish; None where they publish a file."""
    if settings.published_object is None:
        return None
    return PublishedObject(settings.published_object, settings.warehouse, tell)


def fetch_published(settings: Settings, tell: Callable[[str], None]) -> Path:
    """The published file, of an object this machine's copy as it is now.

    Raises NotPublishedError where no such object is there yet, and StoreError.
    """
    target = open_target(settings, tell)
    if target is not None and target.fetch() is None:
        raise NotPublishedError(
            f"There is no warehouse at {target.address} yet: {FIRST_DAYS} If days are stored already, run 'sunledger "
            "publish'."
        )
    return settings.warehouse


def _put_whole(store: Any, name: str, content: mmap.mmap, digest: str, etag: str | None) -> str | None:
    """The ETag of what was put, in one request; None where the object was another one."""
    try:
        done = store.put(
            name,
            content,
            attributes={CONTENT: digest},
            mode="create" if etag is None else {"e_tag": etag},
            use_multipart=False,
        )
    except (AlreadyExistsError, PreconditionError):
        # Its answer may have been lost, and the client has then asked again: the object is ours already.
        found = store.get(name)
        return str(found.meta["e_tag"]) if found.attributes.get(CONTENT) == digest else None
    return str(done["e_tag"])


def _read_if_there(store: Any, name: str) -> bytes | None:
    try:
        return bytes(store.get(name).bytes())
    except FileNotFoundError:
        return None


def _name_copy_record(file: Path) -> Path:
    return file.with_name(f".{file.name}.copy-of")
