"""Streams of frames cut at whole groups: the same rows, in the same order, and no group in two frames."""

from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transform import row_groups
from pipeline.transform.row_groups import join_frames, pair_by_plant, split_by_group, split_by_plant
from tests.transform.answers import examples

keys_and_cuts = st.tuples(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "x", "y"])), max_size=30),
    st.lists(st.integers(0, 30), max_size=8),
)


def frame_of(keys: list[tuple[str, str | None]]) -> pl.DataFrame:
    ordered = sorted(keys, key=lambda key: (key[0], key[1] or ""))
    return pl.DataFrame(
        ordered, schema={"plant": pl.String, "device": pl.String}, orient="row"
    ).with_row_index("n")


@examples(200)
@given(keys_and_cuts)
def test_groups_stay_whole_and_rows_stay_in_order(
    drawn: tuple[list[tuple[str, str | None]], list[int]],
) -> None:
    whole, cuts = frame_of(drawn[0]), sorted(drawn[1])
    pieces = [whole[low:high] for low, high in zip([0, *cuts], [*cuts, whole.height], strict=True)]
    out = list(split_by_group(pieces, ["plant", "device"]))
    assert pl.concat([whole.clear(), *out]).equals(whole)
    groups = [set(frame.select("plant", "device").rows()) for frame in out]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert all(frame.height for frame in out)


def test_no_more_than_two_frames_are_held_while_groups_end() -> None:
    drawn: list[str] = []

    def frames() -> Iterator[pl.DataFrame]:
        for plant in "abcd":
            drawn.append(plant)
            yield pl.DataFrame({"plant": [plant] * 3})

    out = split_by_group(frames(), ["plant"])
    assert next(out)["plant"].to_list() == ["a"] * 3
    assert drawn == ["a", "b"]


def test_a_group_longer_than_several_frames_is_one() -> None:
    pieces = [pl.DataFrame({"plant": [plant] * 2}) for plant in "aaab"]
    assert [frame.height for frame in split_by_group(pieces, ["plant"])] == [6, 2]


def test_small_frames_are_joined_and_none_is_lost() -> None:
    frames = [pl.DataFrame({"plant_id": ["a"] * n, "value": range(n)}) for n in (2, 1, 4, 1)]
    joined = list(join_frames(frames, 3))
    assert [frame.height for frame in joined] == [3, 4, 1]
    assert pl.concat(joined).equals(pl.concat(frames))
    assert list(join_frames([], 3)) == []


@pytest.mark.long
@examples(200)
@given(
    st.lists(st.sampled_from("bdfhj"), max_size=30),
    st.sets(st.sampled_from("abcdefghijk")),
    st.integers(1, 9),
)
def test_every_plant_and_every_row_comes_once_and_in_order(
    rows: list[str], listed: set[str], size: int
) -> None:
    plants = pl.DataFrame({"plant_id": sorted(listed)}, {"plant_id": pl.String})
    whole = pl.DataFrame({"plant_id": sorted(rows)}, {"plant_id": pl.String}).with_row_index("n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_groups, "ROWS_AT_ONCE", size)
        patch.setattr(row_groups, "PLANTS_AT_ONCE", 2)
        shares = list(split_by_plant(whole.iter_slices(3), plants, whole.clear()))
    assert pl.concat([whole.clear(), *(of for of, _ in shares)]).equals(whole)
    assert pl.concat([plants.clear(), *(some for _, some in shares)]).equals(plants)
    for of, some in shares:
        assert some.height <= 2
        # A plant's rows are where the plant is.
        assert not set(of["plant_id"]) & (listed - set(some["plant_id"]))


plants_and_cuts = st.tuples(
    st.lists(st.sampled_from("abcdef"), max_size=20), st.lists(st.integers(0, 20), max_size=5)
)


@pytest.mark.long
@examples(200)
@given(plants_and_cuts, plants_and_cuts)
def test_pairs_hold_all_rows_of_the_same_plants(
    before: tuple[list[str], list[int]], after: tuple[list[str], list[int]]
) -> None:
    wholes, streams = [], []
    for plants, cuts in (before, after):
        whole = pl.DataFrame({"plant_id": sorted(plants)}, schema={"plant_id": pl.String}).with_row_index("n")
        ends = sorted(cuts)
        wholes.append(whole)
        streams.append([whole[low:high] for low, high in zip([0, *ends], [*ends, whole.height], strict=True)])
    pairs = list(pair_by_plant(*streams, wholes[0].clear()))
    for whole, side in zip(wholes, zip(*pairs, strict=True), strict=bool(pairs)):
        assert pl.concat([whole.clear(), *side]).equals(whole)
    seen = [{*old["plant_id"], *new["plant_id"]} for old, new in pairs]
    assert sum(map(len, seen)) == len({*before[0], *after[0]})
