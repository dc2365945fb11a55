"""`make bi`: the published file as BI tools see it, with the DuckDB that they carry, and in one of them in a browser.

    python -m tests.bi OTHER_PYTHON FILE PICTURE

OTHER_PYTHON has Apache Superset and DuckDB 1.2. Says what each read, and writes a picture of Superset's chart.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx
from playwright.sync_api import Page, sync_playwright

from tests.chromium import CHROMIUM, OPTIONS
from warehouse.questions import load_questions

OLD = Path(__file__).with_name("old_duckdb.py")
COUNTS = Path(__file__).with_name("counts.sql").read_text()
DAYS = next(question.query for question in load_questions() if question.number == 24)
FAR_FROM_UTC = "America/Los_Angeles"
START_S, BROWSER_MS, SETTLED_MS = 300, 180_000, 4_000
CONFIG = """
SECRET_KEY = {key!r}
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
TALISMAN_ENABLED = False
WTF_CSRF_ENABLED = False
"""
USER = "admin"
CHART = {
    "viz_type": "echarts_timeseries_bar",
    "x_axis": "local_date",
    "time_grain_sqla": "P1D",
    "metrics": [
        {
            "expressionType": "SIMPLE",
            "column": {"column_name": "pv_generation_kwh"},
            "aggregate": "SUM",
            "label": "PV kWh",
        }
    ],
    "groupby": ["plant_name"],
    "row_limit": 10_000,
    "stack": "Stack",
    "show_legend": True,
    "x_axis_title": "Day",
    "y_axis_title": "kWh",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("python", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    file = given.file.absolute()
    compare(given.python, file)
    with (
        tempfile.TemporaryDirectory() as home,
        superset(given.python.absolute(), Path(home)) as (url, password),
    ):
        chart = make_chart(url, password, file)
        look(url, password, chart, given.picture.absolute())
    tell(f"Superset's chart is in {given.picture}.")


def compare(python: Path, file: Path) -> None:
    """Read every table and view with the other DuckDB and with ours; both must find the same rows.

    The other one runs as on a machine far from UTC: days must not follow its time zone.
    """
    far = os.environ | {"TZ": FAR_FROM_UTC}
    done = subprocess.run([python, OLD, file], check=True, capture_output=True, text=True, env=far)
    version, theirs, days = json.loads(done.stdout)
    with duckdb.connect(str(file), read_only=True) as connection:
        names = [name for (name,) in connection.execute(COUNTS).fetchall()]
        ours = {n: connection.execute(f'SELECT count(*) FROM "{n}"').fetchall()[0][0] for n in names}
        same_days = [[str(value) for value in row] for row in connection.execute(DAYS).fetchall()]
    assert days == same_days, (days, same_days)
    assert theirs == ours, {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()}
    rows = f"{len(ours)} tables and views, {sum(ours.values()):,} rows"
    tell(f"DuckDB {version} reads {rows}, as {duckdb.__version__} does.")


@contextmanager
def superset(python: Path, home: Path) -> Iterator[tuple[str, str]]:
    """A Superset of our own on loopback, with all its state in `home`: its address and the password of its user."""
    key, password = secrets.token_hex(32), secrets.token_hex(8)
    (home / "superset_config.py").write_text(CONFIG.format(key=key, home=home))
    environment = os.environ | {
        "SUPERSET_HOME": str(home),
        "SUPERSET_CONFIG_PATH": str(home / "superset_config.py"),
        "FLASK_APP": "superset.app:create_app()",
    }
    program = python.with_name("superset")
    admin = ["--username", USER, "--firstname", "A", "--lastname", "B", "--email", "a@example.org"]
    for step in (["db", "upgrade"], ["fab", "create-admin", *admin, "--password", password], ["init"]):
        tell(f"superset {step[0]} ...")
        subprocess.run([program, *step], check=True, capture_output=True, env=environment)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "run", "-h", "127.0.0.1", "-p", str(port)]
    log = (home / "server.log").open("w")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server:
        try:
            yield f"http://127.0.0.1:{port}", password
        finally:
            server.terminate()


def make_chart(url: str, password: str, file: Path) -> int:
    """Connect the file, take a view as data set, make a bar chart of it; the chart's number."""
    with httpx.Client(base_url=url, timeout=120) as client:
        wait_for(client)
        entry = {"username": USER, "password": password, "provider": "db"}
        token = client.post("/api/v1/security/login", json=entry).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"

        def make(kind: str, what: dict[str, Any]) -> int:
            return int(client.post(f"/api/v1/{kind}/", json=what).raise_for_status().json()["id"])

        address = f"duckdb:///{file}?access_mode=READ_ONLY"
        database = make("database", {"database_name": "sunledger", "sqlalchemy_uri": address})
        table = {"database": database, "schema": "main", "table_name": "v_energy_daily"}
        dataset = make("dataset", table)
        shown = CHART | {"datasource": f"{dataset}__table", "adhoc_filters": [newest_month(file)]}
        chart = {
            "slice_name": "PV energy by day and plant",
            "viz_type": CHART["viz_type"],
            "datasource_id": dataset,
            "datasource_type": "table",
            "params": json.dumps(shown),
        }
        return make("chart", chart)


def newest_month(file: Path) -> dict[str, str]:
    """A filter for the month of which the file has the most days."""
    query = "SELECT month, month + INTERVAL 1 MONTH FROM energy_monthly GROUP BY ALL ORDER BY count(*) DESC LIMIT 1"
    with duckdb.connect(str(file), read_only=True) as connection:
        ((first, end),) = connection.execute(query).fetchall()
    return {
        "expressionType": "SIMPLE",
        "clause": "WHERE",
        "subject": "local_date",
        "operator": "TEMPORAL_RANGE",
        "comparator": f"{first:%Y-%m-%d} : {end:%Y-%m-%d}",
    }


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            client.get("/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(1)
        else:
            return
    raise TimeoutError(f"Superset did not answer within {START_S} s")


def look(url: str, password: str, chart: int, picture: Path) -> None:
    """Open the chart in Chromium and take a picture of it."""
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        window = driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=list(OPTIONS),
            viewport={"width": 1200, "height": 700},
        )
        page: Page = window.new_page()
        page.set_default_timeout(BROWSER_MS)
        page.goto(f"{url}/login/")
        page.fill("#username", USER)
        page.fill("#password", password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda at: "/login" not in at)
        page.goto(f"{url}/explore/?slice_id={chart}")
        page.wait_for_selector("canvas")
        # The bars grow.
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=picture)
        window.close()


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
