"""SECURITY.md and docs/reliability.md name the tests that hold their promises: each of them is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/reliability.md"])
def test_every_test_that_is_named_is_there(page: str) -> None:
    named = re.findall(r"`(tests/[^` ]+)`", (ROOT / page).read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert f"({page})" in (ROOT / "README.md").read_text()
