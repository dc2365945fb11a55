"""What a time without offset means, what plants' clocks show, and where a plant's calendar day begins and ends.

The API writes wall-clock labels without offset. `utc` (the FAQ) and `plant_local` (every recorded answer) are
both supported; the data shows which is true. Everything here happens in UTC arithmetic on a few numbers per
zone and day, so that no row goes through a time zone library: polars and DuckDB have zone tables of their own, and
only one source of zones can be right. It is that of `zoneinfo`, which the package pins to `tzdata` (`pipeline`).
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

TimeBasis: TypeAlias = Literal["utc", "plant_local"]
# What a row stands for that came only once in the repeated hour: one pass (the other is a gap), or the mean of both.
MergedHour: TypeAlias = Literal["gap", "mean"]
UTC_US = pl.Datetime("us", "UTC")

ONE_DAY = dt.timedelta(days=1)
ONE_SECOND = dt.timedelta(seconds=1)
# The instants that `convert_to_wall_clock` knows the offsets of: no plant is older, and no figure is made ahead.
FIRST_INSTANT, LAST_INSTANT = dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
# No zone changes its clocks twice within so short a time.
CALM = dt.timedelta(days=8)


@dataclass(frozen=True, slots=True)
class LocalDay:
    """One calendar day of one zone: [start, end) in UTC, and the change of clocks in it or at its end.

    `before` and `after` are the zone's offsets from UTC on either side of `change`; without a change they are equal.
    """

    timezone: str
    start: dt.datetime
    end: dt.datetime
    change: dt.datetime | None
    before: dt.timedelta
    after: dt.timedelta

    @property
    def hours(self) -> float:
        """Length of the day: 24, or 23 and 25 where the clocks change."""
        return (self.end - self.start) / dt.timedelta(hours=1)


@lru_cache(maxsize=4096)
def find_local_day(day: dt.date, timezone: str) -> LocalDay:
    """The calendar day `day` in `timezone`. Raises ZoneInfoNotFoundError for an unknown zone."""
    zone = ZoneInfo(timezone)
    start, end = _find_midnight(day, zone), _find_midnight(day + ONE_DAY, zone)
    # A change at the very midnight that ends the day counts too: it decides the label of the last row.
    before, after = _find_offset(start, zone), _find_offset(end, zone)
    change = _find_change(start, end, zone) if before != after else None
    return LocalDay(timezone, start, end, change, before, after)


def is_timezone(name: str | None) -> bool:
    """Whether the name is a time zone of the IANA database."""
    try:
        return bool(name) and ZoneInfo(name or "") is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def build_days_frame(day: dt.date, timezones: Iterable[str]) -> pl.DataFrame:
    """One row a zone: timezone, day_start, day_end, change (UTC; null without one), before, after (durations)."""
    return _keep_days_frame(day, frozenset(timezones)).clone()


@lru_cache(maxsize=1024)
def _keep_days_frame(day: dt.date, timezones: frozenset[str]) -> pl.DataFrame:
    """Each step of a day asks for the same zones, after all days of the run were made by the step before."""
    found = [find_local_day(day, zone) for zone in sorted(timezones)]
    return pl.DataFrame(
        {
            "timezone": [d.timezone for d in found],
            "day_start": [d.start for d in found],
            "day_end": [d.end for d in found],
            "change": [d.change for d in found],
            "before": [d.before for d in found],
            "after": [d.after for d in found],
        },
        schema={
            "timezone": pl.String,
            "day_start": UTC_US,
            "day_end": UTC_US,
            "change": UTC_US,
            "before": pl.Duration("us"),
            "after": pl.Duration("us"),
        },
    )


def build_day_bounds(days: Iterable[dt.date], timezones: Iterable[str]) -> pl.DataFrame:
    """One row a day and zone: local_date, timezone, day_start, day_end (UTC)."""
    zones = sorted(set(timezones))
    found = [(day, find_local_day(day, zone)) for day in days for zone in zones]
    return pl.DataFrame(
        [(day, one.timezone, one.start, one.end) for day, one in found],
        schema={"local_date": pl.Date, "timezone": pl.String, "day_start": UTC_US, "day_end": UTC_US},
        orient="row",
    )


def convert_to_wall_clock(moment: pl.Expr, timezone: str) -> pl.Expr:
    """What a clock in the zone shows (naive, microseconds) at each moment (UTC); null where the moment is.

    From 1990 to 2100: before and after, the nearest offset is taken. Raises ZoneInfoNotFoundError for an unknown zone.
    """
    since, offsets = _find_offsets(timezone)
    place = pl.lit(since).search_sorted(moment, side="right").cast(pl.Int64) - 1
    return (moment + pl.lit(offsets).gather(place.clip(0))).dt.replace_time_zone(None)


def find_offset_changes(timezone: str, first: dt.datetime, last: dt.datetime) -> list[dt.datetime]:
    """The instants (UTC) after `first` and up to `last` at which the zone's offset from UTC becomes another one."""
    zone, changes = ZoneInfo(timezone), []
    before = _find_offset(first, zone)
    while first < last:
        step = min(first + CALM, last)
        after = _find_offset(step, zone)
        if after != before:
            changes.append(_find_change(first, step, zone))
        first, before = step, after
    return changes


@lru_cache(maxsize=1024)
def find_clock_periods(timezone: str, first: dt.datetime, last: dt.datetime) -> pl.DataFrame:
    """since (UTC) and offset (duration) of each time in which the zone has one offset, from `first` to `last`."""
    zone = ZoneInfo(timezone)
    since = [first, *find_offset_changes(timezone, first, last)]
    offsets = [_find_offset(moment, zone) for moment in since]
    return pl.DataFrame(
        {"since": since, "offset": offsets}, schema={"since": UTC_US, "offset": pl.Duration("us")}
    )


