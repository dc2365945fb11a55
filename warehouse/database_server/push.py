"""The published file's report tables in a schema of a PostgreSQL server, for BI servers and many readers.

What changed is found by digests of parts (days, months), which lie in the schema beside the tables; so it does not
matter who pushed before. All of it happens in one transaction: readers see the tables as they were or as they are now,
and a push that dies leaves nothing behind.
"""

import datetime as dt
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.common.errors import UsageError
from pipeline.common.text import pluralize
from schemas import storage
from warehouse.database_server.postgresql import (
    LOCK_WAIT_S,
    PostgresqlConnection,
    PostgresqlError,
    name_table,
    open_postgresql,
)
from warehouse.database_server.push_origin import check_origin, read_origin, record_origin
from warehouse.database_server.push_readers import allow_reading
from warehouse.database_server.push_shapes import find_altered_tables
from warehouse.database_server.push_tables import (
    WHOLE,
    PartDigests,
    PushedTable,
    digest_parts,
    list_pushed_tables,
    read_parts,
)
from warehouse.published_file.meta import Meta
from warehouse.published_file.open_published import connect
from warehouse.quoting import quote_identifier, quote_text

STATE = "_pushed"
STATE_COMMENT = (
    "Which parts of each table 'sunledger push' has written here: the shape of the table where the part is 'shape:', "
    "else a digest of the rows of the part."
)
SHAPE = "shape:"
META = storage(Meta).table
# The published file is the same one as that in the schema where these are equal.
_IDENTITY = "product_version, published_at, schema_hash, source_versions"


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where to push: the address of a database with its password, a schema, and the role of readers (or none)."""

    url: str
    schema: str
    reader: str = ""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a push wrote: rows by table, the parts that it replaced, and tables that it created or dropped."""

    place: str
    rows: Mapping[str, int]
    parts: int
    created: tuple[str, ...]
    dropped: tuple[str, ...]
    seconds: float

    def describe(self) -> str:
        """The result in one sentence."""
        if not (self.rows or self.created or self.dropped):
            return f"Nothing was written: {self.place} holds this publication already."
        return (
            f"Wrote {pluralize(sum(self.rows.values()), 'row')} of {pluralize(len(self.rows), 'table')} to "
            f"{self.place}, in {pluralize(self.parts, 'part')} that changed."
        )


@dataclass(frozen=True, slots=True)
class PushedParts:
    """What was done of one table: its rows in the parts that were replaced (None: none was), and how many these are."""

    rows: int | None
    parts: int
    created: bool


def push_published(
    source: Path,
    target: PushTarget,
    *,
    lake_ids: frozenset[str] = frozenset(),
    full: bool = False,
    tell: Callable[[str], None] = print,
) -> PushResult:
    """Bring the report tables of the published file `source` into the schema: only what differs there.

    `lake_ids` tell the lake of the file from others (`list_lake_ids`). With `full` every table is written, and neither
    a newer publication nor that of another lake in the schema stops it. `tell` gets what this waits for. Raises
    NotPublishedError, PostgresqlError, ConfigurationError, and UsageError for an older publication and another lake.
    """
    begun = time.monotonic()
    with connect(source) as published, open_postgresql(target.url) as server:
        tables = list_pushed_tables(published)
        _take_turn(server, target.schema, tell)
        origin = read_origin(server, target.schema, STATE)
        if not full:
            check_origin(server, target.schema, origin, lake_ids)
        kept = _read_state(server, target.schema)
        place = f"the schema {target.schema} at {server.place}"
        _forget_altered(server, target.schema, kept, tables, tell)
        # The digests of all tables are not needed to see that nothing happened.
        if not full and _is_same(server, published, target.schema, kept) and _has_shapes(kept, tables):
            _finish(server, target, origin, lake_ids)
            return PushResult(place, {}, 0, (), (), time.monotonic() - begun)
        if kept.get(META) and not full:
            _check_newer(server, published, target.schema)
        _prepare_schema(server, target.schema, {table.name for table in tables} - kept.keys())
        done = {
            table.name: _push_table(
                published, server, target.schema, table, kept.get(table.name, {}), full=full
            )
            for table in tables
        }
        dropped = tuple(sorted(kept.keys() - {table.name for table in tables}))
        for name in dropped:
            _drop(server, target.schema, name)
        _finish(server, target, origin, lake_ids)
    return PushResult(
        place,
        {name: one.rows for name, one in done.items() if one.rows is not None},
        sum(one.parts for one in done.values()),
        tuple(name for name, one in done.items() if one.created),
        dropped,
        time.monotonic() - begun,
    )


