"""The content of a published file: tables and views of one snapshot of the lake, written into a new DuckDB file."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import (
    TABLES,
    CoverageDaily,
    EnergyBalanceIntervals,
    EnergyDaily,
    Plants,
    Table,
    polars_schema,
    storage,
)
from warehouse import contract
from warehouse.clocks import Clocks, build_clocks
from warehouse.ddl import (
    create_file_view,
    create_table,
    quote_identifier,
    quote_text,
    write_comment,
    write_comments,
)
from warehouse.detail import ALL, NONE, choose_files, find_first_day
from warehouse.home_guard import HomeGuard, place_guard
from warehouse.lake import Lake, Snapshot
from warehouse.lake_reader import cut_table_path
from warehouse.macros import MACROS, create, read_from_day_file
from warehouse.meta import FILE_TABLES, Meta, hash_schema
from warehouse.open_published import take_first_line
from warehouse.own_tables import SCHEMA, LeftOut, add_own_table, read_own_tables
from warehouse.published_changes import (
    ChangedRows,
    choose_files_of,
    delete_parts,
    find_changed_rows,
    list_changed_folders,
    update_curated,
)
from warehouse.views import load_curated_views

Snapshots: TypeAlias = Mapping[type[Table], Snapshot]

# DuckDB 1.2 to 2.0 read this; files in a newer format stay shut to the drivers that BI tools carry.
STORAGE_VERSION = "v1.0.0"
# Files of a copied table that are in memory at once: a day of a report is small, a day of detail is not.
REPORT_FILES_AT_ONCE = 64
DETAIL_FILES_AT_ONCE = 1
# An extension would come from the internet in the middle of a publication: there is none that is needed.
OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


@dataclass(frozen=True, slots=True)
class Content:
    """What was written: the rows of each table, those of the user's own as `own.NAME`, and which of these were not."""

    rows: dict[str, int]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes into a publication: which detail is copied, which tables are views, and the files to copy of others."""

    snapshots: Snapshots
    copied: "CopiedDetail"
    viewed: frozenset[type[Table]]
    files: Mapping[type[Table], tuple[str, ...]]

    def list_sources(self) -> dict[str, list[str]]:
        """The files whose rows are in the file or in its views, by table, as paths inside the table."""
        return {
            storage(model).table: [cut_table_path(model, file) for file in files]
            for model, files in {**{m: s.files for m, s in self.snapshots.items()}, **self.files}.items()
        }


def plan_content(snapshots: Snapshots, detail: str = NONE) -> Plan:
    """What goes into a publication of these snapshots. `detail` says how much detail is copied."""
    copied = _choose_detail(snapshots, detail)
    viewed = frozenset(model for model, found in snapshots.items() if _is_view(model, found, detail))
    files = {
        model: choose_files(snapshot.files, copied.first_day_of(model))
        for model, snapshot in snapshots.items()
        if model not in viewed
    }
    return Plan(snapshots, copied, viewed, files)


def list_making(plan: Plan) -> list[object]:
    """All that decides how rows become a published file, beside the rows."""
    return [
        STORAGE_VERSION,
        contract.read()[0],
        hash_schema((*TABLES, *FILE_TABLES)),
        load_curated_views(),
        MACROS,
        plan.copied.amount,
        sorted(storage(model).table for model in plan.viewed),
    ]


def build(
    lake: Lake,
    plan: Plan,
    file: Path,
    *,
    now: dt.datetime,
    version: str,
    own_tables: Path | None = None,
    places: Sequence[Path] = (),
    base: Mapping[str, Sequence[str]] | None = None,
) -> Content:
    """Write the new file, with the tables of the user's own that fit.

    `places` says where it will be opened: views over the lake's files work nowhere else. With `base`, `file` is a copy
    of the publication before, which was made of these files of each table, and only what changed is written.
    """
    with duckdb.connect(config={**OFFLINE, "temp_directory": f"{file}.spill"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"ATTACH {quote_text(str(file))} AS published (STORAGE_VERSION {quote_text(STORAGE_VERSION)})"
        )
        connection.execute("USE published")
        connection.execute("BEGIN")
        groups = {model: _group_files(plan.snapshots[model].files) for model in plan.viewed}
        rows = {storage(model).table: sum(found.values()) for model, found in groups.items()}
        for model in plan.viewed if base is None else plan.viewed & {CoverageDaily}:
            _add_view(connection, model, groups[model])
        if base is None:
            for model, files in plan.files.items():
                rows[storage(model).table] = _add(connection, lake, model, files)
            _add_file_tables(connection, plan, now=now, version=version)
            _add_curated(connection)
        else:
            found = _update_tables(connection, lake, plan, base)
            rows |= {storage(model).table: _count(connection, model) for model in plan.files}
            _drop_file_tables(connection)
            _add_file_tables(connection, plan, now=now, version=version)
            update_curated(connection, load_curated_views(), found)
        guard = place_guard(lake.root, places) if plan.viewed and places else None
        # The rows of curated views are made of these views, in a file that is not in its place yet.
        for model in plan.viewed:
            if guard and plan.snapshots[model].files:
                _add_view(connection, model, groups[model], guard)
            elif base is not None:
                _add_view(connection, model, groups[model])
        in_lake = EnergyBalanceIntervals in plan.viewed
        _add_row_macros(connection, plan.snapshots[EnergyBalanceIntervals].files if in_lake else (), guard)
        connection.execute("COMMIT")
        own, left_out = _add_own_tables(connection, own_tables)
        connection.execute("CHECKPOINT published")
        connection.execute("USE memory")
        connection.execute("DETACH published")
    return Content(rows | own, left_out)


def _update_tables(
    connection: duckdb.DuckDBPyConnection, lake: Lake, plan: Plan, base: Mapping[str, Sequence[str]]
) -> dict[str, ChangedRows]:
    """Replace the parts of the tables of which the files differ, and return which rows of tables and views changed."""
    changed: dict[str, ChangedRows] = {}
    now = plan.list_sources()
    for model in plan.snapshots:
        table = storage(model).table
        folders = list_changed_folders(base[table], now[table])
        if not folders:
            continue
        changed[table] = find_changed_rows(model, folders)
        if model not in plan.viewed:
            delete_parts(connection, model, folders)
            files = choose_files_of(model, plan.files[model], folders)
            at_once = REPORT_FILES_AT_ONCE if storage(model).published == "native" else DETAIL_FILES_AT_ONCE
            _insert(connection, model, _read_frames(lake, model, files, at_once))
    return changed


def _count(connection: duckdb.DuckDBPyConnection, model: type[Table]) -> int:
    counted = connection.execute(f"SELECT count(*) FROM {quote_identifier(storage(model).table)}").fetchall()  # noqa: S608
    return int(counted[0][0])


def _add_file_tables(
    connection: duckdb.DuckDBPyConnection, plan: Plan, *, now: dt.datetime, version: str
) -> None:
    _add_meta(connection, plan.snapshots, plan.copied, now=now, version=version)
    _add_clocks(connection, now)


def _drop_file_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what each publication makes anew: what says where it comes from, and the user's own tables."""
    for model in FILE_TABLES:
        connection.execute(f"DROP TABLE {quote_identifier(storage(model).table)}")
    connection.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(SCHEMA)} CASCADE")


