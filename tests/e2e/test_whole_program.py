"""The program itself, by subprocess, against a sandbox whose answers are odd or truncated."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from sandbox.launch import SandboxAddress, run_sandbox
from schemas import EnergyDaily, Plants
from tests.programs import ONE_SET, PATIENCE_S
from warehouse.lake import Lake

WEEK = ("--from", "2024-06-03", "--to", "2024-06-09", "--yes")


def program(address: SandboxAddress, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    settings = {name: str(value) for name, value in address.settings().items()}
    return subprocess.run(
        [Path(sys.executable).with_name("sunledger"), *words],
        cwd=home.parent,
        env={**os.environ, **settings, "SUNLEDGER_HOME": str(home), "NO_COLOR": "1", **ONE_SET},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def daily(home: Path) -> pl.DataFrame:
    lake = Lake(str(home / "lake"), home / "tmp")
    return lake.scan(EnergyDaily).sort("local_date", "plant_id").collect()


@pytest.mark.long
def test_odd_characters_and_numbers_in_every_answer_stop_no_command(tmp_path: Path) -> None:
    # The list, and one plant's own answers.
    faults = ("half_characters,path=/v1/", "not_finite,times=1", "not_finite,path=/Week,plants=5000000")
    faults = tuple(word for fault in faults for word in ("--fault", fault))
    home = tmp_path / "home"
    with run_sandbox("--plants", "3", "--seed", "7", "--time-basis", "plant_local", *faults) as address:
        for words in (("doctor", "--ask-plants", "0"), ("backfill", *WEEK)):
            done = program(address, home, *words)
            assert "Traceback" not in done.stderr
            assert "can't be read" not in done.stdout, done.stdout
    days = daily(home)
    assert (days.height, set(days["status"])) == (21, {"complete"})
    # One value of the week is none.
    lacking = days.filter(pl.col("n_flagged") > 0)
    assert lacking.select("plant_id", "n_flagged").rows() == [("5000000", 1)]
    names = Lake(str(home / "lake"), home / "tmp").scan(Plants).collect()["name"]
    assert names.str.starts_with("\ufffd").all()
    assert "of SMA's lists and logs can't be read" in done.stderr


@pytest.mark.long
def test_a_backfill_of_weeks_that_are_cut_short_is_whole(tmp_path: Path) -> None:
    fleet = ("--plants", "3", "--seed", "7", "--time-basis", "plant_local")
    with run_sandbox(*fleet) as address:
        assert program(address, tmp_path / "plain", "backfill", *WEEK).returncode == 0
    # One plant's weeks end early, and another's begin late.
    cut_short = (("first_rows_only", "5000000"), ("last_rows_only", "5000022"))
    faults = [f"--fault={kind},amount=400,path=/Week,plants={plant}" for kind, plant in cut_short]
    with run_sandbox(*fleet, *faults) as address:
        done = program(address, tmp_path / "cut", "backfill", *WEEK)
    assert done.returncode == 0, done.stdout + done.stderr
    plain, cut = daily(tmp_path / "plain"), daily(tmp_path / "cut")
    assert set(cut["status"]) == {"complete"}
    assert cut["pv_generation_kwh"].to_list() == plain["pv_generation_kwh"].to_list()
