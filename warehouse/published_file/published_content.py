"""The content of a published file: tables and views of one snapshot of the lake, written into a new DuckDB file."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import duckdb
import polars as pl

from schemas import (
    TABLES,
    CoverageDaily,
    EnergyBalanceIntervals,
    Table,
    columns,
    storage,
)
from warehouse import contract
from warehouse.ddl import create_table, write_comment, write_comments
from warehouse.lake import Lake, Snapshot
from warehouse.part_folders import cut_table_path
from warehouse.published_file.detail import NONE, OF_STORE, CopiedDetail, choose_files, find_first_day
from warehouse.published_file.home_guard import HomeGuard, place_guard
from warehouse.published_file.lake_views import LakeViews
from warehouse.published_file.macros import MACROS, create, read_from_day_file
from warehouse.published_file.meta import FILE_TABLES, hash_schema
from warehouse.published_file.open_published import take_first_line
from warehouse.published_file.origin_tables import Origin, write_clocks, write_meta
from warehouse.published_file.own_tables import SCHEMA, LeftOut, add_own_table, read_own_tables
from warehouse.published_file.publication_base import Footers, Sources
from warehouse.published_file.published_changes import (
    AffectedRows,
    choose_files_of,
    delete_parts,
    find_changed_columns,
    find_changed_rows,
    keep_list,
    list_changed_folders,
    replace_curated_rows,
)
from warehouse.published_file.row_inserts import SORTED_BYTES, put_rows
from warehouse.quoting import quote_identifier, quote_text
from warehouse.views import load_curated_views

Snapshots: TypeAlias = Mapping[type[Table], Snapshot]
# Adds rows to a table of the file that is being written, and returns about how many bytes they take in memory.
Fill: TypeAlias = Callable[..., int]

# DuckDB 1.2 to 2.0 read this; files in a newer format stay shut to the drivers that BI tools carry.
STORAGE_VERSION = "v1.0.0"
# Files of a report table that are in memory at once.
REPORT_FILES_AT_ONCE = 64
# The memory that DuckDB may use. More saves no time, because rows that it sorts wait on the disk cheaply. If it needs
# more for data that can't wait there, it gets the share of the machine that DuckDB takes by default. One thread fills
# one group of rows at a time, and takes a fifth less CPU than two that wait for each other.
LITTLE_MEMORY = {"memory_limit": "64MiB", "threads": "1", "allocator_background_threads": "true"}
# The memory for curated tables, which join many others, and for changes of an existing file.
MORE_MEMORY = "112MiB"
# An extension would come from the internet in the middle of a publication: there is none that is needed.
OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


@dataclass(frozen=True, slots=True)
class Content:
    """What was written: the rows of each table, those of the user's own as `own.NAME`, and which of these were not.

    `footers` has what was read of the files of each view. `_clocks` was made of `zones`, and `clocks` is its digest.
    """

    rows: dict[str, int]
    left_out: tuple[LeftOut, ...]
    footers: dict[str, Footers]
    zones: list[str]
    clocks: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a publication has beside the lake's rows: its moment, the product's version, and the user's own tables.

    `now` has a time zone. `places` says where the file will be opened: views over the lake's files work nowhere else.
    `own_tables` is the folder of the user's own tables, and `own` the digest of its files; None where it is not known.
    """

    now: dt.datetime
    version: str
    places: tuple[Path, ...]
    own_tables: Path | None
    own: str | None


@dataclass(frozen=True, slots=True)
class PublicationPlan:
    """What goes into a publication: which detail is copied, which tables are views, and the files to copy of others."""

    snapshots: Snapshots
    copied: CopiedDetail
    viewed: frozenset[type[Table]]
    files: Mapping[type[Table], tuple[str, ...]]

    def list_sources(self) -> dict[str, list[str]]:
        """The files whose rows are in the file or in its views, by table, as paths inside the table."""
        return {
            storage(model).table: [cut_table_path(model, file) for file in files]
            for model, files in {**{m: s.files for m, s in self.snapshots.items()}, **self.files}.items()
        }


def plan_content(snapshots: Snapshots, detail: str = NONE) -> PublicationPlan:
    """What goes into a publication of these snapshots. `detail` says how much detail is copied."""
    copied = _choose_detail(snapshots, detail)
    viewed = frozenset(model for model, found in snapshots.items() if _is_view(model, found, copied.amount))
    files = {
        model: choose_files(snapshot.files, copied.first_day_of(model))
        for model, snapshot in snapshots.items()
        if model not in viewed
    }
    return PublicationPlan(snapshots, copied, viewed, files)


def list_making(plan: PublicationPlan) -> list[object]:
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


def place_file_guard(lake: Lake, plan: PublicationPlan, places: Sequence[Path]) -> HomeGuard | None:
    """The guard of the views over the lake's files, put into the lake if it is not there; None where none needs one."""
    return place_guard(lake.root, places) if plan.viewed and places and not lake.remote else None


