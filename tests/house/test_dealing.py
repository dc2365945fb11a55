"""Tests are dealt out so that no worker of pytest is left with what takes long at the end, and no file is split."""

import pytest

from tests.dealing import deal_out

FOUND = ["a s1", "a L1", "a L2", "a s2", "b W1", "b L3", "c s3", "c L4", "d s4", "d s5"]


@pytest.mark.parametrize(
    ("workers", "dealt"),
    [
        (1, ["b W1", "a L1", "a L2", "b L3", "c L4", "a s1", "a s2", "c s3", "d s4", "d s5"]),
        (2, ["b W1", "a L1", "a L2", "a s1", "a s2", "c s3", "b L3", "c L4", "d s4", "d s5"]),
        (3, ["b W1", "a L1", "a L2", "a s1", "a s2", "b L3", "c s3", "d s4", "d s5", "c L4"]),
    ],
)
def test_each_worker_begins_with_its_share_of_what_takes_long(workers: int, dealt: list[str]) -> None:
    found = deal_out(FOUND, workers, lambda item: "WLs".index(item[2]), lambda item: item[0])
    assert found == dealt
