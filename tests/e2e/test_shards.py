"""Shards of one day in processes of their own at once: every table is that of one run, and nothing is asked twice."""

import signal
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from pipeline.run.shards import list_shards
from sandbox.launch import SandboxAddress, run_sandbox
from schemas import ApiRequests
from tests.programs import run
from tests.torture.compare import Tables, differences, tables_of, with_any_period
from tests.torture.programs import Ended, Running
from warehouse.lake import Lake

pytestmark = pytest.mark.long

BACKFILL = ("backfill", "--from", "2025-06-02", "--to", "2025-06-02", "--yes")
SHARDS = [str(shard) for shard in list_shards(3)]
LAST = "and published"


@pytest.fixture(scope="module")
def sma() -> Iterator[SandboxAddress]:
    # The fewest of which each shard has one.
    with run_sandbox("--plants", "6") as address:
        yield address


@pytest.fixture(scope="module")
def alone(sma: SandboxAddress, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of all plants."""
    folder = tmp_path_factory.mktemp("alone")
    code, said = run(folder, *BACKFILL, **sma.settings())
    assert code == 0, said
    return folder


@pytest.fixture(scope="module")
def expected(alone: Path) -> Tables:
    """What that run has made."""
    return with_any_period(tables_of(alone / "home"))


def count_requests(folder: Path) -> dict[str, int]:
    """Requests that were sent, by endpoint; tokens are each process's own."""
    found = (
        Lake(str(folder / "home" / "lake"), folder / "tmp")
        .scan(ApiRequests)
        .filter(pl.col("endpoint") != "token")
    )
    return dict(found.group_by("endpoint").len().collect().rows())


def start_shards(folder: Path, sma: SandboxAddress) -> list[Running]:
    return [Running(folder, *BACKFILL, "--shard", shard, **sma.settings()) for shard in SHARDS]


def is_well(ended: Ended) -> bool:
    return ended.code == 0 and not ended.late and "Traceback" not in ended.said


def compare(expected: Tables, folder: Path) -> list[str]:
    return differences(expected, with_any_period(tables_of(folder / "home")))


def test_three_shards_at_once_land_in_one_day(
    sma: SandboxAddress, alone: Path, expected: Tables, tmp_path: Path
) -> None:
    ended = [shard.end() for shard in start_shards(tmp_path, sma)]
    assert all(map(is_well, ended)), [one.said for one in ended]
    # The last one has published; where two were the last, both have.
    assert [one for one in ended if LAST in one.said]
    assert compare(expected, tmp_path) == []
    asked = count_requests(alone)
    # Each shard reads the list of plants.
    assert count_requests(tmp_path) == {**asked, "plants": asked["plants"] + len(SHARDS) - 1}
    assert [path.name for path in (tmp_path / "home" / "claims").iterdir()] == ["turn.lock"]


def test_a_killed_shard_is_run_again(sma: SandboxAddress, expected: Tables, tmp_path: Path) -> None:
    # With the lists there, it is killed in its days.
    assert run(tmp_path, "refresh", **sma.settings())[0] == 0
    shards = start_shards(tmp_path, sma)
    raw = tmp_path / "home" / "lake" / "raw_energy_balance"

    def kill_amid_days(shard: Running) -> bool:
        # Some shard has stored answers of the first day: this one is fetching, or about to.
        if amid := any(raw.glob("local_date=*/*.parquet")):
            shard.send(signal.SIGKILL)
        return amid

    killed = shards[1].end(until=kill_amid_days)
    ended = [shards[0].end(), shards[2].end()]
    assert killed.code == -signal.SIGKILL
    assert all(map(is_well, ended)), [one.said for one in ended]
    assert not [one for one in ended if LAST in one.said]
    code, said = run(tmp_path, *BACKFILL, "--shard", SHARDS[1], **sma.settings())
    assert (code, LAST in said) == (0, True), said
    assert compare(expected, tmp_path) == []


def test_two_runs_of_the_same_days_ask_once(
    sma: SandboxAddress, alone: Path, expected: Tables, tmp_path: Path
) -> None:
    ended = [run_.end() for run_ in [Running(tmp_path, *BACKFILL, **sma.settings()) for _ in range(2)]]
    assert all(map(is_well, ended)), [one.said for one in ended]
    found, asked = count_requests(tmp_path), count_requests(alone)
    assert {name: found[name] for name in ("measurements", "logs")} == {
        name: asked[name] for name in ("measurements", "logs")
    }
    assert compare(expected, tmp_path) == []
    assert run(tmp_path, "verify", **sma.settings())[0] == 0
