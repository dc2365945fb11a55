"""Which rows of days the settings leave out, in queries of the published file: closed months keep all of theirs."""

import datetime as dt

import duckdb

from warehouse.views import load_shared

# Intervals, events and what was set aside keep the id that a plant had before it moved. Its newest one says from which
# day on the plant is left out, because the settings may name either.
_GONE = """
NOT EXISTS (
    SELECT 1
    FROM plants AS named
    LEFT JOIN ({moves}) AS moves ON moves.former_id = named.plant_id
    JOIN plants AS gone ON gone.plant_id = coalesce(moves.newest_id, named.plant_id)
    WHERE named.plant_id = {rows}.plant_id AND gone.excluded_from <= {rows}.local_date
)
"""


def is_closed(connection: duckdb.DuckDBPyConnection, month: dt.date) -> bool:
    """Whether the month is closed."""
    query = "SELECT count(*) FROM energy_monthly WHERE month = ? AND closed_at IS NOT NULL"
    return bool(connection.execute(query, [month]).fetchall()[0][0])


def knows_exclusion(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the file says which plants are not yours; files of older versions do not."""
    query = (
        "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'plants' AND column_name = 'excluded_from'"
    )
    return bool(connection.execute(query).fetchall()[0][0])


def write_own_day(connection: duckdb.DuckDBPyConnection, month: dt.date, rows: str) -> str:
    """SQL of a condition on `rows` (a table's name in the query) of the month: the plant is yours on local_date."""
    if is_closed(connection, month) or not knows_exclusion(connection):
        return "true"
    return _GONE.format(moves=load_shared("plant_moves"), rows=rows)
