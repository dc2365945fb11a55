"""Files of tables and queries: whole or not at all, types kept, nothing that a spreadsheet runs or spoils."""

import datetime as dt
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import polars as pl
import pytest

from pipeline.common.errors import UsageError
from warehouse.results import export as exports
from warehouse.results.csv_file import CSV_STYLES
from warehouse.results.export import choose_format, export_query, export_table
from warehouse.results.folder import resolve_place

NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
EVERYTHING = """
SELECT 'Älpha' AS name, DATE '2026-10-05' AS day, TIMESTAMPTZ '2026-10-05 12:30:00+02' AS at_utc,
       TIMESTAMP '2026-10-05 12:00:00' AS at_local, 16.50::DECIMAL(18,2) AS fee_eur, 0.1::DOUBLE AS kwh,
       7::INTEGER AS n, true AS ok, NULL::VARCHAR AS nothing
"""
FORMULAS = [
    "-104,28",
    "-5",
    "-1+2",
    "=1+1",
    "+49 561",
    "-x",
    "@cmd",
    "\tx",
    "\uff1d1",
    "plain",
    "http://x",
    None,
]


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def sheet(path: Path) -> list[list[tuple[str, str, str]]]:
    """The cells of the first sheet by row: reference, type, text. Formulas have the type 'formula'."""
    with zipfile.ZipFile(path) as book:
        root = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - our own file
    found = []
    for row in root.iter(f"{NAMESPACE}row"):
        cells = []
        for cell in row:
            kind = "formula" if cell.find(f"{NAMESPACE}f") is not None else cell.get("t", "n")
            cells.append((cell.get("r", ""), kind, "".join(cell.itertext())))
        found.append(cells)
    return found


