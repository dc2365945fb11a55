"""Every kind of fault can be switched by share, plant and moment; the seed decides, and all is counted."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.faults.catalogue import KINDS
from sandbox.faults.fault_plan import FaultCall, FaultPlan, parse_fault
from sandbox.sandbox_clock import SandboxClock

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)


def call(plant: str) -> FaultCall:
    return FaultCall(
        "GET", f"/monitoring/v1/plants/{plant}/measurements/sets/EnergyBalance/Day", "", plant, ""
    )


def plan(text: str, seed: int = 7) -> FaultPlan:
    held = FaultPlan(seed, SandboxClock(NOW))
    held.replace([parse_fault(text)])
    return held


def strikes(held: FaultPlan, count: int = 200, plant: str = "5") -> list[bool]:
    return [bool(held.choose_faults(call(plant))) for _ in range(count)]


@pytest.mark.parametrize("name", KINDS)
def test_by_share_seeded_and_counted(name: str) -> None:
    held = plan(f"{name}=0.25")
    struck = strikes(held)
    assert struck == strikes(plan(f"{name}=0.25"))
    assert struck != strikes(plan(f"{name}=0.25", seed=8))
    assert 25 <= sum(struck) <= 75
    (shown,) = held.describe()
    assert (shown["matched"], shown["struck"]) == (200, sum(struck))


@pytest.mark.parametrize("name", KINDS)
def test_by_plant(name: str) -> None:
    held = plan(f"{name},plants=5+ABC-7")
    expected = [True, True, KINDS[name].of_plants]  # what happens to plants needs no request for them
    assert [strikes(held, 1, plant)[0] for plant in ("5", "abc-7", "6")] == expected


@pytest.mark.parametrize("name", KINDS)
def test_by_moment_and_number(name: str) -> None:
    held = plan(f"{name},since=2024-06-15T13:00:00Z,until=2024-06-15T14:00:00Z,after=2,times=3")
    assert not any(strikes(held, 9))
    held.clock.advance(timedelta(minutes=61).total_seconds())
    assert strikes(held, 7) == [False, False, True, True, True, False, False]
    held.clock.advance(timedelta(hours=1).total_seconds())
    assert not any(strikes(held, 9))
