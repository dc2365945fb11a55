"""What the steps share: sets and their tables, the plants a run is about, where reports and rejects go."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl

from pipeline import master
from pipeline.due import DELAY, PROFESSIONAL_DELAY
from pipeline.errors import SunledgerError, UsageError
from pipeline.runtime import Runtime
from pipeline.settings import Settings
from pipeline.timebase import days_frame
from pipeline.words import plural
from schemas import (
    Devices,
    EnergyBalanceIntervals,
    Plants,
    PvIntervals,
    Quarantine,
    RawAnswers,
    RawEnergyBalance,
    RawPlants,
    RawPv,
    Table,
    storage,
)
from schemas.quantities import ENERGY_AND_POWER_PV, ENERGY_BALANCE, MeasurementSet
from warehouse.lake import Lake, Part, Written

T = TypeVar("T")

# How often a step starts over because its sources changed under it.
SETTLE_ATTEMPTS = 10
# Why an answer is set aside before it is read.
REQUEST_FAILED = "request_failed"
EMPTY_NOW = "empty_now"
NOT_LISTED = "not_listed"
# The type of an inverter, as SMA's lists of devices name it.
_INVERTER = "Solar Inverters"


@dataclass(slots=True)
class Report:
    """What a step did with one part."""

    rows: int = 0
    changed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetSource:
    """A measurement set's way through the tables."""

    set: MeasurementSet
    raw: type[RawAnswers]
    intervals: type[Table]
    # None: plants and devices may both have it.
    of_devices: bool | None
    # Whether it is asked for as energies of the intervals, not as mean power.
    energies: bool = False

    @property
    def shares_raw(self) -> str:
        """The set's name where its raw table holds other sets as well, else nothing."""
        return self.set.name if "set_type" in storage(self.raw).partition else ""


BALANCE = SetSource(ENERGY_BALANCE, RawEnergyBalance, EnergyBalanceIntervals, of_devices=False)
PV = SetSource(ENERGY_AND_POWER_PV, RawPv, PvIntervals, of_devices=True)


def listed(runtime: Runtime) -> pl.DataFrame:
    """Plants of the newest list within the run's limits. Raises UsageError for an id that is not among them."""
    plants = runtime.lake.scan(Plants).collect()
    if not plants.height:
        raise SunledgerError("No plants are known yet: refresh the list of plants first.")
    ids = listed_ids(runtime)
    # The list itself, and not only its day: a plant may be gone from the second list of a day.
    listed = plants.filter(
        pl.col("last_seen") == pl.col("last_seen").max()
        if ids is None
        else pl.col("plant_id").is_in(list(ids))
    )
    unknown = sorted(runtime.only_plants - set(listed["plant_id"]))
    if unknown:
        raise UsageError(
            f"Plant {unknown[0]} is not in SMA's list of {plural(listed.height, 'plant')}: "
            "take ids from the table plants."
        )
    if runtime.only_plants:
        listed = listed.filter(pl.col("plant_id").is_in(sorted(runtime.only_plants)))
    if runtime.only_backends:
        listed = listed.filter(pl.col("backend").is_in(sorted(runtime.only_backends)))
    return listed


def delay(settings: Settings) -> pl.Expr:
    """How long after its end a plant's day may still grow, and how long nothing new is to be had after a reading."""
    paid = pl.col("plant_id").is_in(sorted(settings.professional_plants))
    usual = pl.col("backend").replace_strict(DELAY, return_dtype=pl.Duration("us"))
    faster = (pl.col("backend") == "classic") & paid
    return pl.when(faster).then(pl.lit(PROFESSIONAL_DELAY, pl.Duration("us"))).otherwise(usual).alias("delay")


