"""Records changes of stored days before the days are replaced, so that a killed process loses no change.

A note names the stored file that is replaced. Rebuilt after a kill it is the same note; one whose file is still in
place was made for a change that never came, and goes.
"""

import datetime as dt
import hashlib
from contextlib import suppress
from typing import TypeAlias

import polars as pl

from pipeline.common.release import find_release
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SetSource
from pipeline.transform import restatements
from pipeline.transform.lists.plant_moves import take_new_ids
from pipeline.transform.row_groups import pair_by_plant
from pipeline.transform.thresholds import Thresholds
from schemas import (
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    Plants,
    Restatements,
    RowChanges,
    Table,
    polars_schema,
    storage,
)
from schemas.quantities import ENERGY_BALANCE
from warehouse.lake import Lake, Part, PartChange
from warehouse.lake_reader import build_empty_frame
from warehouse.lake_trace import leave_untraced

QUANTITIES = tuple(field.column for field in ENERGY_BALANCE.powers)
Facts: TypeAlias = dict[str, str]
# The columns of a plant on which its energies depend.
_SITE = ["plant_id", "timezone", "latitude", "longitude", "ac_power_kw", "peak_power_kw"]
_ANSWER = ["plant_id", "device_id", "request_date", "body"]


def collect_facts(runtime: RunContext, source: SetSource, day: dt.date, limits: Thresholds) -> Facts:
    """The variable inputs of the rows from which energy_daily is made."""
    if source.intervals is not EnergyBalanceIntervals:
        return {}
    lake, settings = runtime.lake, runtime.settings
    return {
        "answers": lake.name_stored_files(source.raw, {"local_date": day}),
        "plants": lake.name_stored_files(Plants, {}),
        "time_basis": settings.sma_time_basis,
        "merged_hour": settings.sma_merged_hour,
        "thresholds": hashlib.blake2b(repr(limits).encode(), digest_size=8).hexdigest(),
        "version": find_release(),
    }


def note_rows(runtime: RunContext, source: SetSource, day: dt.date, change: PartChange) -> None:
    """Record in `row_changes` the changes of the interval rows from which energy_daily is made."""
    if not change.replaces:
        return
    part = {"local_date": day}
    # The figures are made of these rows, and after them: new figures are no reason to make the same rows.
    with leave_untraced():
        figures = runtime.lake.name_stored_files(EnergyDaily, part)
        if not figures:
            return
        daily = pl.concat(runtime.lake.read_batches(EnergyDaily, part, columns=["plant_id", "status"]))
    if (daily["status"] == restatements.PROVISIONAL).all():
        return
    none = build_empty_frame(source.intervals)
    # A day of a large fleet is gigabytes of rows and answers of then and now.
    pairs = pair_by_plant(change.read_before(), change.read_after(), none)
    found = pl.concat(restatements.count_changed_rows(*pair) for pair in pairs)
    named = restatements.join_causes(_find_causes(runtime, source, change))
    new = found.join(named, on="plant_id", how="left").with_columns(
        pl.col("cause").fill_null(restatements.UNKNOWN),
        local_date=pl.lit(day),
        figures=pl.lit(figures),
        replaces=pl.lit(change.replaces),
    )
    _note(runtime, RowChanges, part, new, change.replaces)


def note_figures(runtime: RunContext, day: dt.date, moved: pl.DataFrame, change: PartChange) -> None:
    """Record in `restatements` which final figures of the day change."""
    if not change.replaces:
        return
    part = {"local_date": day}
    found = restatements.find_restated(
        pl.concat(change.read_before()), pl.concat(change.read_after()), moved, QUANTITIES
    )
    evidence = _read_evidence(runtime, part, change.replaces, moved)
    version_then, version_now = change.read_facts_before().get("version"), change.facts["version"]
    otherwise = "version_changed" if version_then not in {None, version_now} else restatements.UNKNOWN
    because = pl.when("moved").then(pl.lit(restatements.PLANT_MOVED))
    cause = pl.concat_str(pl.col("cause"), because, separator="+", ignore_nulls=True)
    new = found.join(evidence, on="plant_id", how="left").with_columns(
        cause=cause.replace("", otherwise),
        local_date=pl.lit(day),
        closed=pl.lit(_is_closed(runtime, day)),
        noted_at=pl.lit(runtime.now()),
        replaces=pl.lit(change.replaces),
    )
    _note(runtime, Restatements, part, new, change.replaces)


def drop_unmade(runtime: RunContext, model: type[Table], notes: type[Table], day: dt.date) -> None:
    """Remove records of changes that did not happen because the process was killed."""
    part = {"local_date": day}
    if runtime.lake.name_stored_files(notes, part):
        _note(runtime, notes, part, None, runtime.lake.name_stored_files(model, part))


def _note(
    runtime: RunContext, notes: type[Table], part: Part, new: pl.DataFrame | None, replaces: str
) -> None:
    names = polars_schema(notes).names()
    kept = [rows.filter(pl.col("replaces") != replaces) for rows in runtime.lake.read_batches(notes, part)]
    added = [] if new is None else [new.select(names).cast(dict(polars_schema(notes)))]  # type: ignore[arg-type]
    rows = [frame for frame in (*kept, *added) if frame.height]
    frame = [pl.concat(rows).sort(storage(notes).key)] if rows else []
    if rows or runtime.lake.name_stored_files(notes, part):
        runtime.lake.replace(notes, part, frame, empty=True)


def _find_causes(runtime: RunContext, source: SetSource, change: PartChange) -> pl.DataFrame:
    then, now = change.read_facts_before(), change.facts
    lake = runtime.lake
    answered = pl.concat(lake.read_rows_of(source.raw, now["answers"], ["plant_id"]))
    plants = None
    if "plants" in then:
        with suppress(FileNotFoundError):
            plants = pl.concat(lake.read_rows_of(Plants, then["plants"], _SITE))
    plants_now = pl.concat(lake.read_rows_of(Plants, now["plants"], _SITE))
    found = [restatements.find_causes(then, now, answered, (plants, plants_now))]
    if "answers" in then:
        with suppress(FileNotFoundError):
            found += _compare_answers(lake, source, then["answers"], now["answers"])
    return pl.concat(found)


def _compare_answers(lake: Lake, source: SetSource, then: str, now: str) -> list[pl.DataFrame]:
    """The causes that answers tell. Raises FileNotFoundError where those of then are no longer stored."""
    before, after = (lake.read_rows_of(source.raw, stored, _ANSWER) for stored in (then, now))
    none = build_empty_frame(source.raw, _ANSWER)
    return [restatements.find_answer_causes(*pair) for pair in pair_by_plant(before, after, none)]


def _read_evidence(runtime: RunContext, part: Part, figures: str, moved: pl.DataFrame) -> pl.DataFrame:
    """plant_id, cause and counts of the rows that have changed since the figures in that file were made."""
    noted = runtime.lake.read_batches(RowChanges, part)
    found = pl.concat([pl.DataFrame(schema=polars_schema(RowChanges)), *noted])
    mine = take_new_ids(found.filter(pl.col("figures") == figures), moved)
    counts = mine.group_by("plant_id").agg(pl.col(restatements.COUNTS).sum())
    return counts.join(restatements.join_causes(mine.select("plant_id", "cause")), on="plant_id")


def _is_closed(runtime: RunContext, day: dt.date) -> bool:
    rows = runtime.lake.read_batches(EnergyMonthly, {"month": day.replace(day=1)}, columns=["closed_at"])
    return any(frame["closed_at"].count() > 0 for frame in rows)
