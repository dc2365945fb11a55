"""What changed between two makings of the same day, and why: pure comparisons of frames.

A provisional day that grows is no change, and neither is the first writing of a day.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from pipeline.transform.lists.plant_moves import take_new_ids

# The facts that an interval table's file keeps, and what it means when they differ.
SETTING_CAUSES: Final = {
    "time_basis": "time_basis_changed",
    "merged_hour": "merged_hour_changed",
    "thresholds": "thresholds_changed",
    "version": "version_changed",
}
ANSWER_CHANGED, FIRST_ANSWER, PLANT_DATA = "answer_changed", "first_answer", "plant_data_changed"
PLANT_MOVED, UNKNOWN = "plant_moved", "unknown"
COUNTS: Final = ("n_rows_added", "n_rows_removed", "n_rows_changed")
PROVISIONAL = "provisional"

_CAUSES = pl.Schema({"plant_id": pl.String, "cause": pl.String})


def count_changed_rows(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """plant_id, n_rows_added, n_rows_removed and n_rows_changed of each plant whose rows differ.

    Both are interval rows of one day in the same columns, with one row for each plant_id and interval_end.
    """
    key = ["plant_id", "interval_end"]
    values = pl.struct(pl.exclude(key)).alias("values")
    old, new = (frame.select(*key, values, there=pl.lit(value=True)) for frame in (before, after))
    both = old.join(new, on=key, how="full", coalesce=True, suffix="_after")
    added, removed = pl.col("there").is_null(), pl.col("there_after").is_null()
    changed = ~added & ~removed & pl.col("values").ne_missing(pl.col("values_after"))
    counted = both.group_by("plant_id").agg(
        n_rows_added=added.sum(), n_rows_removed=removed.sum(), n_rows_changed=changed.sum()
    )
    return (
        counted.cast(dict.fromkeys(COUNTS, pl.Int64))
        .filter(pl.any_horizontal(pl.col(COUNTS) > 0))
        .sort("plant_id")
    )


def find_causes(
    before: Mapping[str, str],
    after: Mapping[str, str],
    answered: pl.DataFrame,
    plants: tuple[pl.DataFrame | None, pl.DataFrame],
) -> pl.DataFrame:
    """plant_id and cause of every plant of which plants and settings tell one; several of one plant are several rows.

    `before` and `after` are the facts of both makings, and `answered` has the plant_id of each plant with answers now.
    `plants` (plant_id and what energy depends on) are those of then, None where they are no longer stored, and of now.
    """
    everywhere = [
        cause for fact, cause in SETTING_CAUSES.items() if before and before.get(fact) != after.get(fact)
    ]
    ids = answered.select(pl.col("plant_id").unique())
    named = [ids.with_columns(cause=pl.lit(cause)) for cause in everywhere]
    return pl.concat([pl.DataFrame(schema=_CAUSES), _find_plant_causes(*plants), *named])


def find_answer_causes(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """plant_id and cause of every plant whose answers differ (plant_id, device_id, request_date, body)."""
    first = now.join(then, on="plant_id", how="anti").with_columns(cause=pl.lit(FIRST_ANSWER))
    key = ["plant_id", "device_id", "request_date"]
    both = then.join(now, on=key, how="full", coalesce=True, suffix="_now")
    differ = both.filter(pl.col("body").ne_missing(pl.col("body_now"))).join(first, on="plant_id", how="anti")
    changed = differ.with_columns(cause=pl.lit(ANSWER_CHANGED))
    return pl.concat([frame.select(*_CAUSES).unique() for frame in (first, changed)])


def _find_plant_causes(then: pl.DataFrame | None, now: pl.DataFrame) -> pl.DataFrame:
    if then is None:
        return pl.DataFrame(schema=_CAUSES)
    known = now.join(then, on="plant_id", how="semi")
    same = known.join(then, on=known.columns, how="semi", nulls_equal=True)
    differ = known.join(same, on="plant_id", how="anti")
    return differ.select("plant_id", cause=pl.lit(PLANT_DATA))


def join_causes(found: pl.DataFrame) -> pl.DataFrame:
    """plant_id and all its causes in one text, in a fixed order.

    `found` has plant_id and cause, which may be several, joined by +.
    """
    each = pl.col("cause").str.split("+").explode()
    return found.group_by("plant_id").agg(each.unique().sort().str.join("+")).sort("plant_id")


def find_restated(
    before: pl.DataFrame, after: pl.DataFrame, moved: pl.DataFrame, quantities: Sequence[str]
) -> pl.DataFrame:
    """The figures of final days that differ.

    The frame has plant_id, quantity, before_kwh, after_kwh, difference_kwh, status_* and moved. `before` and `after`
    are rows of `energy_daily` of one day, `moved` is what `find_successors` gives. The figures of a plant's ids are one
    plant's: moving alone changes none, but where both had some.
    """
    names = {f"{name}_kwh": name for name in quantities}
    renamed = take_new_ids(before, moved)
    # One id's day that may still grow leaves the plant's day open.
    old = renamed.group_by("plant_id").agg(
        _sum_whole(names),
        status=pl.when((pl.col("status") == PROVISIONAL).any())
        .then(pl.lit(PROVISIONAL))
        .otherwise(pl.col("status").first()),
        moved=(pl.col("moves_since") > 0).any(),
    )
    old = old.filter(pl.col("status") != PROVISIONAL)
    then = _unpivot(old, ["plant_id", "status", "moved"], names)
    now = _unpivot(after, ["plant_id", "status"], names)
    both = then.join(now, on=["plant_id", "quantity"], how="left", suffix="_after")
    differ = both.filter(pl.col("kwh").ne_missing(pl.col("kwh_after")))
    difference = pl.col("kwh_after").fill_null(0) - pl.col("kwh").fill_null(0)
    return differ.select(
        "plant_id",
        pl.col("quantity").replace(names),
        before_kwh="kwh",
        after_kwh="kwh_after",
        difference_kwh=difference,
        status_before="status",
        status_after="status_after",
        moved="moved",
    ).sort("plant_id", "quantity")


def _sum_whole(names: Mapping[str, str]) -> list[pl.Expr]:
    """The sum of a plant's ids, null where none has a value."""
    return [pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in names]


