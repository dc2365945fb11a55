"""Lost answers that are asked for again: those that SMA fails to give for now wait for the next repair."""

from collections.abc import Callable

import pytest

from pipeline.common.errors import PermanentError
from pipeline.ops.repair_requests import RepairOutcome, plan_requests_again, send
from pipeline.run.context import RunContext
from schemas import RawEnergyBalance
from tests.scripted import ScriptedSma
from tests.whole_days import MONDAY, build, fetch, refresh
from warehouse.repairs.lost_parts import LostPart

New = Callable[..., RunContext]
LOST = LostPart(RawEnergyBalance, f"local_date={MONDAY}")


@pytest.fixture
def runtime(new_runtime: New) -> RunContext:
    """Answers of two plants were stored, became energy, and are lost."""
    with new_runtime() as stored:
        refresh(stored)
        fetch(stored, MONDAY)
        build(stored, MONDAY)
        stored.lake.replace(RawEnergyBalance, {"local_date": MONDAY}, [], empty=True)
    return new_runtime(again=False)


def ask(runtime: RunContext) -> RepairOutcome:
    outcome = RepairOutcome()
    for again in plan_requests_again(runtime, [LOST]):
        send(runtime, again, outcome)
    return outcome


@pytest.mark.parametrize("answered_before", [False, True])
def test_answers_that_sma_fails_to_give_for_now_wait(
    runtime: RunContext, sma: ScriptedSma, *, answered_before: bool
) -> None:
    if answered_before:
        with runtime:
            sma.broken = {"12"}
            fetch(runtime, MONDAY)
    sma.broken = {"12"}
    with runtime:
        outcome = ask(runtime)
        assert list(outcome.waiting) == [LOST]
        assert "the request to SMA failed: " in outcome.waiting[LOST]
        assert "503" in outcome.waiting[LOST]
        assert (outcome.gone, outcome.healed) == ({}, {})
        sma.broken.clear()
        sma.asked.clear()
        assert ask(runtime).healed == {LOST: "fetched again"}
        assert {request.plant_id for request in sma.asked} == {"12"}


def test_answers_that_sma_refuses_are_lost(runtime: RunContext, sma: ScriptedSma) -> None:
    refused = PermanentError("GET /v1/x answered 404: check the id.", status=404)
    sma.special = lambda request: refused if request.plant_id == "12" else None
    with runtime:
        outcome = ask(runtime)
    assert (list(outcome.gone), outcome.waiting) == ([LOST], {})
    assert "SMA no longer has the answers of 1 plant (12)" in outcome.gone[LOST]