def build(
    lake: Lake,
    plan: PublicationPlan,
    file: Path,
    occasion: Occasion,
    *,
    base: Sources | None = None,
    memory: Mapping[str, str],
) -> Content:
    """Write the new file, with the tables of the user's own that fit.

    With `base`, `file` is a copy of the publication before, which was made of that, and only what changed is written.
    `memory` is what DuckDB may hold, as its settings. Raises duckdb.OutOfMemoryException where that is not enough.
    """
    with duckdb.connect(config={**OFFLINE, **memory, "temp_directory": f"{file}.spill"}) as connection:
        connection.execute(
            "SET TimeZone = 'UTC'; "
            f"ATTACH {quote_text(str(file))} AS published (STORAGE_VERSION {quote_text(STORAGE_VERSION)}); "
            "USE published; BEGIN"
        )
        viewed_files = {model: plan.snapshots[model].files for model in plan.viewed}
        guard = place_file_guard(lake, plan, occasion.places)
        views = LakeViews.of(viewed_files, base.footers if base else {}, guard)
        fill = partial(put_rows, connection, Path(f"{file}.rows"))
        if base is None:
            comments, tables = _add_tables(connection, lake, plan, fill), list(plan.files)
            changed: dict[str, AffectedRows] = {}
        else:
            _raise_limit(connection, memory)
            comments, changed = [], _update_tables(connection, lake, plan, base, fill)
            tables = [model for model in plan.files if storage(model).table in changed]
        comments += write_meta(
            connection, Origin(plan.snapshots, plan.copied, occasion.now, occasion.version), base
        )
        zones, clocks, of_clocks = write_clocks(connection, fill, occasion.now, base)
        comments += of_clocks
        comments += _write_views(connection, plan, views, base, changed, memory)
        # To optimize a comment takes as long as to write it.
        _execute(connection, ["PRAGMA disable_optimizer", *comments, "PRAGMA enable_optimizer"])
        rows = (base.rows if base else {}) | _count_rows(connection, tables)
        connection.execute("COMMIT")
        own_rows, left_out = _renew_own_tables(connection, occasion.own_tables, occasion.own, base)
        connection.execute("CHECKPOINT published; USE memory; DETACH published")
    shown = {storage(model).table: found for model, found in views.footers.items()}
    viewed = {table: sum(sum(files.values()) for files in of.values()) for table, of in shown.items()}
    rows = {storage(model).table: rows[storage(model).table] for model in plan.files}
    return Content(viewed | rows | own_rows, left_out, shown, zones, clocks)


def _raise_limit(connection: duckdb.DuckDBPyConnection, memory: Mapping[str, str]) -> None:
    """Let DuckDB hold more, unless it takes what it wants."""
    if "memory_limit" in memory:
        connection.execute(f"SET memory_limit = '{MORE_MEMORY}'")


def _add_tables(
    connection: duckdb.DuckDBPyConnection, lake: Lake, plan: PublicationPlan, fill: Fill
) -> list[str]:
    """Add all tables with their rows; return their comments, which are still to be added."""
    comments: list[str] = []
    waiting = 0
    for model in plan.files:
        waiting += _add(connection, lake, plan, model, fill)
        comments += write_comments(model, "TABLE")
        # Nobody sees the file before it is in its place. Rows that are committed are packed, and leave the memory; a
        # commit waits for the disk, so small tables share one.
        if waiting > SORTED_BYTES:
            connection.execute("COMMIT; BEGIN")
            waiting = 0
    return comments


def _update_tables(
    connection: duckdb.DuckDBPyConnection, lake: Lake, plan: PublicationPlan, base: Sources, fill: Fill
) -> dict[str, AffectedRows]:
    """Replace the parts of the tables of which the files differ, and return which rows of tables and views changed."""
    changed: dict[str, AffectedRows] = {}
    now = plan.list_sources()
    for model in plan.snapshots:
        table = storage(model).table
        folders = list_changed_folders(base.inputs.files[table], now[table])
        if not folders:
            continue
        changed[table] = find_changed_rows(model, folders)
        if model not in plan.viewed:
            is_list = not storage(model).partition
            if is_list:
                keep_list(connection, model)
            delete_parts(connection, model, folders)
            files = choose_files_of(model, plan.files[model], folders)
            fill(model, _read_frames(lake, model, files))
            if is_list:
                changed[table] = AffectedRows(columns=find_changed_columns(connection, model))
    return changed


def _write_views(
    connection: duckdb.DuckDBPyConnection,
    plan: PublicationPlan,
    views: LakeViews,
    base: Sources | None,
    changed: Mapping[str, AffectedRows],
    memory: Mapping[str, str],
) -> list[str]:
    """Write the views of the lake's files that differ from `base`, curated views, and macros.

    `changed` are the rows that differ. Returns their comments, which are still to be added.
    """
    known = base.footers if base else {}
    renewed = {model for model in plan.viewed if known.get(storage(model).table) != views.footers[model]}
    connection.execute(views.write(renewed))
    of_coverage = {CoverageDaily} & plan.viewed if base is None or changed else set()
    # Rows of curated tables are made of this one, in a file that is not in its place yet: without the guard.
    connection.execute(views.write(of_coverage, guarded=False))
    comments: list[str] = []
    if base is None:
        _raise_limit(connection, memory)
        comments += _add_curated(connection)
    else:
        replace_curated_rows(connection, load_curated_views(), changed)
    connection.execute(views.write(of_coverage))
    renewed |= of_coverage
    for model in renewed:
        comments += write_comments(model, "VIEW")
    if base is None or EnergyBalanceIntervals in renewed:
        in_lake = EnergyBalanceIntervals in plan.viewed
        files = plan.snapshots[EnergyBalanceIntervals].files if in_lake else ()
        comments += _create_row_macros(files, views.guard)
    return comments


