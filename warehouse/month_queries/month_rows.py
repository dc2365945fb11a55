"""Reads the data of a month's report from the published file as frames, without judgement or text."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from pipeline.common.calendar_months import find_month_end
from pipeline.common.errors import UsageError
from warehouse.month_queries.own_days import knows_exclusion, write_own_day
from warehouse.month_queries.published_units import explain_empty_month
from warehouse.quoting import quote_identifier

PLANT_COLUMNS = "plant_id, name, backend, timezone, peak_power_kw, ac_power_kw, capacity_class, start_up"
_POWERS = ("peak_power_kw", "ac_power_kw")
_DAY_COLUMNS = (
    "plant_id, local_date, status, pv_generation_kwh, total_consumption_kwh, covered_h, expected_h, coverage, "
    "largest_gap_min, n_rows, n_flagged, n_suspect"
)
_PV_COLUMNS = (
    "plant_id, local_date, covered_h AS pv_covered_h, expected_h AS pv_expected_h, coverage AS pv_coverage"
)
# No zone's offset from UTC is finer than a quarter of an hour, so a quarter lies in one hour of every clock.
_QUARTER = "epoch_ms(interval_start + (interval_end - interval_start) / 2) // 900000"
_LENGTH = "epoch(interval_end - interval_start) / 3600"
_HOURS = f"""
WITH quarters AS (
    SELECT plant_id, timezone, local_date, {_QUARTER} AS quarter,
        sum(pv_generation_kwh) AS kwh, sum({_LENGTH}) FILTER (pv_generation_kwh IS NOT NULL) AS hours,
        sum(total_consumption_kwh) AS load_kwh,
        sum({_LENGTH}) FILTER (total_consumption_kwh IS NOT NULL) AS load_hours
    FROM energy_balance_intervals
    JOIN plants USING (plant_id)
    WHERE local_date BETWEEN ? AND ? AND plant_id IN (SELECT unnest(?)){{own_days}}
    GROUP BY ALL
), clocks AS (
    -- To turn every row into local time would cost more than all the rest.
    SELECT timezone, quarter, hour(local_time(to_timestamp(quarter * 900), timezone)) AS hour
    FROM (SELECT DISTINCT timezone, quarter FROM quarters)
)
SELECT plant_id, local_date, hour, sum(kwh) AS kwh, sum(hours) AS hours, sum(load_kwh) AS load_kwh,
    sum(load_hours) AS load_hours
FROM quarters
JOIN clocks USING (timezone, quarter)
GROUP BY ALL
ORDER BY ALL
"""  # noqa: S608 - constants of this module

_NO_ATTRIBUTES = """
SELECT ''::VARCHAR AS plant_id, NULL::VARCHAR AS plant_group, NULL::VARCHAR AS owner, NULL::VARCHAR AS region,
    NULL::VARCHAR AS tariff, NULL::DOUBLE AS battery_capacity_kwh, NULL::DOUBLE AS expected_kwh
