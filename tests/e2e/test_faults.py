"""The table of faults in docs/quality.md is what the pipeline does."""

import pytest

from sandbox.faults.catalogue import KINDS
from tests.e2e import faults

pytestmark = pytest.mark.long


def test_the_document_tells_what_each_fault_does_to_a_day() -> None:
    found = faults.table()
    assert [name for name in KINDS if f"`{name}`" not in found] == []
    assert found == faults.written(), "run python -m tests.e2e.faults"
