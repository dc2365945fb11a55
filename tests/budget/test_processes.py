"""Real processes on one budget, against the sandbox's true token bucket with a window of some seconds."""

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import time as system_time
from pathlib import Path
from typing import Any

import pytest

from pipeline.common.errors import SunledgerError
from pipeline.run.request_log import RequestLog
from pipeline.sma.budget.file_store import FileStore
from pipeline.sma.budget.shared_budget import Budget
from schemas import ApiRequests
from tests.budget.conftest import ROOT, FakeTime, Sandbox
from tests.programs import PATIENCE_S
from warehouse.lake import Lake

# Five requests a second, which a busy machine can send too. The bucket holds 6 s of work: a machine that makes no
# progress
# for a moment catches up.
BUDGET, WINDOW_S = 3000, 600.0
WORK_S = 12.0


def start(  # type: ignore[no-untyped-def]
    sandbox: Sandbox, home: Path, requests: int | None, window_s: float, work_s: float, redis: str = ""
):
    """A process that is ready to work with all its might."""
    arguments = [sandbox.url, str(home), json.dumps(requests), str(window_s), str(work_s), redis]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.budget.asker", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def begin(processes: "list[subprocess.Popen[str]]") -> None:
    """Let all of them begin at once, however long each took to be ready."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()


def outcome(process: "subprocess.Popen[str]") -> dict[str, int]:
    """What the process says at its end: answers and refusals."""
    text, _ = process.communicate(timeout=PATIENCE_S)
    found: dict[str, int] = json.loads(text)
    return found


def utilisation(counts: dict[str, Any]) -> float:
    """The share of the budget that was spent from the first request for data on; tokens are requests too.

    It is the largest one that was reached at a request of the last fifth. A budget that lacks the share of a killed
    process never comes near 1; a machine that makes no progress for a moment does, before or after it.
    """
    times = counts["times"]
    before = sum(counts["paths"].values()) - len(times)
    return max(
        (before + n) / ((times[n] - times[0]) * BUDGET / WINDOW_S)
        for n in range(len(times) * 4 // 5, len(times))
    )


def kill(process: "subprocess.Popen[str]") -> None:
    """End a process at once, whatever it is doing."""
    process.kill()
    process.wait()
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    process.stdout.close()


@pytest.mark.long
@pytest.mark.parametrize("sandbox", [(BUDGET, WINDOW_S, True)], indirect=True)
def test_three_processes_spend_the_budget_of_one_without_a_refusal(sandbox: Sandbox, tmp_path: Path) -> None:
    """The bucket is empty at the start. One process is killed on the way; the others take over its share."""
    processes = [start(sandbox, tmp_path, BUDGET, WINDOW_S, WORK_S) for _ in range(3)]
    begin(processes)
    system_time.sleep(2.0)
    kill(processes[0])
    ends = [outcome(process) for process in processes[1:]]
    counts = sandbox.counts()
    assert counts["statuses"].get("429", 0) == 0
    assert [end["refused"] for end in ends] == [0, 0]
    assert utilisation(counts) >= 0.9


@pytest.mark.long
@pytest.mark.parametrize("sandbox", [(None, WINDOW_S, False)], indirect=True)
def test_nothing_that_a_killed_process_asked_is_lost(sandbox: Sandbox, tmp_path: Path) -> None:
    """But what was on its way: at most the four connections that the process has."""
    process = start(sandbox, tmp_path, 10_000, WINDOW_S, 60.0)
    begin([process])
    while len(sandbox.counts()["times"]) < 50:
        system_time.sleep(0.05)
    kill(process)
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    stored = RequestLog(tmp_path / "requests").store(lake).tries
    seen = sandbox.counts()["paths"]
    assert stored == lake.scan(ApiRequests).collect().height > 40
    assert 0 <= seen["/monitoring/v1/plants"] + seen["/oauth2/token"] - stored <= 4
    assert list((tmp_path / "requests").iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("sandbox", [(20, 5.0, True)], indirect=True)
def test_a_refusal_of_one_process_pauses_the_other(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without a setting: 429s alone slow it. Both wait as long as the answer to one of them says."""
    processes = [start(sandbox, tmp_path, None, 5.0, 4.0) for _ in range(2)]
    begin(processes)
    ends = [outcome(process) for process in processes]
    counts = sandbox.counts()
    refused = counts["statuses"]["429"]
    assert sum(end["refused"] for end in ends) == refused
    # Alone, each of eight connections would be refused once a second and more. Together they wait at least
    # the second that Retry-After says before all eight ask again.
    assert refused <= 8 * 5
    gaps = [after - before for before, after in zip(counts["times"], counts["times"][1:], strict=False)]
    assert max(gaps) > 0.9


def test_the_lock_of_a_process_that_stands_still_is_told(tmp_path: Path, time: FakeTime) -> None:
    path = tmp_path / "x.state"
    store = FileStore(path, time.moment, time.sleep)
    path.touch()
    file = os.open(path, os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(SunledgerError, match="locked by another process for a minute: resume or end"):
        _run(store, Budget(100))
    os.close(file)
    assert _run(store, Budget(100)) > 0
    asyncio.run(store.aclose())


def test_a_removed_file_is_made_anew_and_a_damaged_one_counts_as_empty(
    tmp_path: Path, time: FakeTime
) -> None:
    path = tmp_path / "x.state"
    store, budget = FileStore(path, time.moment, time.sleep), Budget(300)
    first = _run(store, budget)
    time.pass_by(60.0)
    assert _run(store, budget) == 0.0
    path.unlink()
    assert _run(store, budget) == first
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    time.pass_by(60.0)
    assert _run(store, budget) == first
    assert oct(path.stat().st_mode)[-3:] == "600"
    asyncio.run(store.aclose())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, time: FakeTime) -> None:
    (tmp_path / "budget").write_text("a file where the folder should be")
    store = FileStore(tmp_path / "budget" / "x.state", time.moment, time.sleep)
    with pytest.raises(SunledgerError, match="no request is sent without it: make the folder writable"):
        _run(store, Budget(100))


def _run(store: FileStore, budget: Budget) -> float:
    return asyncio.run(store.update(budget.take))
