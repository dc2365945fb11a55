"""A list of plants that can't be read as a whole: a run goes on with the plants it knows, and says so."""

from collections.abc import Callable

import dagster as dg
import polars as pl
import pytest

from assets.runs import record_runs
from pipeline.common.errors import PermanentError, SmaError, SunledgerError, TransientError
from pipeline.extract.fetch import fetch_plants
from pipeline.run.context import RunContext
from schemas import Plants, Quarantine, RawEnergyBalance, RawPlants
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, fetch, refresh

New = Callable[..., RunContext]
UNREADABLE: dict[str, bytes | SmaError] = {
    "a page": b"<html><body>Our portal is being serviced.</body></html>",
    "nothing": b"",
    "broken": b'{"plants":[{"plantId":"11","name":"Pla',
    "no list": b'{"plants":null}',
    "500": TransientError("GET /v1/plants answered 500, the last of 6 tries.", status=500),
    "no answer": TransientError("GET /v1/plants: the connection was refused, in all of 6 tries."),
}


@pytest.mark.long
def test_a_run_goes_on_with_the_plants_it_knows_and_says_so(new_runtime: New, sma: ScriptedSma) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
        before = runtime.lake.scan(Plants).collect()
    said = (
        "SMA's list of plants could not be read, so this run knows no newer plants than the 2 plants of the list of "
        f"{NOW.date()}: GET /v1/plants"
    )
    for kind, answer in UNREADABLE.items():
        sma.special = lambda request, answer=answer: answer if request.endpoint == "plants" else None  # type: ignore[misc]
        with new_runtime() as runtime:
            report = fetch_plants(runtime)
            notices = refresh(runtime)
            assert runtime.lake.scan(Plants).collect().equals(before), kind
        (missing,) = notices.missing
        assert (missing.table, missing.plant_id) == ("raw_plants", ""), kind
        assert missing.reason.startswith(said), kind
        assert report.facts["list_not_read"] == missing.reason, kind
        assert report.notices.missing == [missing], kind
    with new_runtime() as runtime:
        refresh(runtime)
        fetch(runtime, MONDAY)
        stored = runtime.lake.scan(RawEnergyBalance).collect()
        assert sorted(stored["plant_id"]) == ["11", "12"]


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("GET /v1/plants answered 403: no access.", status=403),
        TransientError("GET /v1/plants answered 429, the last of 8 tries.", status=429),
    ],
)
def test_lost_access_and_the_rate_end_the_run(new_runtime: New, sma: ScriptedSma, error: SmaError) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
    sma.special = lambda request: error if request.endpoint == "plants" else None
    with new_runtime() as runtime, pytest.raises(SunledgerError, match="GET /v1/plants answered 4"):
        fetch_plants(runtime)


def test_without_a_stored_list_nobody_can_be_asked(new_runtime: New, sma: ScriptedSma) -> None:
    sma.special = lambda _: b"<html>"
    with new_runtime() as runtime, pytest.raises(TransientError, match="answered 200, but not with plants"):
        fetch_plants(runtime)
    assert {request.endpoint for request in sma.asked} == {"plants"}


@pytest.mark.long
def test_a_run_of_the_graph_shows_it_with_its_lists(new_runtime: New, sma: ScriptedSma) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
    sma.special = lambda request: b"<html>" if request.endpoint == "plants" else None
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_plants()
        found = runs.instance.fetch_materializations(dg.AssetKey("raw_plants"), limit=1).records[0]
    shown = found.asset_materialization
    assert shown is not None
    assert str(shown.metadata["list_not_read"].value).startswith("SMA's list of plants could not be read")
    assert [one.table for one in runs.notices.missing] == ["raw_plants"]


@pytest.mark.long
def test_an_empty_answer_is_no_silent_day_while_the_list_can_t_be_read(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.watts["12", str(TUESDAY)] = None
    with new_runtime() as runtime:
        refresh(runtime)
    sma.special = lambda request: b"<html>" if request.endpoint == "plants" else None
    with new_runtime() as runtime:
        notices = fetch(runtime, TUESDAY)
        stored = runtime.lake.scan(RawEnergyBalance).collect()
        aside = runtime.lake.scan(Quarantine).filter(pl.col("plant_id") == "12").collect()
    # The other plant's answer is stored, and nobody says that this one is gone.
    assert stored["plant_id"].to_list() == ["11"]
    assert {(one.plant_id, one.day) for one in notices.missing} == {("12", str(TUESDAY))}
    assert all(
        "SMA's list can't be read to see if the plant is still in it" in one.reason for one in notices.missing
    )
    assert set(aside["reason"]) == {"request_failed"}
    sma.special = lambda _: None
    with new_runtime() as runtime:
        assert fetch(runtime, TUESDAY).missing == []
        stored = runtime.lake.scan(RawEnergyBalance).select("plant_id", "no_rows").sort("plant_id").collect()
    assert stored.rows() == [("11", False), ("12", True)]


def test_stored_rows_stay_where_the_list_can_t_be_read(new_runtime: New, sma: ScriptedSma) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
        fetch(runtime, MONDAY)
    sma.watts["12", str(MONDAY)] = None
    sma.special = lambda request: b"<html>" if request.endpoint == "plants" else None
    with new_runtime(again=True) as runtime:
        notices = fetch(runtime, MONDAY)
        stored = runtime.lake.scan(RawEnergyBalance).collect()
    assert sorted(stored["plant_id"]) == ["11", "12"]
    assert {one.plant_id for one in notices.missing} == {"12"}
    assert all("the stored rows were kept" in one.reason for one in notices.missing)


def test_the_list_of_a_later_run_ends_it(new_runtime: New, sma: ScriptedSma) -> None:
    with new_runtime() as runtime:
        refresh(runtime)
    sma.special = lambda request: b"" if request.endpoint == "plants" else None
    with new_runtime() as runtime:
        assert len(refresh(runtime).missing) == 1
    sma.special, sma.lists = (lambda _: None), ["11", "12", "13"]
    with new_runtime() as runtime:
        assert refresh(runtime).missing == []
        assert runtime.lake.scan(RawPlants).collect().height == 1
        assert runtime.lake.scan(Plants).collect()["plant_id"].to_list() == ["11", "12", "13"]
