"""A backfill with the wrong time basis says so in its last line, and leaves with 3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import sunledger
from tests.small_sma import SmallSma, listed, serving
from tests.transform.sun.roof import watts

pytestmark = pytest.mark.long

TOKYO = (35.7, 139.7)


@pytest.fixture
def sma() -> Iterator[SmallSma]:
    plant = listed("11", "Asia/Tokyo", *TOKYO)
    with serving(SmallSma([plant], power=lambda _, at: watts(at, *TOKYO))) as it:
        yield it


def test_the_last_line_of_a_backfill_names_the_setting(tmp_path: Path, sma: SmallSma) -> None:
    days = ["--from", "2024-01-10", "--to", "2024-01-11"]
    wrong = sma.settings | {"SMA_TIME_BASIS": "utc"}
    result = sunledger(tmp_path, "backfill", *days, **wrong)
    assert result.returncode == 3, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == (
        "The times of these days contradict the position of the sun. The energy of plant 11 is measured in the dark "
        "with the present time basis (utc), and by day with plant_local. Set SMA_TIME_BASIS=plant_local, then run "
        "'sunledger backfill' for the stored days, because they were fetched and read with the other time basis."
    )
    result = sunledger(tmp_path, "backfill", *days, **sma.settings)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the sun" not in result.stdout + result.stderr
    rows = "SELECT count(*), count(DISTINCT status) FROM energy_daily WHERE status = 'complete'"
    assert sunledger(tmp_path, "sql", "--format", "csv", rows, **sma.settings).stdout.split()[-1] == "2,1"
