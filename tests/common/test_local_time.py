"""Where days begin, which dates to ask for, and which instant a label means."""

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.local_time import (
    FIRST_INSTANT,
    LAST_INSTANT,
    TimeBasis,
    build_days_frame,
    convert_to_instants,
    convert_to_wall_clock,
    find_clock_periods,
    find_local_day,
    find_offset_changes,
    list_request_dates,
    parse_label,
)
from tests.transform import oracle
from tests.transform.answers import examples
from tests.transform.days import DATES, ZONES

NOON = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)

UTC = dt.UTC
HOUR = dt.timedelta(hours=1)
ONE_DAY = dt.timedelta(days=1)
# Names for the machine itself and for leap seconds are no plants' zones.
EVERY_ZONE = sorted(
    zone for zone in available_timezones() if "/" in zone and zone.split("/")[0] not in {"posix", "right"}
)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


# ---- days ------------------------------------------------------------------------------------------------------------


@lru_cache
def changing_days(zone: str) -> tuple[dt.date, ...]:
    """Days of 2018 and 2025 next to a change of the zone's clocks."""
    known, found = ZoneInfo(zone), list[dt.date]()
    for year in (2018, 2025):
        noon = dt.datetime(year, 1, 1, 12, tzinfo=UTC)
        offsets = [(noon + n * ONE_DAY).astimezone(known).utcoffset() for n in range(367)]
        days = [n for n in range(1, 367) if offsets[n] != offsets[n - 1]]
        found += [noon.date() + (n + around) * ONE_DAY for n in days for around in (-1, 0, 1)]
    return tuple(found)


@pytest.mark.parametrize("initial", sorted({zone[0] for zone in EVERY_ZONE}))
def test_the_days_of_every_zone_begin_where_its_clocks_say_so(initial: str) -> None:
    for zone in (zone for zone in EVERY_ZONE if zone.startswith(initial)):
        for date in (dt.date(2025, 7, 9), *changing_days(zone)):
            day, known = find_local_day(date, zone), ZoneInfo(zone)
            assert day.start.astimezone(known).date() == date
            assert (day.start - dt.timedelta(minutes=1)).astimezone(known).date() == date - ONE_DAY
            assert day.start.astimezone(known).time() in {dt.time(0), dt.time(0, 30), dt.time(1)}
            assert day.end == find_local_day(date + ONE_DAY, zone).start
            assert day.hours == (day.end - day.start) / HOUR
            changes = day.start.astimezone(known).utcoffset() != day.end.astimezone(known).utcoffset()
            assert (day.change is not None) == changes
            if day.change is not None:
                assert day.start < day.change <= day.end
                assert (day.change - dt.timedelta(seconds=1)).astimezone(known).utcoffset() == day.before
                assert day.change.astimezone(known).utcoffset() == day.after
            else:
                assert day.before == day.after == day.start.astimezone(known).utcoffset()


@pytest.mark.parametrize(
    ("zone", "date", "start", "end", "change"),
    [
        ("UTC", "2025-07-09", "2025-07-09T00:00Z", "2025-07-10T00:00Z", None),
        ("Asia/Kathmandu", "2025-07-09", "2025-07-08T18:15Z", "2025-07-09T18:15Z", None),
        ("Europe/Berlin", "2025-03-30", "2025-03-29T23:00Z", "2025-03-30T22:00Z", "2025-03-30T01:00Z"),
        ("Europe/Berlin", "2025-10-26", "2025-10-25T22:00Z", "2025-10-26T23:00Z", "2025-10-26T01:00Z"),
        ("Australia/Lord_Howe", "2025-04-06", "2025-04-05T13:00Z", "2025-04-06T13:30Z", "2025-04-05T15:00Z"),
        # Midnight is skipped: the day begins at 01:00, and the change closes the day before.
        ("America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00Z", "2018-11-04T03:00Z", "2018-11-04T03:00Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z", "2018-11-05T02:00Z", None),
        # The last hour of the day comes twice.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00Z", "2018-02-18T03:00Z", "2018-02-18T02:00Z"),
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00Z", "2018-02-19T03:00Z", None),
        # Midnight comes twice: the day begins with the first one.
        ("America/Havana", "2025-11-02", "2025-11-02T04:00Z", "2025-11-03T05:00Z", "2025-11-02T05:00Z"),
        ("Atlantic/Azores", "2025-10-26", "2025-10-26T00:00Z", "2025-10-27T01:00Z", "2025-10-26T01:00Z"),
        # A day that never was.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", "2011-12-30T10:00Z", None),
        # Half an hour between two standard times.
        ("Asia/Pyongyang", "2018-05-04", "2018-05-03T15:30Z", "2018-05-04T15:00Z", "2018-05-04T15:00Z"),
    ],
)
def test_known_days(zone: str, date: str, start: str, end: str, change: str | None) -> None:
    day = find_local_day(dt.date.fromisoformat(date), zone)
    assert (day.start, day.end) == (at(start), at(end))
    assert day.change == (at(change) if change else None)
    assert day.hours == (at(end) - at(start)) / HOUR