WHERE false
"""


@dataclass(frozen=True, slots=True)
class MonthRows:
    """A month of some plants in the published file; all methods return sorted rows of these plants.

    Tables that this file does not have give None: files of other versions are read too.
    """

    connection: duckdb.DuckDBPyConnection
    month: dt.date
    plant_ids: Sequence[str]

    @property
    def end(self) -> dt.date:
        """The last day of the month."""
        return find_month_end(self.month)

    def read_plants(self) -> pl.DataFrame:
        """Rows of plants, with the powers to which the month's figures are related."""
        plants = self._read_rows("plants", PLANT_COLUMNS, "true", "plant_id")
        figures = self.read_figures()
        powers = [] if figures is None else [name for name in _POWERS if name in figures.columns]
        if figures is None or not powers:
            return plants
        then = figures.select("plant_id", *(pl.col(name).alias(f"{name}_then") for name in powers))
        return (
            plants.join(then, on="plant_id", how="left", maintain_order="left")
            .with_columns(pl.coalesce(f"{name}_then", name).alias(name) for name in powers)
            .select(plants.columns)
        )

    def read_days(self) -> pl.DataFrame:
        """Rows of energy_daily of the whole year up to the month's end.

        pv_covered_h, pv_expected_h and pv_coverage are of PV alone; null where the file does not have them.
        """
        year = self.month.replace(month=1)
        where = (
            f"local_date BETWEEN DATE '{year}' AND DATE '{self.end}'{self._write_own_days('energy_daily')}"
        )
        days = self._read_rows("energy_daily", _DAY_COLUMNS, where, "plant_id, local_date")
        if not self._has("coverage_daily"):
            nothing = pl.lit(None, pl.Float64)
            return days.with_columns(pv_covered_h=nothing, pv_expected_h=nothing, pv_coverage=nothing)
        where = f"local_date BETWEEN DATE '{year}' AND DATE '{self.end}' AND quantity = 'pv_generation'"
        pv = self._read_rows("coverage_daily", _PV_COLUMNS, where, "plant_id, local_date")
        return days.join(pv, on=["plant_id", "local_date"], how="left", maintain_order="left")

    def read_months(self) -> pl.DataFrame:
        """Rows of energy_monthly of the month."""
        return self._read_rows("energy_monthly", "*", f"month = DATE '{self.month}'", "plant_id")

    def read_invoices(self) -> pl.DataFrame:
        """Rows of invoices of the year, which are of the whole account."""
        query = "SELECT * FROM invoices WHERE year = ? ORDER BY quarter"
        return self.connection.execute(query, [self.month.year]).pl()

    def read_quarantine(self) -> pl.DataFrame:
        """plant_id, source, reason, kept, n_found, n_rows, n_days: what quarantine says of the month."""
        columns = (
            "plant_id, source, reason, kept, count(*) AS n_found, sum(n_rows)::BIGINT AS n_rows, "
            "count(DISTINCT local_date) AS n_days"
        )
        where = f"{self._read_month('quarantine')} GROUP BY plant_id, source, reason, kept"
        return self._read_rows("quarantine", columns, where, "plant_id, n_found DESC, source, reason, kept")

    def read_restatements(self) -> pl.DataFrame | None:
        """Rows of restatements of the month's days."""
        if not self._has("restatements"):
            return None
        columns = "plant_id, local_date, quantity, before_kwh, after_kwh, difference_kwh, cause, noted_at"
        return self._read_rows(
            "restatements",
            columns,
            self._read_month("restatements"),
            "plant_id, local_date, quantity, noted_at",
        )

    def read_reconciliation(self) -> pl.DataFrame | None:
        """Rows of reconciliation of the whole month: measured energies beside SMA's own."""
        if not self._has("reconciliation"):
            return None
        where = f"period = 'month' AND month = DATE '{self.month}'"
        return self._read_rows("reconciliation", "*", where, "plant_id, quantity")

    def read_figures(self) -> pl.DataFrame | None:
        """Rows of kpi_monthly of the month."""
        if not self._has("kpi_monthly"):
            return None
        return self._read_rows("kpi_monthly", "*", f"month = DATE '{self.month}'", "plant_id")

    def read_curtailment(self) -> pl.DataFrame | None:
        """Rows of curtailment_monthly of the month: plants with a limit alone."""
        if not self._has("curtailment_monthly"):
            return None
        return self._read_rows("curtailment_monthly", "*", f"month = DATE '{self.month}'", "plant_id")

    def read_attributes(self) -> pl.DataFrame:
        """Rows of plant_attributes, with what is expected of the month as expected_kwh; none where there are none."""
        columns = "plant_id, plant_group, owner, region, tariff, battery_capacity_kwh"
        if not self._has("plant_attributes"):
            return self.connection.execute(_NO_ATTRIBUTES).pl()
        expected = f"{columns}, expected_{self.month.month:02}_kwh AS expected_kwh"
        return self._read_rows("plant_attributes", expected, "true", "plant_id")

    def read_like_for_like(self) -> pl.DataFrame | None:
        """Rows of v_months_like_for_like of these plants, of the months of the year up to this one."""
        if not self._has("v_months_like_for_like"):
            return None
        columns = (
            "plant_id, plant_group, month, n_days, n_days_held, pv_generation_kwh, pv_generation_before_kwh"
        )
        year = self.month.replace(month=1)
        where = f"scope = 'plant' AND month BETWEEN DATE '{year}' AND DATE '{self.month}'"
        return self._read_rows("v_months_like_for_like", columns, where, "plant_id, month")

    def read_hours(self, plant_ids: Sequence[str]) -> pl.DataFrame:
        """plant_id, local_date, hour of the plant's clock; PV energy in kwh with its hours, load_kwh with load_hours.

        An interval counts in the hour that its middle lies in.
        """
        query = _HOURS.format(own_days=self._write_own_days("energy_balance_intervals"))
        return self.connection.execute(query, [self.month, self.end, list(plant_ids)]).pl()

    def read_meta(self) -> dict[str, Any]:
        """The row of _meta."""
        return self.connection.execute("FROM _meta").pl().row(0, named=True)

    def _read_month(self, table: str) -> str:
        return f"local_date BETWEEN DATE '{self.month}' AND DATE '{self.end}'{self._write_own_days(table)}"

    def _write_own_days(self, table: str) -> str:
        """A condition on the table's rows: the settings include the plant on the day. Closed figures stay unchanged."""
        return f" AND {write_own_day(self.connection, self.month, table)}"

    def _read_rows(self, table: str, columns: str, where: str, order: str) -> pl.DataFrame:
        query = (
            f"SELECT {columns} FROM {quote_identifier(table)} WHERE plant_id IN (SELECT unnest(?)) AND {where} "  # noqa: S608
            f"ORDER BY {order}"
        )
        return self.connection.execute(query, [list(self.plant_ids)]).pl()

    def _has(self, table: str) -> bool:
        query = """
        SELECT count(*) FROM (
            SELECT table_name AS name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views()
        ) WHERE name = ?
        """
        return bool(self.connection.execute(query, [table]).fetchall()[0][0])


