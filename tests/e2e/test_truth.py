"""Energies beside the truth: a small fleet through the whole pipeline. `python -m bench.truth` takes a large one."""

import datetime as dt
from pathlib import Path

import pytest

from bench.truth import MAX_ERROR, beyond_bound, compared, through_the_pipeline, true_energies
from sandbox.launch import run_sandbox

pytestmark = pytest.mark.long

# Both portals, steps of 5 and 15 minutes, three zones; Europe changes its clocks on the second day.
FLEET = ("--plants", "4")
DAYS = [dt.date(2025, 3, 29), dt.date(2025, 3, 30), dt.date(2025, 3, 31)]
AUTUMN = dt.date(2025, 10, 26)
GAPS = ("--fault", "missing_rows,amount=72", "--fault", "uneven_steps,amount=40")


@pytest.mark.parametrize("basis", ["plant_local", "utc"])
def test_energies_are_true_and_gaps_hold_what_is_missing(basis: str, tmp_path: Path) -> None:
    fleet = (*FLEET, "--time-basis", basis)
    with run_sandbox(*fleet) as address:
        plain = through_the_pipeline(address, tmp_path / "plain", DAYS)
        truth = true_energies(address, plain)
    result = compared(plain, truth, plain)
    assert result.n_unique(["plant_id", "local_date"]) == 12
    assert result["uncovered_h"].abs().max() < 1e-9
    assert result["beyond_rounding"].fill_nan(0).max() < MAX_ERROR
    with run_sandbox(*fleet, *GAPS) as address:
        holed = through_the_pipeline(address, tmp_path / "holed", DAYS)
    result = compared(holed, truth, plain)
    # The faults struck, and no error is larger than what the time that is reported as uncovered or bridged can hold.
    assert result["error_kwh"].max() > 0.1
    assert beyond_bound(result).is_empty()


def test_a_merged_hour_is_exact_where_it_is_known_to_be_a_mean_and_else_a_gap(tmp_path: Path) -> None:
    with run_sandbox("--plants", "1", "--fold", "merged") as address:
        mean = through_the_pipeline(address, tmp_path / "mean", [AUTUMN], sma_merged_hour="mean")
        gap = through_the_pipeline(address, tmp_path / "gap", [AUTUMN], sma_merged_hour="gap")
        truth = true_energies(address, mean)
    result = compared(mean, truth, mean)
    assert result["uncovered_h"].abs().max() < 1e-9
    assert result["beyond_rounding"].fill_nan(0).max() < MAX_ERROR
    result = compared(gap, truth, mean)
    assert result["uncovered_h"].to_list() == pytest.approx([1.0] * result.height)
    assert result["error_kwh"].max() > 0.01
    assert beyond_bound(result).is_empty()
