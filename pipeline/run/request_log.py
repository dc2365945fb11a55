"""The record of requests: each try goes to a file of this machine at once, and from there to the lake in batches.

Writing a line costs some microseconds and needs no care for the lake, so the record may be complete: when a process is
killed, its file stays, and whoever stores records next takes it along. What a kill loses are the requests that were
on their way, at most SMA_MAX_CONNECTIONS of them. Lines are on the disk before answers are stored: after a power cut
nothing else would tell of the PU of stored answers. The lake holds one file a day, however many runs wrote to it.
"""

import datetime as dt
import json
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.common.files.atomic_files import write_file
from pipeline.common.files.owned_files import create_owned, take_over, write_whole
from pipeline.common.files.regular_files import list_regular_files
from pipeline.common.text import pluralize
from pipeline.run.notices import MissingItem, Notices
from pipeline.sma.http.attempt_log import LoggedTry
from pipeline.transform.answer_text import decode_texts
from pipeline.transform.json_engine import run_on
from schemas import ApiRequests, columns, polars_schema, storage
from warehouse.lake import Lake

# Below SUNLEDGER_HOME.
RECORD_FOLDER = "requests"
SUFFIX, UNREADABLE = ".jsonl", ".unreadable"
# Lines that are read at once.
LINES_BYTES = 2**20
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
# Moments, in microseconds, at which a request can have been sent: the years 2000 to 2200.
_MOMENTS: Final = (946_684_800_000_000, 7_258_118_400_000_000)


@dataclass(slots=True)
class MovedRequests:
    """What was moved to the lake: how many tries, how many lines could not be read, and the files that keep those."""

    tries: int = 0
    unreadable: int = 0
    kept: list[Path] = field(default_factory=list)

    def build_notices(self, day: dt.date) -> Notices:
        """The lines that can't be read are missing in the table; `day` is the day on which that was found."""
        if not self.unreadable:
            return Notices()
        files = ", ".join(str(path) for path in self.kept)
        reason = (
            f"{pluralize(self.unreadable, 'line')} of the record of requests can't be read, because a full disk or a "
            f"crash truncated them. They may hold requests that are not counted, and are kept in {files}"
        )
        return Notices.of([MissingItem(str(day), storage(ApiRequests).table, "", reason)])


class RequestLog:
    """Files of tries below `folder`, one for each process at a time. May be used by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._file: int | None = None
        self._name = ""
        self._count = 0
        self._synced = 0

    def add(self, one: LoggedTry) -> None:
        """Write one try down. Raises SunledgerError when the file can't be written."""
        with self._guard:
            try:
                if self._file is None:
                    self._open()
                assert self._file is not None  # noqa: S101 - for the type checker
                self._count += 1
                write_whole(self._file, format_try(one, f"{self._name}-{self._count}"))
            except OSError as fault:
                raise SunledgerError(
                    f"The record of requests in {self._folder} can't be written ({fault.strerror}). Requests cost "
                    "money and budget, so none is sent without a record: free some space, or set SUNLEDGER_HOME to "
                    "another disk."
                ) from fault

    def store(self, lake: Lake) -> MovedRequests:
        """Move to the lake what this process wrote, and what processes left that are gone.

        Files of living processes are left alone. A file is removed only when the lake has all of it. Lines that can't
        be read are kept in a file beside it, with another suffix, which nobody stores.
        """
        self.close()
        stored = MovedRequests()
        for path in list_regular_files(self._folder, SUFFIX):
            with take_over(path) as mine:
                if not mine:
                    continue
                frame, unreadable = _read_file(path)
                for (day,), rows in frame.group_by("asked_date", maintain_order=True):
                    lake.append(ApiRequests, {"asked_date": _take_date(day)}, rows)
                if unreadable:
                    stored.kept.append(set_lines_aside(path, unreadable))
                path.unlink()
                stored.tries += frame.height
                stored.unreadable += len(unreadable)
        return stored

    def sync(self) -> None:
        """Have the tries up to now on the disk, before anything is stored of their answers. Raises OSError."""
        with self._guard:
            if self._file is not None and self._count > self._synced:
                os.fsync(self._file)
                self._synced = self._count

    def close(self) -> None:
        """Close the file; the next try begins another one."""
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _open(self) -> None:
        self._file, path = create_owned(self._folder, SUFFIX)
        self._name, self._count, self._synced = path.stem, 0, 0