@dataclass(frozen=True, slots=True)
class CopiedDetail:
    """How much detail the file holds: `none`, or as the setting says, and its first day (None: from the beginning)."""

    amount: str
    first_day: dt.date | None

    def first_day_of(self, model: type[Table]) -> dt.date | None:
        """The first day of the table's rows that is copied; None for all.

        Rows of curated views are made of the coverage of all days, which is small.
        """
        return self.first_day if storage(model).published == "view" and model is not CoverageDaily else None


def _choose_detail(snapshots: Snapshots, detail: str) -> CopiedDetail:
    found = [snapshot for model, snapshot in snapshots.items() if storage(model).published == "view"]
    if detail == NONE and not all(map(_is_in_reach, found)):
        detail = ALL
    return CopiedDetail(detail, find_first_day(detail, (file for one in found for file in one.files)))


def _is_view(model: type[Table], snapshot: Snapshot, detail: str) -> bool:
    return storage(model).published == "view" and detail == NONE and _is_in_reach(snapshot)


def _add(connection: duckdb.DuckDBPyConnection, lake: Lake, model: type[Table], files: Sequence[str]) -> int:
    """Add one table with its comments, and return its number of rows."""
    at_once = REPORT_FILES_AT_ONCE if storage(model).published == "native" else DETAIL_FILES_AT_ONCE
    connection.execute(create_table(model))
    _insert(connection, model, _read_frames(lake, model, files, at_once))
    _execute(connection, write_comments(model, "TABLE"))
    return _count(connection, model)


def _is_in_reach(snapshot: Snapshot) -> bool:
    """Whether readers of the published file can read the snapshot's files too."""
    return not any("://" in file for file in snapshot.files)


Groups: TypeAlias = Mapping[tuple[tuple[str, ...], tuple[str, ...]], int]


def _group_files(files: Sequence[str]) -> Groups:
    """Files by the columns that they have: the columns and the files of each group, and its number of rows."""
    groups: dict[tuple[str, ...], list[str]] = {}
    rows: dict[tuple[str, ...], int] = {}
    for file in files:
        footer = pq.read_metadata(file)
        names = tuple(footer.schema.names)
        groups.setdefault(names, []).append(file)
        rows[names] = rows.get(names, 0) + footer.num_rows
    return {(names, tuple(found)): rows[names] for names, found in groups.items()}


def _add_view(
    connection: duckdb.DuckDBPyConnection, model: type[Table], groups: Groups, guard: HomeGuard | None = None
) -> None:
    """Add or replace one view with its comments."""
    source, condition = (guard.empty_source, guard.condition) if guard else ("", "")
    files = [found for _, found in groups]
    connection.execute(create_file_view(model, files, source=source, condition=condition))
    _execute(connection, write_comments(model, "VIEW"))