def _unpivot(frame: pl.DataFrame, index: list[str], names: Mapping[str, str]) -> pl.DataFrame:
    """A row for each quantity, its energy as kwh."""
    return frame.unpivot(on=list(names), index=index, variable_name="quantity", value_name="kwh")


def find_adjusted(
    closed: pl.DataFrame, now: pl.DataFrame, moved: pl.DataFrame, quantities: Sequence[str]
) -> pl.DataFrame:
    """Figures of closed months that their days don't add up to: plant_id, month, quantity, *_kwh, closed_at.

    `closed` and `now` are rows of `energy_monthly`, those of closed months as they were closed and as they would be;
    `moved` is what `find_successors` gives. A plant that moved since is named by the id that its closed row has.
    """
    names = {f"{name}_kwh": name for name in quantities}
    key = ["plant_id", "month"]
    renamed = take_new_ids(closed.with_columns(closed_id="plant_id"), moved)
    # Where both ids were closed, the newest one's row stands for the plant.
    ids = renamed.group_by(key).agg(pl.col("closed_id").sort_by("moves_since", "closed_id").first())
    once = renamed.group_by(key).agg(_sum_whole(names))
    then, today = _unpivot(once, key, names), _unpivot(now, key, names)
    both = then.join(today, on=[*key, "quantity"], how="full", coalesce=True, suffix="_now")
    differ = both.filter(pl.col("kwh").ne_missing(pl.col("kwh_now")))
    at = closed.group_by("month").agg(pl.col("closed_at").max())
    return (
        differ.join(at, on="month")
        .join(ids, on=key, how="left")
        .select(
            pl.coalesce("closed_id", "plant_id").alias("plant_id"),
            "month",
            pl.col("quantity").replace(names),
            closed_kwh="kwh",
            now_kwh="kwh_now",
            difference_kwh=pl.col("kwh_now").fill_null(0) - pl.col("kwh").fill_null(0),
            closed_at="closed_at",
        )
        .sort("month", "plant_id", "quantity")
    )
