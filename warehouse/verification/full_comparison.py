"""Compares the published file with one that is built from nothing: a publication takes over what did not change."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb

from pipeline.common.errors import SunledgerError
from pipeline.common.files.lock_waits import LockBusyError, LockWait, hold_awaited_lock
from pipeline.common.text import pluralize
from warehouse.integrity.damage import Damage, DamageKind
from warehouse.lake import Lake
from warehouse.published_file.open_published import NotPublishedError, check_published
from warehouse.published_file.own_tables import SCHEMA
from warehouse.published_file.publication_turn import LOCK_WAIT_S, PublishError
from warehouse.published_file.publish import publish
from warehouse.quoting import quote_identifier, quote_text
from warehouse.verification.verify import VerifiedPart

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
# The text of each view with its comments, and of each macro.
_TEXTS = """
SELECT 'view', views.schema_name, view_name, concat_ws(chr(10), any_value(sql), any_value(views.comment),
    string_agg(concat_ws(' ', column_name, data_type, columns.comment), chr(10) ORDER BY column_index))
FROM duckdb_views() AS views
LEFT JOIN duckdb_columns() AS columns
    ON columns.database_name = views.database_name AND columns.schema_name = views.schema_name
    AND columns.table_name = view_name
WHERE views.database_name = $1 AND NOT views.internal
GROUP BY views.schema_name, view_name
UNION ALL
SELECT 'macro', schema_name, function_name,
    string_agg(text, chr(10) ORDER BY text)
FROM (
    SELECT schema_name, function_name,
        concat_ws(chr(10), function_type, CAST(parameters AS VARCHAR), macro_definition, comment) AS text
    FROM duckdb_functions()
    WHERE database_name = $1 AND NOT internal
)
GROUP BY schema_name, function_name
"""
# DuckDB keeps these names as a set, so that the same text has them in another order each time.
_EXCLUDED = re.compile(r"(?<=EXCLUDE \()[^()]*(?=\))")


class NotComparedError(SunledgerError):
    """The published file could not be compared, which is no damage: something else is at work."""

    exit_code: ClassVar[int] = 3

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The published file was not compared with one that is built from nothing, because {reason}"
        )


def compare_with_full(lake: Lake, path: Path) -> Iterator[VerifiedPart]:
    """One result for each table, view and macro of the published file, compared with a file that is built from nothing.

    Tables are compared in every row, the others in their text. None where nothing is published yet. Tables of the
    user's own are not compared: each publication reads all of them, and their files may change at any time.

    Raises NotComparedError where the lake was changed since the publication, or another comparison is at work.
    """
    if not path.exists():
        return
    try:
        yield from _compare_with_full(lake, path)
    except LockBusyError as fault:
        raise NotComparedError(f"another comparison is at work. {fault}") from fault
    except (NotPublishedError, PublishError) as fault:
        yield _report("warehouse", str(fault))


@contextmanager
def _make_folder(path: Path, lake: Lake) -> Iterator[Path]:
    """An empty folder beside the published file, which is removed at the end, or by the next comparison.

    Only one comparison of a file runs at a time, so what is there was left by one that was killed.
    """
    folder = path.with_name(f".{path.name}.full")
    wait = LockWait(
        path.with_name(f"{folder.name}.lock"),
        "A comparison of the published file has to wait for another one",
        LOCK_WAIT_S,
        lake.tell,
    )
    with hold_awaited_lock(wait, 0o644):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _compare_with_full(lake: Lake, path: Path) -> Iterator[VerifiedPart]:
    check_published(path)
    places = (path.resolve(), path.absolute())
    with _make_folder(path.resolve(), lake) as folder:
        full = folder / "full.duckdb"
        with duckdb.connect(config={"temp_directory": f"{folder}/spill"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH {quote_text(str(path.resolve()))} AS published (READ_ONLY)")
            ((now, version, detail, versions),) = connection.execute(
                "SELECT published_at, product_version, detail, source_versions FROM published._meta"
            ).fetchall()
            publish(lake, full, now=now, version=version, detail=detail, places=places)
            connection.execute(f"ATTACH {quote_text(str(full))} AS full_build (READ_ONLY)")
            ((newer,),) = connection.execute("SELECT source_versions FROM full_build._meta").fetchall()
            if json.loads(newer) != json.loads(versions):
                raise NotComparedError(
                    "the lake was changed since the publication: when no run is at work, run 'sunledger publish', then "
                    "'sunledger verify --published' again."
                )
            yield from _compare_rows(connection)
            yield from _compare_texts(connection)


def _compare_rows(connection: duckdb.DuckDBPyConnection) -> Iterator[VerifiedPart]:
    found, built = (
        {(schema, name): columns for schema, name, columns in connection.execute(_TABLES, [one]).fetchall()}
        for one in ("published", "full_build")
    )
    for schema, name in sorted(found.keys() | built.keys()):
        if name in OF_THE_FILE or schema == SCHEMA:
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


def _compare_texts(connection: duckdb.DuckDBPyConnection) -> Iterator[VerifiedPart]:
    found, built = (
        {
            tuple(key): _EXCLUDED.sub(_sort_names, text)
            for *key, text in connection.execute(_TEXTS, [one]).fetchall()
        }
        for one in ("published", "full_build")
    )
    for kind, schema, name in sorted(found.keys() | built.keys()):
        if schema == SCHEMA:
            continue
        mine, full = (texts.get((kind, schema, name)) for texts in (found, built))
        sentence = None if mine == full else f"the {kind} is not that of a file built from nothing. {CURE}"
        yield _report(f"warehouse, {name}" if schema == "main" else f"warehouse, {schema}.{name}", sentence)


def _sort_names(found: re.Match[str]) -> str:
    return ", ".join(sorted(found[0].split(", ")))


def _count_rows_beyond(connection: duckdb.DuckDBPyConnection, table: str, other: str) -> int:
    query = f"SELECT count(*) FROM (FROM {table} EXCEPT ALL FROM {other})"  # noqa: S608 - names are quoted
    ((rows,),) = connection.execute(query).fetchall()
    return int(rows)


def _report(place: str, sentence: str | None) -> VerifiedPart:
    damage = Damage(DamageKind.PUBLISHED_CHANGED, None, None, None, sentence) if sentence else None
    return VerifiedPart(place, damage)
