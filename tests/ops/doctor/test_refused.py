"""A file that the system refuses, or that a disk does not give, fails the check that reads it and no other."""

import errno

import pytest

from pipeline.common.settings import Settings
from pipeline.ops.doctor import examination
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
