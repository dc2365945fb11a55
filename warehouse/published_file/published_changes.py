"""Changes a copy of the publication before to what the lake holds now: changed parts, and the rows made of them."""

import datetime as dt
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import duckdb

from schemas import TABLES, Table, polars_schema, storage
from warehouse.part_folders import cut_table_path, find_part, parse_part
from warehouse.quoting import quote_identifier, quote_text
from warehouse.views import CuratedView, load_curated_views

# Rows of these views depend on rows of their own day, and on lists of plants, devices and attributes.
BY_DAY = frozenset({"v_days_to_check", "v_energy_daily", "v_inverters_daily", "v_kpi_daily"})
# Rows of these depend on rows of their own month and its days, and on the same lists.
BY_MONTH = frozenset(
    {
        "v_energy_monthly",
        "v_energy_monthly_by_fleet",
        "v_energy_monthly_by_group",
        "v_kpi_monthly",
        "v_profile_monthly",
        "v_profile_monthly_by_fleet",
    }
)


_BEFORE, _IS_THERE = "temp._before", "_is_there"


@dataclass(frozen=True, slots=True)
class AffectedRows:
    """Which rows of a table or view changed: those of some days or months; all of them where both are None.

    `columns` names the columns that changed, where that is known.
    """

    days: frozenset[dt.date] | None = None
    months: frozenset[dt.date] | None = None
    columns: frozenset[str] | None = None


Changed: TypeAlias = Mapping[str, AffectedRows]


def list_changed_folders(old: Iterable[str], new: Iterable[str]) -> set[str]:
    """The parts, by their folders inside the table, of which the files differ."""
    return {path.rpartition("/")[0] for path in set(old) ^ set(new)}


def find_changed_rows(model: type[Table], folders: Iterable[str]) -> AffectedRows:
    """Which rows lie in these parts."""
    parts = [find_part(f"{folder}/x", polars_schema(model)) for folder in folders]
    found = {
        name: frozenset(value for part in parts if isinstance(value := part[name], dt.date))
        for name in ("local_date", "month")
        if all(name in part for part in parts)
    }
    return AffectedRows(found.get("local_date"), found.get("month"))


def delete_parts(connection: duckdb.DuckDBPyConnection, model: type[Table], folders: Iterable[str]) -> None:
    """Delete the rows of these parts; of a table without parts all rows."""
    table = quote_identifier(storage(model).table)
    for folder in folders:
        # A folder that is no part of the table must not stand for all of its rows, nor a folder in a list.
        part = parse_part(f"{folder}/x", polars_schema(model)) if storage(model).partition or folder else {}
        where = " AND ".join(f"{quote_identifier(n)} = {quote_text(str(v))}" for n, v in part.items())
        connection.execute(f"DELETE FROM {table} WHERE {where or 'true'}")  # noqa: S608 - names and values are quoted


def keep_list(connection: duckdb.DuckDBPyConnection, model: type[Table]) -> None:
    """Keep the rows of a list (a table without parts) for `find_changed_columns`, before they are replaced."""
    table = quote_identifier(storage(model).table)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_BEFORE} AS FROM published.{table}")


def find_changed_columns(connection: duckdb.DuckDBPyConnection, model: type[Table]) -> frozenset[str]:
    """The columns in which a list differs from what was kept of it; all where a row came or went.

    Lists of plants and devices say each day that a plant was seen again, of which no figure is made.
    """
    kept, names = storage(model), polars_schema(model).names()
    table, keys = quote_identifier(kept.table), ", ".join(map(quote_identifier, kept.key))
    others = [name for name in names if name not in kept.key]
    if not keys:
        return frozenset(names)
    differs = ", ".join(
        f"bool_or(old.{name} IS DISTINCT FROM new.{name})" for name in map(quote_identifier, others)
    )
    query = (
        f"SELECT bool_or(old.{_IS_THERE} IS NULL OR new.{_IS_THERE} IS NULL), {differs} "  # noqa: S608 - our own names
        f"FROM (SELECT *, 1 AS {_IS_THERE} FROM {_BEFORE}) AS old "
        f"FULL JOIN (SELECT *, 1 AS {_IS_THERE} FROM published.{table}) AS new USING ({keys})"
    )
    ((moved, *changed),) = connection.execute(query).fetchall()
    return frozenset(
        names if moved else (name for name, is_other in zip(others, changed, strict=True) if is_other)
    )


