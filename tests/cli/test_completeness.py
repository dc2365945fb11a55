"""The last lines of a run say how complete its days are, and its exit code says so too."""

import datetime as dt
import re
from pathlib import Path

import pytest

from sandbox.launch import run_sandbox
from tests.programs import ONE_SET, sunledger

DAYS = ["--from", "2021-10-01", "--to", "2021-10-02"]


@pytest.mark.long
def test_a_silent_plant_and_gaps_are_told_and_leave_with_3(tmp_path: Path) -> None:
    silent = "empty_list=1,plants=5000000,path=EnergyBalance"
    with run_sandbox("--plants", "2", "--seed", "7", "--fault", silent) as box:
        done = sunledger(tmp_path, "backfill", *DAYS, **box.settings(), **ONE_SET)
    assert done.returncode == 3, done.stderr
    assert "2 of 4 plant-days complete; 1 plant silent: look at v_days_to_check." in done.stderr
    assert "Done in part:" in done.stdout
    assert ": silent on 2 days, 2021-10-01 to 2021-10-02" in done.stdout
    again = sunledger(tmp_path, "rebuild", "--from", "2021-10-02", **box.settings(), **ONE_SET)
    assert again.returncode == 3, again.stderr
    assert "1 of 2 plant-days complete; 1 plant silent" in again.stderr
    # What is made of the month says it too, though it is whole in itself.
    for words in (["report", "--month", "2021-10"], ["pack", "--month", "2021-10"]):
        made = sunledger(tmp_path, *words)
        assert made.returncode == 0, made.stderr
        said = " ".join(made.stderr.split())
        assert (
            "2021-10 is not complete: 2 of 62 plant-days complete; 1 plant silent, 2 plants not fetched"
            in said
        )
        assert "The warehouse holds 2 of the 31 days of this month." in " ".join(made.stderr.split())


@pytest.mark.long
def test_a_whole_result_is_told_too(tmp_path: Path) -> None:
    with run_sandbox("--plants", "2", "--seed", "7") as box:
        done = sunledger(tmp_path, "backfill", *DAYS, **box.settings(), **ONE_SET)
        assert done.returncode == 0, done.stderr
        assert "4 of 4 plant-days complete." in done.stderr
        assert done.stdout == ""
        # What may still come is not missing.
        today = str(dt.datetime.now(dt.UTC).date())
        running_day = sunledger(
            tmp_path, "backfill", "--from", today, "--to", today, **box.settings(), **ONE_SET
        )
    assert running_day.returncode == 0, running_day.stderr
    # A plant in the west has yesterday's date still, for some hours after midnight in UTC, and the day of one in the
    # east is over before that midnight.
    said = re.search(r"(\d) of (\d) plant-days? complete; (\d) may still change\.", running_day.stderr)
    assert said, running_day.stderr
    complete, plants, running = map(int, said.groups())
    assert complete + running == plants
