"""Any bytes give rows that satisfy their model or a clear error of ours: the same bounded examples on every machine.

`make fuzz` looks further. What it found lies in `seeds/` and is tried here for good.
"""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.checks import CHECKS
from tests.transform.answers import examples

SEEDS = Path(__file__).parent / "seeds"
FOUND = sorted(path for path in SEEDS.glob("*/*") if path.is_file())
EXAMPLES = 25
MOST_GROWTH_KIB = 512 * 1024


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("name", CHECKS)
def test_any_bytes_are_read_or_refused_within_a_bound_of_memory(name: str) -> None:
    check, inputs = CHECKS[name]
    before = _peak_kib()

    @examples(EXAMPLES)
    @given(data=st.one_of(inputs, inputs, inputs, st.binary(max_size=200)))
    def holds(data: bytes) -> None:
        check(data)

    holds()
    assert _peak_kib() - before < MOST_GROWTH_KIB


@pytest.mark.parametrize("seed", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_holds_for_good(seed: Path) -> None:
    check, _ = CHECKS[seed.parent.name]
    check(seed.read_bytes())


def test_every_seed_has_its_check() -> None:
    assert {path.parent.name for path in FOUND} <= set(CHECKS)
