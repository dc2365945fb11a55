"""Plans the requests for some days, and which part of each answer belongs to which day. Makes no API calls.

A budget and an invoice count requests, not bytes. So days of one calendar week are asked for together: measurements as
the API's period Week, which has the resolution of Day, and logs by their range. Whether a Week begins with its date or
is that date's calendar week is not known; beginning with a Monday it is both.

A week in which the clocks change is asked for day by day: its labels repeat or skip.
"""

import datetime as dt
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType

import polars as pl

from pipeline.common.local_time import ONE_DAY, TimeBasis, find_local_day, list_request_dates
from pipeline.extract.split_json import Span
from pipeline.sma.requests import DAY, WEEK, Answer, Period, Request
from schemas import RawAnswers

# An additional date costs nothing where the answer holds seven.
WORTH_A_WEEK = 2
# Requests of plants of one time zone share their days: those of a fleet's week took as much memory as a batch of
# answers. So many time zones and ranges of days are remembered.
_SHARED_DAYS = 256

# The time from which the days of a plant are final, where their end is not known.
LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request, and the days of its answer, each with its part of the answer, or None for the whole answer."""

    request: Request
    days: Mapping[dt.date, Span | None]

    @property
    def is_whole(self) -> bool:
        """Whether the answer need not be split."""
        return all(span is None for span in self.days.values())


@dataclass(frozen=True, slots=True)
class KnownDay:
    """The known facts about a day before its answers come.

    `basis` is how its answers are asked for and cut, by the time zone that `zones` has of each plant. `final_after`
    says for each plant when its day can no longer grow (absent: at once). `with_rows` are the (plant_id, device_id,
    request_date) of stored answers with rows.
    """

    basis: TimeBasis
    final_after: Mapping[str, dt.datetime] = field(default_factory=dict)
    with_rows: Collection[tuple[str, str, str]] = frozenset()
    zones: Mapping[str, str] = field(default_factory=dict)
    # The stored answers with rows, which may have been requested by other dates.
    series_with_rows: frozenset[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the series of the stored answers once."""
        series = frozenset((plant, device) for plant, device, _ in self.with_rows)
        object.__setattr__(self, "series_with_rows", series)

    def is_final(self, answer: Answer) -> bool:
        """Whether the plant's day could no longer grow when it was answered."""
        return answer.fetched_at >= self.final_after.get(answer.request.plant_id, LONG_AGO)


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """The requests for days of one calendar week, the known facts about each day, and the plants' time zones.

    `set_type` is empty unless the table holds several sets. `plants` are those that the requests make a PU of: the list
    of plants is nobody's. `basis` is how the answers are asked for and cut. `seen` names what was stored when the plan
    was begun (see `name_stored_answers`); it is empty where the plan does not depend on that.
    """

    model: type[RawAnswers]
    requests: Sequence[PlannedRequest]
    days: Mapping[dt.date, KnownDay]
    zones: Mapping[str, str]
    set_type: str = ""
    seen: tuple[int, ...] = ()
    plants: frozenset[str] = field(init=False)
    basis: TimeBasis = field(init=False)

    def __post_init__(self) -> None:
        """Derive the values that every step needs."""
        plants = frozenset(planned.request.plant_id for planned in self.requests) - {""}
        object.__setattr__(self, "plants", plants)
        object.__setattr__(self, "basis", next(iter(self.days.values())).basis)

    @property
    def plant_days(self) -> int:
        """Days of plants or devices that the requests are for."""
        return sum(len(planned.days) for planned in self.requests)

    def limit_to(self, plants: Collection[str]) -> "FetchPlan":
        """The plan without the requests of all other plants."""
        kept = [planned for planned in self.requests if planned.request.plant_id in plants]
        return replace(self, requests=kept)


@dataclass(frozen=True, slots=True)
class Series:
    """A plant (empty `device_id`) or a device, and the days to request for it."""

    plant_id: str
    device_id: str
    timezone: str
    days: tuple[dt.date, ...]


def group_by_week(days: Iterable[dt.date]) -> Iterator[tuple[dt.date, ...]]:
    """Days by calendar week, in order."""
    for _, week in groupby(sorted(set(days)), key=find_monday):
        yield tuple(week)


def find_monday(day: dt.date) -> dt.date:
    """The Monday of the day's calendar week."""
    return day - day.weekday() * ONE_DAY


def collect_series(wanted: pl.DataFrame) -> list[Series]:
    """The series in a frame of plant_id, device_id, timezone, local_date; sorted."""
    keys = ["plant_id", "device_id", "timezone"]
    days = wanted.group_by(keys).agg(pl.col("local_date").sort()).sort(keys)
    return [
        Series(sys.intern(plant), device, zone, tuple(dates))
        for plant, device, zone, dates in days.iter_rows()
    ]


