"""Months and years of the calendar, each named by its first day."""

import datetime as dt
from calendar import monthrange


def find_month_end(day: dt.date) -> dt.date:
    """The last day of the month that `day` lies in."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def find_next_month(day: dt.date) -> dt.date:
    """The first day of the month after the one that `day` lies in."""
    return find_month_end(day) + dt.timedelta(days=1)


def find_month_before(day: dt.date) -> dt.date:
    """The first day of the month before the one that `day` lies in."""
    return (day.replace(day=1) - dt.timedelta(days=1)).replace(day=1)


def find_year_start(day: dt.date) -> dt.date:
    """The first day of the year that `day` lies in."""
    return day.replace(month=1, day=1)
