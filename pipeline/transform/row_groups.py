"""Splits streams of frames so that each frame holds whole series."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import polars as pl

# Two row groups of most tables, about 200 plants' day of five minutes, 15 MB. What a step makes of them takes ten times
# as much for a moment.
ROWS_AT_ONCE: Final = 45_000
# Plants whose rows are made together, where they are made without rows to begin with.
PLANTS_AT_ONCE: Final = 500


def split_by_group(frames: Iterable[pl.DataFrame], keys: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The same rows in frames that never split a group of equal `keys`. The rows come sorted by them.

    A frame waits for the one after it, and passes as it is unless its last group goes on there.
    """
    held: list[pl.DataFrame] = []
    for frame in frames:
        if not frame.height:
            continue
        more = _count_more(held[-1], frame, keys) if held else 0
        if more == frame.height:
            held.append(frame)
            continue
        if held:
            yield pl.concat([*held, frame.head(more)])
        held = [frame.slice(more)]
    if held:
        yield pl.concat(held)


def join_frames(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in frames of at least so many, the last one apart.

    What is done with a frame costs milliseconds whatever its size, and a row group of the lake is small.
    """
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(one.height for one in held) >= rows:
            joined = pl.concat(held)
            held = []
            yield joined
    if held:
        yield pl.concat(held)


def split_by_plant(
    frames: Iterable[pl.DataFrame], plants: pl.DataFrame, none: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The rows of some plants after those of others, each time with those of `plants` that they belong to.

    Both come sorted by `plant_id`; `none` is a frame without rows. Every plant comes once, also one without rows, and
    so does every row, also one of no plant: what is made of each plant by itself is so made of all, in their order.
    """
    done = ""
    for rows in join_frames(split_by_group(frames, ["plant_id"]), ROWS_AT_ONCE):
        last: str = rows["plant_id"][-1]
        here = plants.filter(pl.col("plant_id") > done, pl.col("plant_id") <= last)
        yield from _split_plants(rows, here)
        done = last
    yield from _split_plants(none, plants.filter(pl.col("plant_id") > done))


def pair_by_plant(
    before: Iterable[pl.DataFrame], after: Iterable[pl.DataFrame], none: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The rows of some plants from both streams after those of others, of each plant all rows.

    Both come sorted by `plant_id`; `none` is a frame without rows. A frame of each stream is held at a time.
    """
    streams = [split_by_group(frames, ["plant_id"]) for frames in (before, after)]
    held = [next(stream, none) for stream in streams]
    while any(frame.height for frame in held):
        # A stream whose frame has rows behind this plant waits for the other one.
        last = pl.col("plant_id") <= min(frame["plant_id"][-1] for frame in held if frame.height)
        here = [frame.filter(last) for frame in held]
        rest = [frame.filter(~last) for frame in held]
        held = [
            frame if frame.height else next(stream, none) for frame, stream in zip(rest, streams, strict=True)
        ]
        yield here[0], here[1]


def _split_plants(rows: pl.DataFrame, plants: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The same, cut where there are more plants than are to be made together."""
    while plants.height > PLANTS_AT_ONCE:
        here, plants = plants.head(PLANTS_AT_ONCE), plants.slice(PLANTS_AT_ONCE)
        begun = pl.col("plant_id") <= here["plant_id"][-1]
        yield rows.filter(begun), here
        rows = rows.filter(~begun)
    if plants.height or rows.height:
        yield rows, plants


def _count_more(earlier: pl.DataFrame, later: pl.DataFrame, keys: Sequence[str]) -> int:
    """How many rows of `later` belong to the last group of `earlier`."""
    last = earlier.select(keys).row(-1)
    if later.select(keys).row(0) != last:
        return 0
    same = pl.all_horizontal(pl.col(k).eq_missing(pl.lit(v)) for k, v in zip(keys, last, strict=True))
    return int(later.select(same.sum()).item())
