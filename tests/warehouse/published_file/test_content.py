"""The published file holds what the lake holds, with the models' types, comments and order."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from schemas import (
    TABLES,
    EnergyDaily,
    KpiDaily,
    Plants,
    PvIntervals,
    Table,
    columns,
    comment,
    polars_schema,
    storage,
)
from tests.small_lake import FIRST, NOW
from warehouse import contract
from warehouse.ddl import create_file_view, create_table
from warehouse.lake import Lake
from warehouse.published_file import publish as publishing
from warehouse.published_file import published_content
from warehouse.published_file.meta import FILE_TABLES, hash_schema
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import PublishedFile, publish
from warehouse.published_file.read_only import restrict
from warehouse.published_file.row_inserts import FILES_AT_ONCE, put_rows
from warehouse.views import CuratedView, load_curated_views, parse_view

PUBLISHED: list[type[Table]] = [model for model in TABLES if storage(model).published != "no"]
NATIVE = [model for model in PUBLISHED if storage(model).published == "native"]
DOCUMENTED: list[type[Table]] = [*PUBLISHED, *FILE_TABLES]
VIEWS = load_curated_views()


def each(models: list[type[Table]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models, ids=lambda model: storage(model).table)


@pytest.fixture(scope="module")
def db(published: PublishedFile) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(published.path) as connection:
        yield connection


def dicts(db: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return db.sql(query).pl().to_dicts()


def test_the_file_holds_each_published_table_and_view_and_nothing_else(
    db: duckdb.DuckDBPyConnection,
) -> None:
    tables = {name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    views = {
        name for (name,) in db.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    }
    kept = {view.name for view in VIEWS if view.kind == "table"}
    assert tables == {storage(model).table for model in (*NATIVE, *FILE_TABLES)} | kept
    shown = {view.name for view in VIEWS if view.kind == "view"}
    assert views == {storage(m).table for m in set(PUBLISHED) - set(NATIVE)} | shown


@each(PUBLISHED)
def test_rows_are_the_lakes(db: duckdb.DuckDBPyConnection, filled: Lake, model: type[Table]) -> None:
    lake = filled.scan(model).collect()
    ours = db.table(storage(model).table).pl()
    assert_frame_equal(ours, lake, check_row_order=False)


@each(PUBLISHED)
def test_the_result_counts_rows(published: PublishedFile, filled: Lake, model: type[Table]) -> None:
    assert published.tables[storage(model).table] == filled.scan(model).collect().height


@each(PUBLISHED)
def test_columns_types_and_not_null_are_the_models(db: duckdb.DuckDBPyConnection, model: type[Table]) -> None:
    described = db.execute(f"DESCRIBE {storage(model).table}").fetchall()
    names = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    assert [(name, names.get(kind, kind)) for name, kind, *_ in described] == [
        (c.name, c.duckdb_type) for c in columns(model)
    ]
    if model in NATIVE:
        assert [null == "YES" for _, _, null, *_ in described] == [c.nullable for c in columns(model)]


@each(DOCUMENTED)
def test_comments_are_the_models(db: duckdb.DuckDBPyConnection, model: type[Table]) -> None:
    kept = storage(model)
    about = db.execute(
        "SELECT comment FROM duckdb_tables() WHERE table_name = $name "
        "UNION ALL SELECT comment FROM duckdb_views() WHERE view_name = $name",
        {"name": kept.table},
    ).fetchall()
    key = f"Key: {', '.join(kept.key)}." if kept.key else "No key: two rows may be equal."
    assert about == [(f"{comment(model)} {key}",)]
    of_columns = db.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
        [kept.table],
    ).fetchall()
    assert of_columns == [(c.name, c.comment) for c in columns(model)]


def test_native_tables_lie_in_the_order_of_the_key(db: duckdb.DuckDBPyConnection) -> None:
    rows = db.execute("SELECT plant_id, local_date FROM energy_daily ORDER BY rowid").fetchall()
    assert rows == sorted(rows)
    assert len(rows) == 4


def test_times_come_back_in_utc(db: duckdb.DuckDBPyConnection) -> None:
    ((start, zone),) = db.execute(
        "SELECT min(interval_start), current_setting('TimeZone') FROM energy_balance_intervals"
    ).fetchall()
    assert (start, zone) == (dt.datetime(2021, 10, 1, 12, tzinfo=dt.UTC), "UTC")
    assert start.utcoffset() == dt.timedelta(0)


def test_a_hostile_name_is_only_a_name(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute("SELECT name FROM plants WHERE plant_id = 'b'").fetchall()
    assert found == db.execute("SELECT message FROM logs").fetchall()
    assert found == [("""O'Brien"; DROP TABLE plants; --""",)]