def set_lines_aside(path: Path, lines: Iterable[bytes]) -> Path:
    """Keep lines that are no tries in a file beside `path`, with another suffix; that file."""
    kept = path.with_suffix(UNREADABLE)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_file(kept, b"\n".join([*lines, b""]), mode=0o600)
    return kept


def format_try(one: LoggedTry, request_id: str) -> bytes:
    """The try as a line."""
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


def _read_file(path: Path) -> tuple[pl.DataFrame, list[bytes]]:
    """As `read_tries`, some lines at a time: a fleet's lists take more memory as lines than as rows."""
    frames, unreadable = [_NOTHING], list[bytes]()
    with path.open("rb") as file:
        while lines := file.readlines(LINES_BYTES):
            frame, odd = read_tries(b"".join(lines))
            frames.append(frame)
            unreadable += odd
    return _drop_doubles(pl.concat(frames)), unreadable


def read_tries(data: bytes) -> tuple[pl.DataFrame, list[bytes]]:
    """The tries of a file as rows of the table, and the lines that are none: truncated by a crash or a full disk.

    A try that stands there more than once, as where a person has put files together, is one.
    """
    lines = [line for line in data.replace(b"\0", b"").split(b"\n") if line]
    with suppress(pl.exceptions.PolarsError):
        frame = _build_rows(pl.read_ndjson(b"\n".join(lines), schema=_WRITTEN)) if lines else _NOTHING
        if frame.height == len(lines) and frame.select(_is_try().all()).item():
            return _drop_doubles(frame), []
    # One of them at least is odd: the engine reads each by itself.
    texts = pl.DataFrame({"body": decode_texts(pl.Series("body", lines, dtype=pl.Binary))}).with_row_index(
        "line"
    )
    query = "SELECT line, from_json(body, $shape) AS try FROM batch WHERE json_valid(body)"
    found = run_on(query, texts.drop_nulls(), shape=json.dumps(_SHAPE)).unnest("try")
    good = _build_rows(found.cast(pl.Schema(_WRITTEN))).filter(_is_try())
    bad = texts.join(good, on="line", how="anti", maintain_order="left")["line"]
    return _drop_doubles(good), [lines[line] for line in bad]


def _drop_doubles(tries: pl.DataFrame) -> pl.DataFrame:
    return tries.select(_NOTHING.columns).unique(storage(ApiRequests).key, keep="last", maintain_order=True)


_NOTHING: Final = pl.DataFrame(schema=polars_schema(ApiRequests))
# A line holds the moment as microseconds, and not the day.
_WRITTEN: Final[dict[str, pl.DataType]] = {
    **{name: dtype for name, dtype in _NOTHING.schema.items() if name != "asked_date"},
    "asked_at": pl.Int64(),
}
_SHAPE: Final = {
    name: "VARCHAR" if dtype == pl.String else "DOUBLE" if dtype == pl.Float64 else "BIGINT"
    for name, dtype in _WRITTEN.items()
}


def _build_rows(written: pl.DataFrame) -> pl.DataFrame:
    asked = (
        pl.when(pl.col("asked_at").is_between(*_MOMENTS)).then("asked_at").cast(_NOTHING.schema["asked_at"])
    )
    return written.with_columns(asked_at=asked, asked_date=asked.dt.date())


def _is_try() -> pl.Expr:
    """Whether a row holds to every rule of its table."""
    rules = [pl.lit(value=True)]
    for column in columns(ApiRequests):
        if not column.nullable:
            rules.append(pl.col(column.name).is_not_null())
        if column.low is not None and column.high is not None:
            rules.append(pl.col(column.name).is_between(column.low, column.high).fill_null(value=True))
        elif column.low is not None:
            rules.append((pl.col(column.name) >= column.low).fill_null(value=True))
    return pl.all_horizontal(rules)


def _take_date(value: object) -> dt.date:
    """A key of a group of days."""
    assert isinstance(value, dt.date)  # noqa: S101 - group_by types its keys as objects
    return value
