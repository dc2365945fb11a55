"""The record of requests: each try goes to a file of this machine at once, and from there to the lake in batches.

Writing a line costs some microseconds and needs no care for the lake, so the record may be complete: when a process is
killed, its file stays, and whoever stores records next takes it along. What a kill loses are the requests that were
on their way, at most SMA_MAX_CONNECTIONS of them; nothing is synced to disk, so a crash of the machine loses its last
seconds. The lake holds one file a day, however many runs wrote to it.
"""

import datetime as dt
import fcntl
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.sma.http.attempt_log import Try
from schemas import ApiRequests, polars_schema
from warehouse.lake import Lake

SUFFIX = ".jsonl"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


class RequestLog:
    """Files of tries below `folder`, one for each process at a time. May be used by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._file: int | None = None
        self._name = ""
        self._count = 0

    def add(self, one: Try) -> None:
        """Write one try down. Raises SunledgerError when the file can't be written."""
        with self._guard:
            try:
                if self._file is None:
                    self._open()
                assert self._file is not None  # noqa: S101 - for the type checker
                self._count += 1
                os.write(self._file, _line(one, f"{self._name}-{self._count}"))
            except OSError as fault:
                raise SunledgerError(
                    f"The record of requests in {self._folder} can't be written: {fault.strerror}. Requests cost money "
                    f"and budget, so none is sent without: make room, or set SUNLEDGER_HOME to another disk."
                ) from fault

    def store(self, lake: Lake) -> int:
        """Move to the lake what this process wrote, and what processes left that are gone; the number of tries.

        Files of living processes are left alone. A file is removed only when the lake has all of it.
        """
        self.close()
        stored = 0
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with _alone(path) as mine:
                if not mine:
                    continue
                frame = _read(path)
                for (day,), rows in frame.group_by("asked_date", maintain_order=True):
                    lake.append(ApiRequests, {"asked_date": _date(day)}, rows)
                path.unlink()
                stored += frame.height
        return stored

    def close(self) -> None:
        """Close the file; the next try begins another one."""
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name, self._count = uuid.uuid4().hex, 0
        # Locked under a name that nobody looks for, so that nobody takes it for a file without an owner.
        new = self._folder / f"{self._name}.new"
        self._file = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        new.rename(new.with_suffix(SUFFIX))


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else writes or stores the file, and nobody can while the block lasts."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


def _line(one: Try, request_id: str) -> bytes:
    request = one.request
    return orjson.dumps(
        {
            "request_id": request_id,
            "asked_at": (one.asked_at - EPOCH) // MICROSECOND,
            "plant_id": request.plant_id if request else "",
            "device_id": request.device_id if request else "",
            "endpoint": one.endpoint,
            "set_type": request.set_type if request else "",
            "period": request.period if request else "",
            "request_date": request.date if request else "",
            "attempt": one.attempt,
            "status": one.status,
            "error": one.error,
            "bytes": one.size,
            "elapsed_ms": one.elapsed_ms,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _read(path: Path) -> pl.DataFrame:
    """The tries of a file as rows of the table. A last line that a crash cut short is left out."""
    schema = polars_schema(ApiRequests)
    data = path.read_bytes().rstrip(b"\0")
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return pl.DataFrame(schema=schema)
    written: dict[str, pl.DataType] = {n: t for n, t in schema.items() if n != "asked_date"}
    frame = pl.read_ndjson(whole, schema={**written, "asked_at": pl.Int64()})
    frame = frame.with_columns(pl.col("asked_at").cast(schema["asked_at"]))
    return frame.with_columns(asked_date=pl.col("asked_at").dt.date()).select(schema.names())


def _date(value: object) -> dt.date:
    """A key of a group of days."""
    assert isinstance(value, dt.date)  # noqa: S101 - group_by types its keys as objects
    return value
