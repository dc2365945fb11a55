"""Which time basis is true, by the sun on a clear day: which plants and days to ask for, and what the answers say."""

import datetime as dt
from collections.abc import Callable, Collection
from typing import get_args
from zoneinfo import ZoneInfo

import polars as pl

from pipeline.common.calendar_months import find_month_before
from pipeline.common.local_time import ONE_DAY, TimeBasis, find_local_day, parse_label
from pipeline.common.text import pluralize
from pipeline.ops.doctor.result import Diagnosis, fail, pass_check, warn
from pipeline.transform.decode import Decoder
from pipeline.transform.sun.position import find_daylight
from pipeline.transform.sun.time_basis import judge_time_basis

FIELD = "pvGeneration"
# With fewer days behind it a month may have no clear one yet: then the month before is asked for.
DAYS_WANTED = 7
# Yesterday may still grow, and somewhere it is not over.
UNSETTLED = 2 * ONE_DAY
MONTHS_BACK = 12
# Read by the true basis, the middle of a plant's energy keeps its distance from solar noon from season to season,
# whichever way its roof looks. Read by the false one it moves by the change of clocks, at least half an hour.
MOST_MOVED_IF_TRUE_MIN, LEAST_MOVED_IF_FALSE_MIN = 20.0, 35.0
# Where clocks do not change, several plants decide together, if the noons of all of them lie near the sun's by one
# basis and not by the other.
PLANTS_FOR_NOON = 3
NEAR_NOON_MIN, FAR_NOON_MIN = 25.0, 40.0
_MINUTES_A_DAY = 1440


def select_candidates(plants: pl.DataFrame, billed: Collection[str], today: dt.date) -> pl.DataFrame:
    """The plants whose days would tell most, first those that cost nothing more this month, then the smallest.

    Of `plants` (columns of the table) those with a place, with power, and with a clock that does not show UTC all year:
    the farther it is from UTC, the clearer the answer.
    """
    offsets = {zone: _find_largest_offset(zone, today) for zone in plants["timezone"].unique()}
    far = pl.col("timezone").replace_strict(offsets, return_dtype=pl.Float64)
    placed = pl.col("latitude").is_not_null() & pl.col("longitude").is_not_null()
    return (
        plants.with_columns(offset_min=far, billed=pl.col("plant_id").is_in(list(billed)))
        .filter(placed, pl.col("ac_power_kw") > 0, pl.col("offset_min") > 0)
        .sort(["billed", "ac_power_kw", "offset_min", "plant_id"], descending=[True, False, True, False])
    )


def choose_probe_month(today: dt.date) -> dt.date:
    """The first day of the newest month that has enough settled days."""
    first = today.replace(day=1)
    return first if today.day > DAYS_WANTED + UNSETTLED.days else find_month_before(first)


def choose_other_season(timezone: str, latitude: float, today: dt.date) -> dt.date:
    """The first day of the month of the last year that tells most: its clock is farthest from UTC, its days are long.

    A request for it makes no PU beside that of the first one: a system counts in the month in which it is asked for.
    """
    newest = choose_probe_month(today)
    months = [(newest - back * 30 * ONE_DAY).replace(day=1) for back in range(MONTHS_BACK)]
    midsummer = 6 if latitude >= 0 else 12
    return max(
        months,
        key=lambda month: (
            abs(_find_offset(timezone, month.replace(day=15))),
            abs((month.month - midsummer + 6) % 12 - 6) * -1,
            month,
        ),
    )


def clear_day(month: bytes, timezone: str, today: dt.date) -> dt.date | None:
    """The day with most energy in an answer of a month; None without any.

    Days that may still grow are left out, and those on which clocks change: their noon has two offsets.
    """
    days = _read_rows(month).filter(pl.col("watts") > 0).select(pl.col("label").dt.date(), "watts")
    settled = days.filter(pl.col("label") < today - UNSETTLED).sort("watts", "label")
    fit = [day for day in settled["label"] if find_local_day(day, timezone).change is None]
    return fit[-1] if fit else None


