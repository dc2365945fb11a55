"""Of which lake the tables of a schema in PostgreSQL are, so that no home writes over those of another one.

Delta gives each table an id when it is created, which a copy or a restored home keeps. Some of them stand in the
comment of the table of digests, where pushes of older versions leave them alone.
"""

import re
from contextlib import suppress

from pipeline.common.errors import UsageError
from pipeline.common.store_faults import StoreError
from schemas import EnergyDaily, Plants, RawPlants
from warehouse.database_server.postgresql import PostgresqlConnection, name_table
from warehouse.integrity.damage import DamagedError
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.lake_reader import LakeReader
from warehouse.quoting import quote_text

# A repair may create one of them again, but hardly all.
_TABLES = (RawPlants, Plants, EnergyDaily)
_SAID = "The lake they come from has tables with the ids "
_IDS = re.compile(rf"{_SAID}([\w, -]+)\.")


def list_lake_ids(lake: LakeReader) -> frozenset[str]:
    """Ids that no other lake has; none of a lake without tables, or of one that can't be read here."""
    found = set()
    # Another machine may push a published object without access to the lake.
    with suppress(StoreError, UnreadableLogError, DamagedError, OSError):
        for model in _TABLES:
            if (table := lake.open(model)) is not None:
                found.add(str(table.delta.metadata().id))
    return frozenset(found)


def read_origin(server: PostgresqlConnection, schema: str, table: str) -> frozenset[str]:
    """The ids that the comment of the table of digests names; none where there is no such table, or no id."""
    query = (
        "SELECT obj_description(c.oid, 'pg_class') FROM pg_class AS c "  # noqa: S608 - quoted
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname = {quote_text(schema)} AND c.relname = {quote_text(table)}"
    )
    said = _IDS.search("".join(comment or "" for (comment,) in server.fetch(query)))
    return frozenset(said[1].split(", ")) if said else frozenset()


def check_origin(
    server: PostgresqlConnection, schema: str, known: frozenset[str], ours: frozenset[str]
) -> None:
    """Raises UsageError where the tables of the schema are known to be of another lake."""
    if known and ours and known.isdisjoint(ours):
        raise UsageError(
            f"The schema {schema} at {server.place} has the tables of another lake than this home's, as where two "
            "homes name one schema. It is unchanged: give this home another one in SUNLEDGER_PUSH_SCHEMA, or replace "
            "these tables with 'sunledger push --full'."
        )


def record_origin(
    server: PostgresqlConnection, schema: str, table: str, comment: str, ids: frozenset[str]
) -> None:
    """Let the comment of the table of digests say of which lake the tables of the schema are."""
    text = quote_text(f"{comment} {_SAID}{', '.join(sorted(ids))}.")
    server.run(f"COMMENT ON TABLE {name_table(schema, table)} IS {text}")
