"""Restricts queries of users on the published file, so that they read this file and granted files only.

The engine sees to it. Outside of the database it may touch only the files that are listed here, with their full paths:
those that the views read, and those that a person named. It loads no extension, opens no network, and its configuration
is locked.

A grant of DuckDB is one to read and to write. So a statement that writes files is not run at all, whatever it is
wrapped into: what is run is chosen by what DuckDB's own parser says that the statement is.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import duckdb

from pipeline.common.errors import UsageError
from warehouse.quoting import quote_text

# What changes how an answer is computed or shown, and nothing outside of it.
FREE_SETTINGS = (
    "threads",
    "memory_limit",
    "TimeZone",
    "Calendar",
    "default_order",
    "default_null_order",
    "explain_output",
    "pivot_limit",
)
_LOCKED = (
    "SET allow_persistent_secrets = false",
    "SET allow_community_extensions = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    # Else a query could name variables of this program as tables.
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    # The last one: after it nothing of the above can be changed.
    "SET lock_configuration = true",
)
# A Parquet file in the text of a view, with quotes doubled.
_VIEWED = r"""
    SELECT DISTINCT unnest(regexp_extract_all(sql, '''((?:[^'']|'''')+\.parquet)''', 1))
    FROM duckdb_views() WHERE NOT internal"""
# Beside SELECT: what touches tables of the session alone, since the published file is open to read, and its settings.
_RUN = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.CREATE,
    duckdb.StatementType.INSERT,
    duckdb.StatementType.UPDATE,
    duckdb.StatementType.DELETE,
    duckdb.StatementType.DROP,
    duckdb.StatementType.SET,
    duckdb.StatementType.VARIABLE_SET,
    duckdb.StatementType.TRANSACTION,
}
# SELECT calls them, but they change what the engine does: logs and profiles are written over files that were granted to
# be read. Others take addresses in memory, or run a text, in which the name of any of them could be put together.
_ACTING = re.compile(
    rb"""\W*(?P<name>(?:enable|disable)_(?:logging|profiling) | truncate_duckdb_logs | arrow_scan(?:_dumb)?
        | pandas_scan | python_map_function | json_execute_serialized_sql | (?P<query>query))\b""",
    re.IGNORECASE | re.VERBOSE,
)
# DuckDB reads these as spaces too, but does not tell words apart by them.
_ODD_SPACE = re.compile(r"[^\w\x00-\x7f]")
_NAMES = (duckdb.token_type.identifier, duckdb.token_type.keyword)
_EXPLAIN = re.compile(r"\s*EXPLAIN\b(?P<rest>(?:\s*ANALYZE\b)?(?P<options>\s*\([\w\s,]*\))?)", re.IGNORECASE)


def restrict(connection: duckdb.DuckDBPyConnection, granted: Iterable[Path] = ()) -> None:
    """Restrict the connection to the published file, the files that its views read, and the `granted` files."""
    viewed = [str(path).replace("''", "'") for (path,) in connection.execute(_VIEWED).fetchall()]
    paths = [*viewed, *(str(path.absolute()) for path in granted)]
    connection.execute(f"SET allowed_paths = [{', '.join(map(quote_text, paths))}]::VARCHAR[]")
    connection.execute(f"SET allowed_configs = [{', '.join(map(quote_text, FREE_SETTINGS))}]")
    for statement in _LOCKED:
        connection.execute(statement)


def check_readable_files(files: Iterable[Path]) -> list[Path]:
    """The files that a person grants. Raises UsageError for a path that is not a file."""
    found = list(files)
    for file in found:
        if not file.is_file():
            raise UsageError(
                f"--file {file} is not a file: name an existing file, and repeat the option for more files."
            )
    return found


def parse_reading_statements(connection: duckdb.DuckDBPyConnection, query: str) -> list[duckdb.Statement]:
    """The statements of a query, each of which only reads. Raises UsageError, and duckdb.Error for what is no SQL."""
    check_query_text(query)
    statements = connection.extract_statements(query)
    for statement in statements:
        if not _only_reads(connection, statement):
            raise UsageError(
                f"This command runs queries only, not statements of the type {statement.type.name}: write a SELECT, "
                "and save its rows with --output FILE."
            )
    return statements


def check_query_text(query: str) -> None:
    """Raise UsageError for a text that is not UTF-8, and for one that names a function that does more than read."""
    try:
        query.encode()
    except UnicodeEncodeError as fault:
        raise UsageError("The query is not UTF-8 text: write or save it as UTF-8.") from fault
    if name := _find_acting_function(query):
        raise UsageError(
            f"This command runs queries only, and none with the function {name}, which does more than read: remove "
            "it from the query."
        )


def _find_acting_function(query: str) -> str | None:
    """The first name of a function that does more than read, as DuckDB tells names from texts and comments."""
    text = _ODD_SPACE.sub(" ", query)
    said = text.encode()
    tokens = [*duckdb.tokenize(text), (len(said), None)]
    for (begin, kind), (after, _) in pairwise(tokens):
        found = _ACTING.match(said, begin, after) if kind in _NAMES else None
        # A table or column may be called `query`.
        if found and (found["query"] is None or said.startswith(b"(", after)):
            return found["name"].decode()
    return None


def _only_reads(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> bool:
    if statement.type != duckdb.StatementType.EXPLAIN:
        return statement.type in _RUN
    # ANALYZE runs what it explains. What is left of the text must be a query for the parser, whatever was cut off.
    found = _EXPLAIN.match(statement.query)
    ends = {found.end("rest"), found.start("options")} - {-1} if found else set()
    return any(_is_query(connection, statement.query[end:]) for end in ends)


def _is_query(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error:
        return False
    return [one.type for one in statements] == [duckdb.StatementType.SELECT]
