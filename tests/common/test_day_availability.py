"""Which days are due at a moment: zones, delays, both changes of clocks, pauses, and tries that end."""

import datetime as dt
import itertools

import polars as pl
import pytest

from pipeline.common.day_availability import (
    WAITS,
    Attempt,
    Group,
    bound_days,
    build_groups,
    catch_up_window,
    check_days,
    find_days_to_retry,
    find_last_closed_day,
    find_live_days,
    find_newest_day,
    find_sliding_window,
    is_overtaken,
    join_days,
)
from pipeline.common.errors import UsageError

BERLIN, BERLIN_CLASSIC = Group("ennexos", "Europe/Berlin"), Group("classic", "Europe/Berlin")
BOSTON, BRISBANE = Group("ennexos", "America/New_York"), Group("ennexos", "Australia/Brisbane")
AUCKLAND, HONOLULU = Group("ennexos", "Pacific/Auckland"), Group("classic", "Pacific/Honolulu")
HOUR = dt.timedelta(hours=1)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def days(*texts: str) -> list[dt.date]:
    return [day(text) for text in texts]


@pytest.mark.parametrize(
    ("group", "label", "closes"),
    [
        (BERLIN, "2026-06-10", "2026-06-10T22:10"),
        (BERLIN_CLASSIC, "2026-06-10", "2026-06-11T00:00"),
        # 29 March has 23 hours and 25 October 25: the day closes by the offset of its end.
        (BERLIN, "2026-03-28", "2026-03-28T23:10"),
        (BERLIN, "2026-03-29", "2026-03-29T22:10"),
        (BERLIN, "2026-10-24", "2026-10-24T22:10"),
        (BERLIN, "2026-10-25", "2026-10-25T23:10"),
        (BOSTON, "2026-03-08", "2026-03-09T04:10"),
        (BOSTON, "2026-11-01", "2026-11-02T05:10"),
        (AUCKLAND, "2026-04-05", "2026-04-05T12:10"),
        (AUCKLAND, "2026-09-27", "2026-09-27T11:10"),
        (HONOLULU, "2026-06-10", "2026-06-11T12:00"),
    ],
)
def test_a_day_closes_at_its_own_midnight_and_the_delay(group: Group, label: str, closes: str) -> None:
    assert group.find_close(day(label)) == utc(closes)
    assert find_last_closed_day(utc(closes) - dt.timedelta(seconds=1), [group]) == day(label) - dt.timedelta(
        days=1
    )
    assert find_last_closed_day(utc(closes), [group]) == day(label)


def test_the_last_zone_and_the_longest_delay_close_the_day_of_a_fleet() -> None:
    fleet = [AUCKLAND, BERLIN, BERLIN_CLASSIC, BOSTON, HONOLULU]
    assert find_last_closed_day(utc("2026-06-11T11:59"), fleet) == day("2026-06-09")
    assert find_last_closed_day(utc("2026-06-11T12:00"), fleet) == day("2026-06-10")
    with pytest.raises(ValueError, match="without plants"):
        find_last_closed_day(utc("2026-06-11T12:00"), [])


@pytest.mark.parametrize("change", ["2026-03-29", "2026-10-25"])
def test_hourly_ticks_over_a_change_of_clocks_read_each_day_until_it_is_closed(change: str) -> None:
    begin = utc(f"{change}T00:20") - dt.timedelta(days=1)
    ticks = [begin + i * HOUR for i in range(72)]
    for label in days(change):
        live = [tick for tick in ticks if label in find_live_days(tick, [BERLIN])]
        assert [later - earlier for earlier, later in itertools.pairwise(live)] == [HOUR] * (len(live) - 1)
        assert live[0] - BERLIN.find_begin(label) == dt.timedelta(minutes=20)
        # The last look comes after the day is closed, within the hour, so nothing of it is left to another tick.
        assert dt.timedelta() <= live[-1] - BERLIN.find_close(label) < HOUR
        assert len(live) == (24 if change == "2026-03-29" else 26)


def test_a_fleet_around_the_world_has_up_to_three_days_at_once() -> None:
    fleet = [
        AUCKLAND,
        BRISBANE,
        BERLIN,
        Group("ennexos", "Pacific/Pago_Pago"),
        Group("ennexos", "Etc/GMT-14"),
    ]
    assert find_live_days(utc("2026-06-11T10:20"), fleet) == days("2026-06-10", "2026-06-11", "2026-06-12")
    assert find_live_days(utc("2026-06-11T20:20"), [BERLIN, BRISBANE]) == days("2026-06-11", "2026-06-12")
    assert find_live_days(utc("2026-06-11T10:20"), []) == []


def test_a_day_is_there_as_soon_as_it_begins_somewhere() -> None:
    assert find_newest_day(utc("2026-06-11T09:59")) == day("2026-06-11")
    assert find_newest_day(utc("2026-06-11T10:00")) == day("2026-06-12")


