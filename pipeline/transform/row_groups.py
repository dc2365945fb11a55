"""Splits streams of frames so that each frame holds whole series."""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl


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
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _count_more(earlier: pl.DataFrame, later: pl.DataFrame, keys: Sequence[str]) -> int:
    """How many rows of `later` belong to the last group of `earlier`."""
    last = earlier.select(keys).row(-1)
    if later.select(keys).row(0) != last:
        return 0
    same = pl.all_horizontal(pl.col(k).eq_missing(pl.lit(v)) for k, v in zip(keys, last, strict=True))
    return int(later.select(same.sum()).item())
