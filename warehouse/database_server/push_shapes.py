"""Whether tables that were pushed are still as they were created: anybody who may do it can alter a table.

COPY sends the bytes of a value, and PostgreSQL takes them for a value of the column's own type. So a column that
somebody gave another type of the same width would get figures that nobody measured, and no fault would say so.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from warehouse.database_server.postgresql import PostgresqlConnection
from warehouse.database_server.push_tables import PushedTable
from warehouse.quoting import quote_text

# The types that PostgreSQL itself calls by another name than we do.
_FULL_NAMES = {"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone"}


class _FoundColumn(NamedTuple):
    """A column as PostgreSQL has it; `is_required` says that a row can't leave it out."""

    type_name: str
    nullable: bool
    is_required: bool


_Columns: TypeAlias = Mapping[str, _FoundColumn]


def find_altered_tables(
    server: PostgresqlConnection, schema: str, tables: Iterable[PushedTable]
) -> list[str]:
    """The names of those tables that are not there, or whose columns are not those that they were created with.

    A column that somebody added alters nothing, unless each row must have a value in it.
    """
    found = _read_columns(server, schema)
    return sorted(table.name for table in tables if not _is_unaltered(table, found.get(table.name, {})))


def _read_columns(server: PostgresqlConnection, schema: str) -> dict[str, dict[str, _FoundColumn]]:
    query = (
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, "  # noqa: S608
        "a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' "
        "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname = {quote_text(schema)} AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    )
    found: dict[str, dict[str, _FoundColumn]] = {}
    for table, name, *facts in server.fetch(query):
        found.setdefault(table, {})[name] = _FoundColumn(*facts)
    return found


def _is_unaltered(table: PushedTable, found: _Columns) -> bool:
    # A primary key makes its columns refuse nulls.
    keys = table.key if table.is_key_whole else ()
    ours = {
        column.name: (
            _FULL_NAMES.get(column.postgresql_type, column.postgresql_type),
            column.nullable and column.name not in keys,
        )
        for column in table.columns
    }
    added = found.keys() - ours.keys()
    return all(
        name in found and (found[name].type_name.replace(",", ", "), found[name].nullable) == fact
        for name, fact in ours.items()
    ) and not any(found[name].is_required for name in added)
