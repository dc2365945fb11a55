"""How often a lake on an object store lists, and that no version is missed for asking less."""

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from schemas import EnergyDaily, RawEnergyBalance
from tests.warehouse.object_stores import Store
from tests.warehouse.stopped_proxy import open_proxy
from tests.warehouse.three_days import DAYS, MODELS, NEWEST, frame_of, values
from warehouse import version_looks
from warehouse.lake import Lake
from warehouse.object_store import ObjectStore
from warehouse.published_file.publish import publish
from warehouse.table_upkeep import keep_up_table
from warehouse.verification.verify import verify_lake

READS, WRITES = 5, 3


@pytest.fixture(scope="module")
def proxy(store: Store) -> Iterator[Store]:
    """A counting proxy before the store."""
    with open_proxy(store.address) as (address, _):
        yield Store(address)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with figures of three days."""
    home = tmp_path_factory.mktemp("home")
    lake = Lake(str(home / "lake"), home / "tmp")
    for day, value in NEWEST.items():
        lake.replace(EnergyDaily, {"local_date": day}, [frame_of(EnergyDaily, day, value)])
    return Path(lake.root)


@pytest.fixture
def lake(proxy: Store, folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Lake:
    """A copy of that lake in a bucket."""
    return proxy.lake(proxy.put_lake(folder, "calls", request.node), tmp_path / "tmp")


def count(proxy: Store) -> dict[str, int]:
    return dict(httpx.get(f"{proxy.address}/-/counts").json())


def again(lake: Lake) -> Lake:
    return Lake(lake.root, lake.scratch, lake.storage_options)


def write(lake: Lake, value: float) -> None:
    lake.replace(EnergyDaily, {"local_date": DAYS[1]}, [frame_of(EnergyDaily, DAYS[1], value)])


def test_what_is_read_again_is_not_listed_again(lake: Lake, proxy: Store) -> None:
    values(lake, EnergyDaily)
    count(proxy)
    for _ in range(READS):
        assert values(lake, EnergyDaily) == NEWEST
    assert count(proxy).get("LIST", 0) == 0
    for n in range(WRITES):
        write(lake, 5.0 + n)
    # The library lists before a commit and after it, and once more when the table is read again.
    assert count(proxy)["LIST"] <= 3 * WRITES


def write_answers(lake: Lake) -> None:
    for day, value in NEWEST.items():
        lake.replace(RawEnergyBalance, {"local_date": day}, [frame_of(RawEnergyBalance, day, value)])


@pytest.mark.long
def test_publication_and_verification_list_each_table_twice(
    lake: Lake, proxy: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_answers(lake)
    clients: list[str] = []
    make = ObjectStore.__init__

    def make_client(self: ObjectStore, address: str, options: Mapping[str, str]) -> None:
        clients.append(address)
        make(self, address, options)

    monkeypatch.setattr(ObjectStore, "__init__", make_client)
    count(proxy)
    publish(again(lake), tmp_path / "sunledger.duckdb", now=dt.datetime.now(dt.UTC), version="1")
    # One client for all tables keeps its connections.
    assert clients == [lake.root]
    # Its log and its files, and once what the lake has, and of which tables there are digests.
    assert 0 < count(proxy)["LIST"] <= 2 * len(MODELS) + 2
    assert len([found for found in verify_lake(again(lake)) if not found.fault]) == 3 * len(MODELS)
    assert 0 < count(proxy)["LIST"] <= 2 * len(MODELS) + 2


@pytest.mark.long
def test_a_table_that_grows_while_a_lake_is_verified_is_not_damaged(lake: Lake) -> None:
    write_answers(lake)
    verified = verify_lake(again(lake), MODELS)
    # When the first part of the first table is told, the whole lake was listed.
    assert next(verified).fault is None
    for n in range(3):
        write(lake, 30.0 + n)
    assert [found.fault for found in verified if found.fault] == []


@pytest.mark.long
def test_a_commit_of_another_process_is_seen_at_once(lake: Lake, proxy: Store) -> None:
    other = again(lake)
    for n in range(2):
        write(other, 7.0 + n)
        assert values(lake, EnergyDaily)[DAYS[1]] == 7.0 + n
        write(lake, 8.5 + n)
        assert values(other, EnergyDaily)[DAYS[1]] == 8.5 + n
    assert [found.fault for found in verify_lake(again(lake), [EnergyDaily]) if found.fault] == []


@pytest.mark.long
def test_a_table_that_was_not_there_is_found_when_another_process_makes_it(
    proxy: Store, tmp_path: Path
) -> None:
    httpx.put(f"{proxy.address}/born", timeout=60).raise_for_status()
    lake = proxy.lake("born", tmp_path)
    assert lake.take_snapshot(EnergyDaily).version == -1
    count(proxy)
    assert lake.take_snapshot(EnergyDaily).version == -1
    assert count(proxy).get("LIST", 0) == 0
    other = again(lake)
    write(other, 3.0)
    # Most of them are the library's own, at the creation and at the commit.
    assert count(proxy)["LIST"] <= 7
    assert values(lake, EnergyDaily) == {DAYS[1]: 3.0}


@pytest.mark.long
def test_a_version_whose_successors_were_removed_is_not_taken_for_the_newest(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    values(lake, EnergyDaily)
    other = again(lake)
    for n in range(12):
        write(other, 40.0 + n)
    done = keep_up_table(again(lake), EnergyDaily, (), dt.datetime.now(dt.UTC) + dt.timedelta(days=40))
    assert done is not None
    assert len(done.entries) > 10
    # So much later, no process trusts what it has seen before.
    monkeypatch.setattr(version_looks, "LIST_AGAIN_S", 0.0)
    assert values(lake, EnergyDaily)[DAYS[1]] == 51.0
    write(lake, 20.0)
    assert values(again(lake), EnergyDaily) == NEWEST


@pytest.mark.long
def test_an_answer_that_is_lost_after_a_commit_doubles_and_loses_nothing(lake: Lake, proxy: Store) -> None:
    for n, word in enumerate(("_delta_log", "part-", "_digests")):
        httpx.put(f"{proxy.address}/-/lose/{word}")
        count(proxy)
        write(lake, 60.0 + n)
        assert count(proxy)["LOST"] == 1
        assert values(again(lake), EnergyDaily) == {**NEWEST, DAYS[1]: 60.0 + n}
        assert [found.fault for found in verify_lake(again(lake), [EnergyDaily]) if found.fault] == []
