"""Each broken set-up has its line and its cure, and a good one passes whole."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.ops.doctor.examination import CHECKS
from pipeline.ops.doctor.result import Level
from tests.ops.doctor.ground import Ground, examined, lines
from tests.ops.doctor.page import DOCUMENT, blocks
from tests.ops.doctor.setups import SETUPS, Setup


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with ExitStack() as stack:
        yield Ground(tmp_path, stack, monkeypatch)


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.build.__name__)
def test_a_broken_setup_has_its_line_and_its_cure(ground: Ground, setup: Setup) -> None:
    """And the page in docs shows what is said, word by word."""
    findings = examined(ground, setup.build)
    (told,) = [f for f in findings if f.check == setup.check and f.level is setup.level]
    assert setup.cure in told.text
    assert [f for f in findings if f.level is Level.FAIL] == ([told] if setup.level is Level.FAIL else [])
    bad = [text for text, f in zip(lines(ground, findings), findings, strict=True) if f.level is not Level.OK]
    assert blocks(DOCUMENT.read_text())[setup.title] == bad, "run python -m tests.ops.doctor.page"


def test_a_good_setup_passes_whole(ground: Ground) -> None:
    findings = examined(ground, lambda ground: ground.settings())
    assert [f for f in findings if f.level is not Level.OK] == []
    # Nobody logs in here, and the lake is on a disk.
    assert {f.check for f in findings} == {check.name for check in CHECKS} - {
        "login",
        "object store",
        "orders",
    }
    assert ground.box
    # Three without credentials, the list, and a month and a day of three plants; a token and no more.
    assert "(6 requests)" in next(one.text for one in findings if one.check == "time basis")
