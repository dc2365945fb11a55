"""Functions of the published file: local time without the names of DuckDB's own functions, and a day of detail.

They are stored in the file, so that every reader has them. Clocks of the plants' time zones come from the file's own
table `_clocks`, whatever the reader's driver knows of them. Other zones and far years are left to DuckDB's ICU, which
all its drivers carry: no extension is loaded from anywhere.
"""

import datetime as dt
import os.path
import re
from collections.abc import Sequence
from typing import NamedTuple

from schemas import EnergyBalanceIntervals
from warehouse.ddl import read_files
from warehouse.published_file.home_guard import HomeGuard
from warehouse.quoting import quote_text
from warehouse.views import load_curated_views


class Macro(NamedTuple):
    """A macro with name, parameters, description of its result, SQL, and whether it returns rows."""

    name: str
    parameters: tuple[str, ...]
    comment: str
    query: str
    gives_rows: bool = False

    @property
    def signature(self) -> str:
        """The macro as a caller writes it."""
        return f"{self.name}({', '.join(self.parameters)})"


# The table has names that no argument can refer to, because a macro's arguments are inserted as text.
_CLOCKS = "_clocks AS _clock(_clock_zone, _clock_since, _clock_until, _clock_offset_s)"


def _write_wall_clock(macro: str) -> str:
    """SQL of the wall clock of `zone` at `moment`, and an error where that is not a TIMESTAMPTZ.

    DuckDB's own function reads a TIMESTAMP as a wall clock and turns it round, hours away from what was meant.
    """
    told = quote_text(f"{macro} takes a moment (TIMESTAMPTZ) and got: ")
    checked = (
        "CASE WHEN typeof(moment) IN ('TIMESTAMP WITH TIME ZONE', '\"NULL\"') "
        "THEN CAST(moment AS TIMESTAMPTZ) "
        f"ELSE CAST(error({told} || typeof(moment)) AS TIMESTAMPTZ) END"
    )
    known = (
        f"SELECT timezone('UTC', {checked}) + to_seconds(_clock_offset_s) FROM {_CLOCKS} "  # noqa: S608 - our own words
        f"WHERE _clock_zone = zone AND _clock_since <= {checked} AND {checked} < _clock_until"
    )
    return f"coalesce(({known}), timezone(zone, {checked}))"


def _write_first_moment(clock: str) -> str:
    """SQL of the first moment at which the clock of `zone` shows a midnight (TIMESTAMP), or more where it is skipped.

    Of the times with one offset the first that has the midnight; one that begins after it has its own beginning. Where
    the table does not reach and a midnight comes twice, DuckDB's own function gives the second; the first is found by
    the offset of hours before.
    """
    shown = f"timezone('UTC', {clock}) - to_seconds(_clock_offset_s)"
    known = (
        f"SELECT min(greatest(_clock_since, {shown})) FROM {_CLOCKS} "  # noqa: S608 - our own words
        f"WHERE _clock_zone = zone AND {shown} < _clock_until AND {shown} >= _clock_since - INTERVAL 1 DAY"
    )
    second = f"timezone(zone, {clock})"
    before = f"{second} - INTERVAL 3 HOUR"
    offset = f"timezone(zone, {before}) - timezone('UTC', {before})"
    first = f"timezone('UTC', {clock} - ({offset}))"
    other = f"CASE WHEN timezone(zone, {first}) = {clock} THEN least({first}, {second}) ELSE {second} END"
    return f"coalesce(({known}), {other})"


def _write_clear_sky() -> str:
    """SQL of the irradiance on the ground under a cloudless sky, by the model of `pipeline.transform.sun.clear_sky`.

    The sun's place is that of short series, which are wrong by less than a tenth of a degree.
    """
    days = "(epoch(CAST(moment AS TIMESTAMPTZ)) / 86400 - 10957.5)"
    anomaly = f"radians(357.528 + 0.9856003 * {days})"
    ecliptic = f"radians(280.46 + 0.9856474 * {days} + 1.915 * sin({anomaly}))"
    sine = f"(0.39779 * sin({ecliptic}))"
    # Degrees that a sundial is ahead of a clock.
    equation = f"(2.466 * sin(2 * {ecliptic}) - 1.915 * sin({anomaly}))"
    hour = f"radians(epoch(CAST(moment AS TIMESTAMPTZ)) % 86400 / 240 - 180 + longitude + {equation})"
    up = (
        f"(sin(radians(latitude)) * {sine} + cos(radians(latitude)) * sqrt(1 - pow({sine}, 2)) * cos({hour}))"
    )
    mass = f"(1 / ({up} + 0.50572 * pow(degrees(asin(least(1, {up}))) + 6.07995, -1.6364)))"
    outside = f"1366.1 * (1 + 0.033 * cos({days} * 0.0172))"
    return (
        f"CASE WHEN {up} > 0 THEN {outside} * {up} * 0.868 * exp(-0.0774 * {mass}) WHEN {up} <= 0 THEN 0 END"
    )


