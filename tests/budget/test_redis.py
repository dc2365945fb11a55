"""The budget that machines share in Redis: the same arithmetic, a real server, its faults as sentences."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.common.errors import ConfigurationError, SunledgerError
from pipeline.common.settings import load_settings
from pipeline.sma.budget.file_store import Moment, State
from pipeline.sma.budget.redis_store import FAULT_WAITS_S, KEPT_MS, KEY_PREFIX, RedisStore, format_address
from pipeline.sma.budget.shared_budget import Budget, SharedBudget, open_budget
from tests.budget.conftest import FakeTime, Sandbox
from tests.budget.redis_server import RedisServer, needs_redis, redis_server
from tests.budget.test_processes import BUDGET, WINDOW_S, WORK_S, begin, outcome, start, utilisation

NAME = "someone"
PASSWORD = "geheim-5c1d"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as it:
        yield it


def store_at(url: str, time: FakeTime) -> RedisStore:
    return RedisStore(SecretStr(url), NAME, time.sleep)


@needs_redis
def test_all_who_share_it_take_from_one_state(server: RedisServer, time: FakeTime) -> None:
    """Four on one state: each change is made on the outcome of another one, none is lost."""

    def count(state: State | None, now: Moment) -> tuple[State, float]:
        level = 1.0 if state is None else state.level + 1.0
        return State(now, level, 0.0, 1.0), level

    async def work() -> list[float]:
        stores = [store_at(server.url, time) for _ in range(4)]

        async def many(store: RedisStore) -> list[float]:
            return [await store.update(count) for _ in range(50)]

        levels = await asyncio.gather(*map(many, stores))
        for store in stores:
            await store.aclose()
        return [level for found in levels for level in found]

    assert sorted(asyncio.run(work())) == [float(n) for n in range(1, 201)]


@needs_redis
def test_time_is_that_of_redis_and_the_state_is_forgotten_after_a_day(
    server: RedisServer, time: FakeTime
) -> None:
    """The fake clocks of two machines make no progress and apart: they are never asked."""
    budget = Budget(300_000)

    async def work() -> tuple[float, float, float, int]:
        store, other = store_at(server.url, time), store_at(server.url, FakeTime(monotonic=5.0, wall=1.0))
        first = await store.update(budget.take)
        wait_s = first
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = await other.update(budget.take)
        seconds, _ = await store._redis.time()
        state = await SharedBudget(budget, other, time.clock).look()
        left_ms = await store._redis.pttl(f"{KEY_PREFIX}{NAME}")
        await store.aclose()
        await other.aclose()
        return first, state.moment.wall, float(seconds), left_ms

    first, seen, true, left_ms = asyncio.run(work())
    assert 0 < first <= 1 / budget.rate
    assert abs(seen - true) < 5
    assert 0 < left_ms <= KEPT_MS


@needs_redis
def test_a_pause_of_one_machine_holds_on_all(server: RedisServer, time: FakeTime) -> None:
    budget = Budget(None)

    async def work() -> float:
        store, other = store_at(server.url, time), store_at(server.url, time)
        await SharedBudget(budget, store, time.clock).pause(120.0)
        wait_s = await other.update(budget.take)
        await store.aclose()
        await other.aclose()
        return wait_s

    assert 110 < asyncio.run(work()) <= 120


@needs_redis
def test_a_short_outage_is_waited_out_and_an_empty_redis_is_an_empty_bucket(
    server: RedisServer, time: FakeTime
) -> None:
    budget = Budget(300)

    async def sleep(seconds: float) -> None:
        time.sleeps.append(seconds)
        if len(time.sleeps) == 2:
            server.start()

    async def work() -> tuple[float, float]:
        store = RedisStore(SecretStr(server.url), NAME, sleep)
        first = await store.update(budget.take)
        server.stop()
        again = await store.update(budget.take)
        await store.aclose()
        return first, again

    first, again = asyncio.run(work())
    assert time.sleeps == list(FAULT_WAITS_S[:2])
    assert first == again == pytest.approx(1 / budget.rate)


@needs_redis
def test_an_outage_that_stays_ends_the_run_with_the_cure(server: RedisServer, time: FakeTime) -> None:
    async def work() -> None:
        store = store_at(server.url, time)
        await store.update(Budget(300).take)
        server.stop()
        try:
            await store.update(Budget(300).take)
        finally:
            await store.aclose()

    with pytest.raises(SunledgerError, match="it can't be reached"):
        asyncio.run(work())
    assert time.sleeps == list(FAULT_WAITS_S)


@needs_redis
@pytest.mark.parametrize(
    ("options", "user", "says"),
    [
        (("--requirepass", PASSWORD), "", "or asks for one"),
        (("--requirepass", "other"), f":{PASSWORD}@", "it refuses the user or password"),
        (
            ("--user", "reader", "on", f">{PASSWORD}", "~*", "+get", "+time", "+multi", "+exec"),
            f"reader:{PASSWORD}@",
            "may not use GET",
        ),
        (("--maxmemory", "1", "--maxmemory-policy", "noeviction"), "", "memory is full"),
        (
            ("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes"),
            "",
            "a read-only replica",
        ),
    ],
)
def test_a_refusal_is_a_sentence_without_the_password(
    tmp_path: Path, time: FakeTime, options: tuple[str, ...], user: str, says: str
) -> None:
    async def work(url: str) -> None:
        store = store_at(url, time)
        try:
            await store.update(Budget(300).take)
        finally:
            await store.aclose()

    with redis_server(tmp_path, *options) as server:
        url = f"redis://{user}127.0.0.1:{server.port}"
        with pytest.raises(SunledgerError, match=says) as caught:
            asyncio.run(work(url))
    assert f"redis://127.0.0.1:{server.port}/0" in str(caught.value)
    assert PASSWORD not in f"{caught.value} {caught.value.__cause__}"
    assert time.sleeps == []


def test_a_redis_that_is_not_there_is_told_at_once(time: FakeTime) -> None:
    async def work() -> None:
        store = store_at(f"redis://me:{PASSWORD}@127.0.0.1:9/3", time)
        try:
            await store.update(Budget(300).take)
        finally:
            await store.aclose()

    with pytest.raises(SunledgerError, match="can't be reached, or is not a Redis server") as caught:
        asyncio.run(work())
    assert "redis://127.0.0.1:9/3 can't be stored" in str(caught.value)
    assert "check SUNLEDGER_BUDGET_URL and that Redis runs" in str(caught.value)
    assert time.sleeps == []
    assert PASSWORD not in str(caught.value)


def test_without_the_extra_the_setting_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, time: FakeTime, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"] or ["redis"]:
        monkeypatch.setitem(sys.modules, name, None)
    settings = load_settings(env_file=None, home=tmp_path, budget_url="redis://localhost")
    with pytest.raises(ConfigurationError, match=r"pip install 'sunledger\[cluster\]'"):
        open_budget(settings, time.clock)


def test_no_setting_shows_user_or_password(tmp_path: Path) -> None:
    url = f"rediss://me:{PASSWORD}@redis.example.com/2"
    settings = load_settings(env_file=None, home=tmp_path, budget_url=url)
    assert PASSWORD not in f"{settings!r} {settings.model_dump_json()}"
    assert format_address(settings.budget_url) == "rediss://redis.example.com:6379/2"


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{PASSWORD}@host",
        f"{PASSWORD}",
        f"redis://me:{PASSWORD}@host/first",
        f"redis://me:{PASSWORD}@host:many",
        f"rediss://me:{PASSWORD}@host/0?ssl_cert_reqs=none",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^SUNLEDGER_BUDGET_URL ") as caught:
        load_settings(env_file=None, budget_url=url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.long
@needs_redis
@pytest.mark.parametrize("sandbox", [(BUDGET, WINDOW_S, True)], indirect=True)
def test_machines_that_share_a_redis_spend_the_budget_of_one_without_a_refusal(
    sandbox: Sandbox, server: RedisServer, tmp_path: Path
) -> None:
    """Three processes with homes of their own, as on three machines. The bucket is empty at the start."""
    homes = [tmp_path / name for name in ("one", "two", "three")]
    processes = [start(sandbox, home, BUDGET, WINDOW_S, WORK_S, server.url) for home in homes]
    begin(processes)
    ends = [outcome(process) for process in processes]
    counts = sandbox.counts()
    assert counts["statuses"].get("429", 0) == 0
    assert [end["refused"] for end in ends] == [0, 0, 0]
    assert all(end["answers"] > 0 for end in ends)
    assert not any((home / "budget").exists() for home in homes)
    assert utilisation(counts) >= 0.9
