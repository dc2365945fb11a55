"""What the steps share: sets and their tables, the plants a run is about, where reports and rejects go."""

import datetime as dt
from collections.abc import Collection
from dataclasses import replace

import polars as pl

from pipeline.common.day_availability import DELAY, PROFESSIONAL_DELAY
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.local_time import build_day_bounds, build_days_frame
from pipeline.common.settings import Settings
from pipeline.common.text import pluralize
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.plant_lists import list_newest_ids
from pipeline.run.measurement_sets import SetSource
from pipeline.run.step import work_without_conflict
from pipeline.run.supplied_files.fleet_membership import (
    ALWAYS,
    EXCLUDE,
    INCLUDE,
    find_today_plants,
    read_fleet,
)
from pipeline.run.supplied_files.plant_attributes import SETTING, find_members, match_plants
from pipeline.run.today_turn import select_turn
from pipeline.transform.lists.plant_moves import find_successors
from pipeline.transform.plant_power import DEVICE_POWERS, POWERS, find_largest_power
from schemas import (
    Devices,
    Plants,
    Table,
)
from warehouse.lake import Lake

# The type of an inverter, as SMA's lists of devices name it.
_INVERTER = "Solar Inverters"


def list_plants(runtime: RunContext) -> pl.DataFrame:
    """Plants of the newest list that are yours on any day, within the run's limits; from excluded_from on they are not.

    Raises UsageError for an id that is not among them, and for a file of attributes that can't be used: whoever asks
    plants begins here.
    """
    plants = runtime.lake.read_whole(Plants)
    if not plants.height:
        raise SunledgerError("No plants are stored yet: run 'sunledger refresh' first.")
    ids = list_plant_ids_of_newest(runtime)
    # The list itself, and not only its day: a plant may be gone from the second list of a day.
    known = add_exclusion(runtime, plants).filter(
        pl.col("last_seen") == pl.col("last_seen").max()
        if ids is None
        else pl.col("plant_id").is_in(list(ids))
    )
    match_plants(runtime.settings, plants)
    unknown = sorted(runtime.only_plants - set(known["plant_id"]))
    if unknown:
        moved = dict(find_successors(plants).select("plant_id", "successor").iter_rows())
        if newest := moved.get(unknown[0]):
            raise UsageError(f"Plant {unknown[0]} has moved to a new id, {newest}: name it by that one.")
        raise UsageError(
            f"Plant {unknown[0]} is not in SMA's list of {pluralize(known.height, 'plant')}: "
            "choose an id from the table plants."
        )
    listed = known.filter(_is_ever_own())
    if strange := sorted(runtime.only_plants - set(listed["plant_id"])):
        raise UsageError(
            f"Plant {strange[0]} is excluded by {INCLUDE} or {EXCLUDE}: choose another plant, or change these settings."
        )
    return _limit_to_run(runtime, listed, plants)


