"""Which requests some days take, and which part of each answer belongs to which day. Asks nobody.

A budget and an invoice count requests, not bytes. So days of one calendar week are asked for together: measurements as
the API's period Week, which has the resolution of Day, and logs by their range. Whether a Week begins with its date or
is that date's calendar week is not known; beginning with a Monday it is both.

A week in which the clocks change is asked for day by day: its labels repeat or skip.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import polars as pl

from pipeline.common.local_time import ONE_DAY, TimeBasis, local_day, request_dates
from pipeline.extract.split_json import Span
from pipeline.sma.requests import DAY, WEEK, Period, Request

# One date more costs nothing where the answer holds seven.
WORTH_A_WEEK = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the days that its answer is for: each with its part of it, or None where that is all."""

    request: Request
    days: Mapping[dt.date, Span | None]

    @property
    def is_whole(self) -> bool:
        """Whether the answer needs no cutting."""
        return all(span is None for span in self.days.values())


@dataclass(frozen=True, slots=True)
class Series:
    """A plant (empty `device_id`) or a device, and the days that are wanted of it."""

    plant_id: str
    device_id: str
    timezone: str
    days: tuple[dt.date, ...]


def weeks(days: Iterable[dt.date]) -> Iterator[tuple[dt.date, ...]]:
    """Days by calendar week, in order."""
    for _, week in groupby(sorted(set(days)), key=monday):
        yield tuple(week)


def monday(day: dt.date) -> dt.date:
    """The Monday of the day's calendar week."""
    return day - day.weekday() * ONE_DAY


def series_of(wanted: pl.DataFrame) -> list[Series]:
    """The series in a frame of plant_id, device_id, timezone, local_date; sorted."""
    keys = ["plant_id", "device_id", "timezone"]
    days = wanted.group_by(keys).agg(pl.col("local_date").sort()).sort(keys)
    return [Series(plant, device, zone, tuple(dates)) for plant, device, zone, dates in days.iter_rows()]


def measurements(
    wanted: Collection[Series], set_type: str, basis: TimeBasis, *, by_week: bool = True
) -> list[Asked]:
    """The requests for a set, in order."""
    asked = (ask for series in wanted for ask in _of_series(series, set_type, basis, by_week=by_week))
    return sorted(asked, key=lambda ask: ask.request)


def energies(wanted: Collection[Series], set_type: str, basis: TimeBasis) -> list[Asked]:
    """The requests for a set's energies by the interval, in order: day by day, since only Day is known to give them."""
    days = measurements(wanted, set_type, basis, by_week=False)
    return [replace(ask, request=replace(ask.request, energies=True)) for ask in days]


def logs(wanted: Collection[Series], basis: TimeBasis) -> list[Asked]:
    """The requests for logs, one for each plant or device and calendar week, in order.

    Whose day a log's day is under `utc` is not known: then a day more is asked for at either end.
    """
    reach = ONE_DAY if basis == "utc" else dt.timedelta()
    asked = [
        Asked(
            Request.logs(series.plant_id, week[0] - reach, week[-1] + reach, device_id=series.device_id),
            {day: span(day, series.timezone, basis) for day in week},
        )
        for series in wanted
        for week in weeks(series.days)
    ]
    return sorted((_alone(ask, reach) for ask in asked), key=lambda ask: ask.request)


def single(ask: Asked, timezone: str, basis: TimeBasis) -> list[Asked]:
    """The same days of a plant or device, one by one."""
    request = ask.request
    if request.endpoint == "logs":
        series = [Series(request.plant_id, request.device_id, timezone, (day,)) for day in ask.days]
        return logs(series, basis)
    week = [monday(dt.date.fromisoformat(request.date)) + i * ONE_DAY for i in range(7)]
    series_ = Series(request.plant_id, request.device_id, timezone, tuple(ask.days))
    dates = _dates(series_, basis)
    return [
        Asked(_request(series_, request.set_type, DAY, date), dict.fromkeys(dates[date]))
        for date in sorted(set(week) & dates.keys())
    ]


def span(day: dt.date, timezone: str, basis: TimeBasis) -> Span:
    """The labels of a plant-local calendar day."""
    if basis == "plant_local":
        begin, end = (dt.datetime.combine(d, dt.time()) for d in (day, day + ONE_DAY))
    else:
        bounds = local_day(day, timezone)
        begin, end = (moment.replace(tzinfo=None) for moment in (bounds.start, bounds.end))
    return Span(begin.isoformat().encode(), end.isoformat().encode())


def _of_series(series: Series, set_type: str, basis: TimeBasis, *, by_week: bool) -> Iterator[Asked]:
    dates = _dates(series, basis)
    for week in weeks(dates):
        days = sorted({day for date in week for day in dates[date]})
        if by_week and len(week) >= WORTH_A_WEEK and not _clocks_change(days, series.timezone):
            spans = {day: span(day, series.timezone, basis) for day in days}
            yield Asked(_request(series, set_type, WEEK, monday(week[0])), spans)
        else:
            for date in week:
                yield Asked(_request(series, set_type, DAY, date), dict.fromkeys(dates[date]))


def _dates(series: Series, basis: TimeBasis) -> dict[dt.date, list[dt.date]]:
    """The dates to ask for, each with the days that need it."""
    dates: dict[dt.date, list[dt.date]] = {}
    for day in series.days:
        for date in request_dates(day, series.timezone, basis):
            dates.setdefault(date, []).append(day)
    return dates


def _clocks_change(days: Sequence[dt.date], timezone: str) -> bool:
    return any(local_day(day, timezone).change is not None for day in days)


def _request(series: Series, set_type: str, period: Period, date: dt.date) -> Request:
    return Request.measured(series.plant_id, series.device_id, set_type, period, date)


def _alone(ask: Asked, reach: dt.timedelta) -> Asked:
    """The log of one day needs no cutting."""
    return ask if len(ask.days) > 1 or reach else Asked(ask.request, dict.fromkeys(ask.days))
