"""The published DuckDB file: built from one snapshot of the lake beside the old file, then put in its place.

No writer ever opens the published file, so readers are neither blocked nor broken: who has it open keeps the
old one, who opens it next gets the new one. Report tables are copied into the file; detail tables are views
over the Parquet files of the snapshot, which the lake keeps for days after they were replaced. Views reach
local files only, so from an object store the detail tables are copied as well.

One publication at a time: a lock beside the file makes the next one wait and read newer snapshots. What clients do to
the file reaches no later one, and no reader unseen: `warehouse.publication` says how.
"""

import datetime as dt
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.errors import SunledgerError, UsageError
from schemas import TABLES, EnergyBalanceIntervals, EnergyDaily, Plants, Table, polars_schema, storage
from warehouse import contract
from warehouse.clocks import Clocks, clocks
from warehouse.ddl import comment_on, comments, create_file_view, create_table, identifier, literal
from warehouse.lake import Lake, Snapshot
from warehouse.macros import MACROS, create, from_the_days_file
from warehouse.meta import Meta, schema_hash
from warehouse.publication import digest, find_change, find_damage, find_log, forbid_log, record
from warehouse.views import curated_views

Snapshots: TypeAlias = Mapping[type[Table], Snapshot]

# DuckDB 1.2 to 2.0 read this; files in a newer format stay shut to the drivers that BI tools carry.
STORAGE_VERSION = "v1.0.0"
# Publishing takes seconds: who waits this long waits for a process that hangs.
LOCK_WAIT_S = 600.0
LOCK_POLL_S = 0.05
# A publication takes seconds, and opening its file milliseconds: to meet two in a row is to see a disturbed file.
OPEN_TRIES = 5
# Files of a copied table that are in memory at once: a day of a report is small, a day of detail is not.
REPORT_FILES_AT_ONCE = 64
DETAIL_FILES_AT_ONCE = 1
# What to do about a warehouse that is not there or has no day.
FIRST_DAYS = "'sunledger backfill --from YYYY-MM-DD --to YYYY-MM-DD' fetches days and publishes them."
# Where DuckDB looks for a granted Parquet file that is not there, which it may not: is it a folder of such files?
GONE = ".parquet/**/*.parquet"
# An extension would come from the internet in the middle of a publication: there is none that is needed.
OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


class PublishError(SunledgerError):
    """The new file could not be built or put in place; what was published before is as it was."""


class NotPublishedError(SunledgerError):
    """There is no published file to read, or it is not one."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published file: its rows by table (curated views are not counted), its size, and the time it took.

    `had_log` says that another program had opened the one before for writing and that its log was removed.
    """

    path: Path
    tables: Mapping[str, int]
    bytes: int
    seconds: float
    had_log: bool


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the published file to read, with times in UTC.

    Within one process an open connection keeps showing the file that it opened, and so do new ones beside it:
    close all of them to see the next publication. Raises NotPublishedError, also for a file that another program
    changed after it was published.
    """
    if not path.is_file():
        raise NotPublishedError(
            f"There is no warehouse at {path} yet: {FIRST_DAYS} If days are stored already, 'sunledger publish' makes "
            "it from them."
        )
    try:
        connection = _open_unchanged(path)
    except (OSError, duckdb.IOException) as fault:
        raise NotPublishedError(
            f"{path} cannot be opened as a warehouse: {_first_line(fault)} "
            f"Close what writes to it, or run 'sunledger publish' to make it anew."
        ) from fault
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _open_unchanged(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file as it was published: nothing may have happened to it between a look before and one after."""
    for _ in range(OPEN_TRIES):
        if change := find_change(path):
            raise _changed(path, change)
        before = path.stat()
        connection = duckdb.connect(str(path), read_only=True)
        after = path.stat()
        if (
            find_log(path) is None
            and os.path.samestat(before, after)
            and before.st_mtime_ns == after.st_mtime_ns
        ):
            return connection
        connection.close()
    raise NotPublishedError(
        f"{path} was replaced each time it was opened: see what publishes it, and try again."
    )