def with_bounds(plants: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The plants with day_start and day_end (UTC) of their calendar day."""
    bounds = days_frame(day, plants["timezone"]).select("timezone", "day_start", "day_end")
    return plants.join(bounds, on="timezone", how="left", maintain_order="left")


def in_operation(plants: pl.DataFrame, day: dt.date, now: dt.datetime) -> pl.DataFrame:
    """The plants whose operation had begun by the end of the day, and whose day has begun; with the day's bounds."""
    begun = pl.col("start_up").is_null() | (pl.col("start_up") < pl.col("day_end"))
    return with_bounds(plants, day).filter(begun, pl.col("day_start") < now)


def known_places(lake: Lake, source: SetSource) -> pl.DataFrame:
    """What is known of every plant or device ever seen: plant_id, [device_id,] timezone, latitude, longitude, rated_w,
    peak_w and, of an inverter, own_w: its own rating, while rated_w may be its plant's.

    A charging station is typed like an inverter but has no rating, and a battery inverter may speak for others as well.
    """
    plants = lake.scan(Plants).collect()
    site = ["timezone", "latitude", "longitude"]
    plant_rated = pl.col("ac_power_kw") * 1000
    nothing = pl.lit(None, pl.Float64)
    own = plants.select(
        "plant_id", *site, rated_w=plant_rated, peak_w=pl.col("peak_power_kw") * 1000, own_w=nothing
    )
    if source.of_devices is False:
        return own
    devices = lake.scan(Devices).collect().join(plants, on="plant_id", suffix="_plant")
    known = pl.when(pl.col("generator_power_w") > 0).then("generator_power_w")
    rated = known.otherwise(plant_rated)
    peak = pl.when(pl.col("generator_power_dc_w") > 0).then("generator_power_dc_w")
    own_rating = pl.when(pl.col("type") == _INVERTER).then(known)
    found = devices.select("plant_id", "device_id", *site, rated_w=rated, peak_w=peak, own_w=own_rating)
    if source.of_devices:
        return found
    return pl.concat([own.with_columns(device_id=pl.lit("")).select(found.columns), found])


def quarantine(
    runtime: Runtime,
    model: type[Table],
    day: dt.date,
    rows: pl.DataFrame,
    plants: set[str] | None = None,
    set_type: str = "",
) -> None:
    part = aside_part(model, day, set_type)
    rows = rows.with_columns(source=pl.lit(part["source"]))
    runtime.lake.replace(Quarantine, part, [rows], plants=plants, empty=True)


def raw_part(day: dt.date, set_type: str = "") -> Part:
    """The part of a raw table that a day's answers are in; sets that share a table (`set_type`) have one each."""
    return {"local_date": day} | ({"set_type": set_type} if set_type else {})


def aside_part(model: type[Table], day: dt.date, set_type: str = "") -> Part:
    """The part of `quarantine` for what would have gone into that part of the table."""
    return {"local_date": day, "source": "-".join(filter(None, (storage(model).table, set_type)))}


def settled(lake: Lake, sources: Iterable[type[Table]], part: Part, work: Callable[[], T]) -> T:
    """The result of `work`, done again while another run changed the part of a source under it.

    A commit guards what is written, not what it was made from: without this, a run that read before another one wrote
    would put the old state back. The other run writes its sources first, so whoever comes last has seen them all.
    """
    sources = list(sources)
    for _ in range(SETTLE_ATTEMPTS):
        before = [lake.snapshot(source, part).files for source in sources]
        result = work()
        if [lake.snapshot(source, part).files for source in sources] == before:
            return result
    place = ", ".join(str(value) for value in part.values()) or storage(sources[0]).table
    raise SunledgerError(f"{place}: other runs kept changing it. Run it again when they are done.")


def report_of(written: Written, **facts: Any) -> Report:
    return Report(rows=written.rows, changed=written.changed, facts=facts)


def newest(runtime: Runtime, model: type[RawAnswers]) -> tuple[dt.date, pl.DataFrame]:
    """The newest part of a list's raw table and the day it was asked for."""
    parts = runtime.lake.parts(model)
    if not parts:
        raise SunledgerError(f"Nothing is stored in {storage(model).table} yet: fetch it first.")
    day = dt.date.fromisoformat(parts[-1]["local_date"])
    frames = runtime.lake.batches(model, parts[-1], columns=["plant_id", "device_id", "body"])
    return day, pl.concat(frames)


def listed_ids(runtime: Runtime) -> frozenset[str] | None:
    """The plants of the newest list; None when no list is stored."""
    version = runtime.lake.snapshot(RawPlants).version
    if version < 0:
        return None
    if version not in runtime.listed:
        _, answers = newest(runtime, RawPlants)
        runtime.listed = {version: frozenset(master.plant_ids(answers))}
    return runtime.listed[version]
