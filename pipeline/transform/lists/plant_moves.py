"""Plants that moved, as from Sunny Portal Classic to ennexOS: their ids are one plant.

A moved plant has a new id, and the old one is no longer listed. Whether the new id answers for days before the move is
not promised, so both readings of a day are joined: the old id's rows count up to where the new id's begin.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

_SCHEMA = pl.Schema({"plant_id": pl.String(), "successor": pl.String(), "n_moves": pl.Int64()})
_NO_MOVE = pl.DataFrame(schema=_SCHEMA)


def list_moves(plants: pl.DataFrame) -> pl.DataFrame:
    """The rows of `plants` (plant_id, migrated_from) that took the place of an id, one for each such id.

    Where two plants say that they had one id before, it is the greater one. The views have the same rule, with that of
    `find_successors`, in `warehouse/views/shared/plant_moves.sql`.
    """
    moved = plants.filter(pl.col("migrated_from") != pl.col("plant_id"))
    return moved.sort("plant_id").unique("migrated_from", keep="last", maintain_order=True)


def find_successors(plants: pl.DataFrame) -> pl.DataFrame:
    """plant_id and successor of every plant that moved, by rows of `plants`, and n_moves between the two.

    Over several moves the successor is the last one's id. Moves in a circle are none.
    """
    # Mostly none moved, and each step of a day asks.
    if plants["migrated_from"].null_count() == plants.height:
        return _NO_MOVE.clone()
    steps = list_moves(plants).select(plant_id="migrated_from", successor="plant_id")
    if not steps.height:
        return _NO_MOVE.clone()
    onward = steps.rename({"plant_id": "successor", "successor": "next"})
    walks, found = steps.with_columns(n_moves=pl.lit(1, pl.Int64)), []
    # More moves than ids are a circle.
    for _ in range(steps.height):
        joined = walks.join(onward, on="successor", how="left", maintain_order="left")
        further = pl.col("next").is_not_null()
        found.append(joined.filter(~further).drop("next"))
        walks = joined.filter(further).select("plant_id", successor="next", n_moves=pl.col("n_moves") + 1)
        if not walks.height:
            break
    return pl.concat(found).select(_SCHEMA.names()).cast(_SCHEMA)


def add_former_ids(plants: pl.DataFrame) -> pl.DataFrame:
    """The rows of `plants`, which are all that are known, with former_ids: a list of the ids that each had before."""
    steps = list_moves(plants).select(id="plant_id", before="migrated_from")
    walks, found = plants.select("plant_id", id="plant_id"), []
    for _ in range(steps.height):
        walks = walks.join(steps, on="id").select("plant_id", id="before")
        if not walks.height:
            break
        found.append(walks)
    ids = pl.concat([walks.clear(), *found]).group_by("plant_id").agg(former_ids="id")
    return plants.join(ids, on="plant_id", how="left", maintain_order="left").with_columns(
        pl.col("former_ids").fill_null([])
    )


def take_new_ids(frame: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """The frame with the plants' newest ids and `moves_since`: how often a plant moved since it had the row's id."""
    if not moved.height:
        return frame.with_columns(moves_since=pl.lit(0, pl.Int64))
    joined = frame.join(moved, on="plant_id", how="left", maintain_order="left")
    return joined.with_columns(
        moves_since=pl.col("n_moves").fill_null(0), plant_id=pl.coalesce("successor", "plant_id")
    ).drop("successor", "n_moves")


def join_rows(
    frames: Iterable[pl.DataFrame], moved: pl.DataFrame, keys: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """The interval rows of one day with the newest ids: of each plant those of an id up to where a newer one's begin.

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
        begins = rows.group_by("plant_id", "moves_since").agg(begin=pl.col("interval_end").min())
        newer = pl.col("begin").cum_min().shift(1).over("plant_id", order_by="moves_since")
        ends = begins.select("plant_id", "moves_since", newer_begins=newer)
        placed = rows.join(ends, on=["plant_id", "moves_since"], how="left", maintain_order="left")
        counted = pl.col("newer_begins").is_null() | (pl.col("interval_end") < pl.col("newer_begins"))
        yield placed.filter(counted).drop("moves_since", "newer_begins").sort(*keys, "interval_end")


def sort_rows(frames: Iterable[pl.DataFrame], moved: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The frames of `join_rows` in the order of the plants: where some moved, all in one frame."""
    if not moved.height:
        yield from frames
    elif held := list(frames):
        yield pl.concat(held).sort("plant_id", maintain_order=True)


def join_asked(asked: pl.DataFrame, moved: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """What was asked for (keys and `final`) with the newest ids, once each, and whether it is `replaced`.

    Where several ids were asked, the newest of them says whether the day is final, and the devices of the others are
    replaced: they are the same ones, and need no rows of their own.
    """
    if not moved.height:
        return asked.group_by(keys).agg(pl.col("final").all(), replaced=pl.lit(value=False))
    new = pl.col("moves_since") == pl.col("moves_since").min().over("plant_id")
    named = take_new_ids(asked, moved).with_columns(new=new)
    of_new = pl.col("final").filter("new").all().over("plant_id")
    final = pl.when("new").then("final").otherwise(of_new)
    named = named.with_columns(final=final, replaced=~pl.col("new"))
    return named.group_by(keys).agg(pl.col("final", "replaced").all())
