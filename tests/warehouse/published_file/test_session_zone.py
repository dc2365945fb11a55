"""Days and local times of the published file do not follow the reader's time zone, in whichever tool it is set."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from schemas import EnergyDaily, Plants, QuarterHours
from tests.small_lake import NOW, put
from warehouse.lake import Lake
from warehouse.published_file.publish import PublishedFile, publish
from warehouse.questions import load_questions

ZONES = ("UTC", "America/Los_Angeles")
MELBOURNE = "Australia/Melbourne"
DAY = dt.date(2021, 10, 5)
# Moments are compared as numbers, because a client shows them in its own zone.
MOMENT = "TIMESTAMP WITH TIME ZONE"
CAST = "SELECT CAST(quarter_start AS DATE) AS day FROM energy_quarter_hourly"
# What each tool says of a plant in Melbourne, by its own calendar, by UTC, and by a cast that follows the session.
PROGRAM = """
import json, sys
import duckdb
day = "SELECT CAST({} AS VARCHAR) AS day, sum(pv_generation_kwh) FROM v_energy_quarter_hourly GROUP BY 1 ORDER BY 1"
days = [day.format(by) for by in ("local_date", "utc_day(quarter_start)", "CAST(quarter_start AS DATE)")]
clock = "SELECT CAST(min(local_start) AS VARCHAR) AS first FROM v_energy_quarter_hourly"
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    told = {"duckdb": [[list(row) for row in connection.execute(query).fetchall()] for query in days]}
    told["polars"] = [[list(row) for row in connection.sql(query).pl().iter_rows()] for query in days]
    told["pandas"] = [connection.sql(query).df().values.tolist() for query in days]
    told["clock"] = connection.execute(clock).fetchall()[0][0]
json.dump(told, sys.stdout)
"""


def write_queries(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Of each table, view and question the sorted rows, with moments as microseconds."""
    found = connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
    asked = {name: f'FROM "{name}"' for (name,) in found}
    asked |= {f"question {question.number}": question.query for question in load_questions()}
    written = {}
    for name, query in (asked | {"trap": CAST}).items():
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        shown = (
            f'epoch_us("{column}")' if kind == MOMENT else f'"{column}"' for column, kind, *_ in described
        )
        written[name] = f"SELECT {', '.join(shown)} FROM ({query}) ORDER BY ALL"
    return written


@pytest.mark.long
def test_every_table_view_and_question_has_the_same_rows_in_any_session(published: PublishedFile) -> None:
    rows = []
    with duckdb.connect(str(published.path), read_only=True) as connection:
        queries = write_queries(connection)
        for zone in ("UTC", "Pacific/Kiritimati"):
            connection.execute(f"SET TimeZone = '{zone}'")
            rows.append({name: connection.execute(query).fetchall() for name, query in queries.items()})
    here, there = rows
    assert len(here["v_energy_quarter_hourly"]) > 0
    # The comparison finds a query that gives the session's day, and there is no other.
    assert {name for name in here if here[name] != there[name]} == {"trap"}


@pytest.fixture
def melbourne(tmp_path: Path) -> Path:
    """Two days of a plant far from UTC, of 1 kWh for each quarter of the first day and 2 for each of the second."""
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    put(lake, Plants, [{"plant_id": "m", "name": "South", "timezone": MELBOURNE}])
    begin = dt.datetime(2021, 10, 4, 13, tzinfo=dt.UTC)
    for number in range(2):
        date = DAY + dt.timedelta(days=number)
        energy = 1.0 + number
        starts = [begin + dt.timedelta(days=number, minutes=15 * quarter) for quarter in range(96)]
        put(lake, EnergyDaily, [{"plant_id": "m", "local_date": date, "pv_generation_kwh": 96 * energy}])
        rows = [{"quarter_start": start, "covered_h": 0.25, "pv_generation_kwh": energy} for start in starts]
        put(lake, QuarterHours, [row | {"plant_id": "m", "local_date": date} for row in rows])
    publish(lake, tmp_path / "sunledger.duckdb", now=NOW, version="1")
    return tmp_path / "sunledger.duckdb"


@pytest.mark.long
def test_each_tool_on_a_machine_of_another_zone_tells_the_same_days(melbourne: Path) -> None:
    """TZ of the process, which DuckDB, polars and pandas take as the session's zone."""
    pytest.importorskip("pandas")
    told = {}
    for zone in ZONES:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, melbourne],
            env=os.environ | {"TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        told[zone] = json.loads(done.stdout)
    local = [["2021-10-05", 96.0], ["2021-10-06", 192.0]]
    utc = [["2021-10-04", 44.0], ["2021-10-05", 140.0], ["2021-10-06", 104.0]]
    for zone in told:
        for tool in ("duckdb", "polars", "pandas"):
            assert told[zone][tool][:2] == [local, utc]
        assert told[zone]["clock"] == "2021-10-05 00:00:00"
    # The trap that utc_day and local_date are for: a cast gives other sums on the other machine.
    assert told["UTC"]["duckdb"][2] == utc
    assert told["America/Los_Angeles"]["duckdb"][2] != utc
