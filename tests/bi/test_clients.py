"""The published file in the clients of analysts and BI tools: each reads it, sees the next one, and cannot write."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _duckdb
import duckdb
import polars as pl
import pytest
import sqlalchemy as sa
from adbc_driver_manager import ProgrammingError, dbapi
from sqlalchemy.pool import NullPool

from schemas import EnergyBalanceIntervals, EnergyDaily
from tests.small_lake import make_frame
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

DAY = dt.date(2021, 10, 1)
NOON = dt.datetime(2021, 10, 1, 12, tzinfo=dt.UTC)
ROOT = Path(__file__).parent.parent.parent
SUM = "SELECT sum(pv_generation_kwh) AS kwh FROM v_energy_daily"

Put = Callable[[float], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Publish a day of two plants with so many kWh each; where the file is."""
    lake, target = Lake(str(tmp_path / "lake"), tmp_path / "scratch"), tmp_path / "sunledger.duckdb"

    def publish_kwh(kwh: float) -> Path:
        rows = [
            {"plant_id": plant, "local_date": DAY, "interval_end": NOON, "pv_generation_kwh": kwh}
            for plant in "ab"
        ]
        for model in (EnergyDaily, EnergyBalanceIntervals):
            days = [{name: row[name] for name in row if name in model.to_schema().columns} for row in rows]
            lake.replace(model, {"local_date": DAY}, [make_frame(model, days)])
        publish(lake, target, now=NOON, version=str(kwh))
        return target

    return publish_kwh


def test_sqlalchemy(put: Put) -> None:
    engine = sa.create_engine(f"duckdb:///{put(1.0)}?access_mode=READ_ONLY", poolclass=NullPool)
    found = sa.inspect(engine)
    assert {"energy_daily", "v_energy_daily"} <= {*found.get_table_names(schema="main")}
    assert "v_power" in found.get_view_names(schema="main")
    assert "pv_generation_kwh" in {column["name"] for column in found.get_columns("energy_daily")}
    with engine.connect() as connection:
        assert connection.execute(sa.text(SUM)).scalar_one() == 2.0
    put(3.0)
    with engine.connect() as connection:
        assert connection.execute(sa.text(SUM)).scalar_one() == 6.0
        with pytest.raises(sa.exc.SQLAlchemyError, match="read-only"):
            connection.execute(sa.text("DELETE FROM energy_daily"))


@pytest.mark.long
def test_the_documented_lock_leaves_the_file_and_its_detail_and_nothing_else(
    put: Put, tmp_path: Path
) -> None:
    """Runs the example of docs/bi.md."""
    section = (ROOT / "docs" / "bi.md").read_text().partition("## Locked down")[2].partition("\n## ")[0]
    example = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ") or not line)
    assert "duckdb:////path/sunledger.duckdb" in example
    names: dict[str, Any] = {}
    put(1.0)
    exec(example.replace("/path/", f"{tmp_path}/"), names)  # noqa: S102 - our own page
    engine: sa.Engine = names["engine"]
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            assert connection.execute(sa.text(SUM)).scalar_one() == 2.0
            assert (
                connection.execute(sa.text("SELECT count(*) FROM energy_balance_intervals")).scalar_one() == 2
            )
        for query in (
            "FROM read_text('/etc/hostname')",
            f"COPY energy_daily TO '{tmp_path}/new.csv'",
            f"PREPARE p AS COPY energy_daily TO '{tmp_path}/new.csv'",
            f"EXPLAIN ANALYZE COPY energy_daily TO '{tmp_path}/new.csv'",
            f"ATTACH '{tmp_path}/new.duckdb'",
            f"SET profiling_output = '{tmp_path}/new.json'",
            "SET enable_external_access = true",
            "SET lock_configuration = false",
            "INSTALL httpfs",
            "FROM engine",
        ):
            with pytest.raises(sa.exc.SQLAlchemyError):
                second.execute(sa.text(query)).all()
            second.rollback()
    assert not list(tmp_path.glob("new*"))


def adbc(file: Path) -> dbapi.Connection:
    """The driver is a part of DuckDB's own package."""
    return dbapi.connect(
        driver=_duckdb.__file__,
        entrypoint="duckdb_adbc_init",
        db_kwargs={"path": str(file), "access_mode": "READ_ONLY"},
        autocommit=True,
    )


def test_adbc(put: Put) -> None:
    file = put(1.0)
    with adbc(file) as connection, connection.cursor() as cursor:
        cursor.execute(SUM)
        assert cursor.fetch_arrow_table().to_pylist() == [{"kwh": 2.0}]
        cursor.execute("SELECT interval_end FROM energy_balance_intervals WHERE plant_id = ?", ["a"])
        assert cursor.fetchone() == (NOON,)
        with pytest.raises(ProgrammingError, match="read-only"):
            cursor.execute("DELETE FROM energy_daily")
    put(3.0)
    with adbc(file) as connection, connection.cursor() as cursor:
        cursor.execute(SUM)
        assert cursor.fetchone() == (6.0,)


def test_polars(put: Put) -> None:
    with duckdb.connect(str(put(1.0)), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert connection.sql(SUM).pl().to_dicts() == [{"kwh": 2.0}]
        times = pl.read_database("SELECT interval_end FROM energy_balance_intervals", connection)
        assert times.schema["interval_end"] == pl.Datetime("us", "Etc/UTC")
        assert times["interval_end"].to_list() == [NOON, NOON]


# Delete when DuckDB makes data frames without it.
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:pandas.errors.Pandas4Warning")
def test_pandas(put: Put) -> None:
    pandas = pytest.importorskip("pandas")
    with duckdb.connect(str(put(1.0)), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert connection.sql(SUM).df()["kwh"].tolist() == [2.0]
        times = connection.sql("SELECT interval_end, local_date FROM energy_balance_intervals").df()
        assert str(times["interval_end"].dtype).endswith("UTC]")
        assert times["interval_end"].tolist() == [pandas.Timestamp(NOON)] * 2
