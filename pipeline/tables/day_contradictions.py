"""Finds contradictions of a day's figures to each other and to the sun, and reports them in `quarantine` alone."""

import datetime as dt

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import PV, SetSource
from pipeline.run.plants import list_known_places
from pipeline.run.step import quarantine
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from pipeline.transform.anomalies import compare_inverters_with_plants, find_without_generation
from pipeline.transform.batch_account import build_quarantine
from pipeline.transform.lists.plant_moves import find_successors, join_rows
from pipeline.transform.sun.position import find_nights
from pipeline.transform.thresholds import Thresholds
from schemas import DeviceEnergyDaily, EnergyDaily, MeasurementSets, Plants, Table
from warehouse.lake_reader import build_empty_frame

# The columns of a day's figures that are compared.
_DAILY = ("plant_id", "device_id", "status", "pv_generation_kwh", "pv_generation_covered_h")
_ROWS = ("interval_start", "interval_end", "pv_generation_w")


def check_plants(runtime: RunContext, source: SetSource, day: dt.date) -> int:
    """Report the plants that generated nothing on a bright day, and return their number."""
    limits = read_thresholds(runtime.settings.quality)
    idle = _find_without_generation(runtime, source, EnergyDaily, day, limits)
    quarantine(runtime, EnergyDaily, day, build_quarantine(idle, "day", EnergyDaily, day, kept=True))
    return idle.height


def check_inverters(runtime: RunContext, source: SetSource, day: dt.date) -> tuple[int, int]:
    """Report the plants that their inverters contradict, and the idle inverters, and return the number of each."""
    limits = read_thresholds(runtime.settings.quality)
    plants, devices = (_read_rows(runtime, model, day) for model in (EnergyDaily, DeviceEnergyDaily))
    against = compare_inverters_with_plants(plants, devices, limits)
    idle = _find_without_generation(runtime, source, DeviceEnergyDaily, day, limits)
    told = [build_quarantine(found, "day", DeviceEnergyDaily, day, kept=True) for found in (against, idle)]
    quarantine(runtime, DeviceEnergyDaily, day, pl.concat(told))
    return against.height, idle.height


def _find_without_generation(
    runtime: RunContext, source: SetSource, model: type[Table], day: dt.date, limits: Thresholds
) -> pl.DataFrame:
    """The series of the day that generated nothing while the sun was high, by the sun of their place."""
    keys = ["plant_id", "device_id"] if source.of_devices else ["plant_id"]
    places = list_known_places(runtime.lake, source, day)
    if not source.of_devices:
        places = places.join(_list_plants_with_pv(runtime, places), on="plant_id", how="semi")
    mean_w = pl.col("pv_generation_kwh") / pl.col("pv_generation_covered_h") * 1000
    trace = pl.col("rated_w").fill_null(0) * limits.no_generation_share
    # The rows are read only where the day's energy is nearly 0, which is rare.
    maybe = (
        _read_rows(runtime, model, day)
        .filter(pl.col("status") != "provisional", pl.col("pv_generation_covered_h") > 0)
        .select(*keys, mean_w=mean_w)
        .join(places, on=keys, how="inner")
        .filter(pl.col("mean_w") <= trace)
    )
    if not maybe.height:
        return maybe
    skies = find_nights(maybe.unique("plant_id"), day, below_deg=-limits.no_generation_sun_deg)
    bright = maybe.join(skies, on="plant_id").select(*keys, "rated_w", bright_from="dawn", bright_to="dusk")
    frames: list[pl.DataFrame] = []
    if bright.height:
        moved = find_successors(runtime.lake.read_whole(Plants))
        stored = runtime.lake.read_batches(source.intervals, {"local_date": day}, columns=[*keys, *_ROWS])
        frames = [frame.select(*keys, *_ROWS) for frame in join_rows(stored, moved, keys)]
    none = build_empty_frame(source.intervals, [*keys, *_ROWS]).select(*keys, *_ROWS)
    return find_without_generation(pl.concat([none, *frames]), bright, limits)


def _list_plants_with_pv(runtime: RunContext, places: pl.DataFrame) -> pl.DataFrame:
    """plant_id of the plants that are known to have panels; a plant may consist of a meter or a battery alone."""
    sets = runtime.lake.read_whole(MeasurementSets).filter(pl.col("set_type") == PV.set.name)
    rated = places.filter(pl.col("peak_w") > 0).select("plant_id")
    return pl.concat([rated, sets.select("plant_id")]).unique()


def _read_rows(runtime: RunContext, model: type[Table], day: dt.date) -> pl.DataFrame:
    return pl.concat(
        [
            build_empty_frame(model, _DAILY),
            *runtime.lake.read_batches(model, {"local_date": day}, columns=_DAILY),
        ]
    )
