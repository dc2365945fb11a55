"""A store that is gone for some seconds, or for a minute: what a run over several days makes of it."""

import datetime as dt
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from assets.asset_builders import DaysFailedError, do_each_day
from pipeline.common.local_time import ONE_DAY
from pipeline.common.store_faults import StoreUnavailableError
from pipeline.run import store_waits
from pipeline.run.context import RunContext
from pipeline.run.step import StepResult
from sandbox.launch import run_sandbox
from schemas import EnergyBalanceIntervals, EnergyDaily
from tests.programs import run, start, wait_until
from tests.warehouse.repair.test_lake_repair import frame_of
from tests.warehouse.test_object_store import Store, store
from warehouse.lake import Lake

__all__ = ["store"]

DAYS = [dt.date(2024, 6, 3) + i * ONE_DAY for i in range(6)]
GONE = StoreUnavailableError("The object store can't be reached.")


def each(days: Iterable[dt.date]) -> Iterator[list[dt.date]]:
    for day in days:
        yield [day]


@pytest.mark.parametrize("outage", [4, 100])
def test_an_outage_costs_no_day_that_comes_after_it(
    new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch, outage: int
) -> None:
    runtime = new_runtime()
    said: list[str] = []
    runtime.tell = said.append
    runtime.opened.lake = Lake("s3://bucket/lake", runtime.settings.home)
    looks = iter([False, True] * 100)
    monkeypatch.setattr(store_waits, "_answers", lambda _: next(looks) if outage < 100 else False)
    monkeypatch.setattr(store_waits, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(store_waits, "LONGEST_OUTAGE_S", 5.0 if outage < 100 else 0.01)
    tried: list[dt.date] = []

    def steps(_: RunContext, days: Collection[dt.date]) -> Iterator[tuple[dt.date, StepResult]]:
        for day in days:
            tried.append(day)
            if len(tried) <= outage:
                raise GONE
            yield day, StepResult(rows=1)

    if outage < 100:
        # As many as would have ended the run, and one more; they are done at the end.
        done = [day for day, _ in do_each_day(runtime, DAYS, steps, each)]
        assert done == [*DAYS[4:], *DAYS[:4]]
        assert said[1] == "The object store is back after 0 s."
    else:
        with pytest.raises(DaysFailedError, match="can't be reached"):
            list(do_each_day(runtime, DAYS, steps, each))
        assert tried == DAYS[:3]
    assert "s3://bucket/lake is gone. The run waits for it" in said[0]


def read_rows(lake: Lake) -> list[pl.DataFrame]:
    return [lake.scan(model).collect() for model in (EnergyDaily, EnergyBalanceIntervals)]


@pytest.mark.long
@pytest.mark.parametrize("seconds", [3, 60])
def test_a_backfill_goes_through_an_outage(store: Store, tmp_path: Path, seconds: int) -> None:
    command = [sys.executable, "-m", "tests.warehouse.store_proxy", store.address]
    with (
        run_sandbox("--plants", "1", "--seed", "7", "--time-basis", "plant_local") as address,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy,
    ):
        assert proxy.stdout is not None
        before = Store(f"http://127.0.0.1:{proxy.stdout.readline().strip()}")
        httpx.put(f"{store.address}/outage-{seconds}").raise_for_status()
        settings = {name: str(value) for name, value in address.settings().items()} | {
            "SUNLEDGER_SETS": "EnergyBalance",
            "SUNLEDGER_LOGS": "none",
        }
        remote = settings | {
            "SUNLEDGER_LAKE": f"s3://outage-{seconds}/lake",
            "AWS_ENDPOINT_URL": before.address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
        }
        days = ("backfill", "--from", str(DAYS[0]), "--to", str(DAYS[-1]), "--yes")
        try:
            program = start(tmp_path, *days, **remote)
            lake = store.lake(f"outage-{seconds}", tmp_path / "tmp")
            wait_until(lambda: len(lake.list_parts(EnergyBalanceIntervals)) >= 2, program)
            proxy.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            proxy.send_signal(signal.SIGCONT)
            said, _ = program.communicate(timeout=600)
        finally:
            proxy.kill()
        assert program.returncode == 0, said
        assert ("is gone. The run waits for it" in said) == (seconds == 60), said
        (tmp_path / "plain").mkdir()
        code, plain = run(tmp_path / "plain", *days, **settings)
        assert code == 0, plain
    at_home = Lake(str(tmp_path / "plain" / "home" / "lake"), tmp_path / "tmp")
    for found, expected in zip(read_rows(lake), read_rows(at_home), strict=True):
        kept = [name for name in expected.columns if not name.endswith("_at")]
        assert found.select(kept).equals(expected.select(kept))


@pytest.mark.long
def test_verify_says_that_it_waits_and_goes_on_without_what_is_gone(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp")
    lake.replace(EnergyDaily, {"local_date": DAYS[0]}, [frame_of(EnergyDaily, DAYS[0], 1.0)])
    program = start(
        tmp_path,
        "verify",
        SUNLEDGER_PUBLISH_TARGET="s3://bucket/reports/fleet.duckdb",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ALLOW_HTTP="true",
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
        AWS_REGION="us-east-1",
    )
    said, _ = program.communicate(timeout=120)
    lines = said.splitlines()
    assert lines[0].startswith("Waiting for the object store of s3://bucket, which has not answered for 4 s")
    assert (
        "the published object: The object store at 127.0.0.1:9 can't be reached: check AWS_ENDPOINT_URL"
        in said
    )
    assert "Read 1 part and found 0 faults." in said
    assert "Not all was verified, because the published object can't be reached" in lines[-1]
    assert program.returncode == 1
