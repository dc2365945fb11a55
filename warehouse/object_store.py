"""The objects of a lake on an object store, as files."""

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import PostCommitHookProperties
from deltalake.fs import DeltaStorageHandler

from pipeline.common.slow_stores import watch_store
from pipeline.common.store_faults import translate_store_faults

Call: TypeAlias = Callable[[], AbstractContextManager[None]]

# A store that is gone for some seconds is asked again. By default the libraries give up after 2 s where connections are
# refused, and after minutes where nothing answers.
_RETRIES, RETRY_S = 100, 20
# The clients' own limit for one request, with all its bytes. It may begin just before the retries end.
REQUEST_S = 30
LONGEST_CALL_S = RETRY_S + REQUEST_S
DELTA_RETRIES = {"max_retries": str(_RETRIES), "retry_timeout": f"{RETRY_S}s"}
# By itself polars waits without end for a store that takes a request and says nothing.
POLARS_RETRIES = {"max_retries": _RETRIES, "retry_timeout_ms": RETRY_S * 1000, "timeout": f"{REQUEST_S}s"}

_HTTP = "aws_allow_http"
_CONNECTION = (
    "ALLOW_HTTP",
    "ALLOW_INVALID_CERTIFICATES",
    "CONNECT_TIMEOUT",
    "PROXY_URL",
    "PROXY_CA_CERTIFICATE",
)
# As delta-rs does by itself.
CHECKPOINT_AFTER = 100


def choose_hooks(version: int) -> PostCommitHookProperties:
    """What delta-rs does on an object store after the commit of a version.

    By itself it would list the log after each commit, to look for old entries, which upkeep removes.
    """
    return PostCommitHookProperties(
        create_checkpoint=version % CHECKPOINT_AFTER == 0, cleanup_expired_logs=False
    )


def open_store(root: str, options: Mapping[str, str], *, request_s: float = REQUEST_S) -> Any:
    """The objects below an address of a store, with the credentials and the retries of the lake.

    A request that moves many bytes needs more time than `request_s`.
    """
    from obstore.store import from_url  # noqa: PLC0415 - only a lake on an object store needs it

    known: Any = {**DELTA_RETRIES, **options}
    retries: Any = {
        "max_retries": int(known.pop("max_retries")),
        "retry_timeout": dt.timedelta(seconds=int(str(known.pop("retry_timeout")).removesuffix("s"))),
    }
    # delta-rs takes this for an option of the store, and obstore for one of the connection.
    client: Any = {"allow_http": known.pop(_HTTP)} if _HTTP in known else {}
    if request_s != REQUEST_S:
        # With any option given the library no longer reads the others from the environment.
        client |= _read_connection_options() | {"timeout": f"{request_s:.0f}s"}
    return from_url(root, config=known or None, client_options=client or None, retry_config=retries)


def _read_connection_options() -> dict[str, str]:
    stores = ("AWS", "AZURE", "GOOGLE")
    return {
        name.lower(): value
        for name in _CONNECTION
        for of in stores
        if (value := os.environ.get(f"{of}_{name}"))
    }


class ObjectStore(DeltaStorageHandler):
    """Files of an object store, as delta-rs reaches them. Every method raises StoreError for a fault of the store."""

    def __init__(self, address: str, options: Mapping[str, str]) -> None:
        """The objects below an address."""
        super().__init__(address, options=dict(options))
        self._address, self._options = address, options

    def create_dir(self, path: str, recursive: bool = True) -> None:
        """As the original."""
        with self._call():
            super().create_dir(path, recursive)

    def delete_file(self, path: str) -> None:
        """As the original."""
        with self._call():
            super().delete_file(path)

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        """As the original."""
        with self._call():
            return super().get_file_info(paths)

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        """As the original, which asks for each folder by itself. Of what lies below others there are files only."""
        base = selector.base_dir.strip("/") or None
        with self._call():
            if selector.recursive:
                return [_describe(one) for chunk in self._store.list(base) for one in chunk]
            found = self._store.list_with_delimiter(base)
        folders = [pafs.FileInfo(name, pafs.FileType.Directory) for name in found["common_prefixes"]]
        return [*folders, *map(_describe, found["objects"])]

    def open_input_file(self, path: str) -> pa.PythonFile:
        """As the original. Raises FileNotFoundError."""
        with self._call():
            size = self._store.head(path)["size"]
        return pa.PythonFile(_Source(self._call, self._store, path, size), mode="r")

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:  # noqa: ARG002
        """As the original, but one request puts what is not large."""
        from obstore import open_writer  # noqa: PLC0415 - as in open_store

        return pa.PythonFile(_Sink(self._call, open_writer(self._store, path)), mode="w")

    @cached_property
    def _store(self) -> Any:
        """The same objects by obstore: unlike the original it lets other threads work while it waits."""
        return open_store(self._address, self._options)

    @contextmanager
    def _call(self) -> Iterator[None]:
        with translate_store_faults(), watch_store(self._address, LONGEST_CALL_S):
            yield


class _Source:
    """An object to read, whose faults are those of the store."""

    def __init__(self, call: Call, store: Any, path: str, size: int) -> None:
        self._call, self._store, self._path, self._size = call, store, path, size
        self._position, self.closed = 0, False

    def read(self, size: int | None = None) -> bytes:
        left = self._size - self._position
        length = left if size is None or size < 0 else min(size, left)
        if length <= 0:
            return b""
        with self._call():
            content = bytes(self._store.get_range(self._path, start=self._position, length=length))
        self._position += len(content)
        return content

    def seek(self, position: int, whence: int = 0) -> int:
        self._position = position + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        self.closed = True


class _Sink:
    """An object to write, which is there when it is closed."""

    def __init__(self, call: Call, sink: Any) -> None:
        self._call, self._sink, self._size, self.closed = call, sink, 0, False

    def write(self, data: Any) -> int:
        """Hand on the data as bytes."""
        content = bytes(data)
        with self._call():
            self._sink.write(content)
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._size

    def flush(self) -> None:
        """What is held back is put at the end, in one piece where it is not large."""

    def close(self) -> None:
        """End the file."""
        if not self.closed:
            self.closed = True
            with self._call():
                self._sink.close()


def _describe(one: Any) -> pafs.FileInfo:
    moment = one["last_modified"]
    changed_ns = int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
    return pafs.FileInfo(one["path"], pafs.FileType.File, size=one["size"], mtime_ns=changed_ns)
