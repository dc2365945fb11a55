"""Whose current day is read where the budget can't hold all plants: chosen ones each hour, the others in turn."""

import polars as pl
import pytest

from pipeline.common.errors import UsageError
from pipeline.run.today_turn import TurnOf, choose_turn, count_room, read_last_id, select_turn


def build_costs(plants: int, chosen: int, requests: int = 3) -> pl.DataFrame:
    ids = [f"{5000000 + number}" for number in range(plants)]
    return pl.DataFrame(
        {"plant_id": ids, "requests": requests, "chosen": [number < chosen for number in range(plants)]}
    )


@pytest.mark.parametrize("room", [None, 300])
def test_where_all_fit_nobody_takes_turns(room: int | None) -> None:
    turn = choose_turn(build_costs(100, 10), room)
    assert (turn.turn_of, turn.read, turn.requests) == (TurnOf.NOBODY, 100, 300)


@pytest.mark.parametrize("room", [299, 100, 37, 33])
def test_every_hour_reads_the_chosen_ones_and_each_other_comes_up(room: int) -> None:
    costs, seen, after = build_costs(100, 10), [], ""
    first = choose_turn(costs, room)
    for _ in range(first.cycle):
        turn = choose_turn(costs, room, after)
        read = select_turn(costs, turn.build_tag())
        assert turn.requests == 3 * len(read) <= room
        assert turn.read == len(read)
        assert set(costs.filter("chosen")["plant_id"]) <= read
        seen.append(read)
        after = read_last_id({"turn": turn.build_tag()}, "turn")
    assert frozenset().union(*seen) == set(costs["plant_id"])


def test_more_chosen_plants_than_fit_take_turns_among_themselves() -> None:
    costs = build_costs(100, 60)
    turn = choose_turn(costs, 90)
    assert (turn.turn_of, turn.read, turn.cycle) == (TurnOf.CHOSEN, 30, 2)
    second = choose_turn(costs, 90, turn.last)
    both = select_turn(costs, turn.build_tag()) | select_turn(costs, second.build_tag())
    assert both == set(costs.filter("chosen")["plant_id"])
    assert "The 40 plants that are not chosen are not read" in turn.describe()


@pytest.mark.parametrize("chosen", [0, 2])
def test_a_plant_beyond_an_hours_room_does_not_end_the_turns_of_the_others(chosen: int) -> None:
    dear = pl.col("plant_id").is_in(["5000005", "5000019"])
    costs = build_costs(20, chosen, 2).with_columns(requests=pl.when(dear).then(12).otherwise("requests"))
    seen, after = [], ""
    for _ in range(12):
        turn = choose_turn(costs, 10, after)
        read = select_turn(costs, turn.build_tag())
        assert turn.read == len(read) > chosen
        assert turn.requests == costs.filter(pl.col("plant_id").is_in(read))["requests"].sum() <= 10
        seen.append(read)
        after = turn.last
    assert frozenset().union(*seen) == set(costs.filter(~dear)["plant_id"])
    assert (
        "2 plants need more requests than that, and can't be read before the day is over." in turn.describe()
    )


def test_no_room_reads_nobody_and_says_so() -> None:
    turn = choose_turn(build_costs(100, 0), 2)
    assert (turn.read, turn.cycle) == (0, 0)
    assert select_turn(build_costs(100, 0), turn.build_tag()) == frozenset()
    assert "Each hour reads none of them" in turn.describe()


def test_the_room_of_an_hour_is_what_the_daily_runs_leave() -> None:
    # 770 requests in five minutes, at 99 %: 219,542 a day.
    assert count_room(0.99 * 770 / 300, 110_000) == 4564
    assert count_room(0.99 * 770 / 300, 220_000) == 0


@pytest.mark.parametrize("tag", ["others", "nobody:1...2", "others:1-2"])
def test_a_tag_that_is_no_turn_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="is not a turn of plants"):
        select_turn(build_costs(3, 1), tag)


def test_with_several_credentials_a_turn_ends_where_one_of_them_has_no_room_left() -> None:
    rooms = {"a": 20, "b": 30}
    named = [("a", "b")[number % 2] for number in range(10)]
    costs = build_costs(10, 0, 10).with_columns(
        credential=pl.Series(named), its_room=pl.Series([rooms[name] for name in named], dtype=pl.Int64)
    )
    first = choose_turn(costs, 50)
    # Two of each, and no third one of a.
    assert (first.turn_of, first.read, first.requests) == (TurnOf.OTHERS, 4, 40)
    second = choose_turn(costs, 50, first.last)
    assert second.first == sorted(costs["plant_id"])[4]
    # Together they would have room, but not each for its own.
    of_a = costs.with_columns(its_room=pl.when(pl.col("credential") == "a").then(40).otherwise(1000))
    assert choose_turn(of_a, 1040).turn_of is TurnOf.OTHERS
    assert choose_turn(of_a.with_columns(its_room=pl.lit(50)), 100).turn_of is TurnOf.NOBODY
