"""Plants that moved from Sunny Portal Classic to ennexOS: their two ids are one plant.

A moved plant has a new id, and the old one is no longer listed. Whether the new id answers for days before the move is
not promised, so both readings of a day are joined: the old id's rows count up to where the new id's begin.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

_SCHEMA = {"plant_id": pl.String, "successor": pl.String}


def find_successors(plants: pl.DataFrame) -> pl.DataFrame:
    """plant_id and successor of every plant that moved, by rows of `plants`; over several moves, the last one's id."""
    moved = plants.filter(
        pl.col("migrated_from").is_not_null(), pl.col("migrated_from") != pl.col("plant_id")
    )
    if not moved.height:
        return pl.DataFrame(schema=_SCHEMA)
    steps = moved.select(plant_id="migrated_from", successor="plant_id").unique("plant_id", keep="last")
    # More moves than plants would be a circle, which ends here too.
    for _ in range(steps.height):
        further = steps.join(steps, left_on="successor", right_on="plant_id", how="left", suffix="_next")
        last = pl.coalesce("successor_next", "successor")
        following = further.select("plant_id", last.alias("successor"))
        if following.equals(steps):
            break
        steps = following
    return steps.filter(pl.col("plant_id") != pl.col("successor")).cast(pl.Schema(_SCHEMA))


def take_new_ids(frame: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """The frame with the plants' newest ids, and whether a row had an `old_id`."""
    if not moved.height:
        return frame.with_columns(old_id=pl.lit(value=False))
    joined = frame.join(moved, on="plant_id", how="left", maintain_order="left")
    return joined.with_columns(
        old_id=pl.col("successor").is_not_null(), plant_id=pl.coalesce("successor", "plant_id")
    ).drop("successor")


def join_rows(
    frames: Iterable[pl.DataFrame], moved: pl.DataFrame, keys: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """The interval rows of one day with the newest ids: of each plant the old id's up to where the new id's begin.

    Frames of whole series pass as they are, but for the plants concerned, which come together at the end.
    """
    if not moved.height:
        yield from frames
        return
    concerned = pl.col("plant_id").is_in([*moved["plant_id"], *moved["successor"]])
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame.filter(concerned))
        rest = frame.filter(~concerned)
        if rest.height:
            yield rest
    if any(frame.height for frame in held):
        rows = take_new_ids(pl.concat(held), moved)
        new_begins = pl.col("interval_end").filter(~pl.col("old_id")).min().over("plant_id")
        counted = ~pl.col("old_id") | new_begins.is_null() | (pl.col("interval_end") < new_begins)
        yield rows.filter(counted).drop("old_id").sort(*keys, "interval_end")


def sort_rows(frames: Iterable[pl.DataFrame], moved: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The frames of `join_rows` in the order of the plants: where some moved, all in one frame."""
    if not moved.height:
        yield from frames
    elif held := list(frames):
        yield pl.concat(held).sort("plant_id", maintain_order=True)


def join_asked(asked: pl.DataFrame, moved: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """What was asked for (keys and `final`) with the newest ids, once each, and whether it is `replaced`.

    Where the new id was asked too, it says whether the day is final, and the old id's devices are replaced: they are
    the same ones, and need no rows of their own.
    """
    if not moved.height:
        return asked.group_by(keys).agg(pl.col("final").all(), replaced=pl.lit(value=False))
    new = ~pl.col("old_id")
    both = pl.col("old_id") & new.any().over("plant_id")
    final = pl.when(both).then(pl.col("final").filter(new).all().over("plant_id")).otherwise("final")
    named = take_new_ids(asked, moved).with_columns(final.alias("final"), both.alias("replaced"))
    return named.group_by(keys).agg(pl.col("final", "replaced").all())