def has_days(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the published file has energy of any day."""
    return connection.execute("SELECT first_day FROM _meta").fetchall() != [(None,)]


def check_published(path: Path) -> None:
    """Read the whole published file: is it what was published? Raises NotPublishedError where it is not."""
    try:
        damage = find_damage(path)
    except OSError as fault:
        raise NotPublishedError(f"{path} cannot be read: {_first_line(fault)}") from fault
    if damage:
        raise _changed(path, damage)


def _changed(path: Path, how: str) -> NotPublishedError:
    return NotPublishedError(
        f"{path} does not show what was published: {how}. "
        f"Run 'sunledger publish' to make it anew, and let other programs open it read-only."
    )


def query_failed(fault: duckdb.Error) -> SunledgerError:
    """A query's failure as an error of ours: with DuckDB's own words, and the cure where there is one."""
    if GONE in str(fault) or (isinstance(fault, duckdb.IOException) and "No files found" in str(fault)):
        return NotPublishedError(
            "Files of the lake that the published file reads are not where they were when it was made: run "
            f"'sunledger publish' to make it anew. {_first_line(fault)}"
        )
    if isinstance(fault, duckdb.PermissionException):
        return UsageError(
            f"A query reads the published file and what --file names, and nothing else: {_first_line(fault)}"
        )
    if isinstance(fault, duckdb.InternalException):
        # What follows is the inside of DuckDB, which helps nobody here.
        return UsageError(f"The query failed: {_first_line(fault)}")
    return UsageError(f"The query failed: {fault}")


def publish(lake: Lake, target: Path, *, now: dt.datetime, version: str) -> Published:
    """Build a new file from the lake's newest snapshots and put it in the place of `target`.

    `now` (with time zone) and `version` (of the product) go into the table `_meta`. All snapshots are taken
    before the first row is read. `target` is replaced whole or not at all. Raises PublishError, and ValueError
    for a `now` without time zone.
    """
    if now.tzinfo is None:
        raise ValueError("now has no time zone")
    begun = time.monotonic()
    # What a link leads to is replaced, and not the link.
    named, target = target, target.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _turn(target), _beside(target) as file:
            published = [model for model in TABLES if storage(model).published != "no"]
            snapshots = {model: lake.snapshot(model) for model in published}
            rows = _build(lake, snapshots, file, now=now, version=version)
            had_log = forbid_log(named)
            size = _put(file, target)
            # A session on the old file that was just emptying its log may have put it back.
            had_log |= forbid_log(named)
    except duckdb.ConstraintException as fault:
        raise PublishError(
            f"{target} was not published: {_first_line(fault)} Rows that an older version stored lack the column. "
            f"What was published before is unchanged. Make them again with 'sunledger rebuild', which asks SMA nothing."
        ) from fault
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as fault:
        raise PublishError(
            f"{target} was not published: {_first_line(fault)} What was published before is unchanged. "
            f"Check that lake and target are there with space to spare, then run 'sunledger publish' again."
        ) from fault
    seconds = time.monotonic() - begun
    return Published(path=target, tables=rows, bytes=size, seconds=seconds, had_log=had_log)


@contextmanager
def _turn(target: Path) -> Iterator[None]:
    """Be the only publisher of `target`. The lock ends with its process, however that ends."""
    deadline = time.monotonic() + LOCK_WAIT_S
    descriptor = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PublishError(
                        f"{target} was not published: another process has been publishing it for "
                        f"{LOCK_WAIT_S:g} s. Stop that process, then run 'sunledger publish' again."
                    ) from None
                time.sleep(LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A hidden name beside `target` for the new file, gone at the end with all that DuckDB put beside it.

    Called by the only publisher, so whatever else has such a name was left by one that was killed.
    """
    prefix = f".{target.name}.new-"
    _remove(target.parent, prefix)
    try:
        yield target.with_name(f"{prefix}{os.getpid()}-{secrets.token_hex(4)}")
    finally:
        _remove(target.parent, prefix)


def _remove(folder: Path, prefix: str) -> None:
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if entry.name.startswith(prefix)]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _put(file: Path, target: Path) -> int:
    """Make the closed file durable, put it in the place of `target`, and return its size in bytes."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
    published = digest(file)
    record(published, target)
    file.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        # Some network file systems cannot sync a folder; the rename itself has happened all the same.
        with suppress(OSError):
            os.fsync(folder)
    finally:
        os.close(folder)
    return published.bytes


def _build(lake: Lake, snapshots: Snapshots, file: Path, *, now: dt.datetime, version: str) -> dict[str, int]:
    """Write the new file and return the rows of each table."""
    with duckdb.connect(config={**OFFLINE, "temp_directory": f"{file}.spill"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"ATTACH {literal(str(file))} AS published (STORAGE_VERSION {literal(STORAGE_VERSION)})"
        )
        connection.execute("USE published")
        connection.execute("BEGIN")
        rows = {
            storage(model).table: _add(connection, lake, model, snapshot)
            for model, snapshot in snapshots.items()
        }
        _add_meta(connection, snapshots, now=now, version=version)
        _add_clocks(connection, now)
        _add_curated(connection, snapshots[EnergyBalanceIntervals])
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT published")
        connection.execute("USE memory")
        connection.execute("DETACH published")
    return rows


def _add(connection: duckdb.DuckDBPyConnection, lake: Lake, model: type[Table], snapshot: Snapshot) -> int:
    """Add one table or view with its comments, and return its number of rows."""
    if storage(model).published == "view" and _in_reach(snapshot):
        return _add_view(connection, model, snapshot)
    at_once = REPORT_FILES_AT_ONCE if storage(model).published == "native" else DETAIL_FILES_AT_ONCE
    connection.execute(create_table(model))
    _insert(connection, model, _frames(lake, model, snapshot, at_once))
    _execute(connection, comments(model, "TABLE"))
    counted = connection.execute(f"SELECT count(*) FROM {identifier(storage(model).table)}").fetchall()  # noqa: S608
    return int(counted[0][0])


def _in_reach(snapshot: Snapshot) -> bool:
    """Whether readers of the published file can read the snapshot's files too."""
    return not any("://" in file for file in snapshot.files)


