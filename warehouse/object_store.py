"""The objects of a lake on an object store, as files."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import PostCommitHookProperties
from deltalake.fs import DeltaStorageHandler

from pipeline.common.store_faults import translate_store_faults

# A store that is gone for some seconds is asked again. By default the libraries give up after 2 s where connections are
# refused, and after minutes where nothing answers.
_RETRIES, _RETRY_S = 100, 20
DELTA_RETRIES = {"max_retries": str(_RETRIES), "retry_timeout": f"{_RETRY_S}s"}
POLARS_RETRIES = {"max_retries": _RETRIES, "retry_timeout_ms": _RETRY_S * 1000}

_HTTP = "aws_allow_http"
# As delta-rs does by itself.
CHECKPOINT_AFTER = 100


def choose_hooks(version: int) -> PostCommitHookProperties:
    """What delta-rs does on an object store after the commit of a version.

    By itself it would list the log after each commit, to look for old entries, which upkeep removes.
    """
    return PostCommitHookProperties(
        create_checkpoint=version % CHECKPOINT_AFTER == 0, cleanup_expired_logs=False
    )


def open_store(root: str, options: Mapping[str, str]) -> Any:
    """The objects below an address of a store, with the credentials and the retries of the lake."""
    from obstore.store import from_url  # noqa: PLC0415 - only a lake on an object store needs it

    known: Any = {**DELTA_RETRIES, **options}
    retries: Any = {
        "max_retries": int(known.pop("max_retries")),
        "retry_timeout": dt.timedelta(seconds=int(str(known.pop("retry_timeout")).removesuffix("s"))),
    }
    # What delta-rs takes for a fact of the store is one of the connection here.
    client: Any = {"allow_http": known.pop(_HTTP).lower() == "true"} if _HTTP in known else None
    return from_url(root, config=known or None, client_options=client, retry_config=retries)


class ObjectStore(DeltaStorageHandler):
    """Files of an object store, as delta-rs reaches them. Every method raises StoreError for a fault of the store."""

    def __init__(self, address: str, options: Mapping[str, str]) -> None:
        """The objects below an address."""
        super().__init__(address, options=dict(options))
        self._address, self._options = address, options

    def create_dir(self, path: str, recursive: bool = True) -> None:
        """As the original."""
        with translate_store_faults():
            super().create_dir(path, recursive)

    def delete_file(self, path: str) -> None:
        """As the original."""
        with translate_store_faults():
            super().delete_file(path)

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        """As the original."""
        with translate_store_faults():
            return super().get_file_info(paths)

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        """As the original, which asks for each folder by itself. Of what lies below others there are files only."""
        with translate_store_faults():
            if not selector.recursive:
                return super().get_file_info_selector(selector)
            objects = open_store(self._address, self._options).list(selector.base_dir.strip("/") or None)
            return [
                pafs.FileInfo(
                    one["path"], pafs.FileType.File, size=one["size"], mtime_ns=_read_ns(one["last_modified"])
                )
                for chunk in objects
                for one in chunk
            ]

    def open_input_file(self, path: str) -> pa.PythonFile:
        """As the original."""
        with translate_store_faults():
            return pa.PythonFile(_Source(self._handler.open_input_file(path)), mode="r")

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        """As the original, for which a buffer of bytes is no bytes."""
        with translate_store_faults():
            return pa.PythonFile(_Sink(self._handler.open_output_stream(path, metadata)), mode="w")


class _Source:
    """An object to read, whose faults are those of the store."""

    def __init__(self, source: Any) -> None:
        self._source = source

    @property
    def closed(self) -> bool:
        return bool(self._source.closed)

    def read(self, size: int | None = None) -> bytes:
        with translate_store_faults():
            return bytes(self._source.read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        return int(self._source.seek(position, whence))

    def tell(self) -> int:
        return int(self._source.tell())

    def close(self) -> None:
        self._source.close()


class _Sink:
    """A sink that gets bytes only."""

    def __init__(self, sink: Any) -> None:
        self._sink, self._size, self.closed = sink, 0, False

    def write(self, data: Any) -> int:
        """Hand on the data as bytes."""
        content = bytes(data)
        with translate_store_faults():
            self._sink.write(content)
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._size

    def flush(self) -> None:
        """Hand on what is held back."""
        with translate_store_faults():
            self._sink.flush()

    def close(self) -> None:
        """End the file."""
        if not self.closed:
            self.closed = True
            with translate_store_faults():
                self._sink.close()


def _read_ns(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