def _write_power_of_day() -> str:
    """SQL of the view's rows under names that no argument can refer to; a macro's arguments are inserted as text."""
    names = list(next(view for view in load_curated_views() if view.name == "v_power").columns)
    hidden = {name: f"_{place}" for place, name in enumerate(names)}
    rows = f"{hidden['plant_id']} = CAST(plant AS VARCHAR) AND {hidden['local_date']} = CAST(day AS DATE)"
    found = f"FROM v_power AS _power({', '.join(hidden.values())}) WHERE {rows}"
    return f"FROM ({found}) AS _rows({', '.join(names)})"


def _write_rated_power() -> str:
    """SQL of the power in the first entry that has not ended before the day.

    Its place is that of the day among the sorted last days: no lambda is needed, which DuckDB writes in two ways.
    """
    text = "CAST(CAST(day AS DATE) AS VARCHAR)"
    ends, powers = (
        f"CAST(json_extract_string(CAST(former_powers AS JSON), {path}) AS VARCHAR[])"
        for path in ("'$[*].until'", "'$[*].' || name")
    )
    entry = f"list_extract({powers}, list_position(list_sort(list_append({ends}, {text})), {text}))"
    return f"CASE WHEN former_powers IS NULL THEN power ELSE coalesce(CAST({entry} AS DOUBLE), power) END"


MACROS = (
    Macro(
        "local_time",
        ("moment", "zone"),
        "The wall clock (TIMESTAMP) of a time zone (IANA name) at a moment (TIMESTAMPTZ; other types are refused).",
        _write_wall_clock("local_time"),
    ),
    Macro(
        "local_day",
        ("moment", "zone"),
        "The calendar day (DATE) of a time zone at a moment. Rows of intervals have theirs in local_date.",
        f"CAST({_write_wall_clock('local_day')} AS DATE)",
    ),
    Macro(
        "utc_day",
        ("moment",),
        "The calendar day (DATE) of UTC at a moment (TIMESTAMPTZ). A cast to DATE gives the day of the reader's "
        "session, which differs from machine to machine.",
        "CAST(timezone('UTC', CAST(moment AS TIMESTAMPTZ)) AS DATE)",
    ),
    Macro(
        "local_month",
        ("moment", "zone"),
        "The first day of the calendar month (DATE) of a time zone at a moment.",
        f"CAST(date_trunc('month', {_write_wall_clock('local_month')}) AS DATE)",
    ),
    Macro(
        "day_start",
        ("day", "zone"),
        "The moment (TIMESTAMPTZ) at which a calendar day begins in a time zone: the first one where midnight comes "
        "twice.",
        _write_first_moment("CAST(day AS TIMESTAMP)"),
    ),
    Macro(
        "day_hours",
        ("day", "zone"),
        "Length of a calendar day in a time zone in h: 23 and 25 where the clocks change.",
        f"epoch({_write_first_moment('CAST(day AS TIMESTAMP) + INTERVAL 1 DAY')}"
        f" - {_write_first_moment('CAST(day AS TIMESTAMP)')}) / 3600",
    ),
    Macro(
        "month_of",
        ("day",),
        "The first day of the calendar month (DATE) of a day.",
        "CAST(date_trunc('month', CAST(day AS DATE)) AS DATE)",
    ),
    Macro(
        "rated_power",
        ("power", "former_powers", "name", "day"),
        "The power of a plant or device on a day (DATE), in the unit of `power`: what SMA listed then. The first two "
        "are columns of plants or devices, and `name` is the name of the first one: "
        "rated_power(peak_power_kw, former_powers, 'peak_power_kw', local_date).",
        _write_rated_power(),
    ),
    Macro(
        "clear_sky_w_per_m2",
        ("moment", "latitude", "longitude"),
        "Irradiance in W/m² on the ground under a cloudless, very clear sky at a moment (TIMESTAMPTZ) and a place in "
        "degrees, north and east positive; 0 while the sun is down. It is within a few W/m² of the sky that kpi_daily "
        "uses.",
        _write_clear_sky(),
    ),
    Macro(
        "power_of_day",
        ("plant", "day"),
        "The rows of v_power of one plant (its id) and one calendar day, as fast in the tenth year as in the first: "
        "FROM power_of_day('5000000', DATE '2021-10-06'). Both are values, not columns: for several plants or days "
        "ask v_power.",
        _write_power_of_day(),
        gives_rows=True,
    ),
)


