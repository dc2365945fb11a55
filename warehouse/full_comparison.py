"""Compares the published file with one that is built from nothing: a publication takes over what did not change."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from pipeline.common.text import pluralize
from warehouse.damage import Damage, DamageKind
from warehouse.ddl import quote_identifier, quote_text
from warehouse.lake import Lake
from warehouse.open_published import NotPublishedError, check_published
from warehouse.publish import PublishError, publish
from warehouse.verify import VerifiedPart

# These say when and where the file was made.
OF_THE_FILE = ("_meta",)
CURE = "Run 'sunledger publish --full'."
_TABLES = """
SELECT schema_name, table_name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY column_index)
FROM duckdb_columns()
JOIN duckdb_tables() USING (database_name, schema_name, table_name)
WHERE database_name = ?
GROUP BY ALL
ORDER BY ALL
"""


def compare_with_full(lake: Lake, path: Path, own_tables: Path | None = None) -> Iterator[VerifiedPart]:
    """One result for each table of the published file, compared in every row with a file that is built from nothing.

    One result says so where they can't be compared, as when the lake was changed since the publication. None where
    nothing is published yet.
    """
    if not path.exists():
        return
    try:
        yield from _compare_with_full(lake, path, own_tables)
    except (NotPublishedError, PublishError) as fault:
        yield _report("warehouse", str(fault))


def _compare_with_full(lake: Lake, path: Path, own_tables: Path | None) -> Iterator[VerifiedPart]:
    check_published(path)
    with tempfile.TemporaryDirectory(prefix=".full-", dir=path.resolve().parent) as folder:
        full = Path(folder) / "full.duckdb"
        with duckdb.connect(config={"temp_directory": f"{folder}/spill"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH {quote_text(str(path.resolve()))} AS published (READ_ONLY)")
            ((now, version, detail, versions),) = connection.execute(
                "SELECT published_at, product_version, detail, source_versions FROM published._meta"
            ).fetchall()
            publish(lake, full, now=now, version=version, own_tables=own_tables, detail=detail)
            connection.execute(f"ATTACH {quote_text(str(full))} AS full_build (READ_ONLY)")
            ((newer,),) = connection.execute("SELECT source_versions FROM full_build._meta").fetchall()
            if json.loads(newer) != json.loads(versions):
                sentence = "the lake was changed since the publication. Run 'sunledger publish', then verify it again."
                yield _report("warehouse", sentence)
                return
            yield from _compare(connection)


def _compare(connection: duckdb.DuckDBPyConnection) -> Iterator[VerifiedPart]:
    found, built = (
        {(schema, name): columns for schema, name, columns in connection.execute(_TABLES, [one]).fetchall()}
        for one in ("published", "full_build")
    )
    for schema, name in sorted(found.keys() | built.keys()):
        if name in OF_THE_FILE:
            continue
        place = f"warehouse, {name}" if schema == "main" else f"warehouse, {schema}.{name}"
        if found.get((schema, name)) != built.get((schema, name)):
            yield _report(
                place, f"the table or its columns are not those of a file built from nothing. {CURE}"
            )
            continue
        mine, full = (
            f"{database}.{quote_identifier(schema)}.{quote_identifier(name)}"
            for database in ("published", "full_build")
        )
        differing = max(
            _count_rows_beyond(connection, mine, full), _count_rows_beyond(connection, full, mine)
        )
        sentence = (
            f"{pluralize(differing, 'row')} are not those of a file built from nothing. {CURE}"
            if differing
            else None
        )
        yield _report(place, sentence)


def _count_rows_beyond(connection: duckdb.DuckDBPyConnection, table: str, other: str) -> int:
    query = f"SELECT count(*) FROM (FROM {table} EXCEPT ALL FROM {other})"  # noqa: S608 - names are quoted
    ((rows,),) = connection.execute(query).fetchall()
    return int(rows)


def _report(place: str, sentence: str | None) -> VerifiedPart:
    damage = Damage(DamageKind.PUBLISHED_CHANGED, None, None, None, sentence) if sentence else None
    return VerifiedPart(place, damage)
