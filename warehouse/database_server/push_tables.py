"""What the published file holds for a database server: its report tables, and a digest of each of their parts."""

import re
from dataclasses import dataclass
from typing import TypeAlias

import duckdb
import pyarrow as pa

from schemas import TABLES, storage
from warehouse.published_file.meta import FILE_TABLES
from warehouse.quoting import quote_identifier, quote_text
from warehouse.views import load_curated_views

# The first of these columns that a table has says of which part its rows are; without any the table is one part.
PART_COLUMNS = ("local_date", "month", "asked_date", "read_date", "year")
WHOLE = ""
# Rows on their way at once, so that memory does not grow with a table.
BATCH_ROWS = 50_000

# The digest of each part by its name.
PartDigests: TypeAlias = dict[str, str]

_TYPES = {
    "VARCHAR": "text",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "BOOLEAN": "boolean",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
# PostgreSQL has no larger integers than BIGINT; sums of integers are HUGEINT in DuckDB.
_LARGE = frozenset({"HUGEINT", "UHUGEINT", "UBIGINT"})
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class PushedColumn:
    """A column: its name, its type in DuckDB, whether it may be null, and its comment."""

    name: str
    duckdb_type: str
    nullable: bool
    comment: str

    @property
    def postgresql_type(self) -> str:
        """The type that holds the same values in PostgreSQL."""
        if found := _DECIMAL.fullmatch(self.duckdb_type):
            return f"numeric({found[1]}, {found[2]})"
        return "numeric(38, 0)" if self.duckdb_type in _LARGE else _TYPES.get(self.duckdb_type, "text")

    @property
    def expression(self) -> str:
        """SQL that reads it from the published file as that type. A text in PostgreSQL can't hold the character 0."""
        name = quote_identifier(self.name)
        if self.duckdb_type in _LARGE:
            return f"CAST({name} AS DECIMAL(38, 0)) AS {name}"
        if self.postgresql_type == "text":
            return f"replace(CAST({name} AS VARCHAR), chr(0), '') AS {name}"
        return name


@dataclass(frozen=True, slots=True)
class PushedTable:
    """A table of the published file: its comment, columns and key (empty without one), and what its parts are named by.

    `is_key_whole` says that no value of the key is null, so that it can be a primary key.
    """

    name: str
    comment: str
    columns: tuple[PushedColumn, ...]
    key: tuple[str, ...]
    part_column: str | None
    is_key_whole: bool

    def describe_shape(self) -> str:
        """A text that is another one where the table has to be created again."""
        columns = [(c.name, c.postgresql_type, c.nullable, c.comment) for c in self.columns]
        return repr((self.comment, columns, self.key, self.part_column, self.is_key_whole))


def list_pushed_tables(published: duckdb.DuckDBPyConnection) -> list[PushedTable]:
    """All tables of the published file that it holds itself, except its detail and tables of the user's own."""
    keys = {storage(m).table: storage(m).key for m in (*TABLES, *FILE_TABLES)}
    detail = {storage(m).table for m in TABLES if storage(m).published == "view"}
    keys |= {view.name: view.key for view in load_curated_views()}
    query = """
        SELECT table_name, t.comment, column_name, data_type, is_nullable, c.comment
        FROM duckdb_tables() AS t JOIN duckdb_columns() AS c USING (database_name, schema_name, table_name)
        WHERE schema_name = 'main' AND NOT t.internal AND NOT t.temporary
        ORDER BY table_name, column_index
    """
    found: dict[str, tuple[str, list[PushedColumn]]] = {}
    for table, said, name, duckdb_type, nullable, meaning in published.execute(query).fetchall():
        if table not in detail:
            _, columns = found.setdefault(table, (said or "", []))
            columns.append(PushedColumn(name, duckdb_type, nullable, meaning or ""))
    return [
        _describe_table(published, name, said, columns, keys.get(name, ()))
        for name, (said, columns) in found.items()
    ]


def _describe_table(
    published: duckdb.DuckDBPyConnection,
    name: str,
    said: str,
    columns: list[PushedColumn],
    key: tuple[str, ...],
) -> PushedTable:
    names = {column.name for column in columns}
    of_part = next((column for column in PART_COLUMNS if column in names), None)
    is_whole = all(not column.nullable for column in columns if column.name in key)
    if key and not is_whole:
        null = " OR ".join(f"{quote_identifier(column)} IS NULL" for column in key)
        query = f"SELECT NOT EXISTS (FROM {quote_identifier(name)} WHERE {null})"
        ((is_whole,),) = published.execute(query).fetchall()
    return PushedTable(name, said, tuple(columns), key, of_part, bool(key) and is_whole)


def digest_parts(published: duckdb.DuckDBPyConnection, table: PushedTable) -> PartDigests:
    """A digest of the rows of each part, whatever their order. It changes when any value does."""
    columns = ", ".join(quote_identifier(column.name) for column in table.columns)
    query = f"""
        SELECT part, concat_ws('-', count(*), sum(hash), bit_xor(hash)) FROM (
            SELECT {_name_part(table)} AS part, hash({columns}) AS hash FROM {quote_identifier(table.name)}
        ) GROUP BY part
    """  # noqa: S608 - names of our own
    return dict(published.execute(query).fetchall())


def read_parts(
    published: duckdb.DuckDBPyConnection, table: PushedTable, parts: list[str] | None
) -> pa.RecordBatchReader:
    """The rows of these parts (None: all) in the types of PostgreSQL."""
    columns = ", ".join(column.expression for column in table.columns)
    where = "" if parts is None else f" WHERE {_name_part(table)} IN ({', '.join(map(quote_text, parts))})"
    query = f"SELECT {columns} FROM {quote_identifier(table.name)}{where}"  # noqa: S608 - names of our own
    return published.execute(query).to_arrow_reader(BATCH_ROWS)


def _name_part(table: PushedTable) -> str:
    """SQL of the name of the part that a row belongs to."""
    if table.part_column is None:
        return quote_text(WHOLE)
    return f"coalesce(CAST({quote_identifier(table.part_column)} AS VARCHAR), {quote_text(WHOLE)})"
