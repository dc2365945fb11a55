"""A run that is killed between the tables of its days: the next one completes them, and sends no request for it."""

import datetime as dt
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from pipeline.run.unfinished_days import record_days, take_over_days
from sandbox.launch import SandboxAddress
from schemas import (
    ApiRequests,
    CoverageDaily,
    DeviceEnergyDaily,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyHourly,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Logs,
    PvIntervals,
    Quarantine,
    Table,
    storage,
)
from tests.programs import PATIENCE_S, environment, sunledger
from tests.samples import take_samples
from warehouse.lake import Lake

# The program itself, which a signal ends at the write that the test names: `TABLE` or `TABLE=N` for the Nth of them.
# It makes no day ahead, so that all answers are stored when the first table is made.
KILLED = """
import os, signal, sys
from pipeline.run.made_ahead import MadeAhead
from schemas import storage
from warehouse.lake import Lake
MadeAhead.note_stored = lambda *_: None
table, _, number = sys.argv.pop(1).partition("=")
left, begin = int(number or 1), Lake.open_replacement
def dying(self, model, *args, **kwargs):
    global left
    left -= storage(model).table == table
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return begin(self, model, *args, **kwargs)
Lake.open_replacement = dying
from pipeline.cli import main
main()
"""
MADE: list[type[Table]] = [
    EnergyBalanceIntervals,
    PvIntervals,
    EnergyDaily,
    CoverageDaily,
    DeviceEnergyDaily,
    EnergyHourly,
    KpiDaily,
    EnergyMonthly,
    KpiMonthly,
    Logs,
    Quarantine,
]
DAYS = ("--from", "2021-10-04", "--to", "2021-10-06")
LATER = ("--from", "2021-10-07", "--to", "2021-10-07")


def killed(home: Path, table: str, *words: str, **settings: str) -> None:
    """Run the program until it is about to write that table, and see that it is dead."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, table, *words],
        cwd=home,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def lake_of(home: Path) -> Lake:
    return Lake(str(home / "home" / "lake"), home / "home" / "tmp")


def content(home: Path) -> dict[str, pl.DataFrame]:
    """What every table holds of the three days, but for when it was noted."""
    lake, found = lake_of(home), {}
    for model in MADE:
        rows = lake.scan(model)
        if "local_date" in rows.collect_schema():
            rows = rows.filter(pl.col("local_date") <= dt.date(2021, 10, 6))
        found[storage(model).table] = rows.collect()
    return found


def requests(home: Path) -> int:
    return lake_of(home).scan(ApiRequests).select(pl.len()).collect().item()


@pytest.fixture(scope="module")
def whole(box: SandboxAddress, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """What an undisturbed run makes of the days."""
    home = tmp_path_factory.mktemp("whole")
    assert sunledger(home, "backfill", *DAYS, **box.settings()).returncode == 0
    return content(home)


@pytest.mark.parametrize(
    "table",
    take_samples(
        4,
        [
            "energy_balance_intervals=2",
            "device_energy_daily",
            "kpi_daily=2",
            # The tables of the days are there, and what was found out about them is not.
            "quarantine=20",
        ],
    ),
)
def test_the_next_publication_completes_what_a_killed_run_left(
    box: SandboxAddress, tmp_path: Path, whole: dict[str, pl.DataFrame], table: str
) -> None:
    killed(tmp_path, table, "backfill", *DAYS, **box.settings())
    left = content(tmp_path)
    assert any(not left[name].equals(rows) for name, rows in whole.items())
    done = sunledger(tmp_path, "publish", **box.settings())
    assert done.returncode == 0, done.stderr
    assert "An earlier run left 3 days from 2021-10-04 to 2021-10-06 unfinished" in " ".join(
        done.stderr.split()
    )
    before = requests(tmp_path)
    now = content(tmp_path)
    assert [name for name, rows in whole.items() if not now[name].equals(rows)] == []
    # Once: the next one finds nothing left to do.
    again = sunledger(tmp_path, "publish", **box.settings())
    assert (again.returncode, "unfinished" in again.stderr) == (0, False)
    assert requests(tmp_path) == before
    assert list((tmp_path / "home" / "unfinished").glob("*.days")) == []


@pytest.mark.long
def test_a_backfill_of_another_day_completes_them_with_the_requests_of_its_own_day_alone(
    box: SandboxAddress, tmp_path: Path, whole: dict[str, pl.DataFrame]
) -> None:
    killed(tmp_path, "quarantine=20", "backfill", *DAYS, **box.settings())
    killed_at = dt.datetime.now(dt.UTC)
    done = sunledger(tmp_path, "backfill", *LATER, **box.settings())
    assert done.returncode == 0, done.stderr
    assert "unfinished. This run completed them from the stored answers without a request" in " ".join(
        done.stderr.split()
    )
    asked = lake_of(tmp_path).scan(ApiRequests).filter(pl.col("asked_at") > killed_at).collect()
    dates = set(asked.filter(pl.col("endpoint").is_in(["measurements", "logs"]))["request_date"])
    assert dates == {"2021-10-07"}
    # A month has one day more.
    of_months, now = {storage(model).table for model in (EnergyMonthly, KpiMonthly)}, content(tmp_path)
    assert {name for name, rows in whole.items() if not now[name].equals(rows)} <= of_months
    assert list((tmp_path / "home" / "unfinished").glob("*.days")) == []


@pytest.mark.long
def test_a_day_that_was_read_again_and_half_made_is_no_mixture_after_the_next_run(
    box: SandboxAddress, tmp_path: Path, whole: dict[str, pl.DataFrame]
) -> None:
    """All tables are there, so that only the killed run's own record says that some are old."""
    only = {"SUNLEDGER_QUALITY": str(tmp_path / "quality.toml")}
    (tmp_path / "quality.toml").write_text("beyond_rated_times = 0.3\n")
    # Values that are set aside leave gaps, so the days are not complete.
    assert sunledger(tmp_path, "backfill", *DAYS, **box.settings(), **only).returncode == 3
    strict = content(tmp_path)["kpi_daily"]
    assert not strict.equals(whole["kpi_daily"])
    killed(tmp_path, "kpi_daily", "rebuild", **box.settings())
    assert content(tmp_path)["kpi_daily"].equals(strict)
    assert content(tmp_path)["energy_daily"].equals(whole["energy_daily"])
    assert sunledger(tmp_path, "publish", **box.settings()).returncode == 0
    assert content(tmp_path)["kpi_daily"].equals(whole["kpi_daily"])


@pytest.mark.long
def test_days_that_a_live_run_works_on_are_left_to_it(box: SandboxAddress, tmp_path: Path) -> None:
    days = {dt.date(2021, 10, 4), dt.date(2021, 10, 5)}
    folder = tmp_path / "unfinished"
    with record_days(folder, days), take_over_days(folder) as left:
        assert left == set()
    assert list(folder.iterdir()) == []
    with pytest.raises(RuntimeError), record_days(folder, days):
        raise RuntimeError
    with pytest.raises(RuntimeError), record_days(folder, [dt.date(2021, 10, 30)]):
        raise RuntimeError
    days |= {dt.date(2021, 10, 30)}
    with pytest.raises(RuntimeError), take_over_days(folder):
        raise RuntimeError
    assert len(list(folder.iterdir())) == 1
    with take_over_days(folder) as left, take_over_days(folder) as others:
        assert (left, others) == (days, set())
    with take_over_days(folder) as left:
        assert left == set()
