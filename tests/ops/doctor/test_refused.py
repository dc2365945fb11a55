"""Files that the system refuses or that a disk does not give: all of them are found, and hide nothing else."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.common.settings import Settings
from pipeline.ops.doctor import examination, facts, machine
from pipeline.ops.doctor.examination import DoctorCheck, examine
from pipeline.ops.doctor.patient import Patient
from pipeline.ops.doctor.result import Diagnosis, Level, pass_check


@pytest.mark.parametrize(
    ("number", "why", "said"),
    [
        (errno.EACCES, "Permission denied", "may not be used by user"),
        (errno.EIO, "Input/output error", "can't be read or written (Input/output error): check the disk"),
    ],
)
def test_the_doctor_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int, why: str, said: str
) -> None:
    refused = settings.home / "credentials"

    def refuse(_patient: Patient) -> list[Diagnosis]:
        raise OSError(number, why, str(refused))

    def pass_by(_patient: Patient) -> list[Diagnosis]:
        return [pass_check("next", "")]

    checks = (DoctorCheck("locks", refuse), DoctorCheck("next", pass_by))
    monkeypatch.setattr(examination, "CHECKS", checks)
    first, second = examine(settings)
    assert (first.level, second.level) == (Level.FAIL, Level.OK)
    assert said in first.text


def test_a_file_of_another_user_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    day = settings.home / "lake" / "plants" / "local_date=2026-03-01"
    for place in (settings.home / "dagster", day):
        place.mkdir(parents=True)
        (place / "refused").touch()
        (place / "mine").touch()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "refused")
    assert facts.find_refused_files(settings) == []
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    # A part of a day is left out, since there are as many as days.
    (refused,) = facts.find_refused_files(settings)
    assert refused == settings.home / "dagster" / "refused"
    (found,) = machine.judge_refused([refused])
    assert (found.level, f"1 file can't be used, of which one says why: {refused} " in found.text) == (
        Level.FAIL,
        True,
    )


@pytest.mark.parametrize(("allowed", "found"), [("read", [Level.FAIL]), ("off", [])])
def test_a_book_of_orders_that_would_end_commands_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, allowed: str, found: list[Level]
) -> None:
    book = settings.home / "grid" / "orders.json"
    book.parent.mkdir(parents=True)
    book.write_bytes(b"")
    monkeypatch.setattr(examination, "CHECKS", [one for one in examination.CHECKS if one.name == "orders"])
    said = list(examine(settings.model_copy(update={"grid_control": allowed})))
    assert [one.level for one in said] == found
    assert all(f"{book} does not hold orders" in one.text for one in said)
