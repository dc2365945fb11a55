"""The sheets of the pack for finance: the query of each one, what is summed at its foot, and what it is about."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import duckdb

from pipeline.common.calendar_months import find_month_end
from warehouse.finance.labels import BilingualText, Language
from warehouse.finance.words import VALUES
from warehouse.month_queries.month_completeness import write_plant_days
from warehouse.month_queries.own_days import write_own_day
from warehouse.quoting import quote_identifier, quote_text
from warehouse.views import load_shared

ENERGIES: Final = (
    "pv_generation_kwh",
    "self_consumption_kwh",
    "grid_feed_in_kwh",
    "grid_consumption_kwh",
    "total_consumption_kwh",
    "battery_charging_kwh",
    "battery_discharging_kwh",
)
PLANT: Final = ("plant_name", "plant_id", "plant_group")
CHECKED: Final = "_invoice_check"
DAY_COUNTS: Final = (
    "n_days_due",
    "n_days_stored",
    "n_days_not_fetched",
    "n_days_complete",
    "n_days_partial",
    "n_days_missing",
    "n_days_provisional",
)
# Days that are not stored are expected to have as many hours as the plant's stored days have on average.
_COMPLETENESS: Final = """
SELECT *,
    stored_h + n_days_not_fetched * coalesce(stored_h / nullif(n_days_stored, 0), 24) AS expected_month_h,
    least(covered_h / nullif(expected_month_h, 0), 1) AS coverage_month,
    CASE
        WHEN n_days_stored = 0 THEN 'not_fetched'
        WHEN n_days_complete = n_days_due THEN 'complete'
        WHEN n_days_missing = n_days_due THEN 'missing'
        WHEN n_days_provisional > 0 THEN 'provisional'
        ELSE 'partial'
    END AS status