def select_month_rows(
    connection: duckdb.DuckDBPyConnection, month: dt.date, only: Sequence[str] = ()
) -> MonthRows:
    """The month of `only` these plants, or of all that have energy or PU in it: none where all PU are of other systems.

    Raises UsageError for a plant that is not in the file, and for a month of which it has nothing.
    """
    known = {plant for (plant,) in connection.execute("SELECT plant_id FROM plants").fetchall()}
    if unknown := sorted(set(only) - known):
        raise UsageError(
            f"Plant {unknown[0]} is not in the table plants: choose an id from that table. PU of systems that are not "
            "in it are on the page of the whole fleet."
        )
    of_month = "SELECT plant_id FROM {} WHERE month = $month"
    query = f"{of_month.format('energy_monthly')} UNION {of_month.format('billing_units')}"
    found = {plant for (plant,) in connection.execute(query, {"month": month}).fetchall()}
    here = (found & known) - _find_left_out(connection, month)
    if not (here if only else found):
        raise explain_empty_month(connection, month)
    return MonthRows(connection, month, sorted(set(only) or here))


def _find_left_out(connection: duckdb.DuckDBPyConnection, month: dt.date) -> set[str]:
    """The plants that are yours on no day of the month, and have no energy in it: what is left of them are PU."""
    if not knows_exclusion(connection):
        return set()
    query = """
    SELECT plant_id FROM plants
    WHERE excluded_from <= $month AND plant_id NOT IN (SELECT plant_id FROM energy_monthly WHERE month = $month)
    """
    return {plant for (plant,) in connection.execute(query, {"month": month}).fetchall()}
