"""Tests are dealt out so that no worker of pytest is left with what takes long at the end."""

import pytest

from tests.dealing import deal_out


@pytest.mark.parametrize(
    ("workers", "dealt"),
    [
        (1, ["W", "L1", "L2", "L3", "s1", "s2", "s3", "s4", "s5"]),
        (2, ["L1", "s1", "s2", "W", "L2", "L3", "s3", "s4", "s5"]),
        (3, ["L1", "s1", "L2", "s2", "s3", "W", "L3", "s4", "s5"]),
    ],
)
def test_each_worker_begins_with_its_share_of_what_takes_long(workers: int, dealt: list[str]) -> None:
    found = ["s1", "L1", "s2", "s3", "W", "L2", "s4", "L3", "s5"]
    assert deal_out(found, workers, lambda item: "WLs".index(item[0])) == dealt
