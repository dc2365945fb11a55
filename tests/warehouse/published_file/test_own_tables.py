"""Tables of the user's own in the published file: which fit, which are left out and why, and that ours stay."""

import datetime as dt
import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import load_settings
from pipeline.run.preflight import check_before_requests
from schemas import Plants, QuarterHours
from tests.programs import run
from tests.small_lake import NOW, fill, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.own_tables import LeftOut, read_own_tables
from warehouse.published_file.publish import PublishedFile, publish
from warehouse.published_file.published_content import list_taken_names
from warehouse.results.export import export_table
from warehouse.verification.verify import verify_published

DOCS = Path(__file__).parents[3] / "docs" / "own-tables.md"
SHAPE = """
description = "Prices."
key = ["starts_at"]
[columns]
starts_at = "TIMESTAMPTZ"
eur = {type = "DOUBLE", unit = "EUR/MWh", null = true}
"""
ROWS = "eur,starts_at\n2.5,2021-10-01T02:15:00+02:00\n,2021-10-01T00:00:00Z\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tables"
    made.mkdir()
    return made


def write(folder: Path, name: str, rows: str | bytes, shape: str | None = SHAPE, ending: str = "csv") -> None:
    file = folder / f"{name}.{ending}"
    file.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    if shape is not None:
        (folder / f"{name}.toml").write_text(shape)


def published(lake: Lake, tmp_path: Path, folder: Path) -> PublishedFile:
    return publish(lake, tmp_path / "sunledger.duckdb", now=NOW, version="0", own_tables=folder)


def reasons(folder: Path) -> dict[str, str]:
    found = read_own_tables(folder, list_taken_names())
    return {one.name: one.reason for one in found if isinstance(one, LeftOut)}


@pytest.mark.long
def test_a_table_that_fits_is_published_with_types_units_and_order(
    lake: Lake, tmp_path: Path, folder: Path
) -> None:
    write(folder, "prices", ROWS)
    (folder / "README.md").write_text("x")
    done = published(lake, tmp_path, folder)
    assert (done.tables["own.prices"], done.left_out) == (2, ())
    with connect(done.path) as connection:
        rows = connection.execute("FROM own.prices").fetchall()
        assert rows == [
            (dt.datetime(2021, 10, 1, tzinfo=dt.UTC), None),
            (dt.datetime(2021, 10, 1, 0, 15, tzinfo=dt.UTC), 2.5),
        ]
        said = "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() WHERE schema_name = 'own'"
        assert connection.execute(said).fetchall() == [
            ("starts_at", "TIMESTAMP WITH TIME ZONE", False, ""),
            ("eur", "DOUBLE", True, "Unit: EUR/MWh."),
        ]
        comment = "SELECT comment FROM duckdb_tables() WHERE schema_name = 'own'"
        assert connection.execute(comment).fetchall() == [("Prices. Key: starts_at.",)]
        assert export_table(connection, "own.prices", tmp_path / "prices.csv").rows == 2
    assert [found.fault for found in verify_published(lake, done.path) if found.fault] == []


def test_every_type_is_read_from_csv_and_parquet_alike(folder: Path) -> None:
    shape = "[columns]\n" + "\n".join(
        f'{name} = {{type = "{kind}", null = true}}'
        for name, kind in {
            "b": "boolean", "i": "BIGINT", "d": "DOUBLE", "m": "DECIMAL(18, 2)", "t": "VARCHAR", "day": "DATE",
            "wall": "TIMESTAMP", "moment": "TIMESTAMPTZ",
        }.items()
    )  # fmt: skip
    write(
        folder,
        "a",
        "b,i,d,m,t,day,wall,moment\n"
        "true,-5,1e3,12.50, x ,2026-06-01,2026-06-01 10:00:00,2026-06-01T10:00:00+0200\n,,,,,,,\n",
        shape,
    )
    (from_csv,) = read_own_tables(folder, frozenset())
    assert not isinstance(from_csv, LeftOut)
    values = from_csv.frame.row(0)
    assert values[:3] == (True, -5, 1000.0)
    assert (str(values[3]), values[4]) == ("12.50", " x ")
    assert values[5:] == (
        dt.date(2026, 6, 1),
        dt.datetime(2026, 6, 1, 10),  # noqa: DTZ001 - a wall clock
        dt.datetime(2026, 6, 1, 8, tzinfo=dt.UTC),
    )
    assert from_csv.frame.row(1) == (None,) * 8
    other = folder / "parquet"
    other.mkdir()
    # Another unit and another clock of the same moments.
    moved = from_csv.frame.with_columns(
        pl.col("moment").dt.convert_time_zone("Asia/Tokyo").dt.cast_time_unit("ms")
    )
    moved.write_parquet(other / "a.parquet")
    (other / "a.toml").write_text(shape)
    (from_parquet,) = read_own_tables(other, frozenset())
    assert not isinstance(from_parquet, LeftOut), from_parquet
    assert from_parquet.frame.equals(from_csv.frame)


