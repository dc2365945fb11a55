"""The published file as readers open it: only as it was published, and with a sentence where it can't be read."""

import datetime as dt
import os
from contextlib import closing
from pathlib import Path

import duckdb

from pipeline.common.errors import SunledgerError, UsageError
from warehouse.published_file.home_guard import CURE, MARKER, is_refusal
from warehouse.published_file.publication import find_change, find_content_damage, find_log

# A publication takes seconds, and opening its file milliseconds: to meet two in a row is to see a disturbed file.
OPEN_TRIES = 5
# What to do about a warehouse that is not there or has no day.
FIRST_DAYS = "run 'sunledger backfill --from YYYY-MM-DD --to YYYY-MM-DD' to fetch and publish days."
# Where DuckDB looks for a granted Parquet file that is not there, which it may not: is it a folder of such files?
GONE = ".parquet/**/*.parquet"


class NotPublishedError(SunledgerError):
    """There is no published file to read, or it is not one."""


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the published file to read, with times in UTC.

    Within one process an open connection keeps showing the file that it opened, and so do new ones beside it:
    close all of them to see the next publication. Raises NotPublishedError, also for a file that another program
    changed after it was published.
    """
    if not path.is_file():
        raise NotPublishedError(
            f"There is no warehouse at {path} yet: {FIRST_DAYS} If days are stored already, run 'sunledger publish'."
        )
    try:
        connection = _open_unchanged(path)
    except (OSError, duckdb.IOException) as fault:
        raise NotPublishedError(
            f"{path} can't be opened as a warehouse ({take_first_line(fault)}): close programs that write to it, or "
            "run 'sunledger publish' to build it again."
        ) from fault
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _open_unchanged(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file as it was published: nothing may have happened to it between a look before and one after."""
    for _ in range(OPEN_TRIES):
        if change := find_change(path):
            raise _build_changed_error(path, change)
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
        f"{path} was replaced each time it was opened: find the process that publishes it so often, and try again."
    )


def find_published_closing(path: Path, month: dt.date) -> bool | None:
    """Whether the published file shows the month as closed; None where it has no such month, or can't be read."""
    try:
        with closing(connect(path)) as connection:
            query = "SELECT bool_and(closed_at IS NOT NULL) FROM energy_monthly WHERE month = ?"
            found = connection.execute(query, [month]).fetchall()[0][0]
    except (NotPublishedError, duckdb.Error):
        return None
    return None if found is None else bool(found)


def has_days(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the published file has energy of any day."""
    return connection.execute("SELECT first_day FROM _meta").fetchall() != [(None,)]


def check_published(path: Path) -> None:
    """Read the whole published file: is it what was published? Raises NotPublishedError where it is not."""
    try:
        damage = find_content_damage(path)
    except OSError as fault:
        raise NotPublishedError(f"{path} can't be read: {take_first_line(fault)}") from fault
    if damage:
        raise _build_changed_error(path, damage)


def is_guarded(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether some view reads the lake's files, and so the marker of `home_guard` before."""
    query = "SELECT count(*) > 0 FROM duckdb_views() WHERE contains(sql, ?)"
    return bool(connection.execute(query, [MARKER]).fetchall()[0][0])


def _build_changed_error(path: Path, how: str) -> NotPublishedError:
    return NotPublishedError(
        f"{path} differs from what was published: {how}. Run 'sunledger publish' to build it again, and let other "
        "programs open it read-only."
    )


def build_query_error(fault: duckdb.Error) -> SunledgerError:
    """A query's failure as an error of ours: with DuckDB's own words, and the cure where there is one."""
    if is_refusal(str(fault)):
        return NotPublishedError(
            "The detail that was asked for is in the home where this file was published: open the file there, or "
            f"publish it again so that it holds detail itself: {CURE}. Where the whole home was moved or copied, or "
            "its lake lost a file, run 'sunledger publish'."
        )
    if GONE in str(fault) or (isinstance(fault, duckdb.IOException) and "No files found" in str(fault)):
        return NotPublishedError(
            "Files of the lake that the published file reads have moved or are missing: run 'sunledger publish' to "
            f"build it again. {take_first_line(fault)}"
        )
    if isinstance(fault, duckdb.PermissionException):
        return UsageError(
            f"A query may only read the published file and the files that --file names: {take_first_line(fault)}"
        )
    if isinstance(fault, duckdb.InternalException):
        # What follows is the inside of DuckDB, which helps nobody here.
        return UsageError(f"The query failed: {take_first_line(fault)}")
    return UsageError(f"The query failed: {fault}")


def take_first_line(fault: Exception) -> str:
    """What a library says happened, as one sentence."""
    return str(fault).partition("\n")[0].rstrip(".") + "."
