"""The objects of a lake on an object store, as files."""

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


# As delta-rs does by itself.
CHECKPOINT_AFTER = 100


def choose_hooks(version: int) -> PostCommitHookProperties:
    """What delta-rs does on an object store after the commit of a version.

    By itself it would list the log after each commit, to look for old entries, which upkeep removes.
    """
    return PostCommitHookProperties(
        create_checkpoint=version % CHECKPOINT_AFTER == 0, cleanup_expired_logs=False
    )


class ObjectStore(DeltaStorageHandler):
    """Files of an object store, as delta-rs reaches them. Every method raises StoreError for a fault of the store."""

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
        """As the original."""
        with translate_store_faults():
            return super().get_file_info_selector(selector)

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