def test_an_unknown_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        find_local_day(DATES[0], "Europe/Atlantis")


def test_a_frame_of_days_has_each_zone_once_in_order() -> None:
    frame = build_days_frame(dt.date(2025, 10, 26), ["UTC", "Europe/Berlin", "UTC"])
    assert frame["timezone"].to_list() == ["Europe/Berlin", "UTC"]
    assert frame["change"].to_list() == [at("2025-10-26T01:00Z"), None]
    assert frame["before"].to_list() == [2 * HOUR, dt.timedelta()]
    assert frame["after"].to_list() == [HOUR, dt.timedelta()]
    assert build_days_frame(dt.date(2025, 10, 26), []).schema == frame.schema


# ---- what to ask for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "basis", "dates"),
    [
        ("Europe/Berlin", "plant_local", ["2025-07-09"]),
        ("Europe/Berlin", "utc", ["2025-07-08", "2025-07-09"]),
        ("UTC", "utc", ["2025-07-09"]),
        ("Africa/Abidjan", "utc", ["2025-07-09"]),
        ("America/New_York", "utc", ["2025-07-09", "2025-07-10"]),
        ("Pacific/Kiritimati", "utc", ["2025-07-08", "2025-07-09"]),
        ("Pacific/Pago_Pago", "plant_local", ["2025-07-09"]),
    ],
)
def test_dates_to_ask_for(zone: str, basis: TimeBasis, dates: list[str]) -> None:
    assert [str(day) for day in list_request_dates(dt.date(2025, 7, 9), zone, basis)] == dates


@pytest.mark.parametrize("zone", ZONES)
def test_either_reading_of_the_utc_day_finds_every_row(zone: str) -> None:
    for day in DATES:
        start, end = oracle.bounds(day, ZoneInfo(zone))
        asked = list_request_dates(day, zone, "utc")
        # Rows are labelled by their end, so the day's rows are in (start, end].
        first, last = start + dt.timedelta(seconds=1), end - dt.timedelta(seconds=1)
        assert set(asked) == {day, first.date(), last.date()}
        assert list(asked) == sorted(asked)
        assert len(asked) <= 2


# ---- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2025-07-09T06:55:00", "2025-07-09T06:55:00"),
        ("2025-07-09T06:55:07", "2025-07-09T06:55:07"),
        ("2025-07-09T06:55:00.5", "2025-07-09T06:55:00.500000"),
        ("2025-07-09T06:55:00.1234567", "2025-07-09T06:55:00.123456"),
        ("2024-02-29T00:00:00", "2024-02-29T00:00:00"),
        ("2025-07-09T06:55:00Z", None),
        ("2025-07-09T06:55:00+02:00", None),
        ("2025-07-09T06:55:00 +0200", None),
        ("2025-07-09 06:55:00", None),
        ("2025-07-09T06:55", None),
        ("2025-07-09", None),
        ("06:55:00", None),
        ("2025-02-29T00:00:00", None),
        ("2025-07-09T24:00:00", None),
        ("2025-07-09T06:60:00", None),
        ("2025-13-09T06:00:00", None),
        ("1752044100", None),
        ("2025-07-09T06:55:00x", None),
        ("x2025-07-09T06:55:00", None),
        ("", None),
        (None, None),
    ],
)
def test_labels(text: str | None, read: str | None) -> None:
    frame = pl.DataFrame({"raw": [text, "2025-07-09T00:00:00"]}, schema={"raw": pl.String})
    label = frame.select(parse_label(pl.col("raw"))).to_series()
    assert label.dtype == pl.Datetime("us")
    assert label[0] == (at(read) if read else None)


@examples(200)
@given(st.text(st.sampled_from("0123456789-:T.+Z "), max_size=24))
def test_no_label_is_read_that_is_not_a_time(text: str) -> None:
    label = pl.select(parse_label(pl.lit(text))).item()
    if label is not None:
        assert label == dt.datetime.fromisoformat(text.partition(".")[0]) or "." in text


# ---- instants --------------------------------------------------------------------------------------------------------


