"""A plant that SMA can't answer for, while a run needs nothing of the others or of its lists: it must stop nobody."""

import datetime as dt
from collections.abc import Callable

import pytest

from pipeline.common.errors import PermanentError, SmaError, SunledgerError, TransientError
from pipeline.extract.fetch import SetFetch, fetch_devices, fetch_measurement_sets, fetch_plants
from pipeline.extract.raw_rows import DayOutcome, refuse_nothing_answered
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.sma.requests import Failure, Request
from pipeline.tables.inventory_tables import write_plants
from schemas import EnergyDaily, RawEnergyBalance
from tests.scripted import ScriptedSma
from tests.whole_days import MONDAY, build, fetch, refresh

New = Callable[..., RunContext]
PAGE = b"<html><body>Our portal is being serviced.</body></html>"
DOWN = TransientError("GET /v1/x answered 503, the last of 6 tries.", status=503)
LIMITED = TransientError("GET /v1/x answered 429, the last of 8 tries.", status=429)


@pytest.mark.parametrize("answer", [PAGE, DOWN])
def test_a_new_plant_without_lists_leaves_the_days_of_the_others_alone(
    new_runtime: New, sma: ScriptedSma, answer: bytes | SmaError
) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
    sma.lists = ["11", "12", "13"]
    sma.special = lambda request: answer if request.plant_id == "13" else None
    with new_runtime(again=False) as runtime:
        sma.asked.clear()
        notices = refresh(runtime)
        assert {request.plant_id for request in sma.asked} == {"", "13"}
        assert {(one.table, one.plant_id) for one in notices.missing} == {
            ("raw_devices", "13"),
            ("raw_measurement_sets", "13"),
        }
        fetch(runtime, MONDAY)
        build(runtime, MONDAY)
        daily = runtime.lake.scan(EnergyDaily).collect()
        assert dict(daily.filter(status="complete").select("plant_id", "pv_generation_kwh").rows()) == {
            "11": pytest.approx(24.0),
            "12": pytest.approx(24.0),
        }


def test_a_day_that_one_plant_alone_still_lacks_ends_no_run(new_runtime: New, sma: ScriptedSma) -> None:
    sma.broken.add("12")
    with new_runtime() as runtime:
        sma.broken.clear()
        refresh(runtime)
        sma.broken.add("12")
        fetch(runtime, MONDAY)
    with new_runtime(again=False) as runtime:
        sma.asked.clear()
        ((_, report),) = SetFetch(BALANCE)(runtime, [MONDAY])
        assert {request.plant_id for request in sma.asked} == {"12"}
        assert [(one.day, one.plant_id) for one in report.notices.missing] == [(str(MONDAY), "12")]
        assert runtime.lake.scan(RawEnergyBalance).collect()["plant_id"].to_list() == ["11"]
        # A run of this plant alone has nothing else to say.
    with new_runtime("12", again=False) as runtime, pytest.raises(SunledgerError, match="503"):
        list(SetFetch(BALANCE)(runtime, [MONDAY]))


def test_lists_that_no_plant_gets_end_the_run(new_runtime: New, sma: ScriptedSma) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
    sma.special = lambda request: DOWN if request.endpoint in {"devices", "sets"} else None
    with new_runtime() as runtime, pytest.raises(SunledgerError, match="None of the 2 requests was answered"):
        fetch_devices(runtime)


def test_first_lists_are_needed(new_runtime: New, sma: ScriptedSma) -> None:
    sma.special = lambda request: DOWN if request.endpoint in {"devices", "sets"} else None
    with new_runtime() as runtime:
        fetch_plants(runtime)
        write_plants(runtime)
        for step in (fetch_devices, fetch_measurement_sets):
            with pytest.raises(SunledgerError, match="None of the 2 requests was answered"):
                step(runtime)


def of_plant(plant: str, error: SmaError, attempts: int = 6) -> Failure:
    return Failure(Request.measured(plant, "", "EnergyBalance", "Day", dt.date(2021, 10, 4)), error, attempts)


@pytest.mark.parametrize(
    "failures",
    [
        [of_plant("12", LIMITED)],
        [of_plant("12", DOWN), of_plant("11", DOWN)],
        [Failure(Request.plants(), DOWN, 6)],
    ],
)
def test_the_rate_and_all_plants_end_the_run(failures: list[Failure]) -> None:
    found = [DayOutcome(failures=tuple(failures))]
    with pytest.raises(SunledgerError):
        refuse_nothing_answered(found, list_plants=lambda: ["11", "12"])


def test_plants_that_fail_until_they_look_like_an_outage_end_nothing() -> None:
    """Where a run needs nothing but of them, no answer of another plant shows that the service is there."""
    unsent = TransientError("GET /v1/x was not sent, because the service is down.")
    found = DayOutcome(failures=(of_plant("12", DOWN), of_plant("13", unsent, attempts=0)))
    refuse_nothing_answered([found], list_plants=lambda: ["11", "12", "13"])
    with pytest.raises(SunledgerError):
        refuse_nothing_answered([found], list_plants=lambda: ["12", "13"])


def test_what_sma_refuses_of_one_plant_ends_nothing() -> None:
    refused = of_plant("12", PermanentError("GET /v1/x answered 404: check the id.", status=404))
    refuse_nothing_answered(
        [DayOutcome(failures=(refused, of_plant("13", DOWN)))], list_plants=lambda: ["11"]
    )
