"""SECURITY.md names the tests that hold its promises: each of them is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[^`]+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text()
