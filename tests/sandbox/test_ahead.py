"""What is computed ahead changes no answer, is not computed in vain, and stays bounded."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.fleet.simulated_fleet import build_fleet
from sandbox.options import TimeRules
from sandbox.random_streams import Topic, open_day_stream, open_day_streams
from sandbox.series.flow_cache import DAYS_AT_ONCE, FIRST_REACH, PLANTS_AT_ONCE, FlowCache
from sandbox.series.held_limits import PowerLimit
from sandbox.series.request_order import RequestOrder
from sandbox.series.simulated_source import SimulatedSource
from tests.sandbox.served_sandbox import Serve, Served

FLEET = build_fleet(40, 7)
# A plain day, both changes of the clock in Europe, and a day that is not complete yet.
DAYS = [date(2023, 6, 10), date(2023, 3, 26), date(2023, 10, 29), date(2024, 6, 14)]
BALANCE = "/monitoring/v1/plants/{}/measurements/sets/EnergyBalance/Day"


def answers(served: Served, plants: list[str]) -> dict[tuple[str, date], bytes]:
    """The balances of some plants, day by day in this order."""
    return {
        (plant, day): served.http.get(BALANCE.format(plant), params={"Date": day.isoformat()}).content
        for day in DAYS
        for plant in plants
    }


@pytest.mark.parametrize(
    "rules",
    [TimeRules(), TimeRules(fold="merged"), TimeRules(basis="utc"), TimeRules(basis="utc", day_of="utc")],
    ids=lambda rules: f"{rules.basis}-{rules.fold}-{rules.day_of}",
)
def test_answers_written_together_are_the_answers_written_alone(serve: Serve, rules: TimeRules) -> None:
    together, alone = serve(plants=20, rules=rules), serve(plants=20, rules=rules)
    plants = [plant.plant_id for plant in FLEET[:20]]
    asked = answers(together, plants)
    for (plant, day), body in asked.items():
        alone.world.version += 1  # nothing that was kept is good any more
        params = {"Date": day.isoformat(), "WithTotal": "true"}
        answer = alone.http.get(BALANCE.format(plant), params=params).content
        assert answer.partition(b',"total":')[0].rstrip(b"}") == body.rstrip(b"}"), (plant, day)


def test_what_was_written_ahead_is_not_shown_without_consent(serve: Serve) -> None:
    served = serve(plants=12, owners_without_consent=1)
    bodies = answers(served, [plant.plant_id for plant in FLEET[:12]])
    empty = {plant for (plant, _), body in bodies.items() if b'"set":[]' in body}
    assert empty == {plant.plant_id for plant in FLEET[9:12]}


def test_what_was_written_ahead_is_gone_when_a_limit_changes(serve: Serve) -> None:
    served = serve(plants=12)
    plants = [plant.plant_id for plant in FLEET[:12]]
    free = answers(served, plants)
    source = served.world.source(plants[0])
    assert isinstance(source, SimulatedSource)
    source.limit([PowerLimit(0.0, 4e9, 0.0)])
    served.world.version += 1
    held = answers(served, plants)
    assert {plant for plant, day in free if free[plant, day] != held[plant, day]} == {plants[0]}


def test_a_plant_that_has_not_begun_has_no_rows_ahead(serve: Serve) -> None:
    served = serve(now=datetime(2024, 6, 15, tzinfo=UTC), plants=40)
    day = max(plant.started_at for plant in FLEET).date() - timedelta(days=100)
    for plant in FLEET:
        body = served.get(BALANCE.format(plant.plant_id), Date=day.isoformat())
        assert bool(body["set"]) == (plant.started_at.date() < day), plant.name


def test_neighbours_are_told_once_and_limits_drop_them() -> None:
    cache = FlowCache(7)
    sources = [SimulatedSource(plant, cache) for plant in build_fleet(2 * FIRST_REACH, 7)]
    day = date(2023, 6, 10)
    told = sources[0].take_neighbours(day)
    assert sorted(plant.index for sheet in told for plant in sheet.plants) == list(range(1 + FIRST_REACH))
    assert sources[1].take_neighbours(day) == []
    assert cache.count_kept()[0] == 1 + FIRST_REACH
    sources[1].limit([PowerLimit(0.0, 4e9, 100.0)])
    assert cache.count_kept()[0] == 0
    held = sources[1].day(None, "EnergyBalance", day).power
    assert "gridFeedIn" in held
    assert held["gridFeedIn"].max() <= 100 + 1e-9


def test_as_many_come_along_as_were_used_of_late() -> None:
    """In the order of the fleet ever more, up to a bound, and what would be left over beyond it."""
    cache = FlowCache(7)
    sources = [SimulatedSource(plant, cache) for plant in build_fleet(300, 7)]
    day = date(2023, 6, 10)
    told = [sum(len(sheet.plants) for sheet in source.take_neighbours(day)) for source in sources]
    assert [count for count in told if count] == [1 + FIRST_REACH, PLANTS_AT_ONCE, 140]


def test_no_more_come_along_than_are_kept() -> None:
    cache = FlowCache(7, days=50)
    sources = [SimulatedSource(plant, cache) for plant in build_fleet(70, 7)]
    for source in sources:
        source.day(None, "EnergyBalance", date(2023, 6, 10))
        assert cache.count_kept()[0] <= 50


def test_hardly_any_come_along_in_no_order_over_more_days_than_are_kept() -> None:
    cache = FlowCache(7, days=60)
    sources = [SimulatedSource(plant, cache) for plant in build_fleet(300, 7)]
    rng = np.random.default_rng(1)
    before: set[tuple[int, date]] = set()
    came_along = []
    for plant, ahead in zip(rng.integers(0, 300, 150), rng.integers(0, 3000, 150), strict=True):
        day = date(2015, 1, 1) + timedelta(days=int(ahead))
        sources[plant].day(None, "EnergyBalance", day)
        kept = cache.list_kept()
        came_along.append(len(kept - before - {(int(plant), day)}))
        before = kept
    assert sum(came_along[50:]) < 50


def test_next_days_come_along_where_a_plant_is_asked_day_by_day() -> None:
    cache = FlowCache(7)
    sources = [SimulatedSource(plant, cache) for plant in FLEET]
    first = date(2023, 6, 10)
    for source in sources[:3]:
        for ahead in range(2 * DAYS_AT_ONCE):
            source.note_request(first + timedelta(days=ahead))
            source.day(None, "EnergyBalance", first + timedelta(days=ahead))
    later = [(index, day) for index, day in cache.list_kept() if day > first]
    assert {index for index, _ in later} == {0, 1, 2}
    assert len(later) == 3 * 2 * DAYS_AT_ONCE


def test_plants_nobody_asks_are_not_simulated_after_the_first_day() -> None:
    cache = FlowCache(7)
    sources = [SimulatedSource(plant, cache) for plant in FLEET]
    asked = sources[::4]
    for ahead in range(3):
        before = cache.count_kept()[0]
        for source in asked:
            day = date(2023, 6, 10) + timedelta(days=ahead)
            source.note_request(day)
            source.day(None, "EnergyBalance", day)
    # One of them, for which a new day looks like the next of its own, brings some days of its own.
    assert cache.count_kept()[0] - before <= len(asked) + DAYS_AT_ONCE


def test_followers_are_those_of_the_time_before() -> None:
    order = RequestOrder()
    for plant in (3, 1, 1, 4, 5, 9, 3):
        order.note(plant)
    assert order.followers(3, 3) == [1, 4, 5]
    assert order.followers(3, 10) == [1, 4, 5, 9]
    assert order.followers(5, 3) == []  # asked once only
    order.note(1)
    assert order.followers(1, 3) == [4, 5, 9]


@given(st.lists(st.integers(0, 5), max_size=300), st.integers(0, 5), st.integers(1, 4))
def test_followers_are_bounded_and_never_the_plant_itself(asked: list[int], plant: int, count: int) -> None:
    order = RequestOrder()
    for other in asked:
        order.note(other)
    followers = order.followers(plant, count)
    assert len(set(followers)) == len(followers) <= count
    assert plant not in followers
    assert set(followers) <= set(asked)


def test_a_stream_that_is_used_again_draws_what_its_own_would() -> None:
    rows = [(3, date(2023, 6, 10)), (3, date(2023, 6, 11)), (70, date(2023, 6, 10))]
    for (index, day), stream in zip(rows, open_day_streams(7, Topic.DAY, rows), strict=True):
        alone = open_day_stream(7, Topic.DAY, index, day)
        assert stream.random(5).tolist() == alone.random(5).tolist()
        assert stream.standard_normal(7).tolist() == alone.standard_normal(7).tolist()
        stream.integers(0, 10, 3, dtype=np.uint32)  # leaves half a number behind