def plan_measurements(
    wanted: Collection[Series], set_type: str, basis: TimeBasis, *, by_week: bool = True
) -> list[PlannedRequest]:
    """The requests for a set, in order."""
    found = (
        planned for series in wanted for planned in _plan_series(series, set_type, basis, by_week=by_week)
    )
    return sorted(found, key=lambda planned: planned.request)


def plan_energies(wanted: Collection[Series], set_type: str, basis: TimeBasis) -> list[PlannedRequest]:
    """The requests for a set's energies by interval, in order, day by day, because only Day is known to give them."""
    days = plan_measurements(wanted, set_type, basis, by_week=False)
    return [replace(planned, request=replace(planned.request, energies=True)) for planned in days]


def plan_logs(wanted: Collection[Series], basis: TimeBasis) -> list[PlannedRequest]:
    """The requests for logs, one for each plant or device and calendar week, in order.

    Whose day a log's day is under `utc` is not known: then a day more is asked for at either end.
    """
    reach = ONE_DAY if basis == "utc" else dt.timedelta()
    found = [
        PlannedRequest(
            Request.logs(series.plant_id, week[0] - reach, week[-1] + reach, device_id=series.device_id),
            _find_spans(week, series.timezone, basis),
        )
        for series in wanted
        for week in group_by_week(series.days)
    ]
    return sorted((_drop_cut(planned, reach) for planned in found), key=lambda planned: planned.request)


def plan_single_days(planned: PlannedRequest, timezone: str, basis: TimeBasis) -> list[PlannedRequest]:
    """The same days of a plant or device, one by one."""
    request = planned.request
    if request.endpoint == "logs":
        series = [Series(request.plant_id, request.device_id, timezone, (day,)) for day in planned.days]
        return plan_logs(series, basis)
    week = [find_monday(dt.date.fromisoformat(request.date)) + i * ONE_DAY for i in range(7)]
    series_ = Series(request.plant_id, request.device_id, timezone, tuple(planned.days))
    dates = _group_days_by_date(series_, basis)
    return [
        PlannedRequest(_build_request(series_, request.set_type, DAY, date), _keep_whole(*dates[date]))
        for date in sorted(set(week) & dates.keys())
    ]


def find_day_span(day: dt.date, timezone: str, basis: TimeBasis) -> Span:
    """The labels of a plant-local calendar day."""
    if basis == "plant_local":
        begin, end = (dt.datetime.combine(d, dt.time()) for d in (day, day + ONE_DAY))
    else:
        bounds = find_local_day(day, timezone)
        begin, end = (moment.replace(tzinfo=None) for moment in (bounds.start, bounds.end))
    return Span(begin.isoformat().encode(), end.isoformat().encode())


@lru_cache(maxsize=_SHARED_DAYS)
def _find_spans(days: tuple[dt.date, ...], timezone: str, basis: TimeBasis) -> Mapping[dt.date, Span]:
    """Each day with its labels, the same ones for all plants of a time zone."""
    return MappingProxyType({day: find_day_span(day, timezone, basis) for day in days})


@lru_cache(maxsize=_SHARED_DAYS)
def _keep_whole(*days: dt.date) -> Mapping[dt.date, None]:
    """The days of an answer that is not cut."""
    return MappingProxyType(dict.fromkeys(days))


def _plan_series(
    series: Series, set_type: str, basis: TimeBasis, *, by_week: bool
) -> Iterator[PlannedRequest]:
    dates = _group_days_by_date(series, basis)
    for week in group_by_week(dates):
        days = sorted({day for date in week for day in dates[date]})
        if by_week and len(week) >= WORTH_A_WEEK and not _has_clock_change(days, series.timezone):
            spans = _find_spans(tuple(days), series.timezone, basis)
            yield PlannedRequest(_build_request(series, set_type, WEEK, find_monday(week[0])), spans)
        else:
            for date in week:
                request = _build_request(series, set_type, DAY, date)
                yield PlannedRequest(request, _keep_whole(*dates[date]))


def _group_days_by_date(series: Series, basis: TimeBasis) -> dict[dt.date, list[dt.date]]:
    """The dates to request, each with the days that need it."""
    dates: dict[dt.date, list[dt.date]] = {}
    for day in series.days:
        for date in list_request_dates(day, series.timezone, basis):
            dates.setdefault(date, []).append(day)
    return dates


def _has_clock_change(days: Sequence[dt.date], timezone: str) -> bool:
    return any(find_local_day(day, timezone).change is not None for day in days)


def _build_request(series: Series, set_type: str, period: Period, date: dt.date) -> Request:
    return Request.measured(series.plant_id, series.device_id, set_type, period, date)


def _drop_cut(planned: PlannedRequest, reach: dt.timedelta) -> PlannedRequest:
    """The log of one day need not be split."""
    is_cut = len(planned.days) > 1 or bool(reach)
    return planned if is_cut else PlannedRequest(planned.request, _keep_whole(*planned.days))
