"""Lists that were stored while a clock was ahead: once it is right they are not taken for the newest ones."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from bench.lists import refresh_lists
from pipeline.run.context import RunContext
from pipeline.run.plants import list_plants
from schemas import Devices, Plants, SubPlants
from tests.scripted import NOW, ScriptedSma

AHEAD = NOW + dt.timedelta(days=90)
TODAY = NOW.date()


@pytest.mark.long
def test_lists_of_the_future_are_left_out_and_named(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    sma.lists, sma.answered_at = ["11", "12"], AHEAD
    with replace(new_runtime(), now=lambda: AHEAD) as runtime:
        refresh_lists(runtime)
    sma.lists, sma.answered_at = ["11", "13", "14"], NOW
    said: list[str] = []
    with replace(new_runtime(), tell=said.append) as runtime:
        notices = refresh_lists(runtime)
        assert list_plants(runtime)["plant_id"].to_list() == ["11", "13", "14"]
        plants = runtime.lake.scan(Plants).sort("plant_id").collect()
        devices = runtime.lake.scan(Devices).collect()
        sections = runtime.lake.scan(SubPlants).collect()
    assert [text for text in said if text.startswith(f"Lists stored for {AHEAD.date()} are not used")]
    # The plant that left is told of once, and is not listed today.
    assert {one.plant_id for one in notices.missing} == {"12"}
    eve = TODAY - dt.timedelta(days=1)
    assert dict(plants.select("plant_id", "last_seen").rows()) == {
        "11": TODAY,
        "12": eve,
        "13": TODAY,
        "14": TODAY,
    }
    assert {"13", "14"} <= set(devices["plant_id"])
    for frame in (plants, devices, sections):
        assert frame.filter(pl.max_horizontal("first_seen", "last_seen") > TODAY).is_empty()


def test_a_day_ahead_is_within_what_machines_may_disagree(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    tomorrow = NOW + dt.timedelta(days=1)
    with replace(new_runtime(), now=lambda: tomorrow) as runtime:
        refresh_lists(runtime)
    said: list[str] = []
    with replace(new_runtime(), tell=said.append) as runtime:
        assert list_plants(runtime)["plant_id"].to_list() == sma.lists
        refresh_lists(runtime)
    assert not [text for text in said if "Lists stored" in text]
