"""Nobody makes figures from a file that is not what was written, and a file is compared once."""

import errno
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from pipeline.cli.health.verify_output import Verification
from pipeline.common.files.refused_files import FileRefusedError
from schemas import EnergyDaily
from tests.warehouse.damaged_lake import double_generation
from tests.warehouse.three_days import DAYS, frame_of, values
from warehouse.integrity import file_check
from warehouse.integrity.damage import DamagedError, DamageKind
from warehouse.integrity.gate import find_damage, take_snapshots
from warehouse.lake import Lake
from warehouse.verification.verify import list_damages, verify_lake

PART = {"local_date": DAYS[0]}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    for day, value in zip(DAYS, (1.0, 2.0, 3.0), strict=True):
        lake.replace(EnergyDaily, {"local_date": day}, [frame_of(EnergyDaily, day, value)])
    return lake


def again(lake: Lake) -> Lake:
    """The lake as a new process sees it."""
    return Lake(lake.root, lake.scratch)


def file_of(lake: Lake) -> Path:
    return Path(lake.take_snapshot(EnergyDaily, PART).files[0])


def count_compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    compared: list[str] = []
    real = file_check.find_file_damage

    def counting(files: object, model: object, path: str, known: object) -> object:
        compared.append(path)
        return real(files, model, path, known)  # type: ignore[arg-type]

    monkeypatch.setattr(file_check, "find_file_damage", counting)
    return compared


def test_a_file_that_this_user_may_not_read_is_no_damage_and_hides_none(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, refused = file_check.digest_of, [str(DAYS[1])]

    def refuse(files: pafs.FileSystem, path: str) -> object:
        if any(day in path for day in refused):
            raise PermissionError(
                errno.EACCES, f"Failed to open local file '{lake.root}/{path}'. Permission denied"
            )
        return real(files, path)

    monkeypatch.setattr(file_check, "digest_of", refuse)
    double_generation(Path(lake.take_snapshot(EnergyDaily, {"local_date": DAYS[2]}).files[0]))
    done = Verification()
    done.add("the lake", verify_lake(again(lake)))
    first, second = capsys.readouterr().out.splitlines()
    assert f"energy_daily {DAYS[1]}: " in first
    assert "may not be used by user" in first
    assert f"energy_daily {DAYS[2]}: its file" in second
    assert done.describe() == "Read 2 parts and found 1 fault."
    with pytest.raises(FileRefusedError, match="refuses this user 1 file: the lines above"):
        done.raise_lack()
    # Nobody can say what has to be repaired.
    with pytest.raises(FileRefusedError, match="may not be used by user"):
        list_damages(again(lake))
    # Who mends the permissions file by file knows how many there are.
    refused.append(str(DAYS[0]))
    with pytest.raises(
        FileRefusedError, match="refuses this user 2 files of the lake, and a repair needs all of them"
    ):
        list_damages(again(lake))


def test_every_way_to_read_refuses_a_changed_file(lake: Lake) -> None:
    new = frame_of(EnergyDaily, DAYS[0], 5.0)
    double_generation(file_of(lake))
    for read in (
        lambda fresh: fresh.scan(EnergyDaily),
        lambda fresh: list(fresh.read_batches(EnergyDaily, PART)),
        lambda fresh: fresh.read_facts(EnergyDaily, PART),
        lambda fresh: fresh.replace(EnergyDaily, PART, [new]),
    ):
        with pytest.raises(DamagedError, match=r"energy_daily 2021-10-01: .*sunledger repair") as refused:
            read(again(lake))
        assert refused.value.damage.kind is DamageKind.FILE_CHANGED
    # Other days are read and written all the same.
    fresh = again(lake)
    assert len(list(fresh.read_batches(EnergyDaily, {"local_date": DAYS[1]}))) == 1
    assert fresh.replace(EnergyDaily, {"local_date": DAYS[1]}, [frame_of(EnergyDaily, DAYS[1], 7.0)]).changed


def test_a_lost_file_is_damage_and_no_fault_of_the_program(lake: Lake) -> None:
    file_of(lake).unlink()
    with pytest.raises(DamagedError, match="is missing"):
        again(lake).scan(EnergyDaily)


def test_a_file_is_compared_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = count_compared(monkeypatch)
    # The process that wrote it knows what it is.
    values(lake, EnergyDaily)
    assert compared == []
    fresh = again(lake)
    values(fresh, EnergyDaily)
    values(fresh, EnergyDaily)
    assert len(compared) == len(DAYS)


def test_what_the_last_publication_compared_is_not_compared_again_until_it_changes(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_damage(lake, take_snapshots(lake, [EnergyDaily])) == []
    compared = count_compared(monkeypatch)
    values(again(lake), EnergyDaily)
    assert compared == []
    double_generation(file_of(lake))
    with pytest.raises(DamagedError):
        again(lake).scan(EnergyDaily)
