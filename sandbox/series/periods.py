"""What each period holds: Recent, Day and Week are rows of mean power, Month, Year and Total are rows of energy."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from sandbox.days import Labels, find_day_bounds, find_local_date, find_midnight, format_labels, list_dates
from sandbox.fleet.plant_model import Device, Plant
from sandbox.options import TimeRules
from sandbox.sandbox_clock import SandboxClock
from sandbox.series import fields, set_names
from sandbox.series.table import EMPTY, Columns, Floats, RowTable, Source, stack_tables

_RECENT_DAYS = 7
_ONE_DAY = 86400
_FIRST_YEAR, _LAST_YEAR = 2000, 2099


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows, ready to be written; `energy` holds their Wh."""

    labels: Labels
    columns: Columns
    resolution: str
    energy: Columns
    complete: bool

    def total(self) -> Columns:
        """Wh of the whole period, one element a field; nothing if there are no rows."""
        if not len(self.labels):
            return {}
        sums = {name: np.array([np.nansum(values)]) for name, values in self.energy.items()}
        return sums | fields.compute_rates(sums)


class Periods:
    """Cuts a source's tables into SMA's periods, up to what the portal has processed already."""

    def __init__(self, rules: TimeRules, clock: SandboxClock) -> None:
        """Follow `rules`; rows appear by `clock`."""
        self.rules = rules
        self._clock = clock

    def rows(
        self,
        source: Source,
        device: Device | None,
        set_type: str,
        period: str,
        when: date | None,
        *,
        energy: bool,
        now: float | None = None,
    ) -> Rows:
        """The rows of `period` (lower case); `energy` asks for Wh in place of W in Day and Week.

        `now` stands in for the clock where the portal's delay does not hold.
        """
        available = (self._clock.now() if now is None else now) - source.plant.delay_s
        if period in set_names.RESOLUTION_OF_PERIOD:
            return self._build_energy_rows(source, device, set_type, period, when, available)
        days = self._list_days(period, when)
        tables = [self._read_day(source, device, set_type, day, available) for day in days]
        table = (
            self._find_last_row(source, device, set_type, available)
            if period == "recent"
            else stack_tables(tables)
        )
        complete = bool(days) and find_midnight(days[-1] + timedelta(days=2), source.plant.zone) <= available
        return self._label_rows(source, set_type, table, energy=energy, complete=complete)

    def take_neighbours(self, source: Source, day: date) -> Iterator[tuple[list[Plant], Labels, Columns]]:
        """Day's EnergyBalance of plants that are likely to be asked next: those alike together, (plants, rows).

        Only days as their plants have them and that can no longer change; the others are left to `rows`.
        """
        if not self._list_days("day", day) or (self.rules.basis == "utc" and self.rules.day_of == "utc"):
            return
        for sheet in source.take_neighbours(day):
            done = self._choose_complete(sheet.plants, day)
            if not done or (self.rules.fold == "merged" and sheet.ends[0, -1] - sheet.ends[0, 0] >= _ONE_DAY):
                continue
            plants = [sheet.plants[at] for at in done]
            texts: dict[str, Labels] = {}
            for at in done:  # plants of a zone share a day's labels
                zone = sheet.plants[at].zone
                if zone not in texts:
                    texts[zone] = format_labels(sheet.ends[at], self._find_zone(sheet.plants[at]))
            whole = len(done) == len(sheet.plants)
            columns = {name: values if whole else values[done] for name, values in sheet.columns.items()}
            yield plants, np.stack([texts[plant.zone] for plant in plants]), columns

    def _choose_complete(self, plants: list[Plant], day: date) -> list[int]:
        """Which of the plants had begun by that day, and have a portal that has processed it."""
        now, after = self._clock.now(), day + timedelta(days=2)
        spans = {
            zone: (find_midnight(day, zone), find_midnight(after, zone))
            for zone in {plant.zone for plant in plants}
        }
        return [
            at
            for at, plant in enumerate(plants)
            if spans[plant.zone][0] >= plant.started_at.timestamp()
            and spans[plant.zone][1] <= now - plant.delay_s
        ]

    def _label_rows(
        self, source: Source, set_type: str, table: RowTable, *, energy: bool, complete: bool
    ) -> Rows:
        shown = table.in_energy() if energy else table
        step = 900 if set_type == set_names.GRID_SETTINGS else source.plant.step_s
        return Rows(
            format_labels(table.ends, self._find_zone(source.plant)),
            {**shown.power, **shown.other},
            set_names.name_resolution(step),
            table.energy,
            complete,
        )

    def _find_zone(self, plant: Plant) -> str:
        return "UTC" if self.rules.basis == "utc" else plant.zone

    def _list_days(self, period: str, when: date | None) -> list[date]:
        if when is None or not _FIRST_YEAR <= when.year <= _LAST_YEAR:
            return []
        if period == "day":
            return [when]
        first = when - timedelta(days=when.weekday()) if self.rules.week_of == "monday" else when
        return list(list_dates(first, first + timedelta(days=6)))

    def _read_day(
        self, source: Source, device: Device | None, set_type: str, day: date, available: float
    ) -> RowTable:
        """The rows of one Day, whichever day the rules mean by that."""
        if self.rules.basis == "utc" and self.rules.day_of == "utc":
            start, end = find_day_bounds(day, "UTC")
            first, last = (
                find_local_date(start, source.plant.zone),
                find_local_date(end - 1, source.plant.zone),
            )
            table = stack_tables([source.day(device, set_type, local) for local in list_dates(first, last)])
            return table.between(start, min(end, available))
        start, end = find_day_bounds(day, source.plant.zone)
        if start > available:
            return EMPTY
        table = source.day(device, set_type, day).between(start, min(end, available))
        return self._merge_hour(table, source.plant.zone) if end - start > _ONE_DAY else table

    def _merge_hour(self, table: RowTable, zone: str) -> RowTable:
        """The autumn hour by the rules: two rows of one label become their mean (and their energies' sum)."""
        if self.rules.basis == "utc" or self.rules.fold == "twice" or not len(table):
            return table
        _, first, group = np.unique(format_labels(table.ends, zone), return_index=True, return_inverse=True)
        count = np.bincount(group)

        def summed(values: Floats) -> Floats:
            result = np.zeros((len(first), *values.shape[1:]))
            np.add.at(result, group, values)
            return result

        def mean(values: Floats) -> Floats:
            result: Floats = summed(values) / count.reshape(-1, *([1] * (values.ndim - 1)))
            return result

        return RowTable(
            table.ends[first],
            {name: mean(values) for name, values in table.power.items()},
            {name: summed(values) for name, values in table.energy.items()},
            {name: mean(values) for name, values in table.other.items()},
        )

    def _find_last_row(
        self, source: Source, device: Device | None, set_type: str, available: float
    ) -> RowTable:
        """The newest row there is, looking back a week from now or from the recording's end."""
        first, last = source.span()
        newest = find_local_date(available, source.plant.zone)
        newest = min(newest, last) if last else newest
        for back in range(_RECENT_DAYS):
            day = newest - timedelta(days=back)
            if day < first:
                break
            table = source.day(device, set_type, day).between(0, available)
            if len(table):
                return table.where(table.ends == table.ends[-1])
        return EMPTY

    def _build_energy_rows(
        self,
        source: Source,
        device: Device | None,
        set_type: str,
        period: str,
        when: date | None,
        available: float,
    ) -> Rows:
        """A row a day, a month or a year, in Wh, labelled by its beginning."""
        first, last = self._find_energy_span(source, period, when, available)
        resolution = set_names.RESOLUTION_OF_PERIOD[period]
        if first is None or last is None or first > last:
            return Rows(np.empty(0, dtype="S19"), {}, resolution, {}, complete=False)
        days = list(list_dates(first, last))
        daily = self._read_daily_energy(source, device, set_type, days, available)
        unit = {"month": "D", "year": "M", "total": "Y"}[period]
        keys = np.array(days, dtype="datetime64[D]").astype(f"datetime64[{unit}]")
        starts, group = np.unique(keys, return_inverse=True)
        sums = {name: _sum_groups(wh, group, len(starts)) for name, wh in daily.items()}
        there = np.zeros(len(starts), dtype=bool)
        for values in sums.values():
            there |= ~np.isnan(values)
        sums = {name: values[there] for name, values in sums.items()}
        stamps = np.datetime_as_string(starts[there].astype("datetime64[s]"))
        end = find_midnight(last + timedelta(days=1), source.plant.zone)
        return Rows(
            stamps.astype(bytes),
            sums | fields.compute_rates(sums),
            resolution,
            sums,
            complete=period != "total" and end <= available,
        )

    def _find_energy_span(
        self, source: Source, period: str, when: date | None, available: float
    ) -> tuple[date | None, date | None]:
        """First and last day that the period's rows are made of."""
        begin, finish = source.span()
        today = find_local_date(available, source.plant.zone)
        newest = min(finish, today) if finish else today
        if period == "total":
            return begin, newest
        if when is None or not _FIRST_YEAR <= when.year <= _LAST_YEAR:
            return None, None
        if period == "year":
            span = date(when.year, 1, 1), date(when.year, 12, 31)
        else:
            span = when.replace(day=1), when.replace(day=calendar.monthrange(when.year, when.month)[1])
        return max(span[0], begin), min(span[1], newest)

    def _read_daily_energy(
        self, source: Source, device: Device | None, set_type: str, days: list[date], available: float
    ) -> Columns:
        """Wh of each day; the day that is still running counts up to what can be read."""
        daily = source.daily_energy(device, set_type, days)
        start, end = find_day_bounds(days[-1], source.plant.zone)
        if end > available:
            part = source.day(device, set_type, days[-1]).between(start, available)
            for name, values in daily.items():
                values[-1] = part.energy[name].sum() if name in part.energy else np.nan
        return daily


def _sum_groups(values: Floats, group: np.ndarray[tuple[int], np.dtype[np.intp]], size: int) -> Floats:
    """Sums by group; a group without any value stays NaN."""
    known = ~np.isnan(values)
    sums = np.bincount(group, np.where(known, values, 0.0), minlength=size)
    return np.where(np.bincount(group, known, minlength=size) > 0, sums, np.nan)
