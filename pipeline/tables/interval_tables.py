"""Intervals, logs, days and months from the lake; calls no API."""

import datetime as dt
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import polars as pl

from pipeline.common.local_time import ONE_DAY, TimeBasis
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, SetSource, build_other_set
from pipeline.run.notices import Notices
from pipeline.run.plants import find_chosen_plants, list_known_places
from pipeline.run.step import build_raw_part, quarantine, read_answers, work_without_conflict
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from pipeline.run.table_step import Stage, writes
from pipeline.tables.restatement_tables import collect_facts, drop_unmade, note_rows
from pipeline.transform.batch_account import BatchAccount, IntervalBatch
from pipeline.transform.generic_intervals import OtherTransform
from pipeline.transform.intervals import SetTransform
from pipeline.transform.row_groups import PLANTS_AT_ONCE
from pipeline.transform.sun.fleet_verdict import SolarTime, judge_fleet
from pipeline.transform.sun.time_basis import judge_time_basis
from schemas import (
    Devices,
    EnergyBalanceIntervals,
    OtherIntervals,
    Plants,
    Quarantine,
    RawOtherSets,
    RowChanges,
    polars_schema,
    storage,
)
from warehouse.lake import Lake, Replacement, WriteResult

# A week has sufficiently clear days almost anywhere.
DAYS_JUDGED = 7


def write_intervals(runtime: RunContext, source: SetSource, day: dt.date) -> StepResult:
    """Interval rows of the day from the raw lake; calls no API."""
    part = {"local_date": day}
    parts = [(model, part) for model in (source.intervals, RowChanges, Quarantine)]
    return work_without_conflict(runtime.lake, parts, partial(_write_intervals, runtime, source, day))


def _write_intervals(runtime: RunContext, source: SetSource, day: dt.date) -> StepResult:
    places = list_known_places(runtime.lake, source, day)
    settings = runtime.settings
    limits = read_thresholds(settings.quality)
    transform = SetTransform(
        source.set, source.intervals, settings.sma_time_basis, settings.sma_merged_hour, limits
    )
    made_from, part = collect_facts(runtime, source, day, limits), {"local_date": day}
    answers = read_answers(runtime.lake, source, day)
    with runtime.lake.open_replacement(source.intervals, part) as new:
        account = _add_batches(new, transform.transform_day(answers, places, day))
        written = _commit_rows(runtime, source, day, new, made_from)
    quarantine(runtime, source.intervals, day, account.build_quarantine())
    report = _count_written(written, account, unknown_fields=sorted(account.unknown_fields))
    # A field of a set that shares its raw table is in other_intervals.
    if not source.shares_raw:
        report.notices.add(Notices.of(unknown_fields={storage(source.raw).table: account.unknown_fields}))
    return report


def _add_batches(new: Replacement, batches: Iterable[IntervalBatch]) -> BatchAccount:
    """Add the rows of all batches, one after the other, and return the account of all rows."""
    accounts = []
    for batch in batches:
        new.add(batch.rows)
        accounts.append(batch.account)
    return BatchAccount.of_all(accounts)


def _commit_rows(
    runtime: RunContext, source: SetSource, day: dt.date, new: Replacement, made_from: dict[str, str]
) -> WriteResult:
    """Replace the rows; changes of rows from which energy_daily is made are recorded before the rows are replaced."""
    if source.intervals is not EnergyBalanceIntervals:
        return new.commit()
    for change in new.find_changes(made_from):
        note_rows(runtime, source, day, change)
        new.commit_change(change)
    if not new.written.changed:
        drop_unmade(runtime, source.intervals, RowChanges, day)
    return new.written


@writes(OtherIntervals, reads=(RawOtherSets, Plants, Devices), stage=Stage.DAYS, beside=(Quarantine,))
def write_other_intervals(runtime: RunContext, day: dt.date) -> StepResult:
    """Values of the day of all sets that have no table of their own, from the raw lake; calls no API."""
    parts = runtime.lake.list_parts(RawOtherSets, {"local_date": day})
    names = sorted(part["set_type"] for part in parts)
    settings = runtime.settings
    limits = read_thresholds(settings.quality)

    def batches() -> Iterator[IntervalBatch]:
        for name in names:
            transform = OtherTransform(name, settings.sma_time_basis, settings.sma_merged_hour, limits)
            answers = runtime.lake.read_batches(RawOtherSets, build_raw_part(day, name))
            yield from transform.transform_day(
                answers, list_known_places(runtime.lake, build_other_set(name), day), day
            )

    with runtime.lake.open_replacement(OtherIntervals, {"local_date": day}) as new:
        account = _add_batches(new, batches())
        written = new.commit()
    quarantine(runtime, OtherIntervals, day, account.build_quarantine())
    return _count_written(written, account, sets=names)


def _count_written(written: WriteResult, account: BatchAccount, **facts: Any) -> StepResult:
    return build_result(
        written,
        **account.energies,
        answers=account.answers,
        rows_in=account.rows_in,
        rows_set_aside=account.rows_aside,
        values_set_aside=account.values_aside,
        rows_suspect=account.rows_suspect,
        rows_of_neighbouring_days=account.rows_of_neighbours,
        merged_rows=account.merged_rows,
        rows_of_second_pass=account.rows_of_second_pass,
        **facts,
    )


def read_intervals_with_basis(
    lake: Lake, source: SetSource, plant_id: str, days: Iterable[dt.date], basis: TimeBasis
) -> pl.DataFrame:
    """A plant's interval rows of some days as another time basis would read the stored answers; calls no API.

    Under `utc` a local day may lie in the answers of its neighbours, as far as they are stored.
    """
    mine = lake.scan(source.raw).filter(pl.col("plant_id") == plant_id).collect()
    transform = SetTransform(source.set, source.intervals, basis)
    reach = ONE_DAY if basis == "utc" else dt.timedelta()
    frames = [
        batch.rows
        for day in days
        for batch in transform.transform_day(
            [mine.filter(pl.col("local_date").is_between(day - reach, day + reach))],
            list_known_places(lake, source, day).filter(pl.col("plant_id") == plant_id),
            day,
        )
    ]
    return pl.concat([pl.DataFrame(schema=polars_schema(source.intervals)), *frames])


def judge_times(runtime: RunContext, first: dt.date = dt.date.min, last: dt.date = dt.date.max) -> SolarTime:
    """Whether the newest stored days, of those from first to last, agree with the sun; calls no API."""
    days = [dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(BALANCE.intervals)]
    newest = sorted(day for day in days if first <= day <= last)[-DAYS_JUDGED:]
    columns = ["plant_id", "local_date", "interval_start", "interval_end", "pv_generation_kwh"]
    intervals = (
        runtime.lake.scan(BALANCE.intervals)
        .filter(pl.col("local_date").is_in(newest), pl.col("pv_generation_kwh") > 0)
        .select(columns)
    )
    plants = runtime.lake.read_whole(Plants)
    if chosen := find_chosen_plants(runtime):
        plants = plants.filter(pl.col("plant_id").is_in(sorted(chosen)))
    basis = runtime.settings.sma_time_basis
    # Some plants at a time, because a week of a fleet has millions of rows.
    slices = list(plants.sort("plant_id").iter_slices(PLANTS_AT_ONCE)) or [plants]
    verdicts = []
    for some in slices:
        least, most = pl.lit(some["plant_id"].min()), pl.lit(some["plant_id"].max())
        theirs = pl.col("plant_id").is_between(least, most)
        verdicts.append(judge_time_basis(intervals.filter(theirs).collect(), some, read_as=basis))
    return judge_fleet(pl.concat(verdicts), read_as=basis)