def _push_table(
    published: duckdb.DuckDBPyConnection,
    server: PostgresqlConnection,
    schema: str,
    table: PushedTable,
    old: PartDigests,
    *,
    full: bool,
) -> PushedParts:
    """Bring one table into the schema, where `old` is what is recorded of it: the parts of which the digest differs."""
    new = _digest_table(published, table)
    is_new = old.get(SHAPE) != new[SHAPE]
    if is_new:
        _create(server, schema, table)
    if is_new or full:
        old = {}
    changed = [part for part in {**old, **new} if old.get(part) != new.get(part) and part != SHAPE]
    written = None
    if changed or (full and not is_new):
        # Without a record of its parts, or with one that is not believed, a table may hold any.
        chosen = changed if old else None
        written = _replace(published, server, schema, table, chosen, is_new=is_new)
    if old != new:
        _keep_state(server, schema, table.name, new)
    return PushedParts(written, 0 if written is None else len(changed), is_new)


def _finish(
    server: PostgresqlConnection, target: PushTarget, origin: frozenset[str], lake_ids: frozenset[str]
) -> None:
    if lake_ids and lake_ids != origin:
        record_origin(server, target.schema, STATE, STATE_COMMENT, lake_ids)
    allow_reading(server, target.schema, target.reader)
    server.commit()


def _take_turn(server: PostgresqlConnection, schema: str, tell: Callable[[str], None]) -> None:
    """Be the only one that pushes into this schema, until the transaction ends, however it ends."""
    key = f"hashtextextended({quote_text(f'sunledger push {schema}')}, 0)"
    ((free,),) = server.fetch(f"SELECT pg_try_advisory_xact_lock({key})")
    if not free:
        tell(
            f"Another process pushes into the schema {schema} at {server.place}: waiting up to "
            f"{LOCK_WAIT_S // 60} minutes for it."
        )
        server.fetch(f"SELECT pg_advisory_xact_lock({key})::text")


def _exists(server: PostgresqlConnection, schema: str, table: str) -> bool:
    query = (
        "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "  # noqa: S608 - quoted
        f"WHERE n.nspname = {_quote(schema)} AND c.relname = {_quote(table)}"
    )
    return bool(server.fetch(query)[0][0])


def _read_state(server: PostgresqlConnection, schema: str) -> dict[str, PartDigests]:
    found: dict[str, PartDigests] = {}
    if _exists(server, schema, STATE):
        query = f"SELECT table_name, part, digest FROM {name_table(schema, STATE)}"  # noqa: S608 - quoted
        for table, part, digest in server.fetch(query):
            found.setdefault(table, {})[part] = digest
    return found


def _forget_altered(
    server: PostgresqlConnection,
    schema: str,
    kept: dict[str, PartDigests],
    tables: list[PushedTable],
    tell: Callable[[str], None],
) -> None:
    """Take what is known of altered tables out of `kept`, so that they are created and written again."""
    same = [t for t in tables if kept.get(t.name, {}).get(SHAPE) == t.describe_shape()]
    if altered := find_altered_tables(server, schema, same):
        tell(
            f"In the schema {schema} at {server.place} some tables are not as sunledger created them (missing, or with "
            f"a column that is missing or has another type), and are created again with all rows: {', '.join(altered)}."
        )
        kept.update((name, {}) for name in altered)


def _is_same(
    server: PostgresqlConnection,
    published: duckdb.DuckDBPyConnection,
    schema: str,
    kept: Mapping[str, PartDigests],
) -> bool:
    if not kept.get(META):
        return False
    ours = published.execute(f"SELECT {_IDENTITY} FROM {META}").fetchall()  # noqa: S608 - names of our own
    theirs = server.fetch(f"SELECT {_IDENTITY} FROM {name_table(schema, META)}")  # noqa: S608 - quoted
    return ours == theirs


def _has_shapes(kept: Mapping[str, PartDigests], tables: list[PushedTable]) -> bool:
    return {name: parts.get(SHAPE) for name, parts in kept.items()} == {
        table.name: table.describe_shape() for table in tables
    }


def _check_newer(server: PostgresqlConnection, published: duckdb.DuckDBPyConnection, schema: str) -> None:
    """An older publication, such as that of a machine that stood still, must not come last."""
    at = "SELECT published_at FROM "
    ours = published.execute(f"{at}{META}").fetchall()
    theirs: list[tuple[dt.datetime]] = server.fetch(f"{at}{name_table(schema, META)}")
    if theirs and theirs[0][0] > ours[0][0]:
        raise UsageError(
            f"The schema {schema} at {server.place} has a newer publication, of {theirs[0][0]:%Y-%m-%d %H:%M} UTC, "
            f"than this file, of {ours[0][0]:%Y-%m-%d %H:%M} UTC: run 'sunledger publish' first, or "
            "'sunledger push --full' to replace the newer one."
        )