@lru_cache(maxsize=1024)
def _find_offsets(timezone: str) -> tuple[pl.Series, pl.Series]:
    """The instants from which on the zone has an offset from UTC, sorted, and the offsets."""
    periods = find_clock_periods(timezone, FIRST_INSTANT, LAST_INSTANT)
    return periods["since"], periods["offset"]


def list_request_dates(day: dt.date, timezone: str, basis: TimeBasis) -> tuple[dt.date, ...]:
    """The `Date` values to ask for, so that the answers hold the whole plant-local day.

    Under `plant_local` the API's day is the plant's. Under `utc` it is not known whether the API's day is the plant's
    or UTC's, so the UTC days that the local day touches are all asked for: one or the other reading then finds
    every row, and rows of neighbouring days are left to their own partitions.
    """
    if basis == "plant_local":
        return (day,)
    bounds = find_local_day(day, timezone)
    dates = {day, bounds.start.date(), (bounds.end - ONE_SECOND).date()}
    return tuple(sorted(dates))


def parse_label(raw: pl.Expr) -> pl.Expr:
    """A label's text as a naive time in microseconds; null where it is not `YYYY-MM-DDTHH:MM:SS[.fraction]`.

    An offset is not expected and would change the meaning, so a label that has one is not read either.
    """
    return raw.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)


def parse_offset_times(raw: pl.Expr) -> pl.Expr:
    """Moments (UTC) of texts with an offset: Z, +01:00 or +0100; null without one, as it could be any clock's."""
    text = raw.str.strip_chars().str.replace("Z$", "+00:00").str.replace(" ", "T", literal=True)
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False, time_zone="UTC")


def parse_moment(text: str) -> dt.datetime:
    """A moment that we wrote down, in UTC. Raises ValueError for a text that is none, or a time without an offset."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} is a time without an offset")
    return moment.astimezone(dt.UTC)


def is_newest_first() -> pl.Expr:
    """Whether the rows of an answer come newest first: for frames with `answer` and `label` (naive), as they came.

    Rows in the order of time fall back once at most, where clocks do. Two rows alone are taken for the usual order.
    """
    step = pl.col("label").drop_nulls().diff()
    falls, rises = (step < pl.duration()).sum().over("answer"), (step > pl.duration()).sum().over("answer")
    return (falls > 1) & (falls > rises)


def convert_to_instants(basis: TimeBasis, *, changes: bool) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """The UTC instant of each label, that of its second pass where one row stands for both, and whether it is a guess.

    For frames with `series`, `label` (naive) and the columns of `build_days_frame`, oldest rows first. `changes` says
    if any zone of the frame changes its clocks on that day. The three expressions are called `interval_end` (null: no
    such local time), `second_end` (null: the row stands for one instant) and `unordered_hour`.

    A label of the repeated hour stands for two instants. The rows of one series are in the order of time, so the second
    pass begins where the labels do not grow. Where they always do, the vendor merged both passes into one (or one is
    missing, which looks the same): its rows end in the first pass, `second_end` says where the other one would. Where
    labels of that hour fall back more than once, their order tells nothing: each may be of either pass. In the skipped
    hour only the moment of the change has a label, in the old time.
    """
    label = pl.col("label").dt.replace_time_zone("UTC")
    never = pl.lit(None, UTC_US).alias("second_end")
    sure = pl.lit(value=False).alias("unordered_hour")
    if basis == "utc":
        return label.alias("interval_end"), never, sure
    first, second, change = label - pl.col("before"), label - pl.col("after"), pl.col("change")
    if not changes:
        return first.alias("interval_end"), never, sure
    is_first, is_second = first < change, second >= change
    # The first pass of a repeated midnight closes the day before: only the second pass is of this day.
    both = (is_first & is_second & (first > pl.col("day_start"))).fill_null(value=False)
    repeated = pl.when(both).then("label")
    # Within a series: everything made of it is taken over one.
    before = repeated.forward_fill().shift(1)
    jump, fall = (so.fill_null(value=False) for so in (repeated <= before, repeated < before))
    falls = fall.sum().over("series")
    alone = pl.len().over("series", "label") == 1
    late = (
        # Where labels fall back once, a row that comes twice within a pass is not taken for the other pass.
        pl.when(falls == 1)
        .then(fall.cum_sum().over("series") > 0)
        .when(alone)
        .then(jump.cum_sum().over("series") > 0)
        .otherwise(pl.int_range(pl.len()).over("series", "label") > 0)
    )
    end = (
        pl.when(change.is_null())
        .then(first)
        .when(both)
        .then(pl.when(late).then(second).otherwise(first))
        .when(is_second)
        .then(second)
        .when(is_first | (first == change))
        .then(first)
    )
    merged = both & alone & ~jump.any().over("series")
    either = (both & (falls > 1)).alias("unordered_hour")
    return end.alias("interval_end"), pl.when(merged).then(second).alias("second_end"), either


def _find_midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """The first instant of the day, also where midnight is skipped or happens twice."""
    return dt.datetime.combine(day, dt.time(), tzinfo=zone).astimezone(dt.UTC)


def _find_offset(instant: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - zones of ZoneInfo always have one
    return offset


def _find_change(low: dt.datetime, high: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The first instant with the new offset, by bisection to the second."""
    old = _find_offset(low, zone)
    while high - low > ONE_SECOND:
        middle = low + dt.timedelta(seconds=(high - low) // ONE_SECOND // 2)
        if _find_offset(middle, zone) == old:
            low = middle
        else:
            high = middle
    return high