def read(
    labels: Sequence[dt.datetime | None], day: dt.date, zone: str, basis: TimeBasis
) -> list[tuple[dt.datetime | None, bool]]:
    """Instants of a plant's labels, and whether each is of a merged hour."""
    return [(first, second is not None) for first, second in read_both(labels, day, zone, basis)]


def read_both(
    labels: Sequence[dt.datetime | None], day: dt.date, zone: str, basis: TimeBasis
) -> list[tuple[dt.datetime | None, dt.datetime | None]]:
    """First and second instants of a plant's labels, beside another plant's that must not matter."""
    series = pl.DataFrame({"label": [*labels, *labels], "series": [0] * len(labels) + [1] * len(labels)})
    frame = series.with_columns(timezone=pl.lit(zone), label=pl.col("label").cast(pl.Datetime("us")))
    frame = frame.join(build_days_frame(day, [zone]), on="timezone", maintain_order="left")
    frame = frame.with_columns(convert_to_instants(basis, changes=True))
    found = frame.select("interval_end", "second_end").rows()
    assert found[: len(labels)] == found[len(labels) :]
    return found[: len(labels)]


def labels_of(zone: str, day: dt.date, step: dt.timedelta) -> list[dt.datetime]:
    """The wall clock at the end of every step of the day."""
    known = ZoneInfo(zone)
    start, end = oracle.bounds(day, known)
    return [
        (start + n * step).astimezone(known).replace(tzinfo=None, fold=0)
        for n in range(1, (end - start) // step + 1)
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_without_holes_is_read_exactly(zone: str) -> None:
    step = dt.timedelta(minutes=5)
    for day in DATES:
        start, end = oracle.bounds(day, ZoneInfo(zone))
        found = read(labels_of(zone, day, step), day, zone, "plant_local")
        assert found == [(start + n * step, False) for n in range(1, (end - start) // step + 1)]


@examples(100)
@given(st.data(), st.sampled_from(ZONES), st.sampled_from(DATES))
def test_a_day_with_holes_is_read_as_the_oracle_reads_it(
    data: st.DataObject, zone: str, day: dt.date
) -> None:
    labels = labels_of(zone, day, dt.timedelta(minutes=15))
    kept = data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)))
    labels = [label for label, keep in zip(labels, kept, strict=True) if keep]
    assert read_both(labels, day, zone, "plant_local") == oracle.instants(labels, day, ZoneInfo(zone))


FOLD = dt.date(2025, 10, 26)


def berlin(*times: str) -> list[tuple[str, bool]]:
    """UTC times of day of labels of the autumn day in Berlin, with the mark for merged rows."""
    found = read([at(f"2025-10-26T{time}:00") for time in times], FOLD, "Europe/Berlin", "plant_local")
    return [(f"{instant:%H:%M}" if instant else "", merged) for instant, merged in found]


def test_a_label_that_comes_twice_is_first_the_first_pass() -> None:
    assert berlin("01:55", "02:00", "02:30", "02:00", "02:30", "03:00") == [
        ("23:55", False), ("00:00", False), ("00:30", False), ("01:00", False), ("01:30", False), ("02:00", False),
    ]  # fmt: skip


def test_passes_in_alternation_are_told_apart_too() -> None:
    assert berlin("02:00", "02:00", "02:30", "02:30") == [
        ("00:00", False), ("01:00", False), ("00:30", False), ("01:30", False),
    ]  # fmt: skip


def test_a_row_missing_in_one_pass_does_not_move_that_of_the_other() -> None:
    assert berlin("02:00", "02:10", "02:00", "02:20", "02:10") == [
        ("00:00", False), ("00:10", False), ("01:00", False), ("01:20", False), ("01:10", False),
    ]  # fmt: skip
    assert berlin("02:30", "02:45", "02:15", "02:50") == [
        ("00:30", False), ("00:45", False), ("01:15", False), ("01:50", False),
    ]  # fmt: skip


def test_a_label_that_could_not_be_read_hides_no_jump() -> None:
    labels = [at("2025-10-26T02:30:00"), None, at("2025-10-26T02:00:00")]
    found = read(labels, FOLD, "Europe/Berlin", "plant_local")
    assert found == [(at("2025-10-26T00:30Z"), False), (None, False), (at("2025-10-26T01:00Z"), False)]


def test_the_first_of_two_midnights_belongs_to_the_day_before() -> None:
    midnight = [at("2025-11-02T00:00:00")]
    assert read(midnight, dt.date(2025, 11, 2), "America/Havana", "plant_local") == [
        (at("2025-11-02T05:00Z"), False)
    ]
    assert read(midnight, dt.date(2025, 11, 1), "America/Havana", "plant_local") == [
        (at("2025-11-02T04:00Z"), False)
    ]


def test_a_merged_hour_is_taken_for_the_first_pass_and_marked() -> None:
    assert berlin("01:55", "02:00", "02:55", "03:00") == [
        ("23:55", False), ("00:00", True), ("00:55", True), ("02:00", False),
    ]  # fmt: skip
    (both,) = read_both([at("2025-10-26T02:20:00")], FOLD, "Europe/Berlin", "plant_local")
    assert both == (at("2025-10-26T00:20Z"), at("2025-10-26T01:20Z"))


def test_the_skipped_hour_has_no_labels_but_the_moment_of_the_change() -> None:
    times = ["01:55", "02:00", "02:05", "02:59", "03:00", "03:05"]
    found = read(
        [at(f"2025-03-30T{time}:00") for time in times], dt.date(2025, 3, 30), "Europe/Berlin", "plant_local"
    )
    shown = [instant and f"{instant:%H:%M}" for instant, _ in found]
    assert shown == ["00:55", "01:00", None, None, "01:00", "01:05"]


def test_the_last_row_before_a_skipped_midnight_may_have_either_label() -> None:
    day, zone = dt.date(2018, 11, 3), "America/Sao_Paulo"
    found = read([at("2018-11-04T00:00:00"), at("2018-11-04T01:00:00")], day, zone, "plant_local")
    assert found == [(at("2018-11-04T03:00Z"), False)] * 2


def test_under_utc_a_label_is_the_instant() -> None:
    labels = labels_of("Europe/Berlin", FOLD, dt.timedelta(minutes=5))
    assert read(labels, FOLD, "Europe/Berlin", "utc") == [
        (label.replace(tzinfo=UTC), False) for label in labels
    ]


def test_days_without_a_change_need_no_look_at_it() -> None:
    frame = build_days_frame(DATES[1], ["Europe/Berlin"]).with_columns(
        label=pl.lit(at("2025-07-09T12:00:00")), series=0
    )
    for changes in (True, False):
        found = frame.select(convert_to_instants("plant_local", changes=changes)).row(0)
        assert found == (at("2025-07-09T10:00Z"), None, False)


def test_a_label_that_could_not_be_read_has_no_instant() -> None:
    frame = build_days_frame(FOLD, ["Europe/Berlin"]).with_columns(
        label=pl.lit(None, pl.Datetime("us")), series=0
    )
    for basis in ("utc", "plant_local"):
        assert frame.select(convert_to_instants(basis, changes=True)).row(0) == (None, None, False)


def list_zones() -> list[str]:
    """Every zone of the package, by one of its names."""
    tables = files("tzdata") / "zoneinfo"
    return list(
        {tables.joinpath(*name.split("/")).read_bytes(): name for name in available_timezones()}.values()
    )


@pytest.mark.long
def test_a_clock_shows_what_the_zone_says_at_any_moment() -> None:
    """An hour before, at and after each change of clocks from 1990 on, in every zone; and nothing for no moment."""
    for zone in list_zones():
        # Those that the conversion itself looks up.
        _, *changes = find_clock_periods(zone, FIRST_INSTANT, LAST_INSTANT)["since"]
        moments = [
            change + i * dt.timedelta(hours=1) for change in changes if change.year < 2045 for i in (-1, 0, 1)
        ]
        moments += [FIRST_INSTANT, NOON, NOON + dt.timedelta(microseconds=1)]
        frame = pl.DataFrame({"at": [*moments, None]}, schema={"at": pl.Datetime("us", "UTC")})
        shown = frame.select(convert_to_wall_clock(pl.col("at"), zone)).to_series().to_list()
        known = ZoneInfo(zone)
        assert shown == [*(moment.astimezone(known).replace(tzinfo=None, fold=0) for moment in moments), None]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Africa/Casablanca", "America/Mexico_City", "Asia/Kolkata"]
)
def test_changes_of_clocks_are_found_to_the_second(zone: str) -> None:
    """Against a look at every hour of ten years."""
    first, known = dt.datetime(2015, 1, 1, tzinfo=dt.UTC), ZoneInfo(zone)
    hours = [first + i * dt.timedelta(hours=1) for i in range(24 * 3653)]
    offsets = [hour.astimezone(known).utcoffset() for hour in hours]
    expected = [hour for hour, old, new in zip(hours[1:], offsets, offsets[1:], strict=False) if old != new]
    assert find_offset_changes(zone, first, hours[-1]) == expected
