"""Two machines that spend one request budget, which stands in Redis, as fast as it allows."""

import datetime as dt
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from pipeline.sma.budget.shared_budget import WINDOW_S
from sandbox.options import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET
from tests.budget.redis_server import redis_server
from tests.cluster.lost_worker import Report
from tests.cluster.stage import start_machine, wait_for
from tests.programs import environment

LEAST_USED = 0.97
# The first seconds are those of programs that begin.
BEGIN_S = 20.0


def spend_budget(folder: Path, requests: int, seconds: float) -> Report:
    """Let two machines fetch for so long within so many requests in five minutes, and count what arrives."""
    report = Report()
    command = [sys.executable, "-m", "tests.budget.counting_sandbox", json.dumps(requests)]
    with (
        ExitStack() as opened,
        redis_server(folder) as redis,
        subprocess.Popen(
            [*command, json.dumps(WINDOW_S), "true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sandbox,
    ):
        assert sandbox.stdin
        assert sandbox.stdout
        address = sandbox.stdout.readline().strip()
        settings = {
            "SMA_CLIENT_ID": DEFAULT_CLIENT_ID,
            "SMA_CLIENT_SECRET": DEFAULT_CLIENT_SECRET,
            "SMA_AUTH_URL": address,
            "SMA_MONITORING_URL": f"{address}/monitoring",
            "SMA_REQUESTS_PER_5_MIN": str(requests),
            "SUNLEDGER_BUDGET_URL": redis.url,
        }
        began = time.monotonic()
        for month in (3, 6):
            home = folder / f"worker-{month}"
            home.mkdir()
            first = dt.date(2025, month, 1)
            words = ["backfill", "--from", f"{first}", "--to", f"{first + dt.timedelta(days=90)}", "--yes"]
            opened.enter_context(start_machine(words, environment(home, **settings), home / "said.log"))

        def find_times() -> list[float]:
            times = httpx.get(f"{address}/_counts", timeout=60).json()["times"]
            return [one - times[0] for one in times]

        wait_for(lambda: (times := find_times()) and times[-1] > BEGIN_S + seconds, "The end of the requests")
        counted = sum(BEGIN_S < one <= BEGIN_S + seconds for one in find_times())
        statuses = httpx.get(f"{address}/_counts", timeout=60).json()["statuses"]
        report.note("the machines are stopped", began)
        opened.close()
        sandbox.stdin.close()
    used = counted / (requests / WINDOW_S * seconds)
    said = f"{counted} requests in {seconds:.0f} s, {used:.1%} of the budget; answers by status: {statuses}"
    report.lines.append(said)
    if used < LEAST_USED or "429" in statuses:
        report.differences.append(f"At least {LEAST_USED:.0%} and no 429 were expected.")
    return report
