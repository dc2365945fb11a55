"""What waits for runs of a cluster gives up where none goes on, and says what became of them."""

from types import SimpleNamespace
from typing import Any

import pytest

from assets.run_control.run_tags import RANGE_START
from tests.cluster import lost_worker


def test_a_run_that_nobody_tries_again_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = [
        {"runId": name, "status": status, "tags": {RANGE_START: "2026-09-01"}}
        for name, status in (("one", "SUCCESS"), ("other", "FAILURE"))
    ]
    room: Any = SimpleNamespace(runs=lambda: ended)
    report = lost_worker.Report()
    monkeypatch.setattr(lost_worker, "AGAIN_WITHIN_S", 0.0)
    with pytest.raises(
        AssertionError, match="1 of 2 runs have ended well, and the others were not tried again"
    ):
        lost_worker.wait_for_runs(room, report, 2, 0.0, set())
    assert [line.split("  ")[-1] for line in report.lines] == ["run other is FAILURE", "run one is SUCCESS"]