def choose_files_of(model: type[Table], files: Iterable[str], folders: set[str]) -> tuple[str, ...]:
    """The files that lie in these parts."""
    return tuple(file for file in files if cut_table_path(model, file).rpartition("/")[0] in folders)


def replace_curated_rows(
    connection: duckdb.DuckDBPyConnection, views: Iterable[CuratedView], changed: Changed
) -> None:
    """Make the rows of curated tables again that are made of changed rows."""
    known, dated = dict(changed), _list_dated(load_curated_views())
    for view in views:
        rows = _find_rows_to_make(view, known)
        if rows is None:
            continue
        known[view.name] = rows
        # A view keeps no rows, but other rows may be made of what it shows.
        if view.kind != "table":
            continue
        where = _write_condition(rows, view.columns) or "true"
        name = quote_identifier(view.name)
        connection.execute(f"DELETE FROM {name} WHERE {where}")  # noqa: S608 - our own views, dates alone
        query = f"{_narrow_sources(dated, view, rows)} SELECT * FROM ({view.query}) WHERE {where}"  # noqa: S608
        connection.execute(f"INSERT INTO {name} {query}")


def _find_rows_to_make(view: CuratedView, changed: Changed) -> AffectedRows | None:
    """The rows of the view that may be other ones; None where no source changed."""
    words = _list_words(view)
    found = [
        rows
        for name, rows in changed.items()
        if name in words and (rows.columns is None or rows.columns & words)
    ]
    if not found:
        return None
    if view.name in BY_DAY and all(rows.days is not None for rows in found):
        return AffectedRows(days=frozenset[dt.date]().union(*(rows.days or () for rows in found)))
    if view.name in BY_MONTH and all(rows.days is not None or rows.months is not None for rows in found):
        months = frozenset[dt.date]().union(*(_list_months(rows) for rows in found))
        return AffectedRows(months=months)
    return AffectedRows()


def _list_months(rows: AffectedRows) -> frozenset[dt.date]:
    return frozenset(day.replace(day=1) for day in rows.days or ()) | (rows.months or frozenset())


def _list_dated(views: Iterable[CuratedView]) -> dict[str, set[str]]:
    """The tables and views of the file whose rows are of a day or a month, with the columns that say which."""
    names = {storage(model).table: polars_schema(model).names() for model in TABLES}
    names |= {view.name: list(view.columns) for view in views}
    dated = {name: {"local_date", "month"}.intersection(of) for name, of in names.items()}
    return {name: found for name, found in dated.items() if found}


def _narrow_sources(dated: Mapping[str, set[str]], view: CuratedView, rows: AffectedRows) -> str:
    """WITH, under the names of the view's sources, those of their rows alone that the view's rows are made of.

    DuckDB does not bring the condition on the view's rows into a source that is summed up before it is joined.
    """
    narrowed = []
    for source in sorted(_list_words(view) & dated.keys() - {view.name}):
        if where := _write_condition(rows, dated[source]):
            name = quote_identifier(source)
            narrowed.append(f"{name} AS (SELECT * FROM published.{name} WHERE {where})")  # noqa: S608
    return f"WITH {', '.join(narrowed)}" if narrowed else ""


def _list_words(view: CuratedView) -> set[str]:
    """The names in the view's query, those of its sources among them."""
    return set(re.findall(r"\w+", view.query))


def _write_condition(rows: AffectedRows, columns: Collection[str]) -> str | None:
    """SQL that is true for the rows that changed, of a table with these columns; None where that can't be said."""
    if rows.days is not None and "local_date" in columns:
        return f"local_date IN ({_list_dates(rows.days)})"
    if rows.months is not None and "month" in columns:
        return f"month IN ({_list_dates(rows.months)})"
    if rows.months is not None and "local_date" in columns:
        return " OR ".join(
            f"local_date BETWEEN {_write_date(month)} AND last_day({_write_date(month)})"
            for month in sorted(rows.months)
        )
    return None


def _list_dates(dates: Iterable[dt.date]) -> str:
    return ", ".join(map(_write_date, sorted(dates))) or "NULL"


def _write_date(date: dt.date) -> str:
    return f"DATE {quote_text(str(date))}"
