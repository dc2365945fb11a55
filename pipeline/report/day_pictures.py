"""What a day looks like, from the lake; makes no API calls."""

import datetime as dt

import polars as pl

from pipeline.report import sketch
from pipeline.run.context import RunContext
from pipeline.run.plants import add_day_bounds
from pipeline.transform.plant_power import take_powers_of_day
from pipeline.transform.row_groups import ROWS_AT_ONCE, join_frames, split_by_group
from schemas import EnergyBalanceIntervals, EnergyDaily, Plants


def draw_day_pictures(runtime: RunContext, day: dt.date) -> dict[str, str]:
    """The fleet's power by the clock, and what each plant made, as Markdown by name; none for a day without a plant."""
    part = {"local_date": day}
    daily = list(
        runtime.lake.read_batches(EnergyDaily, part, columns=["plant_id", "pv_generation_kwh", "status"])
    )
    if not daily:
        return {}
    listed = take_powers_of_day(runtime.lake.read_whole(Plants), day)
    plants = listed.select("plant_id", "timezone", "peak_power_kw")
    bounds = add_day_bounds(plants, day)
    columns = ["plant_id", "interval_start", "interval_end", *sketch.POWERS]
    batches = runtime.lake.read_batches(EnergyBalanceIntervals, part, columns=columns)
    # A plant's rows may lie in two batches, and those of a large fleet are too many to be held together.
    whole = split_by_group(join_frames(batches, ROWS_AT_ONCE), ["plant_id"])
    powers = [sketch.sum_power_by_clock(rows, bounds) for rows in whole]
    pictures = {
        "fleet": sketch.draw_fleet_picture(pl.concat(daily).join(plants, on="plant_id", how="left"), day)
    }
    if powers:
        pictures["power"] = sketch.draw_day_picture(sketch.add_powers(powers), day)
    return {name: sketch.embed_in_markdown(svg, f"{day}: {name}") for name, svg in pictures.items()}
