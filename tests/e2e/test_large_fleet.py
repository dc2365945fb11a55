"""A large fleet takes no more memory than a small one: the real program, all tables of a day and their publication."""

from pathlib import Path

import pytest

from sandbox.launch import run_sandbox
from tests.e2e.peak_memory import measure_peak

PLANTS = 3_000
# A day of one plant takes some 430 MB, and one of 10,000 plants some 560: docs/performance.md. What is copied for each
# plant grows with their square, and is far beyond.
MOST_MB = 600


@pytest.mark.long
def test_a_day_of_thousands_of_plants_takes_little_more_memory_than_one_of_few(tmp_path: Path) -> None:
    """What took 4 GB with 10,000 plants was seen by no test, because all of them have few plants."""
    with run_sandbox("--plants", str(PLANTS), "--requests-per-5-min", "100000000") as box:
        code, said, peak_mb = measure_peak(
            tmp_path, "backfill", "--from", "2024-06-03", "--to", "2024-06-03", "--yes", **box.settings()
        )
    assert (code, f"{PLANTS:,} of {PLANTS:,} plant-days complete." in said) == (0, True), said
    assert peak_mb < MOST_MB