FROM (
    SELECT plant_id, count(*) AS n_days_due,
        count(*) FILTER (WHERE reason <> 'not_fetched') AS n_days_stored,
        count(*) FILTER (WHERE reason = 'not_fetched') AS n_days_not_fetched,
        count(*) FILTER (WHERE reason = 'complete') AS n_days_complete,
        count(*) FILTER (WHERE reason = 'partial') AS n_days_partial,
        count(*) FILTER (WHERE reason = 'missing') AS n_days_missing,
        count(*) FILTER (WHERE reason = 'provisional') AS n_days_provisional,
        coalesce(sum(covered_h), 0) AS covered_h,
        coalesce(sum(expected_h), 0) AS stored_h,
        max(largest_gap_min) AS largest_gap_min
    FROM ({plant_days})
    GROUP BY plant_id
)
"""


@dataclass(frozen=True, slots=True)
class PackSheet:
    """A sheet: its name, what it is about, where its rows are from, its columns, and the columns with a sum.

    `table` is a table or a subquery, which conditions call `found`. `shares` are columns whose foot is one sum divided
    by another one. A sheet that is not `by_plant` has the rows of the whole account.
    """

    name: str
    meaning: BilingualText
    table: str
    columns: tuple[str, ...]
    order: str
    sums: tuple[str, ...] = ()
    shares: tuple[tuple[str, str, str], ...] = ()
    where: str = "true"
    by_plant: bool = True


SHEETS: Final = (
    PackSheet(
        "energy-monthly",
        BilingualText(
            "Energy of each plant in the month, and how much of the month is covered by measurements.",
            "Energie jeder Anlage im Monat, und welcher Teil des Monats durch Messwerte abgedeckt ist.",
        ),
        "(SELECT monthly.*, expected_kwh, whole.coverage_month, whole.status FROM "
        "(SELECT * EXCLUDE (status) FROM energy_monthly WHERE month = {month}) AS monthly "
        "LEFT JOIN (SELECT plant_id, month, expected_kwh FROM v_energy_monthly) AS hoped USING (plant_id, month) "
        "LEFT JOIN {moves} ON moves.former_id = monthly.plant_id "
        "LEFT JOIN ({completeness}) AS whole ON whole.plant_id = coalesce(moves.newest_id, monthly.plant_id))",
        (*PLANT, *ENERGIES, "expected_kwh", "coverage_month", "status", "closed_at"),
        "plant_name, plant_id",
        (*ENERGIES, "expected_kwh"),
    ),
    PackSheet(
        "energy-year",
        BilingualText(
            "Energy of each plant in each month of the year up to this one.",
            "Energie jeder Anlage in jedem Monat des Jahres bis zu diesem.",
        ),
        "energy_monthly",
        ("month", *PLANT, *ENERGIES, "coverage", "status", "closed_at"),
        "month, plant_name, plant_id",
        ENERGIES,
        where="month BETWEEN date_trunc('year', {month}) AND {month}",
    ),
    PackSheet(
        "energy-daily",
        BilingualText(
            "Energy of each plant on each stored day. A day without data has a row with empty cells.",
            "Energie jeder Anlage an jedem gespeicherten Tag. Ein Tag ohne Daten hat eine Zeile mit leeren Zellen.",
        ),
        "energy_daily",
        (*PLANT, "local_date", *ENERGIES, "coverage", "status"),
        "plant_name, plant_id, local_date",
        ENERGIES,
        where="local_date BETWEEN {month} AND {end} AND {own_day}",
    ),
    PackSheet(
        "completeness",
        BilingualText(
            "How complete each plant's month is, with days that were never fetched.",
            "Wie vollständig der Monat jeder Anlage ist, mit Tagen, die nie abgerufen wurden.",
        ),
        "({completeness})",
        (*PLANT, *DAY_COUNTS, "covered_h", "expected_month_h", "coverage_month", "largest_gap_min", "status"),
        "plant_name, plant_id",
        (*DAY_COUNTS, "covered_h", "expected_month_h"),
        (("coverage_month", "covered_h", "expected_month_h"),),
    ),
    PackSheet(
        "billing-units",
        BilingualText(
            "PU: the systems that SMA charges for the month, by the month of the requests. Empty fee: unpriced, not "
            "free.",
            "PU: die Systeme, die SMA für den Monat berechnet, nach dem Monat der Anfragen. Leeres Entgelt: ohne "
            "Preis, nicht kostenlos.",
        ),
        "billing_units",
        (
            *PLANT,
            "capacity_kw",
            "capacity_as_of",
            "capacity_class",
            "n_requests",
            "first_request",
            "base_eur",
            "capacity_eur",
            "fee_eur",
            "currency",
            "pricing",
            "price_source",
        ),
        "plant_name, plant_id",
        ("n_requests", "base_eur", "capacity_eur", "fee_eur"),
        where="month = {month}",
    ),
    PackSheet(
        "invoices",
        BilingualText(
            "What SMA should invoice for each quarter of the year, for the whole account.",
            "Was SMA für jedes Quartal des Jahres in Rechnung stellen sollte, für das ganze Konto.",
        ),
        "invoices",
        (
            "year",
            "quarter",
            "n_units",
            "n_unpriced",
            "units_eur",
            "live_eur",
            "fees_eur",
            "carried_in_eur",
            "invoiced_eur",
            "carried_out_eur",
            "currency",
            "decision",
            "is_closed",
        ),
        "year, quarter",
        ("n_units", "n_unpriced", "units_eur", "live_eur", "fees_eur", "invoiced_eur"),
        where="year = year({month})",
        by_plant=False,
    ),
    PackSheet(
        "invoice-check",
        BilingualText(
            "SMA's invoice beside our count, line by line, for the months of its quarters and the whole account.",
            "SMAs Rechnung neben unserer Zählung, Zeile für Zeile, für die Monate ihrer Quartale und das ganze Konto.",
        ),
        CHECKED,
        (
            "month",
            "plant_name",
            "plant_id",
            "kind",
            "ours_class",
            "theirs_class",
            "ours_eur",
            "theirs_eur",
            "difference_eur",
            "line",
            "note",
        ),
        "month, plant_name, plant_id, line",
        ("ours_eur", "theirs_eur", "difference_eur"),
        by_plant=False,
    ),
    PackSheet(
        "adjustments",
        BilingualText(
            "Differences between the closed figures of the month and the present sums of its days, which are to be "
            "booked.",
            "Differenzen zwischen den abgeschlossenen Werten des Monats und den heutigen Summen seiner Tage, die zu "
            "buchen sind.",
        ),
        "adjustments",
        (*PLANT, "quantity", "closed_kwh", "now_kwh", "difference_kwh", "closed_at", "noted_at"),
        "plant_name, plant_id, quantity",
        where="month = {month}",
    ),
    PackSheet(
        "restatements",
        BilingualText(
            "Figures that changed after their day was final, with time and cause.",
            "Werte, die sich nach dem endgültigen Stand ihres Tages geändert haben, mit Zeit und Ursache.",
        ),
        "restatements",
        (
            *PLANT,
            "local_date",
            "quantity",
            "before_kwh",
            "after_kwh",
            "difference_kwh",
            "cause",
            "noted_at",
        ),
        "plant_name, plant_id, local_date, quantity, noted_at",
        where="local_date BETWEEN {month} AND {end} AND {own_day}",
    ),
    PackSheet(
        "days-to-check",
        BilingualText(
            "Stored days of the month that are not complete, or of which values were set aside.",
            "Gespeicherte Tage des Monats, die nicht vollständig sind oder von denen Werte ausgesondert wurden.",
        ),
        "(SELECT * EXCLUDE (plant_name, plant_group) FROM v_days_to_check "
        "WHERE local_date BETWEEN {month} AND {end})",
        (
            "local_date",
            *PLANT,
            "status",
            "missing_h",
            "largest_gap_min",
            "coverage",
            "n_flagged",
            "n_suspect",
            "reasons",
            "pv_generation_kwh",
        ),
        "local_date, plant_name, plant_id",
        ("missing_h",),
    ),
    PackSheet(
        "set-aside",
        BilingualText(
            "Why answers, rows and values of the month were set aside; docs/quality.md explains each reason.",
            "Warum Antworten, Zeilen und Werte des Monats ausgesondert wurden; docs/quality.md erklärt jeden Grund.",
        ),
        "(SELECT plant_id, device_id, local_date, source, reason, count(*) AS n_found, "
        "CAST(sum(n_rows) AS BIGINT) AS n_rows FROM quarantine AS found "
        "WHERE local_date BETWEEN {month} AND {end} AND {own_day} GROUP BY ALL)",
        (*PLANT, "device_id", "local_date", "source", "reason", "n_found", "n_rows"),
        "plant_name, plant_id, local_date, source, reason, device_id",
        ("n_found",),
    ),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a pack is made of: a month, and the plants whose rows it has; None for all."""

    month: dt.date
    plants: Collection[str] | None = None

    @property
    def end(self) -> dt.date:
        """The last day of the month."""
        return find_month_end(self.month)