def _prepare_schema(server: PostgresqlConnection, schema: str, new: Collection[str]) -> None:
    """Create the schema and the table of digests; refuse tables of other programs that have the names of new ones."""
    known = server.fetch(f"SELECT count(*) FROM pg_namespace WHERE nspname = {_quote(schema)}")  # noqa: S608 - quoted
    if not known[0][0]:
        server.run(f"CREATE SCHEMA {quote_identifier(schema)}")
    query = (
        "SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "  # noqa: S608
        f"WHERE n.nspname = {_quote(schema)} AND c.relkind IN ('r', 'v', 'm', 'p', 'f')"
    )
    if others := sorted(set(new) & {name for (name,) in server.fetch(query)}):
        raise PostgresqlError(
            f"The schema {schema} at {server.place} has a table {others[0]} that sunledger did not create: name "
            f"another schema in SUNLEDGER_PUSH_SCHEMA, or drop {_name_what_to_drop(server, schema)}."
        )
    if _exists(server, schema, STATE):
        return
    server.run(
        f"CREATE TABLE {name_table(schema, STATE)} (table_name text NOT NULL, part text NOT NULL, "
        "digest text NOT NULL, PRIMARY KEY (table_name, part))"
    )
    server.run(f"COMMENT ON TABLE {name_table(schema, STATE)} IS {_quote(STATE_COMMENT)}")


def _name_what_to_drop(server: PostgresqlConnection, schema: str) -> str:
    if _exists(server, schema, STATE):
        return "the table"
    return f"the table (or the whole schema, if all of it is sunledger's and only its table {STATE} was lost)"


def _create(server: PostgresqlConnection, schema: str, table: PushedTable) -> None:
    """Create the table with its key and comments, in the place of one that had another shape."""
    _drop(server, schema, table.name)
    name = name_table(schema, table.name)
    columns = [
        f"{quote_identifier(c.name)} {c.postgresql_type}{'' if c.nullable else ' NOT NULL'}"
        for c in table.columns
    ]
    key = f"({', '.join(map(quote_identifier, table.key))})"
    if table.is_key_whole:
        columns.append(f"PRIMARY KEY {key}")
    server.run(f"CREATE TABLE {name} ({', '.join(columns)})")
    if table.key and not table.is_key_whole:
        # A primary key has no nulls; these rows are found by the same columns.
        server.run(f"CREATE INDEX ON {name} {key}")
    if table.part_column and table.key[:1] != (table.part_column,):
        server.run(f"CREATE INDEX ON {name} ({quote_identifier(table.part_column)})")
    comments = [f"COMMENT ON TABLE {name} IS {_quote(table.comment)};"]
    comments += [
        f"COMMENT ON COLUMN {name}.{quote_identifier(c.name)} IS {_quote(c.comment)};" for c in table.columns
    ]
    # One block in place of some forty statements, each of which would wait for its answer.
    block = f"BEGIN {' '.join(comments)} END"
    server.run(f"DO {_quote(block)}")


def _drop(server: PostgresqlConnection, schema: str, table: str) -> None:
    server.run(f"DROP TABLE IF EXISTS {name_table(schema, table)}")
    if _exists(server, schema, STATE):
        server.run(f"DELETE FROM {name_table(schema, STATE)} WHERE table_name = {_quote(table)}")  # noqa: S608 - quoted


def _digest_table(published: duckdb.DuckDBPyConnection, table: PushedTable) -> PartDigests:
    return {SHAPE: table.describe_shape(), **digest_parts(published, table)}


def _replace(
    published: duckdb.DuckDBPyConnection,
    server: PostgresqlConnection,
    schema: str,
    table: PushedTable,
    parts: list[str] | None,
    *,
    is_new: bool,
) -> int:
    """Replace the rows of these parts (None: all), and return how many rows they have now."""
    if not is_new:
        # TRUNCATE would show readers of an older snapshot an empty table, and wait for all of them.
        server.run(f"DELETE FROM {name_table(schema, table.name)}{_choose_parts(table, parts)}")  # noqa: S608 - quoted
    written = server.load(schema, table.name, read_parts(published, table, parts))
    if parts is None:
        server.run(f"ANALYZE {name_table(schema, table.name)}")
    return written


def _choose_parts(table: PushedTable, parts: list[str] | None) -> str:
    if table.part_column is None or parts is None:
        return ""
    column = quote_identifier(table.part_column)
    named = ", ".join(_quote(part) for part in parts if part != WHOLE)
    choices = [f"{column} IN ({named})"] if named else []
    choices += [f"{column} IS NULL"] if WHOLE in parts else []
    return f" WHERE {' OR '.join(choices)}"


def _keep_state(server: PostgresqlConnection, schema: str, table: str, parts: PartDigests) -> None:
    server.run(f"DELETE FROM {name_table(schema, STATE)} WHERE table_name = {_quote(table)}")  # noqa: S608 - quoted
    rows = ", ".join(f"({_quote(table)}, {_quote(part)}, {_quote(digest)})" for part, digest in parts.items())
    server.run(f"INSERT INTO {name_table(schema, STATE)} VALUES {rows}")  # noqa: S608 - quoted


def _quote(text: str) -> str:
    """A text quoted for PostgreSQL, whatever the server's setting says about backslashes."""
    quoted = quote_text(text.replace("\\", "\\\\"))
    return f"E{quoted}" if "\\" in text else quoted