def create(macro: Macro) -> list[str]:
    """CREATE MACRO and its comment."""
    kind = "TABLE " if macro.gives_rows else ""
    return [
        f"CREATE OR REPLACE MACRO {macro.signature} AS {kind}{macro.query}",
        f"COMMENT ON MACRO {kind}{macro.name} IS {quote_text(macro.comment)}",
    ]


def read_from_day_file(macro: Macro, files: Sequence[str], guard: HomeGuard | None = None) -> Macro:
    """The same rows of v_power, read from the file of the day in the macro's parameter `day` alone.

    Whoever asks the view has DuckDB look at the path of every day's file first, which takes longer than to read one,
    and join all rows with all plants. What is left takes milliseconds, most of them for the plan: so it has no layer
    that it can do without. Where a day has several files the macro stays as it is.
    """
    of_day = {dt.date.fromisoformat(found[1]): file for file in files if (found := _DAY.search(file))}
    if not of_day or len(of_day) < len(files):
        return macro
    first, last = min(of_day), max(of_day)
    n_days = (last - first).days + 1
    # One text with a place of the same width for each calendar day: found without looking at the others. The
    # text is copied whenever the macro is called, so what all paths begin with is no part of it.
    alike = os.path.commonprefix(files)  # noqa: RUF071 - a text, not a folder
    widths = {len(file) - len(alike) for file in files}
    width = max(widths)
    # For a day without a file any other file will do, because it has the columns and no row of the day. Days outside of
    # the range get the file of the first or the last day.
    days = (first + dt.timedelta(days=number) for number in range(n_days))
    places = "".join(of_day.get(day, files[0])[len(alike) :].ljust(width) for day in days)
    place = f"greatest(0, least({n_days - 1}, CAST(day AS DATE) - DATE {quote_text(str(first))}))"
    name = f"substr({quote_text(places)}, 1 + {width} * {place}, {width})"
    # The lake's own names have one length. The path has an empty part of `plant` in it, because a path can't be made of
    # columns: so a column that is given for the plant is refused, and not taken for a column of the file.
    file = name if len(widths) == 1 else f"rtrim({name})"
    path = f"concat({quote_text(alike)}, {file}, left(CAST(plant AS VARCHAR), 0))"
    source = read_files(EnergyBalanceIntervals, path)
    # The columns, the clock and the condition of the view, with the plant found once: its time zone is then known
    # before the rows are.
    columns, _, joins = next(view.query for view in load_curated_views() if view.name == "v_power").partition(
        "\nFROM "
    )
    clock, _, mine = joins.partition("LEFT JOIN _clocks AS ")[2].rpartition("\nWHERE ")
    plants = "(SELECT name, timezone FROM plants WHERE plant_id = CAST(plant AS VARCHAR)) AS plants"
    rows = f"power.plant_id = CAST(plant AS VARCHAR) AND power.local_date = CAST(day AS DATE) AND ({mine})"
    if guard is not None:
        rows = f"{rows} AND {guard.condition}"
        source = f"{guard.empty_source} AS home, {source}"
    return macro._replace(
        query=f"{columns} FROM {source} AS power LEFT JOIN {plants} ON true LEFT JOIN _clocks AS {clock} WHERE {rows}"
    )


_DAY = re.compile(r"/local_date=(\d{4}-\d{2}-\d{2})/[^/]*$")