def test_meta_says_where_the_file_comes_from(db: duckdb.DuckDBPyConnection, filled: Lake) -> None:
    (meta,) = dicts(db, "FROM _meta")
    versions = json.loads(meta.pop("source_versions"))
    assert versions == {storage(m).table: filled.take_snapshot(m).version for m in PUBLISHED}
    assert versions["energy_daily"] > 0
    assert versions["measurement_sets"] == -1
    assert meta == {
        "product_version": "1.2.3",
        "published_at": dt.datetime(2021, 10, 3, 4, 5, 6, tzinfo=dt.UTC),
        "contract_version": contract.FILE.read_text().partition("\n")[0].removeprefix("# version "),
        "schema_hash": hash_schema(TABLES),
        "first_day": dt.date(2021, 10, 1),
        "last_day": dt.date(2021, 10, 2),
        "detail": "none",
        "detail_first_day": None,
    }


def test_the_schema_hash_follows_the_models() -> None:
    assert hash_schema(TABLES) == hash_schema(TABLES)
    assert hash_schema(TABLES) != hash_schema(TABLES[:-1])


def test_old_readers_can_open_the_file(db: duckdb.DuckDBPyConnection) -> None:
    ((tags,),) = db.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert tags["storage_version"].startswith("v1.0.0")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_curated_view_documents_itself_and_each_column(
    db: duckdb.DuckDBPyConnection, view: CuratedView
) -> None:
    described = [row[0] for row in db.execute(f"DESCRIBE {view.name}").fetchall()]
    assert described == list(view.columns)
    found = db.execute(
        "SELECT comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [view.name]
    ).fetchall()
    assert [text for (text,) in found] == list(view.columns.values())
    about = db.execute(
        f"SELECT comment FROM duckdb_{view.kind}s() WHERE {view.kind}_name = ?", [view.name]
    ).fetchall()
    assert about == [(view.comment,)]
    key = view.comment.rpartition(". ")[2].removesuffix(".").removeprefix("Key: ")
    if key == "No key: two rows may be equal":
        return
    assert set(key.split(", ")) <= set(view.columns)
    assert db.execute(f"SELECT {key} FROM {view.name} GROUP BY ALL HAVING count(*) > 1").fetchall() == []
    # These need more than this lake has: their rows are in test_like_for_like.py and test_clear_days.py.
    if view.name not in {"v_months_like_for_like", "v_battery_monthly", "v_strings_daily"}:
        assert db.execute(f"FROM {view.name}").fetchall() != []