def write_query(connection: duckdb.DuckDBPyConnection, sheet: PackSheet, selection: Selection) -> str:
    """SQL of a sheet's rows: its columns by their names in order, codes as they are."""
    month, end = f"DATE '{selection.month}'", f"DATE '{selection.end}'"
    plants_only = "true"
    if selection.plants is not None and sheet.by_plant:
        ids = ", ".join(map(quote_text, sorted(selection.plants)))
        plants_only = f"found.plant_id IN ({ids})" if ids else "false"
    # Closed months and PU have the id that a plant had then; its days and attributes have the one that it has now.
    moves = f"({load_shared('plant_moves')}) AS moves"
    words = {
        "month": month,
        "end": end,
        "own_day": write_own_day(connection, selection.month, "found"),
        "moves": moves,
        "completeness": _COMPLETENESS.format(plant_days=write_plant_days(connection, selection.month)),
    }
    named = "found.plant_name" if sheet.table == CHECKED else "plants.name"
    own = {
        name: f"{_write_one_line(place)} AS {name}"
        for name, place in (("plant_name", named), ("plant_group", "attributes.plant_group"))
    }
    columns = ", ".join(own.get(name, f"found.{quote_identifier(name)}") for name in sheet.columns)
    joins = f"""
    LEFT JOIN {moves} ON moves.former_id = found.plant_id
    LEFT JOIN plants ON plants.plant_id = coalesce(moves.newest_id, found.plant_id)
    LEFT JOIN plant_attributes AS attributes ON attributes.plant_id = coalesce(moves.newest_id, found.plant_id)
    """
    return f"""
    SELECT {columns}
    FROM {sheet.table.format(**words)} AS found
    {joins if "plant_id" in sheet.columns else ""}
    WHERE {sheet.where.format(**words)} AND {plants_only}
    ORDER BY {sheet.order}
    """  # noqa: S608 - our own words


def _write_one_line(text: str) -> str:
    """SQL of a text of others as one line: an end of a line in a name would break the rows that people read."""
    return f"trim(regexp_replace({text}, '[\\s\\p{{Cc}}\\x{{2028}}\\x{{2029}}]+', ' ', 'g'))"


def name_values(query: str, columns: Collection[str], language: Language) -> str:
    """The query with the codes of its columns as words of the language."""
    shown = [name for name in columns if name in VALUES]
    if not shown:
        return query
    replaced = ", ".join(f"{_write_words(name, language)} AS {quote_identifier(name)}" for name in shown)
    return f"SELECT * REPLACE ({replaced}) FROM ({query})"  # noqa: S608 - our own words


def _write_words(column: str, language: Language) -> str:
    words = ", ".join(
        f"{quote_text(code)}: {quote_text(label.choose(language))}" for code, label in VALUES[column].items()
    )
    name = quote_identifier(column)
    # Causes of one change are joined.
    codes = f"string_split({name}, '+')" if column == "cause" else f"[{name}]"
    found = (
        f"array_to_string(list_transform({codes}, lambda code: coalesce(MAP {{{words}}}[code], code)), ', ')"
    )
    return f"CASE WHEN {name} IS NOT NULL THEN {found} END"