def test_the_window_holds_the_newest_closed_days() -> None:
    assert find_sliding_window(utc("2026-03-29T22:10"), [BERLIN], 7) == (day("2026-03-23"), day("2026-03-29"))
    assert find_sliding_window(utc("2026-03-29T22:10"), [BERLIN], 1) == (day("2026-03-29"), day("2026-03-29"))


def test_what_was_missed_is_caught_up_to_a_month_back() -> None:
    now = utc("2026-10-26T04:35")
    assert catch_up_window(now, [BERLIN], 7, []) == (day("2026-10-19"), day("2026-10-25"))
    # Stored up to 8 October, then switched off; today's hourly run was faster than this tick.
    stored = days("2026-10-07", "2026-10-08", "2026-10-26")
    assert catch_up_window(now, [BERLIN], 7, stored) == (day("2026-10-07"), day("2026-10-25"))
    # A year that somebody has filled long ago is no reason to fetch what lies between.
    assert catch_up_window(now, [BERLIN], 7, days("2021-10-01")) == (day("2026-10-19"), day("2026-10-25"))


def test_tries_wait_longer_and_longer_and_have_an_end() -> None:
    label, now = day("2026-10-24"), utc("2026-10-24T22:35")
    attempts: list[Attempt] = []
    begun = []
    for tick in (now + i * dt.timedelta(minutes=30) for i in range(24 * 2 * 14)):
        if find_days_to_retry(tick, [label], attempts):
            begun.append(tick - now)
            attempts.append(Attempt(label, label, tick))
    assert begun == [dt.timedelta(hours=h) for h in (0, 1, 4, 10, 22)]
    assert len(begun) == len(WAITS) + 1
    assert not find_days_to_retry(now + dt.timedelta(days=365), [label], attempts)


def test_the_tries_of_one_day_are_not_those_of_another() -> None:
    now = utc("2026-10-26T04:35")
    attempts = [Attempt(day("2026-10-20"), day("2026-10-23"), now - dt.timedelta(minutes=30))]
    assert find_days_to_retry(now, days("2026-10-24", "2026-10-23"), attempts) == days("2026-10-24")
    later = now + dt.timedelta(days=1)
    assert find_days_to_retry(later, days("2026-10-23"), attempts) == days("2026-10-23")


def test_a_try_while_the_clock_was_ahead_keeps_no_day_waiting() -> None:
    now, label = utc("2026-10-26T04:35"), day("2026-10-24")
    ahead = [Attempt(label, label, now + dt.timedelta(days=10, hours=i)) for i in range(5)]
    assert find_days_to_retry(now, [label], ahead) == [label]
    tried = [*ahead, Attempt(label, label, now - dt.timedelta(minutes=30))]
    assert find_days_to_retry(now, [label], tried) == []


def test_days_become_ranges_without_holes() -> None:
    found = join_days(days("2026-10-05", "2026-10-01", "2026-10-02", "2026-10-02"), 31)
    assert found == [(day("2026-10-01"), day("2026-10-02")), (day("2026-10-05"), day("2026-10-05"))]
    year = [day("2025-01-01") + i * dt.timedelta(days=1) for i in range(365)]
    cut = join_days(year, 31)
    assert len(cut) == 12
    assert {(last - first).days for first, last in cut} == {30, 23}
    assert join_days([], 31) == []


def test_ranges_that_bound_days_may_have_holes_and_are_no_longer_than_asked_for() -> None:
    found = bound_days(days("2026-10-31", "2026-10-01", "2026-11-01", "2026-10-07"), 31)
    assert [(str(first), str(last)) for first, last in found] == [
        ("2026-10-01", "2026-10-31"),
        ("2026-11-01", "2026-11-01"),
    ]
    assert bound_days([], 31) == []


def test_a_tick_that_the_next_one_has_overtaken_has_nothing_to_do() -> None:
    scheduled = utc("2026-10-26T04:20")
    assert not is_overtaken(scheduled, scheduled + dt.timedelta(minutes=59), HOUR)
    assert is_overtaken(scheduled, scheduled + HOUR, HOUR)


def test_groups_are_those_of_the_plants() -> None:
    plants = pl.DataFrame(
        {
            "plant_id": ["1", "2", "3"],
            "backend": ["ennexos", "ennexos", "classic"],
            "timezone": ["Europe/Berlin"] * 3,
        }
    )
    assert build_groups(plants) == {BERLIN, BERLIN_CLASSIC}


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("2021-10-06", "2021-10-04", "swap them"),
        ("1999-01-01", "2021-10-06", "SUNLEDGER_FIRST_DAY"),
        ("2021-10-04", "2021-10-10", "in the future: choose 2021-10-09 or an earlier day"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(first: str, last: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_days(day(first), day(last), day("2015-01-01"), utc("2021-10-08T12:00"))


def test_the_day_that_has_begun_somewhere_can_be_asked_for() -> None:
    check_days(day("2015-01-01"), day("2021-10-09"), day("2015-01-01"), utc("2021-10-08T12:00"))