BAD_TABLES: list[tuple[str | bytes, str | None, str]] = [
    (ROWS, None, "prices.toml is not there: describe the columns of prices.csv in it"),
    (ROWS, "[columns", "prices.toml is not valid TOML"),
    (ROWS, "", "prices.toml has no columns"),
    (ROWS, "colums = 1", "prices.toml has 'colums': choose from columns, description, key"),
    (ROWS, SHAPE + 'x = "TEXT"', "column x of prices.toml has the type TEXT: choose from BOOLEAN"),
    (ROWS, SHAPE + 'x = {type = "DOUBLE", nul = true}', "column x of prices.toml has 'nul'"),
    (ROWS, SHAPE + 'EUR = "DOUBLE"', "prices.toml has the column eur twice"),
    (ROWS, SHAPE.replace('["starts_at"]', '["starts"]'), "key of prices.toml names a column that is not there"),
    (ROWS, SHAPE + 'more = "DATE"', "prices.csv lacks the column more, and prices.toml says otherwise"),
    ("x," + ROWS, SHAPE, "prices.csv"),
    (ROWS.replace("eur,", "eur,x,").replace("2.5,", "2.5,1,"), SHAPE, "prices.csv has the column x"),
    ("", SHAPE, "prices.csv can't be read as a table"),
    (b"\xff\xfe\x00", SHAPE, "prices.csv"),
    (ROWS + "abc,2021-10-01T01:00:00Z\n", SHAPE, "eur of row 3 of prices.csv is not of type DOUBLE: write a num"),
    (ROWS + "nan,2021-10-01T01:00:00Z\n", SHAPE, "eur of row 3 of prices.csv is not a finite number: leave"),
    (ROWS + "1,2021-10-01T01:00:00\n", SHAPE, "starts_at of row 3 of prices.csv is not of type TIMESTAMPTZ: write"),
    (ROWS + "1,\n2,\n", SHAPE, "starts_at of row 3 of prices.csv is empty, as in 2 rows: fill it, or say"),
    (ROWS + "1,2021-10-01T00:00:00Z\n", SHAPE, "starts_at of row 3 of prices.csv was there before: keep"),
]  # fmt: skip
OUR_NAMES = ("plants", "v_energy_daily", "_meta", "local_time", "energy_quarter_hourly")


@pytest.mark.long
def test_a_bad_table_is_named_and_left_out(lake: Lake, tmp_path: Path, folder: Path) -> None:
    """Each by itself; those that fit are published beside them, and our names stay ours."""
    said: dict[str, str] = {}
    for number, (rows, shape, says) in enumerate(BAD_TABLES):
        name = f"prices_{number}"
        write(folder, name, rows, shape)
        said[f"own.{name}"] = says.replace("prices", name)
    for name in OUR_NAMES:
        write(folder, name, ROWS)
    write(folder, "others", ROWS)
    put(lake, Plants, [{"plant_id": "a"}])
    done = published(lake, tmp_path, folder)
    left_out = {one.name: one.reason for one in done.left_out}
    assert left_out.keys() == {*said, *(f"own.{name}" for name in OUR_NAMES)}
    for name, says in said.items():
        assert says in left_out[name], name
    for name in OUR_NAMES:
        ours = "has the name of a table of sunledger" in left_out[f"own.{name}"]
        assert ours == (name != "_meta"), name
    assert done.tables["own.others"] == 2
    with connect(done.path) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'own'")
        assert tables.fetchall() == [("others",)]
        assert connection.execute("SELECT plant_id FROM plants").fetchall() == [("a",)]
        assert connection.execute("SELECT count(*) FROM _meta").fetchall() == [(1,)]


def test_what_is_no_table_is_told(folder: Path) -> None:
    write(folder, "Prices", ROWS)
    write(folder, "twice", ROWS)
    write(folder, "twice", b"", None, "parquet")
    write(folder, "sheet", b"PK", None, "xlsx")
    (folder / "alone.toml").write_text(SHAPE)
    (folder / "sub.csv").mkdir()
    (folder / ".hidden.csv").write_text("x")
    assert reasons(folder) == {
        "own.Prices": "Prices.csv gives no name of a table: call it by small letters, digits and _, a letter first",
        "own.alone": "there is alone.toml alone: keep one file of rows, alone.csv or alone.parquet",
        "own.sheet": "sheet.xlsx is not a CSV, Parquet or TOML file: write one, or keep it elsewhere",
        "own.sub": "sub.csv is not a CSV, Parquet or TOML file: write one, or keep it elsewhere",
        "own.twice": "there is twice.csv and twice.parquet: keep one file of rows, twice.csv or twice.parquet",
    }


