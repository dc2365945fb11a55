"""Every kind of damage of a table's log and files: the lake can be read again, and no replaced rows come back."""

import json
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import pytest
from deltalake import DeltaTable

from schemas import EnergyDaily, RawEnergyBalance, Table, storage
from tests.samples import take_samples
from tests.warehouse.three_days import DAYS, MODELS, NEWEST, frame_of, values
from warehouse.lake import Lake
from warehouse.lake_log import read_log, replay
from warehouse.repairs import lake_repair
from warehouse.repairs.lake_repair import LakeRepair
from warehouse.repairs.lost_parts import LostPart, Step
from warehouse.verification.verify import verify_lake

VERSIONS = range(5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An answer and a figure of three days, one of them replaced: five entries each."""
    folder = tmp_path_factory.mktemp("whole")
    lake = Lake(str(folder / "lake"), folder / "tmp")
    for model in MODELS:
        for day, value in [(DAYS[0], 1.0), (DAYS[1], 2.0), (DAYS[2], 3.0), (DAYS[1], 20.0)]:
            lake.replace(model, {"local_date": day}, [frame_of(model, day, value)])
    return folder / "lake"


@pytest.fixture(params=["with digests", "without"])
def lake(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Lake:
    """A copy of it to damage, with and without the digests that are kept beside the tables."""
    folder = shutil.copytree(whole, tmp_path / "lake")
    if request.param == "without":
        shutil.rmtree(folder / "_digests")
    return Lake(str(folder), tmp_path / "tmp")


@pytest.fixture
def recorded(whole: Path, tmp_path: Path) -> Lake:
    """A copy with digests."""
    return Lake(str(shutil.copytree(whole, tmp_path / "lake")), tmp_path / "tmp")


def mend(lake: Lake, lost: list[LostPart]) -> list[Step]:
    made = {EnergyDaily}
    return LakeRepair(Lake(lake.root, lake.scratch), lake.scratch / "aside", made, None, lost.extend).run()


def folder_of(lake: Lake, model: type[Table]) -> Path:
    return Path(lake.find_uri(model))


def entry(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.json"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def cut_at_a_line(file: Path) -> None:
    file.write_bytes(file.read_bytes().rpartition(b"\n")[0])


def spoil(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:50] + b"\0" * 50 + content[100:])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "cut at a line": cut_at_a_line,
    "empty": lambda file: file.write_bytes(b""),
    "missing": Path.unlink,
    "spoilt": spoil,
}


def check(lake: Lake, model: type[Table], lost: Collection[LostPart]) -> None:
    """All can be read. Of each day there are the newest rows, or none and it is named as lost."""
    fresh = Lake(lake.root, lake.scratch)
    assert [str(found.damage) for found in verify_lake(fresh) if found.damage] == []
    found = values(fresh, model)
    named = {one.part["local_date"] for one in lost if one.model is model}
    assert {day: value for day, value in NEWEST.items() if day not in named} == {
        day: value for day, value in found.items() if day not in named
    }
    assert not set(found) & named or all(found[day] == NEWEST[day] for day in set(found) & named)
    log = read_log(folder_of(lake, model) / "_delta_log")
    assert not log.damaged
    assert not log.bad_files
    # What is in the folder is known to the log, so that a later repair finds nothing.
    files = {
        path.relative_to(folder_of(lake, model)).as_posix() for path in folder_of(lake, model).rglob("part-*")
    }
    assert files <= replay(log).named
    assert mend(lake, []) == []


@pytest.mark.parametrize(("kind", "version", "model"), take_samples(5, DAMAGES, VERSIONS, MODELS))
def test_a_damaged_entry(lake: Lake, kind: str, version: int, model: type[Table]) -> None:
    if kind == "missing" and version == VERSIONS[-1] and not (Path(lake.root) / "_digests").is_dir():
        pytest.skip("Nothing in a log without digests tells of an entry after its last one.")
    DAMAGES[kind](entry(folder_of(lake, model), version))
    lost: list[LostPart] = []
    assert mend(lake, lost)
    check(lake, model, lost)
    if model is RawEnergyBalance:
        assert lost == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", DAMAGES)
def test_several_damaged_entries(lake: Lake, kind: str, model: type[Table]) -> None:
    for version in (0, 2, 3):
        DAMAGES[kind](entry(folder_of(lake, model), version))
    lost: list[LostPart] = []
    assert mend(lake, lost)
    check(lake, model, lost)


@pytest.mark.parametrize(
    ("kind", "what", "entries", "model"),
    take_samples(5, DAMAGES, ["checkpoint", "_last_checkpoint"], ["whole", "cleaned", "damaged"], MODELS),
)
def test_a_damaged_checkpoint(lake: Lake, kind: str, what: str, entries: str, model: type[Table]) -> None:
    table = folder_of(lake, model)
    DeltaTable(str(table)).create_checkpoint()
    lake.replace(model, {"local_date": DAYS[0]}, [frame_of(model, DAYS[0], 7.0)])
    lake.replace(model, {"local_date": DAYS[0]}, [frame_of(model, DAYS[0], 1.0)])
    if entries == "cleaned":
        for version in VERSIONS:
            entry(table, version).unlink()
    if entries == "damaged":
        cut(entry(table, 6))
    (file,) = (table / "_delta_log").glob(f"*{what}*.parquet" if what == "checkpoint" else what)
    DAMAGES[kind](file)
    lost: list[LostPart] = []
    mend(lake, lost)
    check(lake, model, lost)


@pytest.mark.parametrize("what", ["_last_checkpoint", "entry"])
def test_a_number_with_a_changed_digit_makes_no_thousands_of_entries(lake: Lake, what: str) -> None:
    """A repair wrote an entry for each version before it, without an end."""
    table = folder_of(lake, RawEnergyBalance)
    far = 2_000
    if what == "entry":
        shutil.copy(entry(table, 1), entry(table, far))
    else:
        (table / "_delta_log" / what).write_text(json.dumps({"version": far, "size": 3}))
    lost: list[LostPart] = []
    assert mend(lake, lost)
    check(lake, RawEnergyBalance, lost)
    assert len(list((table / "_delta_log").glob("*.json"))) < far


@pytest.mark.parametrize("model", MODELS)
def test_a_lost_log(lake: Lake, model: type[Table]) -> None:
    known = (Path(lake.root) / "_digests").is_dir()
    shutil.rmtree(folder_of(lake, model) / "_delta_log")
    lost: list[LostPart] = []
    assert mend(lake, lost)
    check(lake, model, lost)
    made_again = set() if known or model is RawEnergyBalance else set(DAYS)
    assert {one.part["local_date"] for one in lost} == made_again


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["cut", "empty", "missing", "spoilt"])
def test_a_damaged_file(lake: Lake, kind: str, model: type[Table]) -> None:
    (file,) = (Path(path) for path in lake.take_snapshot(model, {"local_date": DAYS[1]}).files)
    content = file.read_bytes()
    DAMAGES[kind](file)
    left = file.read_bytes() if file.exists() else content
    lost: list[LostPart] = []
    mend(lake, lost)
    check(lake, model, lost)
    assert [one.place for one in lost] == [f"{storage(model).table} 2021-10-02"]
    # What is left of it lies aside.
    aside = lake.scratch / "aside" / file.relative_to(lake.root)
    assert kind == "missing" or aside.read_bytes() == left


def test_a_file_that_no_commit_names_is_set_aside(lake: Lake) -> None:
    (file,) = (Path(path) for path in lake.take_snapshot(EnergyDaily, {"local_date": DAYS[1]}).files)
    shutil.copy(file, file.with_name("part-orphan.parquet"))
    lost: list[LostPart] = []
    (step,) = mend(lake, lost)
    assert (step.place, step.found) == (
        "energy_daily 2021-10-02",
        "part-orphan.parquet belongs to no commit",
    )
    assert (lake.scratch / "aside/energy_daily/local_date=2021-10-02/part-orphan.parquet").is_file()
    check(lake, EnergyDaily, lost)
    assert lost == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "damage",
    [
        "newest entry",
        "exchanged files",
        "exchanged tables",
        "moved folder",
        "foreign commit",
        "other entry",
        "table",
    ],
)
def test_what_only_digests_tell_is_put_back_as_it_was(
    recorded: Lake, damage: str, model: type[Table]
) -> None:
    lake, table = recorded, folder_of(recorded, model)
    first, second = (Path(lake.take_snapshot(model, {"local_date": day}).files[0]) for day in DAYS[:2])
    if damage == "newest entry":
        entry(table, 4).unlink()
    elif damage == "exchanged files":
        first.rename(table / "x")
        second.rename(first)
        (table / "x").rename(second)
    elif damage == "exchanged tables":
        other = Path(
            lake.take_snapshot(
                EnergyDaily if model is RawEnergyBalance else RawEnergyBalance, {"local_date": DAYS[0]}
            ).files[0]
        )
        content = first.read_bytes()
        first.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif damage == "moved folder":
        first.parent.rename(table / "local_date=2021-09-30")
    elif damage == "foreign commit":
        DeltaTable(str(table)).delete("local_date = '2021-10-01'")
    elif damage == "other entry":
        entry(table, 2).write_bytes(
            entry(table, 2).read_bytes().replace(b'"dataChange":true', b'"dataChange":false')
        )
    else:
        shutil.rmtree(table)
    lost: list[LostPart] = []
    assert mend(lake, lost)
    check(lake, model, lost)
    assert len(lost) == (3 if damage == "table" else 0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_digests(recorded: Lake, kind: str, model: type[Table]) -> None:
    for version in VERSIONS:
        DAMAGES[kind](Path(recorded.root) / "_digests" / storage(model).table / f"{version:020d}.json")
    lost: list[LostPart] = []
    mend(recorded, lost)
    check(recorded, model, lost)


class KilledError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    ("damage", "at", "model"), take_samples(4, ["log", "entries", "file"], range(12), MODELS)
)
def test_a_repair_that_is_killed_is_done_by_the_next_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, damage: str, at: int, model: type[Table]
) -> None:
    """Killed before each write and each move; lost parts are kept by then."""
    table = folder_of(lake, model)
    if damage == "log":
        shutil.rmtree(table / "_delta_log")
    elif damage == "entries":
        for version in (1, 4):
            cut(entry(table, version))
    else:
        cut(Path(lake.take_snapshot(model, {"local_date": DAYS[1]}).files[0]))
    lost: list[LostPart] = []
    left = at

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError
            return function(*args, **options)

        return called

    with monkeypatch.context() as patched:
        patched.setattr(lake_repair, "write_entry", dying(lake_repair.write_entry))
        patched.setattr(lake_repair.shutil, "move", dying(shutil.move))
        patched.setattr(lake_repair.shutil, "copy2", dying(shutil.copy2))
        with suppress(KilledError):
            mend(lake, lost)
    mend(lake, lost)
    check(lake, model, lost)
