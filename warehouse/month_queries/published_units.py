"""Reads from the published file a month's PU, the begin of the record of requests, and plants with a new id."""

import datetime as dt
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

import duckdb
import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.text import pluralize
from warehouse.views import load_shared

# A message lists at most this many months, so that it stays readable.
MOST = 12
# The record itself, and the PU that were counted from it, of which the requests may have been deleted since.
_BEGINS = """
SELECT CAST(timezone('UTC', min(moment)) AS DATE)
FROM (SELECT min(asked_at) AS moment FROM api_requests UNION ALL SELECT min(first_request) FROM billing_units)
"""

_HAS_GROUPS = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'plant_attributes'"
_MEMBERS = """
WITH of_month AS (
    SELECT plant_id FROM energy_monthly WHERE month = $month
    UNION SELECT plant_id FROM billing_units WHERE month = $month
)
SELECT plant_id, plant_group FROM plant_attributes
WHERE plant_group IS NOT NULL AND plant_id IN (
    FROM of_month UNION SELECT newest_id FROM ({moves}) JOIN of_month ON of_month.plant_id = former_id
)
"""
_FORMER = "SELECT former_id FROM ({moves}) WHERE list_contains(?, newest_id) ORDER BY former_id"


def read_units(connection: duckdb.DuckDBPyConnection, month: dt.date) -> pl.DataFrame:
    """Every row of billing_units of the month, also of systems that the table plants does not have."""
    query = "SELECT * FROM billing_units WHERE month = ? ORDER BY plant_id"
    return connection.execute(query, [month]).pl()


def list_months(connection: duckdb.DuckDBPyConnection) -> list[dt.date]:
    """The months for which the file has energy or PU, sorted."""
    query = "SELECT month FROM energy_monthly UNION SELECT month FROM billing_units ORDER BY month"
    return [month for (month,) in connection.execute(query).fetchall()]


def explain_empty_month(connection: duckdb.DuckDBPyConnection, month: dt.date) -> UsageError:
    """The error for a month for which the file has neither energy nor PU; it names the months that the file has."""
    known = list_months(connection)
    there = (
        f"it has those of {', '.join(f'{one:%Y-%m}' for one in known[-MOST:])}"
        if known
        else "it is empty: fetch days with 'sunledger backfill' first"
    )
    more = f" and {pluralize(len(known) - MOST, 'month')} before" if len(known) > MOST else ""
    return UsageError(f"The warehouse has neither energy nor PU of {month:%Y-%m}; {there}{more}.")


def record_begins(connection: duckdb.DuckDBPyConnection) -> dt.date | None:
    """The day (UTC) of the first request that is known; None where none is. Earlier requests are not known."""
    ((day,),) = connection.execute(_BEGINS).fetchall()
    begins: dt.date | None = day
    return begins


def read_plant_moves(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """plant_id and migrated_from of the plants that got a new id."""
    query = "SELECT plant_id, migrated_from FROM plants WHERE migrated_from IS NOT NULL ORDER BY ALL"
    return connection.execute(query).pl()


def list_former_ids(connection: duckdb.DuckDBPyConnection, plants: Collection[str]) -> list[str]:
    """The ids that these plants had before they moved, sorted: closed months and PU of earlier months keep them."""
    query = _FORMER.format(moves=load_shared("plant_moves"))
    return [former for (former,) in connection.execute(query, [[*plants]]).fetchall()]


def list_members(connection: duckdb.DuckDBPyConnection, month: dt.date, groups: Sequence[str]) -> list[str]:
    """The plants of these groups that the file has energy or PU of in the month, sorted, by their newest ids.

    A group is named without regard to upper and lower case; `*` matches any text and `?` one character. Raises
    UsageError for a
    group that has none.
    """
    if not connection.execute(_HAS_GROUPS).fetchall():
        raise UsageError("This file was published before there were groups: run 'sunledger publish' first.")
    known = connection.execute(_MEMBERS.format(moves=load_shared("plant_moves")), {"month": month}).fetchall()
    members: set[str] = set()
    for group in groups:
        # A bracket is a sign like others here.
        pattern = group.lower().replace("[", "[[]")
        found = {plant for plant, its in known if fnmatchcase(its.lower(), pattern)}
        if not found:
            there = ", ".join(sorted({its for _, its in known})) or "none"
            raise UsageError(
                f"--group names the group {group}, which has no plant with energy or PU in {month:%Y-%m}. The groups "
                f"that have: {there}. They come from SUNLEDGER_PLANT_ATTRIBUTES, with 'sunledger publish'."
            )
        members |= found
    return sorted(members)
