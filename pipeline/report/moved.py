"""A plant that moved is one plant: its rows of a month under its newest id, by whichever id they were read or asked."""

from collections.abc import Iterable, Sequence

import polars as pl

from pipeline.transform.lists.plant_moves import take_new_ids


def take_newest_ids(plant_ids: Iterable[str], moved: pl.DataFrame) -> list[str]:
    """The plants by their newest ids, once each; `moved` is what `find_successors` gives."""
    successor = dict(moved.select("plant_id", "successor").iter_rows())
    return sorted({successor.get(plant, plant) for plant in plant_ids})


def list_all_ids(plant_ids: Sequence[str], moved: pl.DataFrame) -> list[str]:
    """These newest ids, and those that the same plants had before."""
    old = moved.filter(pl.col("successor").is_in(list(plant_ids)))["plant_id"]
    return sorted({*plant_ids, *old})


def rename_plants(frame: pl.DataFrame, moved: pl.DataFrame, *key: str) -> pl.DataFrame:
    """The rows by newest ids. Where both ids have a row of the same plant_id and `key`, the newest one's stands."""
    if not moved.height:
        return frame
    found = take_new_ids(frame, moved).sort("plant_id", "moves_since", maintain_order=True)
    if key:
        found = found.unique(["plant_id", *key], keep="first", maintain_order=True)
    return found.drop("moves_since")


def join_months(months: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """Rows of energy_monthly of one month by newest ids: a month that was closed has the ids of its closing.

    Where both ids were closed their energies add up, and the newest one's row stands for the rest.
    """
    energy = pl.col("pv_generation_kwh")
    whole = pl.when(energy.count() > 0).then(energy.sum()).over("plant_id")
    by_id = take_new_ids(months, moved).with_columns(pv_generation_kwh=whole)
    return (
        by_id.sort("plant_id", "moves_since")
        .unique("plant_id", keep="first", maintain_order=True)
        .drop("moves_since")
    )


def join_hours(hours: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """Rows of `MonthRows.hours` by newest ids: an hour in which both ids have rows is the mean of both."""
    if not moved.height:
        return hours
    figures = ("kwh", "hours", "load_kwh", "load_hours")
    sums = (pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in figures)
    key = ("plant_id", "local_date", "hour")
    return take_new_ids(hours, moved).group_by(key).agg(*sums).sort(key)
