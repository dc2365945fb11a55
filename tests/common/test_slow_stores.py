"""A store that does not answer is announced within seconds, once for all who wait for it, and so is its answer."""

import threading
import time
from pathlib import Path

import pytest

from pipeline.common import slow_stores
from pipeline.common.files.file_locks import hold_lock, open_lock
from pipeline.common.slow_stores import announce_slow_stores, watch_store


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_stores, "SILENT_FOR_S", 0.2)
    monkeypatch.setattr(slow_stores, "LOOK_EVERY_S", 0.02)


def wait_for(count: int, told: list[str]) -> None:
    deadline = time.monotonic() + 30
    while len(told) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(told) == count


def test_a_call_that_takes_long_is_announced_while_it_lasts() -> None:
    told: list[str] = []
    over = threading.Event()

    def call_as_well() -> None:
        with watch_store("s3://bucket/lake/plants", 50):
            over.wait(60)

    with announce_slow_stores(told.append):
        other = threading.Thread(target=call_as_well)
        with watch_store("s3://bucket/lake", 50):
            pass
        with watch_store("s3://bucket/lake/energy_daily", 50):
            other.start()
            wait_for(1, told)
            time.sleep(0.5)
            # Both wait for the same store.
            assert len(told) == 1
            over.set()
            other.join()
    assert told[0].startswith("Waiting for the object store of s3://bucket, which has not answered for ")
    assert told[0].endswith("each answer is waited for 50 s at most.")
    assert told[1].startswith("The object store of s3://bucket answers after ")


def test_a_store_that_is_always_slow_is_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for the begin and the end of each of a thousand calls hid all others."""
    told: list[str] = []
    with announce_slow_stores(told.append):
        for _ in range(3):
            with watch_store("s3://bucket/lake", 50):
                time.sleep(0.3)
        assert len(told) == 2
        monkeypatch.setattr(slow_stores.WATCH, "_quiet_until", {})
        with watch_store("s3://bucket/lake", 50):
            wait_for(3, told)
    assert told[2].startswith("Waiting for the object store of s3://bucket, which has not answered for ")
    assert " It was waited for 4 times, " in told[3]


def test_bytes_that_move_are_no_silence() -> None:
    told: list[str] = []
    with announce_slow_stores(told.append), watch_store("s3://bucket/lake", 50, moving_s=60):
        time.sleep(0.5)
    assert told == []


def test_a_lock_that_somebody_holds_is_announced_while_it_is_waited_for(tmp_path: Path) -> None:
    told: list[str] = []
    lock = tmp_path / "it.lock"
    holder = hold_lock(open_lock(lock), 0, RuntimeError, lock)
    holder.__enter__()

    def end_it(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            holder.__exit__(None, None, None)

    with announce_slow_stores(end_it), hold_lock(open_lock(lock), 60, RuntimeError, lock):
        pass
    assert told[0].startswith(f"Waiting for the lock {lock}, which another process has held for ")
    assert told[0].endswith("it is waited for 60 s at most.")
    assert told[1].startswith(f"The lock {lock} is free after ")


def test_who_listened_before_listens_again() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with announce_slow_stores(outer.append):
        with announce_slow_stores(inner.append):
            pass
        with watch_store("s3://bucket/lake", 50):
            wait_for(1, outer)
    assert inner == []
