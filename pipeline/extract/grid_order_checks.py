"""Checks of an order before it is sent: its value, its window, the plant, and what the plant does already."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.local_time import ONE_DAY
from pipeline.run.grid_order_book import OpenOrder
from pipeline.sma.feed_in_order import FeedInOrder
from schemas.grid_control import ACTIVE, SCHEDULED

SHORTEST, LONGEST, FARTHEST = dt.timedelta(minutes=1), 31 * ONE_DAY, 366 * ONE_DAY
# The type of a Data Manager, as SMA's lists of devices name it.
_GATEWAY: Final = "Monitoring and control"
_OPERATOR: Final = "grid_operator"


def check_window(start: dt.datetime, duration: dt.timedelta, now: dt.datetime) -> None:
    """Raise UsageError for a window that has begun, is too far ahead, too short or too long."""
    if start <= now:
        raise UsageError(
            f"The start {start:%Y-%m-%d %H:%M:%S} UTC is not ahead of now ({now:%Y-%m-%d %H:%M:%S} UTC), so nothing "
            "is sent: choose a later start."
        )
    if start - now > FARTHEST:
        raise UsageError(
            f"The start {start:%Y-%m-%d} is more than {FARTHEST.days} days ahead: choose an earlier one."
        )
    if not SHORTEST <= duration <= LONGEST:
        raise UsageError(
            f"A command lasts from {SHORTEST.seconds // 60} minute to {LONGEST.days} days, and not "
            f"{duration.total_seconds() / 3600:g} h: choose another duration."
        )


def find_plant_fault(plant: Mapping[str, Any], limit_kw: float, device_types: Iterable[str | None]) -> str:
    """Why the plant can't get this limit by what is stored of it; empty where nothing is against it.

    `plant` is a row of plants. `device_types` are those of its devices; none where its devices are not known.
    """
    rated = plant["ac_power_kw"]
    if not rated:
        return (
            "its rated power is not known, so the limit can't be checked: have it entered in SMA's portal, then run "
            "'sunledger refresh'"
        )
    if not 0 <= limit_kw <= rated:
        return f"{limit_kw:g} kW is not between 0 and its rated power of {rated:g} kW: choose another limit"
    types = set(device_types)
    if plant["backend"] == "ennexos" and types and _GATEWAY not in types:
        return (
            "on ennexOS only plants with a Data Manager take FeedInLimit, and none is in its list of devices"
        )
    return ""


def find_overlap(order: FeedInOrder, commands: pl.DataFrame, *, supersede: bool) -> str:
    """Which command of the plant is scheduled or active in the order's window, as a clause; empty where none is.

    `commands` are as `read_stored_commands` gives them. With `supersede` only what a grid operator asked for counts.
    """
    held = pl.col("held_until").is_null() | (pl.col("held_until") > order.start)
    same_key = pl.col("request_key").fill_null("") == order.request_key
    found = commands.filter(
        pl.col("plant_id") == order.plant_id,
        pl.col("state").is_in([SCHEDULED, ACTIVE]),
        pl.col("command_start") < order.end,
        held,
        ~same_key,
    )
    ordered = found.filter(pl.col("asked_by") == _OPERATOR)
    if ordered.height:
        return f"{_describe(ordered)}, which the grid operator asked for: nothing here takes its place"
    if not found.height or supersede:
        return ""
    return (
        f"{_describe(found)}, whose place the new command would take: repeat it with --supersede if it should"
    )


def find_clash(order: FeedInOrder, others: Iterable[OpenOrder], *, supersede: bool) -> str:
    """Which other order of this plant is in the way, as a clause; empty where none is."""
    for one in others:
        if one.order.plant_id != order.plant_id or one.order.request_key == order.request_key:
            continue
        if one.order.is_like(order):
            return f"the order {one.order.request_key} asks the same ({one.order.describe()}), so nothing more is sent"
        if not one.accepted:
            return (
                f"the order {one.order.request_key} ({one.order.describe()}) has no known outcome yet: run 'sunledger "
                "grid list --read', then send that one again or cancel it"
            )
        overlaps = one.order.start < order.end and order.start < one.order.end
        if overlaps and not supersede:
            return (
                f"the order {one.order.request_key} ({one.order.describe()}) holds in the same time: repeat the "
                "command with --supersede if the new one should take its place"
            )
    return ""


def _describe(found: pl.DataFrame) -> str:
    row = found.sort("command_start").row(0, named=True)
    until = row["held_until"]
    ends = "until further notice" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
    kind = "a fallback" if row["is_fallback"] else "a command"
    return (
        f"it has {kind} {row['command']} that is {row['state']} from {row['command_start']:%Y-%m-%d %H:%M} {ends} "
        f"(schedule {row['schedule_id']})"
    )
