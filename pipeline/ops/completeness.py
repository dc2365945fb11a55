"""How complete the days of a run are: counts for a sentence, and what is missing by plant. Asks SMA nothing."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from pipeline.common.text import pluralize
from pipeline.run.context import RunContext
from pipeline.tables.incomplete_days import FAILED, NOT_FETCHED, find_incomplete_days
from schemas import EnergyDaily, Plants

# The order in which a sentence names what is not complete, and its words for 1 plant and for more.
REASONS = {
    "missing": "silent",
    FAILED: "with failed requests",
    NOT_FETCHED: "not fetched",
    "partial": "with gaps",
}
# Days of which nothing, or nothing new, is stored: no view can show them.
UNFETCHED = frozenset({FAILED, NOT_FETCHED})
PROVISIONAL = "provisional"


@dataclass(frozen=True, slots=True)
class Completeness:
    """The plant-days of a range: how many there are, how many are complete, and may still become so.

    `lacking` has a row for each plant and reason: plant_id, name, reason (a key of REASONS), days, first, last.
    """

    plant_days: int
    complete: int
    provisional: int
    lacking: pl.DataFrame

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing that SMA can already have."""
        return not self.lacking.height

    def describe(self) -> str:
        """What a run says at its end."""
        parts = []
        for reason, words in REASONS.items():
            if count := self.lacking.filter(pl.col("reason") == reason).height:
                parts.append(f"{pluralize(count, 'plant')} {words}")
        found = {*self.lacking["reason"]}
        cures = ["look at v_days_to_check"] if found - UNFETCHED else []
        cures += ["fetch the days again with 'sunledger backfill'"] if found & UNFETCHED else []
        where = f"; {', '.join(parts)}: {' and '.join(cures)}" if parts else ""
        later = f"; {self.provisional:,} may still change" if self.provisional else ""
        noun = "plant-day" if self.plant_days == 1 else "plant-days"
        return f"{self.complete:,} of {self.plant_days:,} {noun} complete{later}{where}."

    def list_lines(self, most: int) -> list[str]:
        """What is missing, by plant, for at most so many lines."""
        rows = self.lacking.head(most).iter_rows(named=True)
        return [
            f"plant {row['plant_id']} ({row['name'] or 'no name'}): {REASONS[row['reason']]} on "
            f"{pluralize(row['days'], 'day')}, {_format_span(row['first'], row['last'])}"
            for row in rows
        ]


def measure_completeness(
    runtime: RunContext, days: Collection[dt.date], only_plants: Collection[str]
) -> Completeness:
    """The plant-days of these days, of these plants only where some are named.

    Raises SunledgerError when no plants are known yet.
    """
    held = pl.col("local_date").is_in(list(days))
    mine = pl.col("plant_id").is_in(list(only_plants)) if only_plants else pl.lit(value=True)
    daily = (
        runtime.lake.scan(EnergyDaily)
        .filter(held, mine)
        .select("plant_id", "local_date", pl.col("status").cast(pl.String))
        .collect()
    )
    # Days that have no row, and days whose row stands on an answer that did not come this time.
    unasked = (
        find_incomplete_days(runtime, min(days), max(days))
        .filter(held, mine, pl.col("reason").is_in([FAILED, NOT_FETCHED]))
        .select("plant_id", "local_date", "reason")
    )
    found = daily.join(unasked, on=["plant_id", "local_date"], how="full", coalesce=True).with_columns(
        reason=pl.coalesce("reason", "status")
    )
    names = runtime.lake.scan(Plants).select("plant_id", "name").collect()
    return summarize(found.join(names, on="plant_id", how="left"))


def summarize(plant_days: pl.DataFrame) -> Completeness:
    """Count plant-days: plant_id, name, local_date and reason (a status of energy_daily or a key of REASONS)."""
    order = {reason: place for place, reason in enumerate(REASONS)}
    reason = pl.col("reason")
    lacking = (
        plant_days.filter(reason.is_in(list(REASONS)))
        .group_by("plant_id", "name", "reason")
        .agg(days=pl.len(), first=pl.col("local_date").min(), last=pl.col("local_date").max())
        .sort(reason.replace_strict(order, return_dtype=pl.Int8), "plant_id")
    )
    return Completeness(
        plant_days=plant_days.height,
        complete=plant_days.filter(reason == "complete").height,
        provisional=plant_days.filter(reason == PROVISIONAL).height,
        lacking=lacking,
    )


def _format_span(first: dt.date, last: dt.date) -> str:
    return str(first) if first == last else f"{first} to {last}"
