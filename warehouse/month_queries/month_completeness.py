"""Which plant-days of a month the published file has, and which it lacks: also those that were never fetched."""

import datetime as dt
from collections.abc import Collection

import duckdb
import polars as pl

from pipeline.common.calendar_months import find_month_end
from warehouse.month_queries.own_days import is_closed, knows_exclusion
from warehouse.views import load_shared

NOT_FETCHED = "not_fetched"

# A day is due when it has ended in every zone of the world (12 hours behind UTC) and SMA has had two hours for it.
# A plant that SMA no longer lists is due where the month has days of it: without the others its month is not complete,
# as energy_monthly says. Of a month in which it has no day it is gone. On the day of its move a plant was listed under
# both of its ids.
_PLANT_DAYS = """
WITH excluded AS (
    SELECT plant_id, {excluded_from} AS left_on FROM plants
), calendar AS (
    SELECT CAST(day AS DATE) AS local_date
    FROM generate_series({month}, {end}, INTERVAL 1 DAY) AS days(day)
    WHERE day + INTERVAL 38 HOUR <= (SELECT timezone('UTC', published_at) FROM _meta)
), stored AS (
    SELECT energy.*
    FROM energy_daily AS energy
    LEFT JOIN excluded USING (plant_id)
    WHERE local_date BETWEEN {month} AND {end} AND ({closed} OR left_on IS NULL OR local_date < left_on)
), fetchable AS (
    SELECT plant_id FROM measurement_sets WHERE set_type = 'EnergyBalance' AND device_id IS NULL
    UNION SELECT plant_id FROM stored
), due AS (
    SELECT plants.plant_id, calendar.local_date
    FROM plants
    JOIN excluded USING (plant_id)
    CROSS JOIN calendar
    WHERE (
            plants.last_seen = (SELECT max(last_seen) FROM plants)
            OR plants.plant_id IN (SELECT plant_id FROM stored)
        )
        AND plants.plant_id NOT IN (SELECT former_id FROM ({moves}) AS moves)
        AND plants.plant_id IN (SELECT plant_id FROM fetchable)
        AND (left_on IS NULL OR calendar.local_date < left_on)
        AND (plants.start_up IS NULL OR local_day(plants.start_up, plants.timezone) <= calendar.local_date)
)
SELECT
    plant_id,
    local_date,
    coalesce(stored.status, 'not_fetched') AS reason,
    stored.covered_h,
    stored.expected_h,
    stored.largest_gap_min
FROM due
FULL JOIN stored USING (plant_id, local_date)
"""


def write_plant_days(connection: duckdb.DuckDBPyConnection, month: dt.date) -> str:
    """SQL of the month's plant-days: plant_id, local_date, reason, covered_h, expected_h and largest_gap_min.

    `reason` is the status of energy_daily, or not_fetched for a day that is over and not in the file; then the others
    are null. A day on which its plant is not yours is left out, but for a closed month, which keeps its figures.
    """
    end = find_month_end(month)
    return _PLANT_DAYS.format(
        month=f"DATE '{month}'",
        end=f"DATE '{end}'",
        closed="true" if is_closed(connection, month) else "false",
        moves=load_shared("plant_moves"),
        excluded_from="excluded_from" if knows_exclusion(connection) else "CAST(NULL AS DATE)",
    )


def read_plant_days(
    connection: duckdb.DuckDBPyConnection, month: dt.date, only: Collection[str]
) -> pl.DataFrame:
    """plant_id, name, local_date and reason of the month's plant-days, of `only` these plants where some are named."""
    query = f"""
    SELECT found.plant_id, plants.name, found.local_date, found.reason
    FROM ({write_plant_days(connection, month)}) AS found
    LEFT JOIN plants ON plants.plant_id = found.plant_id
    WHERE len($only) = 0 OR list_contains($only, found.plant_id)
    """  # noqa: S608 - our own words
    return connection.execute(query, {"only": list(only)}).pl()