def _count_rows(connection: duckdb.DuckDBPyConnection, models: Sequence[type[Table]]) -> dict[str, int]:
    names = [storage(model).table for model in models]
    if not names:
        return {}
    counts = ", ".join(f"(SELECT count(*) FROM {quote_identifier(name)})" for name in names)  # noqa: S608
    (found,) = connection.execute(f"SELECT {counts}").fetchall()
    return dict(zip(names, found, strict=True))


def _choose_detail(snapshots: Snapshots, detail: str) -> CopiedDetail:
    found = [snapshot for model, snapshot in snapshots.items() if storage(model).published == "view"]
    if detail == NONE and not all(map(_is_in_reach, found)):
        detail = OF_STORE
    return CopiedDetail(detail, find_first_day(detail, (file for one in found for file in one.files)))


def _is_view(model: type[Table], snapshot: Snapshot, detail: str) -> bool:
    return storage(model).published == "view" and detail == NONE and _is_in_reach(snapshot)


def _add(
    connection: duckdb.DuckDBPyConnection, lake: Lake, plan: PublicationPlan, model: type[Table], fill: Fill
) -> int:
    """Add one table, but for its comments, and return about how many bytes its rows take in memory."""
    connection.execute(create_table(model))
    # A few days of detail come sorted by day, and are more rows than all report tables have. A single file has its rows
    # in the order of the key, but for nulls in it, which the lake has first.
    in_order = storage(model).published == "native" or plan.copied.first_day is None
    files, key = plan.files[model], storage(model).key
    if len(files) == 1 and not any(column.nullable for column in columns(model) if column.name in key):
        in_order = False
    return fill(model, _read_frames(lake, model, files), in_order=in_order)


def _is_in_reach(snapshot: Snapshot) -> bool:
    """Whether readers of the published file can read the snapshot's files too."""
    return not any("://" in file for file in snapshot.files)


def _read_frames(
    lake: Lake, model: type[Table], files: Sequence[str]
) -> Iterator[pl.DataFrame] | Iterator[pl.LazyFrame]:
    """The rows of files of the lake, some at a time: a day of a report is small, a day of detail is not."""
    if storage(model).published != "native":
        yield from lake.read_files(model, files)
        return
    for first in range(0, len(files), REPORT_FILES_AT_ONCE):
        chosen = tuple(files[first : first + REPORT_FILES_AT_ONCE])
        with lake.watch_store():
            yield lake.scan(model, Snapshot(0, chosen))


def _add_curated(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Add macros, and the curated tables and views; return the comments of these, which are still to be added."""
    comments: list[str] = []
    _execute(
        connection,
        [statement for macro in MACROS if not macro.gives_rows for statement in create(macro)],
    )
    for view in load_curated_views():
        kind = view.kind.upper()
        connection.execute(f"CREATE {kind} {quote_identifier(view.name)} AS {view.query}")
        comments += write_comment(kind, view.name, view.comment, view.columns)
    return comments


def _create_row_macros(day_files: Sequence[str], guard: HomeGuard | None) -> list[str]:
    return [
        statement
        for macro in MACROS
        if macro.gives_rows
        for statement in create(read_from_day_file(macro, day_files, guard) if day_files else macro)
    ]


def list_taken_names() -> frozenset[str]:
    """The names that tables of the user's own can't have, since ours have them, in lower case."""
    tables = [storage(model).table for model in (*TABLES, *FILE_TABLES)]
    views = [view.name for view in load_curated_views()]
    return frozenset(name.lower() for name in (*tables, *views, *(macro.name for macro in MACROS)))


def _renew_own_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path | None, own: str | None, base: Sources | None
) -> tuple[dict[str, int], tuple[LeftOut, ...]]:
    """Write the tables of the user's own again, unless those of the publication before were made of the same files."""
    if base is None:
        return _add_own_tables(connection, folder)
    if own is not None and own == base.inputs.own:
        rows = {name: n for name, n in base.rows.items() if name.startswith(f"{SCHEMA}.")}
        return rows, tuple(LeftOut(name, reason) for name, reason in base.left_out)
    connection.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(SCHEMA)} CASCADE")
    return _add_own_tables(connection, folder)


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
    # In one piece: DuckDB takes a third longer for some thousand comments one by one, and again a third where it hands
    # each of them to another thread.
    if statements:
        connection.execute(";\n".join(statements))
