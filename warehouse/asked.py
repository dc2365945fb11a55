"""What the published file knows of asking SMA: a month's PU, where the record of requests begins, who got a new id."""

import datetime as dt

import duckdb
import polars as pl

# The record itself, and the PU that were counted from it, of which the requests may have been deleted since.
_BEGINS = """
SELECT CAST(timezone('UTC', min(moment)) AS DATE)
FROM (SELECT min(asked_at) AS moment FROM api_requests UNION ALL SELECT min(first_request) FROM billing_units)
"""


def units(connection: duckdb.DuckDBPyConnection, month: dt.date) -> pl.DataFrame:
    """Every row of billing_units of the month, also of systems that the table plants does not have."""
    query = "SELECT * FROM billing_units WHERE month = ? ORDER BY plant_id"
    return connection.execute(query, [month]).pl()


def record_begins(connection: duckdb.DuckDBPyConnection) -> dt.date | None:
    """The day (UTC) of the first request that is known; None where none is. What was asked before, nobody knows."""
    ((day,),) = connection.execute(_BEGINS).fetchall()
    begins: dt.date | None = day
    return begins


def moves(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """plant_id and migrated_from of the plants that got a new id."""
    query = "SELECT plant_id, migrated_from FROM plants WHERE migrated_from IS NOT NULL ORDER BY ALL"
    return connection.execute(query).pl()
