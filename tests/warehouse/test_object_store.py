"""A lake on an object store: its digests see damage, and a repair mends it in a copy on disk and puts that back."""

import datetime as dt
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from schemas import EnergyDaily, RawEnergyBalance, Table
from tests.warehouse.object_stores import Store
from tests.warehouse.three_days import DAYS, MODELS, NEWEST, frame_of, values
from warehouse.integrity.damage import DamageKind
from warehouse.lake import Lake
from warehouse.repairs.lake_mirror import LakeInUseError, open_mirror
from warehouse.repairs.lake_repair import LakeRepair
from warehouse.repairs.lost_parts import LostPart
from warehouse.verification.verify import verify_lake

DAY = {"local_date": DAYS[1]}
LATEST = dt.date(2021, 10, 4)
VALUES = {**NEWEST, LATEST: 40.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An answer and a figure of four days, two of them replaced."""
    home = tmp_path_factory.mktemp("home")
    lake = Lake(str(home / "lake"), home / "tmp")
    replaced = [
        (DAYS[0], 1.0),
        (DAYS[1], 2.0),
        (DAYS[2], 3.0),
        (LATEST, 4.0),
        (DAYS[1], 20.0),
        (LATEST, 40.0),
    ]
    for model in MODELS:
        for day, value in replaced:
            lake.replace(model, {"local_date": day}, [frame_of(model, day, value)])
    return Path(lake.root)


@pytest.fixture
def lake(store: Store, folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Lake:
    """A copy of that lake in a bucket."""
    return store.lake(store.put_lake(folder, "lake", request.node), tmp_path / "tmp")


def again(lake: Lake) -> Lake:
    return Lake(lake.root, lake.scratch, lake.storage_options)


def kinds(lake: Lake) -> list[DamageKind]:
    return [found.damage.kind for found in verify_lake(again(lake), MODELS) if found.damage]


def path_of(lake: Lake, model: type[Table], day: dt.date = DAYS[1]) -> str:
    """The active file of a day, as the store names it."""
    return lake.take_snapshot(model, {"local_date": day}).files[0].removeprefix(f"{lake.root}/")


def read(lake: Lake, path: str) -> bytes:
    with lake.open_root().open_input_file(path) as source:
        return bytes(source.read())


def put(lake: Lake, path: str, content: bytes) -> None:
    with lake.open_root().open_output_stream(path) as sink:
        sink.write(content)


def flip(lake: Lake, model: type[Table]) -> None:
    content = bytearray(read(lake, path_of(lake, model)))
    content[len(content) // 3] ^= 0x10
    put(lake, path_of(lake, model), bytes(content))


def lose(lake: Lake, model: type[Table]) -> None:
    lake.open_root().delete_file(path_of(lake, model, DAYS[2]))


def add_orphan(lake: Lake, model: type[Table]) -> None:
    path = path_of(lake, model, DAYS[0])
    put(lake, f"{path.rpartition('/')[0]}/part-orphan.parquet", read(lake, path))


def drop_newest_entry(lake: Lake, model: type[Table]) -> None:
    table = lake.find_uri(model).removeprefix(f"{lake.root}/")
    lake.open_root().delete_file(f"{table}/_delta_log/{lake.take_snapshot(model).version:020d}.json")


def mend(lake: Lake, tmp_path: Path) -> list[LostPart]:
    lost: list[LostPart] = []
    with open_mirror(again(lake), tmp_path, lambda _: None) as mirror:
        LakeRepair(mirror, tmp_path / "aside", {EnergyDaily}, None, lost.extend).run()
    return lost


@pytest.mark.long
def test_damage_is_seen_and_mended(lake: Lake, tmp_path: Path) -> None:
    """Each kind by itself is mended in a folder: tests/warehouse/repairs. Here each hits a day of its own."""
    assert kinds(lake) == []
    for model in MODELS:
        for damage in (flip, lose, add_orphan, drop_newest_entry):
            damage(lake, model)
    seen = [DamageKind.FILE_CHANGED, DamageKind.FILE_MISSING, DamageKind.ENTRY_MISSING]
    assert sorted(kinds(lake)) == sorted(seen * len(MODELS))
    lost = mend(lake, tmp_path)
    assert kinds(lake) == []
    # What can't be put back is named, and nothing else has gone.
    gone = DAYS[1:3]
    assert [(one.model, one.part["local_date"]) for one in lost] == [
        (model, day) for model in MODELS for day in gone
    ]
    there = {day: value for day, value in VALUES.items() if day not in gone}
    for model in MODELS:
        assert values(again(lake), model) == there
        for day in gone:
            again(lake).replace(model, {"local_date": day}, [frame_of(model, day, VALUES[day])])
        assert values(again(lake), model) == VALUES
    files = again(lake).open_root().get_file_info(pafs.FileSelector("/", recursive=True))
    assert not [one.path for one in files if "part-orphan" in one.path]
    assert mend(lake, tmp_path) == []


@pytest.mark.long
def test_nothing_changes_where_others_wrote_meanwhile(lake: Lake, tmp_path: Path) -> None:
    flip(lake, EnergyDaily)
    opened = open_mirror(again(lake), tmp_path, lambda _: None)
    mirror = opened.__enter__()
    LakeRepair(mirror, tmp_path / "aside", {EnergyDaily}, None, lambda _: None).run()
    again(lake).replace(RawEnergyBalance, DAY, [frame_of(RawEnergyBalance, DAYS[1], 30.0)])
    with pytest.raises(LakeInUseError, match=r"Other processes wrote to s3://.* stop them"):
        opened.__exit__(None, None, None)
    assert kinds(lake) == [DamageKind.FILE_CHANGED]
    assert values(again(lake), RawEnergyBalance)[DAYS[1]] == 30.0


@pytest.mark.long
def test_a_look_puts_nothing_back(lake: Lake, tmp_path: Path) -> None:
    flip(lake, EnergyDaily)
    with open_mirror(again(lake), tmp_path, lambda _: None, keep=False) as mirror:
        LakeRepair(mirror, tmp_path / "aside", {EnergyDaily}, None, lambda _: None).run()
    assert kinds(lake) == [DamageKind.FILE_CHANGED]
