"""Plans what the hourly schedule reads of the current days within the request budget. Makes no API calls."""

import datetime as dt
import math

import polars as pl

from pipeline.common.credentials import Credential
from pipeline.common.day_availability import (
    build_groups,
    find_live_days,
    find_sliding_window,
    list_days,
)
from pipeline.extract.due_lists import count_lists
from pipeline.extract.missing_answers import count_series
from pipeline.extract.request_plan import Series, plan_measurements
from pipeline.run.context import RunContext
from pipeline.run.plant_sessions import split_by_credential
from pipeline.run.plants import list_own_plants
from pipeline.run.supplied_files.fleet_membership import find_today_plants
from pipeline.run.today_turn import TodayTurn, choose_turn, count_room
from pipeline.sma.budget.shared_budget import Budget
from schemas import Plants

# The backend whose current day can be read. Classic portals have a day when it is over.
LIVE = "ennexos"


def plan_turn(runtime: RunContext, now: dt.datetime, after: str = "") -> TodayTurn | None:
    """What the tick at `now` reads, after the turn that ended with the plant `after`; None without an ennexOS plant.

    Raises as `list_own_plants`, and ConfigurationError for a SUNLEDGER_TODAY_PLANTS that can't be used.
    """
    plants = list_plants_with_today(runtime)
    if not plants.height:
        return None
    costs = _count_costs(runtime, plants, now)
    if len(runtime.credentials) == 1:
        return choose_turn(costs, _count_room(runtime, runtime.credentials[0], now), after)
    # A credential without a budget has room for all plants.
    limit = int(costs["requests"].sum())
    rooms = {
        credential.name: _count_room(limited, credential, now)
        for credential, limited in split_by_credential(runtime)
    }
    of_plant = runtime.find_credentials(costs["plant_id"].to_list())
    named = [of_plant.get(plant) for plant in costs["plant_id"]]
    rows = [(name, limit if (room := rooms.get(name or "")) is None else room) for name in named]
    costs = costs.hstack(pl.DataFrame(rows, {"credential": pl.String, "its_room": pl.Int64}, orient="row"))
    limits = [room for room in rooms.values() if room is not None]
    return choose_turn(costs, sum(limits) if limits else None, after)


def _count_room(runtime: RunContext, credential: Credential, now: dt.datetime) -> int | None:
    """The requests that a credential has between two ticks beside the daily runs of its plants; None without limit."""
    budget = credential.settings.sma_requests_per_5_min
    return None if budget is None else count_room(Budget(budget).rate, count_daily_requests(runtime, now))


def list_plants_with_today(runtime: RunContext) -> pl.DataFrame:
    """plant_id, timezone and chosen of the plants whose current day can be read. Raises as `plan_turn`."""
    plants = list_own_plants(runtime).filter(pl.col("backend") == LIVE)
    chosen = find_today_plants(runtime.settings, runtime.lake.read_whole(Plants))
    return plants.select("plant_id", "timezone", chosen=pl.col("plant_id").is_in(chosen))


def count_daily_requests(runtime: RunContext, now: dt.datetime) -> int:
    """The requests of an ordinary day without the schedule `today`: closing it, reading the window again, and lists."""
    plants = list_own_plants(runtime)
    settings = runtime.settings
    first, last = find_sliding_window(now, build_groups(plants), settings.window_days)
    series = (
        plants.join(count_series(runtime, last), on="plant_id")
        .group_by("timezone")
        .agg(pl.col("series").sum())
    )
    closing = sum(
        count
        * (_count_requests(runtime, zone, [last]) + _count_requests(runtime, zone, list_days(first, last)))
        for zone, count in series.select("timezone", "series").rows()
    )
    return int(closing) + 1 + math.ceil(count_lists(runtime) / settings.lists_cycle_days)


def _count_costs(runtime: RunContext, plants: pl.DataFrame, now: dt.datetime) -> pl.DataFrame:
    """plant_id, chosen and the requests of one reading, of each plant that has news."""
    groups = build_groups(plants.with_columns(backend=pl.lit(LIVE)))
    of_zone = {group.timezone: find_live_days(now, [group]) for group in groups}
    zones = pl.DataFrame(
        [(zone, _count_requests(runtime, zone, days)) for zone, days in of_zone.items()],
        {"timezone": pl.String, "each": pl.Int64},
        orient="row",
    )
    series = count_series(runtime, max(day for days in of_zone.values() for day in days))
    found = plants.join(zones, on="timezone").join(series, on="plant_id")
    return found.select("plant_id", "chosen", requests=pl.col("each") * pl.col("series"))


def _count_requests(runtime: RunContext, timezone: str, days: list[dt.date]) -> int:
    """The requests for some days of one series of a plant there."""
    one = Series("", "", timezone, tuple(days))
    return len(plan_measurements([one], "", runtime.settings.sma_time_basis))
