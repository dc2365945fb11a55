"""The lake in other engines: each reads the rows of the newest commits alone, as the published file shows them."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, QueryBuilder

from schemas import EnergyBalanceIntervals, EnergyDaily, Table, storage
from tests.small_lake import make_frame
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

MODELS = (EnergyDaily, EnergyBalanceIntervals)
DAYS = [dt.date(2021, 10, day) for day in (1, 2, 3)]
NOON = dt.datetime(2021, 10, 1, 12, tzinfo=dt.UTC)
TIMES = 5
# The rows, their energy, and the newest day, of which a folder name becomes a date.
Found = tuple[int, float, dt.date]


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three days of two tables, each replaced several times by other rows, published at the end."""
    root = tmp_path_factory.mktemp("replaced")
    lake = Lake(str(root / "lake"), root / "tmp")
    for time in range(1, TIMES + 1):
        for model in MODELS:
            for number, day in enumerate(DAYS, 1):
                columns = model.to_schema().columns
                rows = [
                    {"plant_id": plant, "local_date": day, "pv_generation_kwh": float(time * number)}
                    | ({"interval_end": NOON} if "interval_end" in columns else {})
                    # One plant less each time: a row that was replaced by none must not come back.
                    for plant in "abcdef"[: TIMES + 1 - time]
                ]
                lake.replace(model, {"local_date": day}, [make_frame(model, rows)])
    publish(lake, root / "sunledger.duckdb", now=NOON, version="1")
    return lake


def read_polars(uri: str) -> Found:
    kwh = pl.col("pv_generation_kwh").sum()
    return pl.scan_delta(uri).select(pl.len().cast(int), kwh, pl.col("local_date").max()).collect().row(0)  # type: ignore[return-value]


def read_arrow_dataset(uri: str) -> Found:
    rows = DeltaTable(uri).to_pyarrow_dataset().to_table()
    return rows.num_rows, pc.sum(rows["pv_generation_kwh"]).as_py(), pc.max(rows["local_date"]).as_py()


def read_pandas(uri: str) -> Found:
    rows = DeltaTable(uri).to_pandas()
    return len(rows), rows["pv_generation_kwh"].sum(), rows["local_date"].max()


def read_datafusion(uri: str) -> Found:
    asked = QueryBuilder().register("rows", DeltaTable(uri))
    found = asked.execute("SELECT count(*), sum(pv_generation_kwh), max(local_date) FROM rows").read_all()
    return tuple(column[0].as_py() for column in found.columns)  # type: ignore[return-value]


def read_files_of_the_log(uri: str) -> Found:
    # What an engine without Delta is given: the files of one version, by name.
    names = [file.removeprefix("file://") for file in DeltaTable(uri).file_uris()]
    query = "SELECT count(*), sum(pv_generation_kwh), max(local_date) FROM read_parquet(?, hive_partitioning = true)"
    ((rows, kwh, newest),) = duckdb.connect().execute(query, [names]).fetchall()
    return rows, kwh, newest


READERS = [read_polars, read_arrow_dataset, read_pandas, read_datafusion, read_files_of_the_log]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: storage(model).table)
def test_engine_reads_what_is_published(
    read: Callable[[str], Found], model: type[Table], replaced: Lake
) -> None:
    table = storage(model).table
    # What was replaced lies there still: a glob would count it.
    assert len(list(Path(replaced.find_uri(model)).rglob("*.parquet"))) == TIMES * len(DAYS)
    with duckdb.connect(str(Path(replaced.root).with_name("sunledger.duckdb")), read_only=True) as published:
        query = f"SELECT count(*), sum(pv_generation_kwh), max(local_date) FROM {table}"
        (shown,) = published.execute(query).fetchall()
    assert shown == (len(DAYS), TIMES * sum(range(1, len(DAYS) + 1)), DAYS[-1])
    assert read(replaced.find_uri(model)) == shown