def test_parquet_of_other_types_is_not_cut_to_fit(folder: Path) -> None:
    pl.DataFrame({"n": [1.5], "l": [[1]]}).write_parquet(folder / "a.parquet")
    (folder / "a.toml").write_text('[columns]\nn = "BIGINT"\nl = "DOUBLE"\n')
    assert "n of row 1 of a.parquet is not of type BIGINT" in reasons(folder)["own.a"]
    pl.DataFrame({"n": [1], "l": [[1]]}).write_parquet(folder / "a.parquet")
    assert "l of row 1 of a.parquet is not of type DOUBLE" in reasons(folder)["own.a"]


@pytest.mark.long
def test_a_folder_that_is_gone_costs_no_publication_and_is_told_before_requests(
    lake: Lake, tmp_path: Path, folder: Path
) -> None:
    folder.rmdir()
    done = published(lake, tmp_path, folder)
    assert "the folder of SUNLEDGER_OWN_TABLES can't be read" in done.left_out[0].reason
    settings = load_settings(env_file=None, home=tmp_path / "home", own_tables=folder)
    with pytest.raises(ConfigurationError, match="is not a folder"):
        check_before_requests(settings)


@pytest.mark.long
def test_ours_are_the_same_with_and_without(lake: Lake, tmp_path: Path, folder: Path) -> None:
    fill(lake)
    write(folder, "prices", ROWS)
    with_own = published(lake, tmp_path, folder)
    without = publish(lake, tmp_path / "other.duckdb", now=NOW, version="0")
    assert {name: rows for name, rows in with_own.tables.items() if name != "own.prices"} == dict(
        without.tables
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"ATTACH '{with_own.path}' AS a (READ_ONLY); ATTACH '{without.path}' AS b (READ_ONLY)"
        )
        for name in ("plants", "energy_daily", "v_energy_monthly", "v_days_to_check"):
            differing = f"(FROM a.{name} EXCEPT FROM b.{name}) UNION ALL (FROM b.{name} EXCEPT FROM a.{name})"
            assert connection.execute(differing).fetchall() == []


@pytest.mark.long
def test_the_question_of_the_docs(lake: Lake, tmp_path: Path, folder: Path) -> None:
    text = DOCS.read_text()
    shape = text[text.index("    description = ") : text.index("    starts_at,eur_per_mwh,source")].replace(
        "    ", ""
    )
    (query,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    put(lake, Plants, [{"plant_id": "a", "name": "Roof", "timezone": "Europe/Berlin"}])
    # The local day begins at 22:00 UTC of the day before; the month by the plant's calendar.
    begin = dt.datetime(2021, 9, 30, 22, tzinfo=dt.UTC)
    quarters = [begin + dt.timedelta(minutes=15 * n) for n in range(4)]
    fed_in, prices = [1.0, 2.0, None, 4.0], [100.0, -50.0, 70.0]
    day = {"plant_id": "a", "local_date": dt.date(2021, 10, 1)}
    put(
        lake,
        QuarterHours,
        [
            day | {"quarter_start": at, "grid_feed_in_kwh": kwh}
            for at, kwh in zip(quarters, fed_in, strict=True)
        ],
    )
    rows = [f"{at:%Y-%m-%dT%H:%M:%SZ},{price},\n" for at, price in zip(quarters[:3], prices, strict=True)]
    write(folder, "day_ahead_prices", "starts_at,eur_per_mwh,source\n" + "".join(rows), shape)
    done = published(lake, tmp_path, folder)
    assert done.left_out == ()
    with connect(done.path) as connection:
        # 1 kWh at 10 ct and 2 kWh at -5 ct; for 4 of 7 kWh there is no price.
        assert connection.execute(query).fetchall() == [("Roof", dt.date(2021, 10, 1), 7.0, 0.4286, 0.0)]


@pytest.mark.long
def test_the_program_names_a_bad_file_and_publishes_the_rest(tmp_path: Path, folder: Path) -> None:
    write(folder, "prices", ROWS)
    write(folder, "bad", ROWS, None)
    code, said = run(tmp_path, "publish", SUNLEDGER_OWN_TABLES=str(folder))
    assert (code, "own.bad: bad.toml is not there" in said, "Published" in said) == (3, True, True), said
    found = run(tmp_path, "sql", "SELECT count(*) AS n FROM own.prices", "--format", "csv")
    assert found[1].split()[-2:] == ["n", "2"]
