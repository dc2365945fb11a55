"""Plants that left SMA's list and may have moved: asked for while that is new, and only by consent."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from assets.runs import record_runs
from pipeline.billing.spending import find_new_units
from pipeline.cli.bills.cost_consent import agree_on_fleet
from pipeline.extract.fetch import fetch_plants
from pipeline.extract.moved_plants import find_possible_moves
from pipeline.run.context import RunContext
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.requests import Answer, Failure, Request
from pipeline.tables.inventory_tables import write_plants
from schemas import Plants
from tests.billing.test_spending import limited
from tests.scripted import NOW, ScriptedSma

New = Callable[..., RunContext]
OLD, NEXT = "0a1b2c3d-0000-4000-8000-00000000000a", "13"
OTHER_OLD = "0a1b2c3d-0000-4000-8000-00000000000b"
# Of the month after the one in which the plant was listed last.
LATER = dt.datetime(2021, 11, 2, 12, tzinfo=dt.UTC)
ASKED_FOR_OLD = Request.devices(OLD)


class MovingSma(ScriptedSma):
    """A scripted SMA that leads who asks for an old id to the new one."""

    def fetch(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> Iterator[Answer | Failure]:
        for found in super().fetch(requests, urgent=urgent, admit=admit):
            old = found.request.plant_id
            moved = isinstance(found, Answer) and old in {OLD, OTHER_OLD} and NEXT in self.lists
            yield replace(found, target=found.target.replace(old, NEXT)) if moved else found  # type: ignore[type-var]


@pytest.fixture
def sma() -> MovingSma:
    found = MovingSma()
    found.lists = ["11", OLD]
    return found


def read_list(runtime: RunContext, moment: dt.datetime, sma: ScriptedSma) -> RunContext:
    """The runtime at the moment, which has fetched the list of plants."""
    runtime.now, sma.answered_at = (lambda: moment), moment
    fetch_plants(runtime)
    write_plants(runtime)
    return runtime


def moved_from(runtime: RunContext) -> str | None:
    found: str | None = (
        runtime.lake.scan(Plants).filter(pl.col("plant_id") == NEXT).collect()["migrated_from"].item()
    )
    return found


@pytest.mark.parametrize("limit", ["1000", None])
def test_a_move_is_seen_where_lists_are_read_once_a_month(
    new_runtime: New, sma: MovingSma, limit: str | None
) -> None:
    read_list(new_runtime(), NOW, sma)
    sma.lists = ["11", NEXT]
    runtime = read_list(limited(new_runtime(), limit), LATER, sma)
    if limit is None:
        # The month has no PU yet, so nobody may ask for the old id before somebody agrees.
        assert ASKED_FOR_OLD not in sma.asked
        assert agree_on_fleet(runtime, yes=True)
        read_list(runtime, LATER, sma)
    assert moved_from(runtime) == OLD
    # Old and new id are one PU: 12.45 EUR, and as much for the other plant.
    bill = find_new_units(runtime, ["11", NEXT])
    assert bill.spent_eur + bill.eur == Decimal("24.90")
    # It is asked for no more.
    sma.asked.clear()
    read_list(runtime, LATER, sma)
    assert not agree_on_fleet(runtime, yes=True)
    assert ASKED_FOR_OLD not in sma.asked


def test_two_plants_that_became_one_are_one_row(new_runtime: New, sma: MovingSma) -> None:
    """A plant has one id of before: the first that is known, also where SMA leads another one to it later."""
    sma.lists = ["11", OLD, OTHER_OLD]
    read_list(new_runtime(), NOW, sma)
    sma.lists = ["11", NEXT]
    runtime = read_list(limited(new_runtime(), "1000"), LATER, sma)
    assert {request.plant_id for request in sma.asked} >= {OLD, OTHER_OLD}
    assert moved_from(runtime) == OLD


def test_what_is_asked_for_is_said_with_its_cost(
    new_runtime: New, sma: MovingSma, capsys: pytest.CaptureFixture[str]
) -> None:
    read_list(new_runtime(), NOW, sma)
    sma.lists = ["11", NEXT]
    runtime = read_list(limited(new_runtime(), None), LATER, sma)
    # Two plants are on the list, 12.45 EUR each: that much is agreed to, and no more.
    assert not agree_on_fleet(runtime, yes=False, max_eur=Decimal("24.90"))
    assert agree_on_fleet(runtime, yes=False, max_eur=Decimal("12.45"))
    said = " ".join(capsys.readouterr().err.split())
    assert f"1 Classic plant (the first: {OLD}) left SMA's list while others came" in said
    assert "Requests for 1 plant add 1 PU to 2021-11: 12.45 EUR" in said


@pytest.mark.long
def test_a_plant_that_is_found_by_its_new_id_is_not_missing(new_runtime: New, sma: MovingSma) -> None:
    read_list(new_runtime(), NOW, sma)
    sma.lists, sma.answered_at = ["11", NEXT], LATER
    with limited(new_runtime(), None) as runtime:
        runtime.now = lambda: LATER
        with record_runs(runtime) as runs:
            runs.refresh_plants()
            assert [item.plant_id for item in runs.notices.missing] == [OLD]
            assert agree_on_fleet(runtime, yes=True)
            runs.refresh_plants_again()
            assert runs.notices.missing == []


@pytest.mark.long
def test_nobody_is_asked_to_pay_for_a_plant_that_cannot_have_moved(new_runtime: New, sma: MovingSma) -> None:
    sma.lists = ["11", "12", OLD]
    read_list(new_runtime(), NOW, sma)
    # No new plant came, so an owner has withdrawn the consent.
    sma.lists = ["11", "12"]
    runtime = read_list(limited(new_runtime(), None), LATER, sma)
    assert find_possible_moves(runtime) == frozenset()
    # A plant of ennexOS does not move.
    sma.lists = ["11", NEXT, OLD]
    runtime = read_list(limited(new_runtime(), None), LATER + dt.timedelta(days=1), sma)
    assert find_possible_moves(runtime) == frozenset()
    # Nor does one where no plant of ennexOS is listed.
    sma.lists = [OLD.replace("a", "b")]
    runtime = read_list(limited(new_runtime(), None), LATER + dt.timedelta(days=2), sma)
    assert find_possible_moves(runtime) == frozenset()


def test_a_plant_is_asked_for_a_week_from_the_first_list_without_it(new_runtime: New, sma: MovingSma) -> None:
    read_list(new_runtime(), NOW, sma)
    sma.lists = ["11"]
    asked = []
    for days in (0, 7, 8):
        sma.asked.clear()
        read_list(new_runtime(), LATER + dt.timedelta(days=days), sma)
        asked.append(ASKED_FOR_OLD in sma.asked)
    assert asked == [True, True, False]
