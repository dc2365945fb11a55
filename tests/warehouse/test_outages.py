"""A store that is gone for some seconds, or for a minute: what a run over several days makes of it."""

import datetime as dt
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
from pipeline.run.step_result import StepResult
from sandbox.launch import run_sandbox
from schemas import EnergyBalanceIntervals, EnergyDaily
from tests.cluster.stage import start_machine, wait_for
from tests.programs import ONE_SET, PATIENCE_S, environment, run, start
from tests.warehouse.object_stores import Store
from tests.warehouse.stopped_proxy import SAID_OF_OUTAGE, SHORT_OUTAGE_S, open_proxy, stopped, wait_for_words
from tests.warehouse.three_days import frame_of
from warehouse.lake import Lake

DAYS = [dt.date(2024, 6, 3) + i * ONE_DAY for i in range(6)]
# One before each outage, and one after them.
WHOLE_DAYS = 3
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
@pytest.mark.waits
def test_a_backfill_goes_through_a_short_and_a_long_outage(store: Store, tmp_path: Path) -> None:
    days = ("backfill", "--from", str(DAYS[0]), "--to", str(DAYS[WHOLE_DAYS - 1]), "--yes")
    with (
        run_sandbox("--plants", "1", "--seed", "7", "--time-basis", "plant_local") as address,
        open_proxy(store.address) as (before, proxy),
    ):
        httpx.put(f"{store.address}/outage", timeout=60).raise_for_status()
        settings = address.settings() | ONE_SET
        remote = settings | {
            "SUNLEDGER_LAKE": "s3://outage/lake",
            "AWS_ENDPOINT_URL": before,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
        }
        lake, said = store.lake("outage", tmp_path / "tmp"), tmp_path / "said.log"
        with start_machine(list(days), environment(tmp_path, **remote), said) as program:
            wait_for(lambda: len(lake.list_parts(EnergyBalanceIntervals)) > 0, "The first day")
            with stopped(proxy):
                time.sleep(SHORT_OUTAGE_S)
            wait_for(lambda: len(lake.list_parts(EnergyBalanceIntervals)) > 1, "The second day")
            assert SAID_OF_OUTAGE not in said.read_text()
            with stopped(proxy):
                wait_for_words(SAID_OF_OUTAGE, said, lambda: program.poll() is not None)
            code = program.wait(PATIENCE_S)
        assert (code, said.read_text().count(SAID_OF_OUTAGE)) == (0, 1), said.read_text()
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