def _add_view(connection: duckdb.DuckDBPyConnection, model: type[Table], snapshot: Snapshot) -> int:
    groups: dict[tuple[str, ...], list[str]] = {}
    rows = 0
    for file in snapshot.files:
        footer = pq.read_metadata(file)
        rows += footer.num_rows
        groups.setdefault(tuple(footer.schema.names), []).append(file)
    connection.execute(create_file_view(model, groups.values()))
    _execute(connection, comments(model, "VIEW"))
    return rows


def _frames(lake: Lake, model: type[Table], snapshot: Snapshot, at_once: int) -> Iterator[pl.DataFrame]:
    """The snapshot's rows, some files at a time, so that memory does not grow with the table."""
    for first in range(0, len(snapshot.files), at_once):
        files = snapshot.files[first : first + at_once]
        yield lake.scan(model, Snapshot(snapshot.version, files)).collect(engine="streaming")


def _insert(
    connection: duckdb.DuckDBPyConnection, model: type[Table], frames: Iterator[pl.DataFrame]
) -> None:
    """Fill a new table by Arrow, in the order of the key (DuckDB sorts, and spills to disk where it must)."""
    layout = pl.CompatLevel.oldest()
    shape = polars_schema(model).to_frame().to_arrow(compat_level=layout).schema
    failures: list[Exception] = []
    kept = _keep_failure(frames, failures)
    batches = (batch for frame in kept for batch in frame.to_arrow(compat_level=layout).to_batches())
    key = ", ".join(identifier(name) for name in storage(model).key)
    order = f" ORDER BY {key}" if key else ""
    connection.register("incoming", pa.RecordBatchReader.from_batches(shape, batches))
    try:
        connection.execute(f"INSERT INTO {identifier(storage(model).table)} FROM incoming{order}")
    except duckdb.Error:
        # Of what goes wrong while the lake is read, DuckDB passes on the text alone.
        if failures:
            raise failures[0] from None
        raise
    connection.unregister("incoming")


def _keep_failure(frames: Iterator[pl.DataFrame], failures: list[Exception]) -> Iterator[pl.DataFrame]:
    try:
        yield from frames
    except Exception as fault:
        failures.append(fault)
        raise


def _add_meta(
    connection: duckdb.DuckDBPyConnection, snapshots: Snapshots, *, now: dt.datetime, version: str
) -> None:
    days = f"SELECT min(local_date), max(local_date) FROM {identifier(storage(EnergyDaily).table)}"  # noqa: S608
    first_day, last_day = connection.execute(days).fetchall()[0]
    versions = {storage(model).table: snapshot.version for model, snapshot in snapshots.items()}
    row = {
        "product_version": version,
        "published_at": now.astimezone(dt.UTC),
        "contract_version": contract.version_text(contract.read()[0]),
        "schema_hash": schema_hash(TABLES),
        "source_versions": json.dumps(versions, sort_keys=True),
        "first_day": first_day,
        "last_day": last_day,
    }
    connection.execute(create_table(Meta))
    _insert(connection, Meta, iter([pl.DataFrame([row], schema=polars_schema(Meta))]))
    _execute(connection, comments(Meta, "TABLE"))


def _add_clocks(connection: duckdb.DuckDBPyConnection, now: dt.datetime) -> None:
    zones = f"SELECT DISTINCT timezone FROM {identifier(storage(Plants).table)}"  # noqa: S608
    found = [zone for (zone,) in connection.execute(zones).fetchall()]
    connection.execute(create_table(Clocks))
    _insert(connection, Clocks, iter([clocks(found, now)]))
    _execute(connection, comments(Clocks, "TABLE"))


def _add_curated(connection: duckdb.DuckDBPyConnection, detail: Snapshot) -> None:
    for macro in MACROS:
        if not macro.gives_rows:
            _execute(connection, create(macro))
    for view in curated_views():
        kind = view.kind.upper()
        connection.execute(f"CREATE {kind} {identifier(view.name)} AS {view.query}")
        _execute(connection, comment_on(kind, view.name, view.comment, view.columns))
    for macro in MACROS:
        if macro.gives_rows:
            days = detail.files and _in_reach(detail)
            _execute(connection, create(from_the_days_file(macro, detail.files) if days else macro))


def _first_line(fault: Exception) -> str:
    """What a library says happened, as one sentence."""
    return str(fault).partition("\n")[0].rstrip(".") + "."


def _execute(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement)
