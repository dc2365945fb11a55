"""The last lines of a run say how complete its days are, and its exit code says so too."""

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.launch import run_sandbox
from tests.programs import FREE

PROGRAM = str(Path(sys.executable).with_name("sunledger"))
DAYS = ["--from", "2021-10-01", "--to", "2021-10-03"]


def sunledger(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMA_", "SUNLEDGER_"))}
    return subprocess.run(
        [PROGRAM, *words],
        cwd=home,
        env={**kept, **FREE, "SUNLEDGER_HOME": str(home / "home"), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_a_silent_plant_and_gaps_are_told_and_leave_with_3(tmp_path: Path) -> None:
    silent = "empty_list=1,plants=5000000,path=EnergyBalance"
    with run_sandbox("--plants", "3", "--seed", "7", "--fault", silent) as box:
        done = sunledger(tmp_path, "backfill", *DAYS, **box.settings())
    assert done.returncode == 3, done.stderr
    assert "6 of 9 plant-days complete; 1 plant silent: look at v_days_to_check." in done.stderr
    assert "Done in part:" in done.stdout
    assert ": silent on 3 days, 2021-10-01 to 2021-10-03" in done.stdout
    again = sunledger(tmp_path, "rebuild", "--from", "2021-10-02", **box.settings())
    assert again.returncode == 3, again.stderr
    assert "4 of 6 plant-days complete; 1 plant silent" in again.stderr
    # What is made of the month says it too, though it is whole in itself.
    for words in (["report", "--month", "2021-10"], ["pack", "--month", "2021-10"]):
        made = sunledger(tmp_path, *words)
        assert made.returncode == 0, made.stderr
        said = " ".join(made.stderr.split())
        assert (
            "2021-10 is not complete: 6 of 93 plant-days complete; 1 plant silent, 3 plants not fetched"
            in said
        )
        assert "The warehouse holds 3 of the 31 days of this month." in " ".join(made.stderr.split())


@pytest.mark.long
def test_a_whole_result_is_told_too(tmp_path: Path) -> None:
    with run_sandbox("--plants", "2", "--seed", "7") as box:
        done = sunledger(tmp_path, "backfill", *DAYS, **box.settings())
        assert done.returncode == 0, done.stderr
        assert "6 of 6 plant-days complete." in done.stderr
        assert done.stdout == ""
        # What may still come is not missing.
        today = str(dt.datetime.now(dt.UTC).date())
        running_day = sunledger(tmp_path, "backfill", "--from", today, "--to", today, **box.settings())
    assert running_day.returncode == 0, running_day.stderr
    # A plant in the west has yesterday's date still, for some hours after midnight in UTC.
    assert re.search(r"0 of ([12]) plant-days? complete; \1 may still change\.", running_day.stderr)