def _limit_to_run(runtime: RunContext, listed: pl.DataFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """The listed plants that the run's ids, groups, backends, shard and turn choose; `plants` are all that are stored.

    Raises UsageError for groups without a listed plant.
    """
    if chosen := find_chosen_plants(runtime):
        listed = listed.filter(pl.col("plant_id").is_in(sorted(chosen)))
        if not listed.height:
            groups = ", ".join(sorted(runtime.only_groups))
            raise UsageError(
                f"No plant of the group {groups} is listed by SMA and yours: choose another one, or change {SETTING}, "
                f"{INCLUDE} or {EXCLUDE}."
            )
    if runtime.only_backends:
        listed = listed.filter(pl.col("backend").is_in(sorted(runtime.only_backends)))
    if runtime.shard is not None:
        listed = listed.filter(pl.col("plant_id").is_in(runtime.shard.select(listed["plant_id"])))
    if runtime.turn:
        chosen_today = find_today_plants(runtime.settings, plants)
        of_turn = select_turn(
            listed.with_columns(chosen=pl.col("plant_id").is_in(chosen_today)), runtime.turn
        )
        listed = listed.filter(pl.col("plant_id").is_in(sorted(of_turn)))
    return listed


def drop_limits(runtime: RunContext) -> RunContext:
    """The same run without limits on its plants: what it says is of the whole fleet."""
    return replace(
        runtime,
        only_plants=frozenset(),
        only_groups=frozenset(),
        only_backends=frozenset(),
        turn="",
        shard=None,
    )


def count_turn(runtime: RunContext) -> dict[str, int]:
    """How many plants a run reads in its turn, and how many it leaves out; nothing of a run that has none.

    Raises as `list_plants`.
    """
    if not runtime.turn:
        return {}
    read = list_plants(runtime).height
    return {
        "plants_read": read,
        "plants_left_out_today": list_plants(replace(runtime, turn="")).height - read,
    }


def find_chosen_plants(runtime: RunContext) -> frozenset[str]:
    """The ids that a run is limited to, by name or by group; none where it is not.

    Raises ConfigurationError for a group that no plant is in.
    """
    if not runtime.only_groups:
        return runtime.only_plants
    members = find_members(runtime.settings, sorted(runtime.only_groups), "The choice of plants")
    moved = find_successors(runtime.lake.read_whole(Plants))
    newest = moved.filter(pl.col("plant_id").is_in(sorted(members)))["successor"]
    return runtime.only_plants | members | frozenset(newest)


def list_own_plants(runtime: RunContext, day: dt.date | None = None) -> pl.DataFrame:
    """The plants of `list_plants` that are yours on a day, today by default: only these may be asked what they have."""
    return list_plants(runtime).filter(_is_own_on(day or runtime.find_today()))


def find_excluded_plants(runtime: RunContext) -> pl.DataFrame:
    """plant_id and excluded_from of every plant ever seen that the settings leave out."""
    return read_fleet(runtime.settings).find_excluded(runtime.lake.read_whole(Plants))


def add_exclusion(runtime: RunContext, plants: pl.DataFrame) -> pl.DataFrame:
    """All rows of plants with the excluded_from of the settings, whatever is stored."""
    excluded = read_fleet(runtime.settings).find_excluded(plants)
    if not excluded.height:
        return plants.with_columns(excluded_from=pl.lit(None, pl.Date))
    columns = plants.columns
    return (
        plants.drop("excluded_from")
        .join(excluded, on="plant_id", how="left", maintain_order="left")
        .select(columns)
    )


def mark_excluded(runtime: RunContext) -> None:
    """Write into the table plants which of them the settings leave out."""

    def mark() -> None:
        plants = runtime.lake.read_whole(Plants)
        if plants.height:
            runtime.lake.replace(Plants, {}, [add_exclusion(runtime, plants)])

    work_without_conflict(runtime.lake, [(Plants, {})], mark)


def drop_months_without(runtime: RunContext, model: type[Table], months: Collection[dt.date]) -> None:
    """Empty the parts of a table of months of which no day is left: all of their plants were left out."""
    for part in runtime.lake.list_parts(model):
        month = dt.date.fromisoformat(part["month"])
        if month not in months:
            runtime.lake.replace(model, {"month": month}, [], empty=True)


def _is_ever_own() -> pl.Expr:
    return pl.col("excluded_from").is_null() | (pl.col("excluded_from") > ALWAYS)


def _is_own_on(day: dt.date | pl.Expr) -> pl.Expr:
    return pl.col("excluded_from").is_null() | (pl.col("excluded_from") > day)


def compute_delay(settings: Settings) -> pl.Expr:
    """How long after its end a plant's day may still grow, and how long nothing new is to be had after a reading."""
    paid = pl.col("plant_id").is_in(sorted(settings.professional_plants))
    usual = pl.col("backend").replace_strict(DELAY, return_dtype=pl.Duration("us"))
    faster = (pl.col("backend") == "classic") & paid
    return pl.when(faster).then(pl.lit(PROFESSIONAL_DELAY, pl.Duration("us"))).otherwise(usual).alias("delay")


def add_day_bounds(plants: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The plants with day_start and day_end (UTC) of their calendar day."""
    bounds = build_days_frame(day, plants["timezone"]).select("timezone", "day_start", "day_end")
    return plants.join(bounds, on="timezone", how="left", maintain_order="left")


def select_in_operation(plants: pl.DataFrame, day: dt.date, now: dt.datetime) -> pl.DataFrame:
    """The plants that are yours on the day, were in operation by its end, and whose day has begun; with its bounds."""
    return add_day_bounds(plants, day).filter(_is_own_on(day), *_has_begun(now))


def select_days_in_operation(
    plants: pl.DataFrame, days: Collection[dt.date], now: dt.datetime
) -> pl.DataFrame:
    """The rows of `select_in_operation` of each of these days, with local_date."""
    placed = plants.join(build_day_bounds(days, plants["timezone"]), on="timezone")
    return placed.filter(_is_own_on(pl.col("local_date")), *_has_begun(now))


def _has_begun(now: dt.datetime) -> tuple[pl.Expr, pl.Expr]:
    """Whether a plant was in operation by the end of a day, and whether the day has begun."""
    return (
        pl.col("start_up").is_null() | (pl.col("start_up") < pl.col("day_end")),
        pl.col("day_start") < now,
    )


def list_known_places(lake: Lake, source: SetSource, day: dt.date) -> pl.DataFrame:
    """What is known of every plant or device ever seen.

    The frame has plant_id, [device_id,] timezone, latitude, longitude, rated_w, peak_w and, of an inverter, own_w: its
    own rating, while rated_w may be its plant's.

    A plant or device has its larger former power on days before SMA gave less: it may have had that then. A charging
    station is typed like an inverter but has no rating, and a battery inverter may speak for others as well.
    """
    site = ["timezone", "latitude", "longitude"]
    plant_rated, plant_peak = (find_largest_power(name, day) * 1000 for name in POWERS)
    nothing = pl.lit(None, pl.Float64)
    own = lake.read_whole(Plants).select(
        "plant_id", *site, rated_w=plant_rated, peak_w=plant_peak, own_w=nothing
    )
    if source.of_devices is False:
        return own
    devices = lake.read_whole(Devices).join(own, on="plant_id")
    known, peak = (
        pl.when(power > 0).then(power) for power in (find_largest_power(n, day) for n in DEVICE_POWERS)
    )
    rated = known.fill_null(pl.col("rated_w"))
    own_rating = pl.when(pl.col("type") == _INVERTER).then(known)
    found = devices.select("plant_id", "device_id", *site, rated_w=rated, peak_w=peak, own_w=own_rating)
    if source.of_devices:
        return found
    return pl.concat([own.with_columns(device_id=pl.lit("")).select(found.columns), found])


def list_plant_ids_of_newest(runtime: RunContext) -> frozenset[str] | None:
    """The plants of the newest list of each credential; None when no list is stored."""
    return list_newest_ids(runtime.lake, runtime.credential_names, runtime.find_today())