def _read_frames(
    lake: Lake, model: type[Table], files: Sequence[str], at_once: int
) -> Iterator[pl.DataFrame]:
    """The rows of files of the lake, some files at a time, so that memory does not grow with the table."""
    for first in range(0, len(files), at_once):
        chosen = tuple(files[first : first + at_once])
        yield lake.scan(model, Snapshot(0, chosen)).collect(engine="streaming")


def _insert(
    connection: duckdb.DuckDBPyConnection, model: type[Table], frames: Iterator[pl.DataFrame]
) -> None:
    """Fill a new table by Arrow, in the order of the key (DuckDB sorts, and spills to disk where it must)."""
    layout = pl.CompatLevel.oldest()
    shape = polars_schema(model).to_frame().to_arrow(compat_level=layout).schema
    failures: list[Exception] = []
    kept = _keep_failure(frames, failures)
    batches = (batch for frame in kept for batch in frame.to_arrow(compat_level=layout).to_batches())
    key = ", ".join(quote_identifier(name) for name in storage(model).key)
    order = f" ORDER BY {key}" if key else ""
    connection.register("incoming", pa.RecordBatchReader.from_batches(shape, batches))
    try:
        connection.execute(f"INSERT INTO {quote_identifier(storage(model).table)} FROM incoming{order}")
    except duckdb.Error:
        # Of what goes wrong while the lake is read, DuckDB passes on the text alone.
        if failures:
            raise failures[0] from None
        raise
    connection.unregister("incoming")


def _keep_failure(frames: Iterator[pl.DataFrame], failures: list[Exception]) -> Iterator[pl.DataFrame]:
    try:
        yield from frames
    except Exception as fault:
        failures.append(fault)
        raise


def _add_meta(
    connection: duckdb.DuckDBPyConnection,
    snapshots: Snapshots,
    copied: CopiedDetail,
    *,
    now: dt.datetime,
    version: str,
) -> None:
    days = f"SELECT min(local_date), max(local_date) FROM {quote_identifier(storage(EnergyDaily).table)}"  # noqa: S608
    first_day, last_day = connection.execute(days).fetchall()[0]
    versions = {storage(model).table: snapshot.version for model, snapshot in snapshots.items()}
    row = {
        "product_version": version,
        "published_at": now.astimezone(dt.UTC),
        "contract_version": contract.format_version(contract.read()[0]),
        "schema_hash": hash_schema(TABLES),
        "source_versions": json.dumps(versions, sort_keys=True),
        "first_day": first_day,
        "last_day": last_day,
        "detail": copied.amount,
        "detail_first_day": copied.first_day,
    }
    connection.execute(create_table(Meta))
    _insert(connection, Meta, iter([pl.DataFrame([row], schema=polars_schema(Meta))]))
    _execute(connection, write_comments(Meta, "TABLE"))


def _add_clocks(connection: duckdb.DuckDBPyConnection, now: dt.datetime) -> None:
    zones = f"SELECT DISTINCT timezone FROM {quote_identifier(storage(Plants).table)}"  # noqa: S608
    found = [zone for (zone,) in connection.execute(zones).fetchall()]
    connection.execute(create_table(Clocks))
    _insert(connection, Clocks, iter([build_clocks(found, now)]))
    _execute(connection, write_comments(Clocks, "TABLE"))


def _add_curated(connection: duckdb.DuckDBPyConnection) -> None:
    for macro in MACROS:
        if not macro.gives_rows:
            _execute(connection, create(macro))
    for view in load_curated_views():
        kind = view.kind.upper()
        connection.execute(f"CREATE {kind} {quote_identifier(view.name)} AS {view.query}")
        _execute(connection, write_comment(kind, view.name, view.comment, view.columns))


def _add_row_macros(
    connection: duckdb.DuckDBPyConnection, day_files: Sequence[str], guard: HomeGuard | None
) -> None:
    for macro in MACROS:
        if macro.gives_rows:
            _execute(connection, create(read_from_day_file(macro, day_files, guard) if day_files else macro))


def list_taken_names() -> frozenset[str]:
    """The names that tables of the user's own can't have, since ours have them, in lower case."""
    tables = [storage(model).table for model in (*TABLES, *FILE_TABLES)]
    views = [view.name for view in load_curated_views()]
    return frozenset(name.lower() for name in (*tables, *views, *(macro.name for macro in MACROS)))


def _add_own_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path | None
) -> tuple[dict[str, int], tuple[LeftOut, ...]]:
    """Add the tables of the user's own, each by itself: the rows of those that fit, and the others."""
    rows: dict[str, int] = {}
    left_out: list[LeftOut] = []
    for found in read_own_tables(folder, list_taken_names()):
        if isinstance(found, LeftOut):
            left_out.append(found)
            continue
        name = f"{SCHEMA}.{found.name}"
        try:
            rows[name] = add_own_table(connection, found)
        except (duckdb.DataError, duckdb.ProgrammingError) as fault:
            left_out.append(
                LeftOut(
                    name, f"DuckDB does not take it ({take_first_line(fault).rstrip('.')}): mend the file"
                )
            )
    return rows, tuple(left_out)


def _execute(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement)
