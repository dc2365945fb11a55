"""Consent to cost as a user meets it: nothing that SMA charges is sent before somebody agreed."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.launch import SandboxAddress
from tests.programs import PATIENCE_S, STRICT_PROGRAM, environment, sunledger

DAY = ["--from", "2021-10-01", "--to", "2021-10-01"]
# Without a limit, as on a new installation.
NONE = {"SUNLEDGER_MAX_EUR_PER_MONTH": ""}
COMMANDS = [["refresh"], ["backfill", *DAY], ["doctor", "--ask-plants", "1"]]


def billed(home: Path, box: SandboxAddress) -> str:
    """The PU of all months, as the record of requests says."""
    query = "SELECT count(*) FROM api_requests WHERE plant_id <> '' AND status = 200"
    assert sunledger(home, "publish", **box.settings()).returncode == 0
    return sunledger(home, "sql", query, "--format", "csv").stdout.splitlines()[-1]


def at_a_terminal(home: Path, box: SandboxAddress, answer: str, *words: str) -> tuple[int, str]:
    """The command on a terminal, with a person who answers its question."""
    person, terminal = pty.openpty()
    process = subprocess.Popen(
        [*STRICT_PROGRAM, *words],
        cwd=home,
        env=environment(home, **box.settings() | NONE),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said, answered, until = b"", False, time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if select.select([person], [], [], 0.2)[0]:
            try:
                said += os.read(person, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
        if not answered and b"[y/N]" in said:
            os.write(person, answer.encode())
            answered = True
    os.close(person)
    return process.wait(PATIENCE_S), said.decode()


@pytest.mark.long
def test_no_command_makes_a_pu_unasked(tmp_path: Path, box: SandboxAddress) -> None:
    settings = box.settings() | NONE
    for words in COMMANDS:
        told = sunledger(tmp_path, *words, **settings)
        assert told.returncode == 2, told.stderr
        count = 1 if words[0] == "doctor" else 3
        assert f"add {count} PU to 20" in told.stderr
        assert (
            "EUR (published figures, check against your contract). Nobody has accepted this cost."
            in told.stderr
        )
        assert "--yes" in told.stderr
        assert "SUNLEDGER_MAX_EUR_PER_MONTH" in told.stderr
    well = sunledger(tmp_path, "doctor", **settings)
    assert well.returncode == 0, well.stdout
    assert "not tested, because no plant is billed for this month yet" in well.stdout
    assert billed(tmp_path, box) == "0"


@pytest.mark.long
def test_plan_works_on_a_new_home_and_costs_nothing(tmp_path: Path, box: SandboxAddress) -> None:
    told = sunledger(tmp_path, "plan", *DAY, **box.settings() | NONE)
    assert told.returncode == 0, told.stderr
    assert "fetched from SMA, which is free" in told.stderr
    assert "1 day of 3 plants; no request that SMA charges was sent" in told.stdout
    assert "devices and sets of 3 plants are not known yet" in told.stdout
    assert billed(tmp_path, box) == "0"
    # The list is stored now.
    again = sunledger(tmp_path, "plan", *DAY, **NONE)
    assert again.returncode == 0, again.stderr


@pytest.mark.long
def test_agreed_once_is_agreed_for_the_month(tmp_path: Path, box: SandboxAddress) -> None:
    settings = box.settings() | NONE
    one = sunledger(tmp_path, "refresh", "--plants", "5000000", "--yes", **settings)
    assert one.returncode == 0, one.stderr
    assert "add 1 PU" in one.stderr
    rest = sunledger(tmp_path, "refresh", **settings)
    assert rest.returncode == 2
    assert "add 2 PU" in rest.stderr
    assert "1 plant more cost nothing" in rest.stderr
    free = sunledger(tmp_path, "backfill", *DAY, "--plants", "5000000", **settings)
    assert free.returncode == 0, free.stderr
    assert "PU" not in free.stderr
    seen = sunledger(tmp_path, "doctor", **settings)
    assert "time basis  SMA_TIME_BASIS=" in seen.stdout, seen.stdout


@pytest.mark.long
def test_a_limit_needs_no_answer_and_holds_against_yes(tmp_path: Path, box: SandboxAddress) -> None:
    limit = {"SUNLEDGER_MAX_EUR_PER_MONTH": "1"}
    told = sunledger(tmp_path, "backfill", *DAY, "--yes", **box.settings() | limit)
    assert told.returncode == 2
    assert "SUNLEDGER_MAX_EUR_PER_MONTH=1 does not allow that" in told.stderr
    assert billed(tmp_path, box) == "0"
    limit = {"SUNLEDGER_MAX_EUR_PER_MONTH": "1000"}
    done = sunledger(tmp_path, "refresh", **box.settings() | limit)
    assert done.returncode == 0, done.stderr
    assert "add 3 PU" in done.stderr


@pytest.mark.long
def test_an_amount_agrees_up_to_itself(tmp_path: Path, box: SandboxAddress) -> None:
    settings = box.settings() | NONE
    assert sunledger(tmp_path, "backfill", *DAY, "--max-eur", "1", **settings).returncode == 2
    done = sunledger(tmp_path, "backfill", *DAY, "--max-eur", "1000", **settings)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="needs pseudo-terminals as Linux has them")
def test_on_a_terminal_a_person_is_asked_before_anything_is_billed(
    tmp_path: Path, box: SandboxAddress
) -> None:
    code, said = at_a_terminal(tmp_path, box, "\n", "refresh")
    assert code == 2, said
    assert "add 3 PU" in said
    assert "so no request was sent" in said
    assert billed(tmp_path, box) == "0"
    code, said = at_a_terminal(tmp_path, box, "y\n", "refresh")
    assert code == 0, said
    assert "The lists were fetched with" in said
    assert billed(tmp_path, box) != "0"