def read_curve(plant_id: str, day: dt.date, answer: bytes) -> pl.DataFrame:
    """An answer of a day as intervals, its labels taken for UTC: plant_id, local_date, start, end, energy."""
    rows = _read_rows(answer).filter(pl.col("watts") > 0).sort("label")
    end = pl.col("label").dt.replace_time_zone("UTC")
    step = rows["label"].diff().min() or dt.timedelta(minutes=15)
    return rows.select(
        pl.lit(plant_id).alias("plant_id"),
        pl.lit(day).alias("local_date"),
        (end - step).alias("interval_start"),
        end.alias("interval_end"),
        # In any unit: only the shape counts.
        pl.col("watts").alias("pv_generation_kwh"),
    )


def judge_curves(curves: pl.DataFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """What the sun says of each plant's curve.

    `curves` come from `read_curve`, one day a plant; `plants` has plant_id, timezone, latitude, longitude. One row a
    plant: plant_id, timezone, local_date, verdict, labels_noon (minutes of the labels' clock at the middle of the
    energy), sun_utc and sun_plant_local (minutes of those clocks at solar noon), off_utc and off_plant_local (minutes
    from solar noon to the middle of the energy by either basis).
    """
    verdicts = judge_time_basis(curves, plants, read_as="utc")
    days = curves.select("plant_id", "local_date").unique()
    noons = [
        {
            "plant_id": row["plant_id"],
            "local_date": row["local_date"],
            **_find_noons(plants.filter(pl.col("plant_id") == row["plant_id"]), row["local_date"]),
        }
        for row in days.sort("plant_id").iter_rows(named=True)
    ]
    noon = (pl.col("sun_utc") + pl.col("noon_offset_min_utc")) % _MINUTES_A_DAY
    return (
        pl.DataFrame(noons)
        .join(verdicts, on="plant_id")
        .join(plants.select("plant_id", "timezone"), on="plant_id")
        .select(
            "plant_id",
            "timezone",
            "local_date",
            "verdict",
            noon.alias("labels_noon"),
            "sun_utc",
            "sun_plant_local",
            off_utc="noon_offset_min_utc",
            off_plant_local="noon_offset_min_plant_local",
        )
    )


def has_verdict(judged: pl.DataFrame) -> bool:
    """Whether some row of `judge_curves` has a verdict."""
    return bool(judged.height) and judged["verdict"].is_in(get_args(TimeBasis)).any()


def decide_by_noon(judged: pl.DataFrame) -> pl.DataFrame:
    """The rows of `judge_curves`, with the verdict of their noons where energy in the dark gave none to any of them.

    First of each plant with days of two seasons, then of all plants together.
    """
    if not judged.height or has_verdict(judged):
        return judged
    by_season = judged.with_columns(_choose_verdict(_is_steady, _is_moving).alias("verdict"))
    if has_verdict(by_season) or judged["plant_id"].n_unique() < PLANTS_FOR_NOON:
        return by_season
    return judged.with_columns(_choose_verdict(_is_near, _is_far).alias("verdict"))


def _choose_verdict(
    fits: Callable[[TimeBasis], pl.Expr], contradicts: Callable[[TimeBasis], pl.Expr]
) -> pl.Expr:
    """The basis that fits while the other one contradicts, else the verdict that is there."""
    return (
        pl.when(fits("utc"), contradicts("plant_local"))
        .then(pl.lit("utc"))
        .when(fits("plant_local"), contradicts("utc"))
        .then(pl.lit("plant_local"))
        .otherwise("verdict")
    )


def _is_steady(basis: TimeBasis) -> pl.Expr:
    return _measure_move(basis) <= MOST_MOVED_IF_TRUE_MIN


def _is_moving(basis: TimeBasis) -> pl.Expr:
    return _measure_move(basis) >= LEAST_MOVED_IF_FALSE_MIN


def _measure_move(basis: TimeBasis) -> pl.Expr:
    off = pl.col(f"off_{basis}")
    return (off.max() - off.min()).over("plant_id")


def _is_near(basis: TimeBasis) -> pl.Expr:
    return (pl.col(f"off_{basis}").abs() <= NEAR_NOON_MIN).all()


def _is_far(basis: TimeBasis) -> pl.Expr:
    return (pl.col(f"off_{basis}").abs() >= FAR_NOON_MIN).all()


def evaluate_basis(judged: pl.DataFrame, setting: TimeBasis, requests: int) -> list[Diagnosis]:
    """Whether the setting fits the sun, with the measured noons."""
    name, asked = "time basis", f"({pluralize(requests, 'request')})"
    if not judged.height:
        text = (
            f"no plant with known coordinates outside of UTC had a sunny day {asked}, so SMA_TIME_BASIS={setting} was "
            "not tested: run the doctor again after a sunny day."
        )
        return [warn(name, text)]
    seen = "; ".join(_describe_row(row) for row in judged.iter_rows(named=True))
    fitting = sorted(set(judged["verdict"]) & set(get_args(TimeBasis)))
    if len(fitting) > 1:
        text = (
            f"plants disagree {asked}: {seen}. One setting applies to all plants, so ask SMA which time basis is "
            "correct."
        )
        return [warn(name, text)]
    if not fitting:
        text = (
            f"the position of the sun was not conclusive {asked} for SMA_TIME_BASIS={setting}: {seen}. Run the doctor "
            "again after a clear day."
        )
        return [warn(name, text)]
    if fitting[0] != setting:
        text = (
            f"SMA_TIME_BASIS={setting} contradicts the sun {asked}: {seen}. Set SMA_TIME_BASIS={fitting[0]}, then run "
            "'sunledger backfill' for the stored days, because they were read with the other time basis."
        )
        return [fail(name, text)]
    return [pass_check(name, f"SMA_TIME_BASIS={setting} agrees with the sun {asked}: {seen}")]


def _describe_row(row: dict[str, object]) -> str:
    labels, utc, local = (_format_clock(row[key]) for key in ("labels_noon", "sun_utc", "sun_plant_local"))
    return (
        f"on {row['local_date']} the energy of plant {row['plant_id']} is centred at {labels}, and solar noon is at "
        f"{local} in {row['timezone']} and {utc} in UTC"
    )


def _format_clock(minutes: object) -> str:
    whole = round(minutes) % _MINUTES_A_DAY if isinstance(minutes, int | float) else 0
    return f"{whole // 60:02}:{whole % 60:02}"


def _read_rows(answer: bytes) -> pl.DataFrame:
    """label (naive) and watts of an answer; empty where it can't be read."""
    rows = Decoder([FIELD]).decode(pl.Series([answer], dtype=pl.Binary)).rows
    return rows.select(
        parse_label(pl.col("raw_time")).alias("label"), pl.col(FIELD).alias("watts")
    ).drop_nulls()


def _find_noons(plant: pl.DataFrame, day: dt.date) -> dict[str, float]:
    noon = find_daylight(plant, day)["noon"][0]
    local = noon.astimezone(ZoneInfo(plant["timezone"][0]))
    return {"sun_utc": _count_minutes(noon), "sun_plant_local": _count_minutes(local)}


def _count_minutes(moment: dt.datetime) -> float:
    return moment.hour * 60 + moment.minute + moment.second / 60


def _find_largest_offset(timezone: str, today: dt.date) -> float:
    """The same, whichever way and whenever in the year it is farthest."""
    return max(abs(_find_offset(timezone, today.replace(month=month, day=15))) for month in (1, 7))


def _find_offset(timezone: str, day: dt.date) -> float:
    """Minutes by which the zone's clock is ahead of UTC on the day."""
    return find_local_day(day, timezone).after / dt.timedelta(minutes=1)
