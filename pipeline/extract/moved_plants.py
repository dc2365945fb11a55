"""Plants that left SMA's list: those that moved have a new id, to which SMA leads who asks for the old one."""

import datetime as dt

import polars as pl

from pipeline.billing import spending
from pipeline.extract.raw_rows import build_raw_frame
from pipeline.extract.request_plan import KnownDay
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import list_past_days
from pipeline.run.plants import find_chosen_plants, find_excluded_plants, list_plant_ids_of_newest
from pipeline.sma.requests import Answer, Failure, Request, find_plant
from pipeline.sma.session_set import fetch_by_plant
from schemas import Plants, RawPlants

# For this long after the first list without a plant its new id is requested, in case SMA could not answer at first.
ASKED_AFTER_LEAVING = dt.timedelta(days=7)


def fetch_moves(runtime: RunContext) -> int:
    """Keep SMA's answers for plants that left the list recently and have a new id, and return their number.

    Those whose PU nobody has agreed to are not asked for.
    """
    today, left = runtime.find_today(), _find_left(runtime)["plant_id"].to_list()
    # SMA charges the new system, so this may cost as much as any other request.
    results: list[Answer | Failure] = []
    if left:
        admission = spending.admit(runtime, left)
        requests = [Request.devices(plant) for plant in sorted(admission.plants)]
        results += fetch_by_plant(runtime.session, requests, spending.MonthGate(runtime, admission).check)
    moved = [
        r for r in results if isinstance(r, Answer) and find_plant(r.target) not in {None, r.request.plant_id}
    ]
    if moved:
        frame = build_raw_frame(moved, today, KnownDay(runtime.settings.sma_time_basis))
        series = {(answer.request.plant_id, "") for answer in moved}
        runtime.requests.sync()
        runtime.lake.replace(RawPlants, {"local_date": today}, [frame], devices=series)
    return len(moved)


def find_possible_moves(runtime: RunContext) -> frozenset[str]:
    """The Classic plants that left the list recently, where it shows an ennexOS plant that is as new.

    None for a run that is limited to some plants. Reads the table of plants, which must have the newest list already.
    """
    if find_chosen_plants(runtime):
        return frozenset()
    left = _find_left(runtime).filter(pl.col("backend") == "classic")
    listed = pl.col("plant_id").is_in(list(list_plant_ids_of_newest(runtime) or ()))
    unmoved = (pl.col("backend") == "ennexos") & pl.col("migrated_from").is_null()
    newest = runtime.lake.read_whole(Plants).filter(listed, unmoved)["first_seen"].max()
    if newest is None:
        return frozenset()
    # Plants of one first list came together: none of them took the place of another.
    came_after = (pl.col("last_seen") <= newest) & (pl.col("first_seen") < newest)
    return frozenset(left.filter(came_after)["plant_id"])


def _find_left(runtime: RunContext) -> pl.DataFrame:
    """Rows of plants that no newest list has, and of which it is not known that they moved.

    The first list without them is at most as old as they are asked for: who reads lists once a month reads it a month
    after the last one with them.
    """
    today, listed = runtime.find_today(), list_plant_ids_of_newest(runtime) or frozenset()
    plants = runtime.lake.read_whole(Plants)
    known = [*plants["migrated_from"].drop_nulls(), *listed]
    gone = plants.filter(~pl.col("plant_id").is_in(known))
    days = list_past_days(runtime.lake, RawPlants, today)
    earlier = max((day for day in days if day < today - ASKED_AFTER_LEAVING), default=dt.date.min)
    # A plant that was last seen before the newest of the earlier lists is missing in that one too.
    lately = gone.filter(pl.col("last_seen") >= earlier)
    return lately.join(find_excluded_plants(runtime), on="plant_id", how="anti")
