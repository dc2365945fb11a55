"""The verification finds a flipped byte, a lost file and rows that break the model; a whole lake passes."""

from pathlib import Path

import pytest

from schemas.core import PvIntervals
from tests.warehouse.pv_rows import DAY, PART, pv
from tests.warehouse.test_lake import lake  # noqa: F401 - the fixture
from warehouse.lake import Lake
from warehouse.verification.verify import verify_lake


@pytest.fixture
def filled(lake: Lake) -> Lake:  # noqa: F811 - the fixture of that name
    lake.replace(PvIntervals, PART, [pv(plants="abcdef", rows=288)])
    return lake


def faults(lake: Lake) -> list[str]:  # noqa: F811
    return [found.fault for found in verify_lake(lake) if found.fault]


def test_a_whole_lake_passes(filled: Lake) -> None:
    (found,) = verify_lake(filled)
    assert found.place == f"pv_intervals {DAY}"
    assert found.fault is None


def test_an_empty_lake_passes(lake: Lake) -> None:  # noqa: F811
    assert list(verify_lake(lake)) == []


def test_any_flipped_byte_of_the_data_is_found(filled: Lake) -> None:
    file = Path(filled.take_snapshot(PvIntervals, PART).files[0])
    whole = file.read_bytes()
    for position in range(40, len(whole) // 2, len(whole) // 20):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        assert len(faults(filled)) == 1, position


def test_a_lost_file_is_found(filled: Lake) -> None:
    Path(filled.take_snapshot(PvIntervals, PART).files[0]).unlink()
    assert "is missing" in faults(filled)[0]


def test_an_entry_that_is_missing_in_the_middle_is_a_short_sentence(filled: Lake) -> None:
    """The library prints some thousand characters of its own structures."""
    for watts in (1.0, 2.0, 3.0):
        filled.replace(PvIntervals, PART, [pv(watts=watts)])
    (Path(filled.find_uri(PvIntervals)) / "_delta_log" / f"{1:020}.json").unlink()
    reread = Lake(filled.root, filled.scratch)
    assert faults(reread) == [
        "the log of the table lacks entries between those of versions 0 and 2. Run 'sunledger repair'."
    ]
