"""Shards: each plant is in one, and stays there while others come and go."""

import pytest

from pipeline.common.errors import UsageError
from pipeline.ops.doctor.access_diagnoses import judge_shards
from pipeline.ops.doctor.result import Level
from pipeline.run.shards import Shard, list_shards, parse_shard

PLANTS = [f"{5_000_000 + number}" for number in range(30_000)]


def test_each_plant_is_in_one_shard_of_about_the_same_size() -> None:
    shards = [set(shard.select(PLANTS)) for shard in list_shards(30)]
    assert sum(map(len, shards)) == len(PLANTS)
    assert set().union(*shards) == set(PLANTS)
    assert all(800 < len(shard) < 1200 for shard in shards)
    # By the id alone, on any machine and with any version: these never change.
    assert Shard(1, 3).select(PLANTS[:8]) == ["5000006", "5000007"]
    assert Shard(1, 3).select(PLANTS[7:])[:1] == ["5000007"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "1/101", "a/b", "1/3/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--shard .* is not a shard: write number/count, for instance 2/3"):
        parse_shard("--shard", text)
    assert parse_shard("--shard", "2/3") == Shard(2, 3)


def test_the_doctor_says_that_shards_are_too_small() -> None:
    (found,) = judge_shards(4, 2500)
    assert found.level is Level.WARN
    assert "shards of about 625 plants" in found.text
    assert "set it to 2, so that a shard has 1,000 plants" in found.text
    assert judge_shards(4, 4000) == judge_shards(1, 10) == []
