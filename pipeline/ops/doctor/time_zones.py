"""Whether all engines know the same time zones: Python's table decides, those of polars and DuckDB are their own."""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import duckdb
import polars as pl

from pipeline.common.local_time import ONE_DAY, UTC_US, convert_to_wall_clock, find_offset_changes
from pipeline.common.text import join_first, pluralize
from pipeline.ops.doctor.result import Diagnosis, pass_check, warn
from pipeline.transform.json_engine import open_engine

HOUR = dt.timedelta(hours=1)
# An hour apart they are looked at around each change of clocks that Python knows, and else twice a day.
LOOK_EVERY = dt.timedelta(hours=12)
# A year ahead: clocks of next summer are known already, and a table that lacks them can still be renewed in time.
AHEAD = 366 * ONE_DAY
NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A zone whose clock another engine shows otherwise than Python; the first moment (UTC), and both clocks.

    `shown` is None where the engine does not know the zone.
    """

    engine: str
    timezone: str
    at: dt.datetime
    expected: dt.datetime
    shown: dt.datetime | None


def find_zone_differences(
    zones: Collection[str], first: dt.datetime, last: dt.datetime
) -> Iterator[Difference]:
    """The first difference of each engine and zone between two moments (UTC), by zone."""
    for zone in sorted(set(zones)):
        moments = _list_moments(zone, first, last)
        for engine, convert in _CONVERSIONS.items():
            expected = moments.select("at", expected=convert_to_wall_clock(pl.col("at"), zone))
            shown = convert(moments, zone)
            found = expected.with_columns(shown=shown).filter(pl.col("expected").ne_missing(pl.col("shown")))
            for at, clock, other in found.head(1).iter_rows():
                yield Difference(engine, zone, at, clock, other)


def evaluate_zones(zones: Collection[str], table: str, found: Collection[Difference]) -> list[Diagnosis]:
    """One finding for each engine that knows other zones; one for all when there is none. `table`: tzdata's version."""
    if not zones:
        return [pass_check("time zones", f"tzdata {table}; no plant is known yet")]
    engines = sorted({one.engine for one in found})
    findings = [
        _explain_difference(engine, table, [one for one in found if one.engine == engine])
        for engine in engines
    ]
    return findings or [
        pass_check(
            "time zones",
            f"tzdata {table}; polars and DuckDB agree on {pluralize(len(set(zones)), 'time zone')}",
        )
    ]


def _explain_difference(engine: str, table: str, found: list[Difference]) -> Diagnosis:
    named = join_first([_format_difference(one) for one in found], NAMES_SHOWN, "; ")
    text = (
        f"{engine} and Python (tzdata {table}) have different rules for time zones: {named}. Days, energies, "
        f"reports and the published file follow Python; your own queries with {_OWN[engine]} do not. {_CURE[engine]} "
        "If 'versions' above names a package, set the environment up again with 'make setup'."
    )
    return warn("time zones", text)


def _format_difference(one: Difference) -> str:
    if one.shown is None:
        return f"{one.timezone} is unknown there"
    return f"at {one.at:%Y-%m-%d %H:%M} UTC it is {one.expected:%H:%M} in {one.timezone}, and {one.shown:%H:%M} there"


def _list_moments(zone: str, first: dt.datetime, last: dt.datetime) -> pl.DataFrame:
    changes = find_offset_changes(zone, first, last)
    close = [change + i * HOUR for change in changes for i in (-1, 0, 1)]
    even = pl.datetime_range(first, last, LOOK_EVERY, time_unit="us", eager=True).cast(UTC_US)
    moments = pl.concat([even, pl.Series(close, dtype=UTC_US)]).alias("at").unique().sort()
    return moments.to_frame()


def _convert_by_polars(moments: pl.DataFrame, zone: str) -> pl.Series:
    try:
        clock = pl.col("at").dt.convert_time_zone(zone).dt.replace_time_zone(None)
        return moments.select(clock).to_series()
    except pl.exceptions.PolarsError:
        return _fill_unknown(moments)


def _convert_by_duckdb(moments: pl.DataFrame, zone: str) -> pl.Series:
    engine = open_engine()
    engine.register("moments", moments.with_row_index().to_arrow())
    try:
        found = engine.execute('SELECT timezone(?, "at") AS clock FROM moments ORDER BY index', [zone]).pl()
    except duckdb.Error:
        return _fill_unknown(moments)
    finally:
        engine.unregister("moments")
    return found["clock"].cast(pl.Datetime("us"))


def _fill_unknown(moments: pl.DataFrame) -> pl.Series:
    return pl.Series([None] * moments.height, dtype=pl.Datetime("us"))


# What of an engine goes by its own table, and what goes by Python's.
_OWN = {"polars": "convert_time_zone or replace_time_zone", "DuckDB": "timezone() or AT TIME ZONE"}
_CURE = {
    "polars": "Take local_date and v_power.local_start from the file instead.",
    "DuckDB": "Use local_time, local_day and local_start instead.",
}
_CONVERSIONS = {"polars": _convert_by_polars, "DuckDB": _convert_by_duckdb}