def number_formats(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as book:
        styles = ElementTree.fromstring(book.read("xl/styles.xml"))  # noqa: S314
    return [found.get("formatCode", "") for found in styles.iter(f"{NAMESPACE}numFmt")]


def test_csv_keeps_what_was_there(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    done = export_query(db, EVERYTHING, tmp_path / "all.csv")
    heading, row = (tmp_path / "all.csv").read_text("utf-8").splitlines()
    assert heading == "name,day,at_utc,at_local,fee_eur,kwh,n,ok,nothing"
    assert row == "Älpha,2026-10-05,2026-10-05 10:30:00+00,2026-10-05 12:00:00,16.50,0.1,7,true,"
    assert (done.rows, done.bytes) == (1, (tmp_path / "all.csv").stat().st_size)


def test_parquet_keeps_types(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    export_query(db, EVERYTHING, tmp_path / "all.parquet")
    frame = pl.read_parquet(tmp_path / "all.parquet")
    assert frame.schema["fee_eur"] == pl.Decimal(18, 2)
    assert frame.schema["at_utc"] == pl.Datetime("us", "UTC")
    assert frame.schema["at_local"] == pl.Datetime("us")
    assert frame.row(0, named=True)["fee_eur"] == Decimal("16.50")
    assert frame.row(0, named=True)["at_utc"] == dt.datetime(2026, 10, 5, 10, 30, tzinfo=dt.UTC)


def test_xlsx_keeps_types(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    export_query(db, EVERYTHING, tmp_path / "all.xlsx")
    heading, row = sheet(tmp_path / "all.xlsx")
    assert [text for _, _, text in heading][:3] == ["name", "day", "at_utc"]
    days = (dt.date(2026, 10, 5) - dt.date(1899, 12, 30)).days
    assert [(ref, kind, text) for ref, kind, text in row] == [
        ("A2", "inlineStr", "Älpha"),
        ("B2", "n", str(days)),
        ("C2", "n", str(days + 0.4375)),
        ("D2", "n", str(days + 0.5)),
        ("E2", "n", "16.50"),
        ("F2", "n", "0.1"),
        ("G2", "n", "7"),
        ("H2", "b", "1"),
    ]
    formats = number_formats(tmp_path / "all.xlsx")
    assert 'yyyy-mm-dd hh:mm:ss "UTC"' in formats
    assert {"yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "#,##0.00"} <= set(formats)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("DATE '1899-01-01'", "inlineStr", "1899-01-01"),
        ("9007199254740993::BIGINT", "inlineStr", "9007199254740993"),
        ("1234567890123456.78::DECIMAL(18,2)", "inlineStr", "1234567890123456.78"),
        ("1234567890123.45::DECIMAL(18,2)", "n", "1234567890123.45"),
        ("123000000000000000000::HUGEINT", "n", "1.23e+20"),
        ("'NaN'::DOUBLE", "inlineStr", "nan"),
        ("'inf'::DOUBLE", "inlineStr", "inf"),
        ("[1, 2]", "inlineStr", "[1, 2]"),
        ("'5000000'", "inlineStr", "5000000"),
    ],
)
def test_what_a_spreadsheet_would_spoil_is_text(
    db: duckdb.DuckDBPyConnection, tmp_path: Path, value: str, kind: str, text: str
) -> None:
    export_query(db, f"SELECT {value} AS x", tmp_path / "x.xlsx")
    ((_, found, shown),) = sheet(tmp_path / "x.xlsx")[1]
    assert (found, shown.lower()) == (kind, text)


def test_text_like_a_formula_is_text_in_xlsx(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    db.register("texts", pl.DataFrame({"=heading": FORMULAS}).to_arrow())
    export_query(db, "FROM texts", tmp_path / "x.xlsx")
    cells = [cell for row in sheet(tmp_path / "x.xlsx") for cell in row]
    assert {kind for _, kind, _ in cells if kind != "n"} == {"inlineStr"}
    assert [text for _, _, text in cells if text] == ["=heading", *(text for text in FORMULAS if text)]


def test_text_like_a_formula_is_marked_as_text_in_csv(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    db.register("texts", pl.DataFrame({"=heading": FORMULAS, "n": [-1.5] * len(FORMULAS)}).to_arrow())
    export_query(db, "FROM texts", tmp_path / "x.csv")
    found = pl.read_csv(tmp_path / "x.csv", infer_schema=False)
    assert found.columns == ["'=heading", "n"]
    assert found["'=heading"].to_list() == [
        "-104,28", "-5", "'-1+2", "'=1+1", "'+49 561", "'-x", "'@cmd", "'\tx", "'\uff1d1", "plain", "http://x", None
    ]  # fmt: skip
    assert found["n"].unique().to_list() == ["-1.5"]


def test_a_german_excel_gets_semicolons_commas_and_a_mark(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    query = """SELECT 'Älpha; "x"' AS "name; of plant", 16.50::DECIMAL(18,2) AS fee, 1234.5::DOUBLE AS kwh, -7 AS n,
        [1.5] AS list, '=1' AS note, NULL AS nothing"""
    export_query(db, query, tmp_path / "x.csv", csv=CSV_STYLES["excel-de"])
    assert (tmp_path / "x.csv").read_bytes() == (
        '\ufeff"name; of plant";fee;kwh;n;list;note;nothing\r\n"Älpha; ""x""";16,50;1234,5;-7;[1.5];\'=1;\r\n'
    ).encode()
    export_query(db, query, tmp_path / "x.csv", csv=CSV_STYLES["excel"])
    assert (tmp_path / "x.csv").read_bytes().startswith(b"\xef\xbb\xbfname; of plant,fee")
    assert b",16.50,1234.5,-7," in (tmp_path / "x.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_times_days_and_truths_are_as_a_spreadsheet_of_the_country_reads_them(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    query = """SELECT unnest([TIMESTAMPTZ '2026-10-05 12:30:00+02', NULL, 'infinity']) AS asked_at,
        unnest([TIMESTAMPTZ '2026-10-05 00:30:00.25+02', NULL, NULL]) AS "Noted (UTC)",
        unnest([TIMESTAMP '2026-10-05 12:00:00.000000', '2026-10-05 12:00:01.5', NULL]) AS at_local,
        unnest([DATE '2026-10-05', '0001-01-01', NULL]) AS day, unnest([true, false, NULL]) AS ok,
        unnest([0.25, 1e-7, NULL]::DOUBLE[]) AS share"""
    db.execute("SET TimeZone = 'America/New_York'")
    export_query(db, query, tmp_path / "x.csv", csv=CSV_STYLES["excel-de"])
    assert (tmp_path / "x.csv").read_text("utf-8-sig").splitlines() == [
        "asked_at (UTC);Noted (UTC);at_local;day;ok;share",
        "05.10.2026 10:30:00;04.10.2026 22:30:00,250;05.10.2026 12:00:00;05.10.2026;WAHR;0,25",
        ";;05.10.2026 12:00:01,500;01.01.0001;FALSCH;1e-07",
        "infinity;;;;;",
    ]
    export_query(db, query, tmp_path / "x.csv", csv=CSV_STYLES["excel"])
    assert (tmp_path / "x.csv").read_text("utf-8-sig").splitlines()[:2] == [
        "asked_at (UTC),Noted (UTC),at_local,day,ok,share",
        "2026-10-05 10:30:00,2026-10-04 22:30:00.250,2026-10-05 12:00:00,2026-10-05,true,0.25",
    ]


@pytest.mark.parametrize("form", exports.FORMATS)
def test_names_of_plants_stand_beside_their_ids_in_the_order_of_the_table(
    db: duckdb.DuckDBPyConnection, tmp_path: Path, form: str
) -> None:
    db.execute(
        "CREATE TABLE plants AS SELECT range::VARCHAR AS plant_id, 'Plant ' || range AS name FROM range(5000)"
    )
    db.execute(
        "CREATE TABLE days AS SELECT 1 AS n, (4 - range)::VARCHAR AS plant_id, 'inverter' AS name FROM range(5)"
    )
    export_table(db, "days", tmp_path / f"x.{form}")
    if form == "xlsx":
        rows = [[text for _, _, text in row] for row in sheet(tmp_path / "x.xlsx")]
    else:
        read = pl.read_csv if form == "csv" else pl.read_parquet
        frame = read(tmp_path / f"x.{form}")
        rows = [frame.columns, *([str(value) for value in row] for row in frame.rows())]
    assert rows[:2] == [["n", "plant_id", "plant_name", "name"], ["1", "4", "Plant 4", "inverter"]]
    assert [row[1] for row in rows[1:]] == ["4", "3", "2", "1", "0"]
    assert export_table(db, "plants", tmp_path / f"x.{form}").rows == 5000


@pytest.mark.parametrize(
    "value",
    [
        "'=1+1'::BLOB",
        "'=1+1'::ENUM ('=1+1')",
        "union_value(a := '=1+1')",
        "'\n=1+1'",
        '\'=HYPERLINK("http://x", "y")\'',
    ],
)
def test_a_formula_of_any_type_is_marked_as_text_in_csv(
    db: duckdb.DuckDBPyConnection, tmp_path: Path, value: str
) -> None:
    export_query(db, f"SELECT {value} AS x, 5 AS n", tmp_path / "x.csv")
    assert pl.read_csv(tmp_path / "x.csv", infer_schema=False)["x"][0][:1] == "'"


@pytest.mark.parametrize("form", exports.FORMATS)
def test_no_rows_are_headings_alone(db: duckdb.DuckDBPyConnection, tmp_path: Path, form: str) -> None:
    assert export_query(db, f"FROM ({EVERYTHING}) WHERE false", tmp_path / f"x.{form}").rows == 0
    assert (tmp_path / f"x.{form}").stat().st_size > 0


@pytest.mark.parametrize("form", exports.FORMATS)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    db: duckdb.DuckDBPyConnection, tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"x.{form}"
    path.write_text("old")
    with pytest.raises(UsageError, match="The query failed"):
        export_query(
            db, "SELECT CASE WHEN range > 50000 THEN error('no') ELSE 'x' END FROM range(60000)", path
        )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    export_query(db, "SELECT 1 AS x", path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() != b"old"


def test_more_rows_than_a_sheet_takes(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    says = (
        r"1,048,576 rows of 1 columns are more than an XLSX sheet can hold \(1,048,575 .*write CSV or Parquet"
    )
    with pytest.raises(UsageError, match=says):
        export_query(db, "FROM range(1048576)", tmp_path / "x.xlsx")
    assert export_query(db, "FROM range(1048576)", tmp_path / "x.csv").rows == 1_048_576


def test_a_text_that_no_cell_takes_is_told_and_not_cut(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Row 2, column 'body' has a text of more than 32,767 characters"):
        export_query(
            db, "SELECT repeat('x', 32766 + range::INT) AS body FROM range(1, 3)", tmp_path / "x.xlsx"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "query",
    ["SELECT 1; SELECT 2", "CREATE TABLE x AS SELECT 1", "", "COPY (SELECT 1) TO 'y.csv'", "SET threads = 1"],
)
def test_only_one_query_is_exported(db: duckdb.DuckDBPyConnection, tmp_path: Path, query: str) -> None:
    with pytest.raises(UsageError, match="one SELECT"):
        export_query(db, query, tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "query", ["SELECT 1 AS x;", "FROM (SELECT 1) -- all of it", "WITH a AS (SELECT 1) FROM a"]
)
def test_forms_of_a_query(db: duckdb.DuckDBPyConnection, tmp_path: Path, query: str) -> None:
    assert export_query(db, query, tmp_path / "x.csv").rows == 1


def test_the_order_of_a_query_stays(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        export_query(db, "SELECT range AS x FROM range(300000) ORDER BY x DESC", tmp_path / f"x.{form}")
    assert pl.read_csv(tmp_path / "x.csv")["x"].is_sorted(descending=True)
    assert pl.read_parquet(tmp_path / "x.parquet")["x"].is_sorted(descending=True)


def test_a_table_that_is_not_there_is_told_with_those_that_are(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    db.execute('CREATE TABLE plants AS SELECT 1 AS x; CREATE VIEW "v""odd" AS SELECT 2 AS x')
    assert export_table(db, "plants", tmp_path / "x.csv").rows == 1
    assert export_table(db, 'v"odd', tmp_path / "x.csv").rows == 1
    with pytest.raises(UsageError, match="'plant' does not exist: choose from plants, "):
        export_table(db, "plant", tmp_path / "x.csv")


def test_the_format_is_the_file_s_ending_unless_it_is_named() -> None:
    assert choose_format(Path("x.XLSX")) == "xlsx"
    assert choose_format(Path("x.txt"), "csv") == "csv"
    with pytest.raises(
        UsageError, match=r"x.doc has no known ending: end the name with .csv, .parquet or .xlsx"
    ):
        choose_format(Path("x.doc"))


def test_where_a_file_cannot_be_is_told(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is in a folder that does not exist"):
        export_query(db, "SELECT 1", tmp_path / "nowhere" / "x.csv")
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        export_query(db, "SELECT 1", tmp_path / "x.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for device in (Path("/dev/null"), tmp_path / "pipe.csv"):
        with pytest.raises(UsageError, match="is a device or a pipe, which can't be replaced"):
            resolve_place(device)


def test_what_a_link_leads_to_is_replaced_and_not_the_link(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "x.csv", tmp_path / "link.csv"
    file.write_text("old")
    link.symlink_to(file)
    assert export_query(db, "SELECT 1 AS x", link).path == file
    assert (link.is_symlink(), file.read_text()) == (True, "x\n1\n")


def test_who_may_read_a_file_stays_when_it_is_replaced(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.touch()
    file.chmod(0o640)
    export_query(db, "SELECT 1 AS x", file)
    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o640, "x\n1\n")


def test_the_warehouse_itself_is_never_replaced_by_an_export(tmp_path: Path) -> None:
    file, link = tmp_path / "x.duckdb", tmp_path / "link.duckdb"
    link.symlink_to(file)
    with duckdb.connect(str(link)) as db, pytest.raises(UsageError, match="is the warehouse itself"):
        export_query(db, "SELECT 1 AS x", file, "csv")


def test_parquet_keeps_whole_numbers_of_any_size(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    export_query(
        db,
        "SELECT 'a' AS b, sum(n) AS s FROM (VALUES (123456789012345678), (NULL)) t(n)",
        tmp_path / "x.parquet",
    )
    assert pl.read_parquet(tmp_path / "x.parquet").rows() == [("a", Decimal(123456789012345678))]


FULL_DISK = """
import json, resource, sys
from pathlib import Path
import duckdb
from warehouse.results.export import export_query
query = "SELECT hash(range) AS h, 'x' || range AS name FROM range(60000)"
for path, room in json.loads(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, -1))
    try:
        export_query(duckdb.connect(), query, Path(path))
        said = "written"
    except OSError as fault:
        said = f"told: {fault.strerror or fault}"
    print(said, flush=True)
"""


def test_without_room_the_old_file_stays_and_nothing_is_left(tmp_path: Path) -> None:
    """A limit of the system for the size of a file, as a full disk would be."""
    cases = [(tmp_path / f"{room}/x.{form}", room) for form in exports.FORMATS for room in (50_000, 400_000)]
    for path, _ in cases:
        path.parent.mkdir(exist_ok=True)
        path.write_text("old")
    asked = json.dumps([(str(path), room) for path, room in cases])
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, asked], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    for (path, room), said in zip(cases, done.stdout.splitlines(), strict=True):
        assert said.startswith("told: "), (path, room)
        assert path.read_text() == "old", (path, room)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(path for path, _ in cases)