def test_energy_stands_beside_its_plant(db: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT plant_id, pv_generation_kwh, specific_yield_kwh_per_kw FROM {} ORDER BY ALL"
    assert db.execute(query.format("v_energy_daily WHERE local_date = '2021-10-01'")).fetchall() == [
        ("a", 30.0, 3.0),
        ("b", 4.0, None),
    ]
    assert db.execute(query.format("v_energy_monthly")).fetchall() == [("a", 50.0, 5.0), ("b", 4.0, None)]


def test_the_fleets_month_adds_up_with_its_coverage(db: duckdb.DuckDBPyConnection) -> None:
    (month,) = dicts(db, "FROM v_energy_monthly_by_fleet")
    assert month == {
        "month": dt.date(2021, 10, 1),
        "n_plants": 2,
        "n_plants_not_complete": 1,
        "coverage": 60 / 96,
        "pv_generation_kwh": 54.0,
        "peak_power_kw": 10.0,
        "specific_yield_kwh_per_kw": 5.0,
        "self_consumption_kwh": None,
        "grid_feed_in_kwh": None,
        "grid_consumption_kwh": None,
        "total_consumption_kwh": None,
        "n_plants_with_co2": 1,
        "co2_avoided_kg": 21.5,
    }


def test_days_to_check_leave_out_the_good_ones_and_give_reasons(db: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT local_date::VARCHAR, plant_id, status, missing_h, reasons FROM v_days_to_check"
    assert db.execute(query).fetchall() == [
        ("2021-10-02", "a", "complete", 0.0, "negative, spike"),
        ("2021-10-02", "b", "missing", 24.0, None),
        ("2021-10-01", "b", "partial", 12.0, None),
    ]


def test_every_plant_has_its_line_even_without_a_day(db: duckdb.DuckDBPyConnection) -> None:
    query = """
        SELECT plant_id, n_days, n_days_complete, n_days_missing, last_day::VARCHAR,
               last_day_with_data::VARCHAR, best_day::VARCHAR, best_day_pv_generation_kwh, coverage,
               pv_generation_kwh
        FROM v_plants_energy ORDER BY plant_id"""
    assert db.execute(query).fetchall() == [
        ("a", 2, 2, 0, "2021-10-02", "2021-10-02", "2021-10-01", 30.0, 1.0, 50.0),
        ("b", 2, 0, 1, "2021-10-02", "2021-10-01", "2021-10-01", 4.0, 0.25, 4.0),
        ("c", 0, 0, 0, None, None, None, None, None, None),
    ]


def test_an_inverter_is_held_against_its_siblings(db: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT device_id, specific_yield_kwh_per_kw, relative_yield FROM v_inverters_daily ORDER BY ALL"
    assert db.execute(query).fetchall() == [
        ("a1", 4.0, pytest.approx(4.0 / 3.2)),
        ("a2", 2.4, pytest.approx(2.4 / 3.2)),
        ("b1", None, None),
    ]


def test_an_average_day_is_mean_power_by_the_hour(db: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT plant_id, local_hour, n_days, pv_generation_w, grid_feed_in_w FROM v_profile_monthly"
    assert db.execute(query).fetchall() == [
        ("a", 14, 2, 3000.0, None),
        ("b", 14, 2, 4000.0, None),
        ("b", 15, 2, None, None),
    ]
    query = "SELECT local_hour, n_plants, pv_generation_kwh, grid_feed_in_kwh FROM v_profile_monthly_by_fleet"
    assert db.execute(query).fetchall() == [(14, 2, 2.75, None), (15, 1, None, None)]


def test_quarantine_is_counted_by_reason(db: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT plant_name, reason, n_found, n_days FROM v_quarantine_by_reason"
    assert db.execute(query).fetchall() == [("Alpha", "spike", 2, 1), ("Alpha", "negative", 1, 1)]


def test_a_view_reads_files_from_before_a_column_was_added(
    filled: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("columns")
    now = filled.scan(PvIntervals).collect()
    groups: list[list[str]] = []
    for day, part in now.partition_by("local_date", as_dict=True).items():
        file = folder / f"local_date={day[0]}" / "part.parquet"
        file.parent.mkdir()
        old = [] if groups else ["pv_generation_w"]
        part.drop("local_date", *old).write_parquet(file)
        groups.append([str(file)])
    with duckdb.connect() as db:
        db.execute(create_file_view(PvIntervals, groups))
        shown = db.sql("FROM pv_intervals ORDER BY interval_end").pl()
    assert shown.schema.names() == polars_schema(PvIntervals).names()
    assert shown["pv_generation_w"].to_list() == [None, None, 3000.0]
    assert shown["pv_generation_kwh"].to_list() == now["pv_generation_kwh"].to_list()


def test_a_view_reads_only_the_files_of_the_day_asked_for(db: duckdb.DuckDBPyConnection) -> None:
    ((_, plan),) = db.execute(
        "EXPLAIN ANALYZE SELECT sum(pv_generation_w) FROM pv_intervals WHERE local_date = '2021-10-02'"
    ).fetchall()
    assert "Scanning Files: 1/2" in plan or "Total Files Read: 1" in plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1 AS a", "begin with the line '-- table' or '-- view'"),
        ("-- About.\n--\n-- a: It.\nSELECT 1 AS a", "begin with the line '-- table' or '-- view'"),
        ("-- view\n-- About.\nSELECT 1 AS a", "begin with a comment"),
        ("-- view\n-- About.\n--\n-- just a\nSELECT 1 AS a", "'just a' is not 'column: meaning'"),
    ],
)
def test_a_view_without_its_documentation_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"View v: .*{message}"):
        parse_view("v", text)


def test_a_views_file_is_read_as_paragraph_columns_and_query() -> None:
    text = "-- table\n-- What it\n-- shows.\n--\n-- a: First: one.\n-- b: Second.\nSELECT 1 AS a, -- why\n2 AS b;\n"
    assert parse_view("v", text) == CuratedView(
        "v", "table", "What it shows.", {"a": "First: one.", "b": "Second."}, "SELECT 1 AS a, -- why\n2 AS b"
    )


def test_a_restricted_reader_reads_all_that_is_published(published: PublishedFile) -> None:
    """Also the detail, which lies in files of the lake, in a folder whose name needs quoting."""
    with connect(published.path) as db:
        restrict(db)
        for table in [name for (name,) in db.execute("SELECT name FROM (SHOW TABLES)").fetchall()]:
            db.execute(f"FROM {table}").fetchall()
        assert len(db.execute("FROM power_of_day('a', DATE '2021-10-01')").fetchall()) == 2
        with pytest.raises(duckdb.PermissionException):
            db.execute("FROM read_text('/etc/hostname')")


class WatchedConnection:
    """A connection that notes its commits."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection, self.commits = connection, 0

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        self.commits += sql.startswith("COMMIT")
        return self._connection.execute(sql)

    def __enter__(self) -> "WatchedConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.long
def test_a_publication_for_which_little_memory_is_not_enough_is_written_with_more(
    filled: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, opened = [], []

    def connect_anyhow(**options: Any) -> WatchedConnection:
        asked.append(options["config"].get("memory_limit"))
        opened.append(WatchedConnection(open_database(**options)))
        return opened[-1]

    open_database = duckdb.connect
    monkeypatch.setattr(published_content.duckdb, "connect", connect_anyhow)
    monkeypatch.setattr(publishing, "LITTLE_MEMORY", {"memory_limit": "1MiB"})
    file = tmp_path / "w" / "sunledger.duckdb"
    # Of two versions, so that the second one has something to write.
    first, second = (publish(filled, file, now=NOW, version=version) for version in ("1", "2"))
    assert asked == ["1MiB", None] * 2
    # Tables of a small home share a commit, which waits for the disk.
    assert [connection.commits for connection in opened[1::2]] == [1, 1]
    assert first.tables == second.tables
    assert first.tables["energy_daily"] == filled.scan(EnergyDaily).collect().height
    assert not list(file.parent.glob(".*.new-*"))


@pytest.mark.long
def test_a_week_of_a_large_fleet_is_sorted_in_the_memory_that_duckdb_may_hold(tmp_path: Path) -> None:
    """Some plants after others: more would not fit, and the whole file be written again with what DuckDB takes."""
    ids = pl.DataFrame({"plant_id": [f"{number:036}" for number in range(10_000)]})
    others = {
        name: kind for name, kind in polars_schema(KpiDaily).items() if name not in storage(KpiDaily).key
    }
    values = {name: pl.lit("a reason" if kind == pl.String else 0.5, kind) for name, kind in others.items()}
    days = [FIRST + dt.timedelta(days=number) for number in range(7)]
    frames = [ids.select("plant_id", local_date=pl.lit(day), **values) for day in days]
    spill = str(tmp_path / "spill")
    with duckdb.connect(config={**published_content.LITTLE_MEMORY, "temp_directory": spill}) as connection:
        connection.execute(f"ATTACH '{tmp_path / 'new.duckdb'}' AS published; USE published; BEGIN")
        connection.execute(create_table(KpiDaily))
        put_rows(connection, tmp_path / "rows", KpiDaily, frames)
        connection.execute("COMMIT")
        stored = connection.execute("SELECT plant_id, local_date FROM kpi_daily").pl()
    expected = pl.concat(frames).select("plant_id", "local_date").sort("plant_id", "local_date")
    assert_frame_equal(stored, expected)


def test_rows_of_a_copied_table_wait_in_few_files_that_are_removed(tmp_path: Path) -> None:
    whole = (
        polars_schema(Plants)
        .to_frame()
        .clear(50)
        .with_columns(plant_id=pl.format("{}", pl.int_range(pl.len())))
    )
    most = 0

    def frames() -> Iterator[pl.DataFrame]:
        nonlocal most
        for frame in whole.iter_slices(1):
            most = max(most, len(list(tmp_path.iterdir())))
            yield frame

    with duckdb.connect() as connection:
        connection.execute(create_table(Plants).replace(" NOT NULL", ""))
        put_rows(connection, tmp_path / "rows", Plants, frames(), in_order=False)
        stored = connection.table(storage(Plants).table).pl()
    assert stored["plant_id"].to_list() == whole["plant_id"].to_list()
    assert 0 < most <= FILES_AT_ONCE
    assert not list(tmp_path.iterdir())
