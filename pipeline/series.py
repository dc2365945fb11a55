"""Streams of frames cut so that each holds whole series."""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl


def whole_groups(frames: Iterable[pl.DataFrame], keys: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The same rows in frames that never split a group of equal `keys`. The rows come sorted by them."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        if not frame.height:
            continue
        last = pl.all_horizontal(pl.col(key).eq_missing(pl.lit(frame[key][-1])) for key in keys)
        tail = frame.filter(last)
        if tail.height == frame.height:
            held.append(frame)
            continue
        yield pl.concat([*held, frame.head(frame.height - tail.height)])
        held = [tail]
    if held:
        yield pl.concat(held)
