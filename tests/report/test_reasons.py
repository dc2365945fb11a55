"""Every reason that a table can give has its meaning on the page."""

import re
from pathlib import Path

import pytest

from pipeline.report.reasons import CAUSES, DIFFERENCES, SET_ASIDE, explain_reasons
from schemas.changes import REASONS
from tests.transform.test_quality_docs import reasons


def test_every_reason_of_quarantine_is_explained() -> None:
    assert set(SET_ASIDE) == reasons()


def test_every_difference_from_sma_is_explained() -> None:
    assert set(DIFFERENCES) == set(REASONS)


def test_every_cause_of_a_restatement_is_explained() -> None:
    text = Path("docs/changes.md").read_text().split("| cause |")[1].split("\n\n")[0]
    assert set(CAUSES) == {
        cause for row in text.splitlines()[2:] for cause in re.findall(r"`([a-z_]+)`", row.split("|")[1])
    }


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([], []),
        (["gap", "gap", "spike"], ["gap", "spike"]),
        # A file of another version may have reasons that nobody here knows.
        (["of_tomorrow", "no_vendor_value"], ["no vendor value"]),
    ],
)
def test_only_what_was_found_is_explained(found: list[str], told: list[str]) -> None:
    assert [term for term, _ in explain_reasons(found, DIFFERENCES)] == told
