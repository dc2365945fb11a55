"""While a week is stored the requests of the next one are on their way, and never one that might not be sent."""

import datetime as dt
from collections.abc import Callable, Iterable

import pytest

from assets.runs import record_runs
from pipeline.common.errors import PermanentError, SmaError, TransientError
from pipeline.common.settings import Settings
from pipeline.extract import claim_files
from pipeline.extract.claim_files import ClaimFiles
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.sent_ahead import SentAhead
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.requests import Answer, Failure, Request
from tests.scripted import ScriptedSma
from tests.whole_days import refresh

New = Callable[..., RunContext]
MONDAYS = ["2021-09-20", "2021-09-27", "2021-10-04"]
DAYS = [dt.date(2021, 9, 20) + dt.timedelta(days=i) for i in range(21)]
OTHERS_TOO = "EnergyBalance,EnergyAndPowerPv"


class EagerSma(ScriptedSma):
    """Answers when it is asked, before somebody takes the answers."""

    def fetch(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> PendingResults[Answer | Failure]:
        return PendingResults(iter(list(super().fetch(requests, urgent=urgent, admit=admit))), lambda: None)


@pytest.fixture
def sma() -> EagerSma:
    return EagerSma()


@pytest.fixture
def runtime(new_runtime: New, sma: EagerSma) -> RunContext:
    found = new_runtime(again=False)
    refresh(found)
    sma.asked.clear()
    return found


def list_weeks(sma: EagerSma) -> list[str]:
    """The weeks that were asked for, in this order."""
    return list(dict.fromkeys(one.date for one in sma.asked if one.period == "Week"))


@pytest.mark.long
def test_the_next_week_is_on_its_way_when_the_first_day_is_stored(runtime: RunContext, sma: EagerSma) -> None:
    fetch = SetFetch(BALANCE)
    with SentAhead(runtime, fetch.list_upcoming(runtime, DAYS)):
        stored = fetch(runtime, DAYS)
        assert next(stored)[0] == DAYS[0]
        assert list_weeks(sma) == MONDAYS[:2]
        assert [day for day, _ in stored] == DAYS[1:]
    assert list_weeks(sma) == MONDAYS
    # Two plants, each asked once for each week.
    assert len(sma.asked) == 2 * 3


def refuse_weeks(request: Request) -> SmaError | None:
    return PermanentError("GET /v1/x answered 400.", status=400) if request.period == "Week" else None


@pytest.mark.long
def test_after_a_refused_week_the_next_one_waits_and_is_asked_for_by_day(
    runtime: RunContext, sma: EagerSma
) -> None:
    sma.special = refuse_weeks
    fetch = SetFetch(BALANCE)
    with SentAhead(runtime, fetch.list_upcoming(runtime, DAYS)):
        stored = fetch(runtime, DAYS)
        next(stored)
        assert list_weeks(sma) == MONDAYS[:1]
        list(stored)
    assert list_weeks(sma) == MONDAYS[:1]


def test_nothing_is_sent_ahead_while_nothing_is_answered(runtime: RunContext, sma: EagerSma) -> None:
    sma.special = lambda _: TransientError("GET /v1/x answered 503.", status=503)
    fetch = SetFetch(BALANCE)
    with SentAhead(runtime, fetch.list_upcoming(runtime, DAYS)):
        with pytest.raises(TransientError):
            next(fetch(runtime, DAYS[:7]))
        assert list_weeks(sma) == MONDAYS[:1]


@pytest.mark.long
def test_days_that_another_run_fetches_are_not_waited_for_ahead(
    runtime: RunContext, sma: EagerSma, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ClaimFiles(runtime.settings.home / "claims")
    with monkeypatch.context() as patched:
        patched.setattr(claim_files, "HOLDER", "another process")
        assert not others.take("raw_energy_balance", {str(DAYS[7]): ["11"]})
    fetch = SetFetch(BALANCE)
    with SentAhead(runtime, fetch.list_upcoming(runtime, DAYS)):
        assert [day for day, _ in fetch(runtime, DAYS[:7])] == DAYS[:7]
        assert list_weeks(sma) == MONDAYS[:1]
        others.release()
        assert len(list(fetch(runtime, DAYS[7:]))) == 14
    assert len(sma.asked) == 2 * 3
    assert not [*(runtime.settings.home / "claims").glob("*.claims")]


@pytest.mark.long
def test_the_end_of_a_run_lets_go_of_days_that_were_sent_ahead(runtime: RunContext) -> None:
    fetch = SetFetch(BALANCE)
    with SentAhead(runtime, fetch.list_upcoming(runtime, DAYS)):
        list(fetch(runtime, DAYS[:7]))
        assert [*(runtime.settings.home / "claims").glob("*.claims")]
    assert not [*(runtime.settings.home / "claims").glob("*.claims")]


@pytest.mark.long
def test_a_run_sends_all_sets_and_logs_in_the_order_in_which_they_are_stored(
    settings: Settings, sma: EagerSma
) -> None:
    """Where Dagster took them in another order, what was sent ahead would not be what is stored next."""
    begun: list[str] = []
    saturday, monday = DAYS[5], DAYS[7]

    class Noting:
        def begin(self, step: str, label: str, total: int) -> None:
            del total
            begun.append(f"{step} {label[:10]}: {len(sma.asked)}")

        def advance(self, step: str, count: int = 1) -> None:
            """Nothing to note."""

    every = settings.model_copy(update={"logs": "devices", "sets": OTHERS_TOO})
    runtime = RunContext(every, make_session=lambda _: sma, progress=Noting())  # type: ignore[arg-type,return-value]
    with runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        sma.asked.clear()
        begun.clear()
        runs.fetch_days(saturday, monday + dt.timedelta(days=1))
    # Two requests for each of two weeks, of which the run has two days each; when the storing of one begins, it is
    # sent, and no more than that.
    tables = ("raw_energy_balance", "raw_pv", "raw_device_logs", "raw_logs")
    units = [f"{table} {day}" for table in tables for day in (saturday, monday)]
    assert begun == [f"{unit}: {2 * (place + 1)}" for place, unit in enumerate(units)]
    assert len(sma.asked) == 2 * len(units)
