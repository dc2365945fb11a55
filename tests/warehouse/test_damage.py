"""No damage that changes a figure passes: `verify` sees it, and nothing damaged is published."""

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from schemas import EnergyBalanceIntervals, EnergyDaily, Table, storage
from tests.home_template import HomeTemplate
from tests.small_lake import put
from tests.warehouse import damaged_lake
from tests.warehouse.damaged_lake import FIRST, MODELS, faults, figures, files_of, lake_of, publish_again
from warehouse.integrity.damage import DamagedError, DamageKind
from warehouse.integrity.digest_chain import Chain
from warehouse.integrity.digests import digest_of
from warehouse.published_file.publish import DamagedLakeError
from warehouse.verification.verify import verify_lake

FLIPS, SOME_FLIPS, MANY_FLIPS = 16, 120, 1000
NEXT = FIRST + dt.timedelta(days=1)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    return HomeTemplate(tmp_path_factory.mktemp("damaged"), damaged_lake.build)


def kinds(home: Path) -> set[DamageKind]:
    return {found.damage.kind for found in verify_lake(lake_of(home), MODELS) if found.damage}


def log_of(home: Path, model: type[Table]) -> list[Path]:
    return sorted((home / "lake" / storage(model).table / "_delta_log").glob("*.json"))


def records_of(home: Path, model: type[Table]) -> list[Path]:
    return sorted((home / "lake" / "_digests" / storage(model).table).glob("*.json"))


def file_of(home: Path, model: type[Table], day: dt.date = FIRST) -> Path:
    (file,) = lake_of(home).take_snapshot(model, {"local_date": day}).files
    return Path(file)


def flip_all(home: Path, count: int, seed: int) -> None:
    whole = figures(home)
    assert faults(home) == []
    unseen = []
    for _, flip in damaged_lake.flips(home, count, seed):
        flip.do()
        if not faults(home, flip.file) and figures(home) != whole:
            unseen.append(flip)
        flip.do()
    assert unseen == []
    assert faults(home) == []


@pytest.mark.long
def test_a_flipped_bit_is_seen_or_changes_no_figure(home: Path) -> None:
    flip_all(home, FLIPS, seed=1)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(SOME_FLIPS, marks=pytest.mark.long),
        pytest.param(MANY_FLIPS, marks=pytest.mark.exhaustive),
    ],
)
def test_none_of_many_flipped_bits_is_unseen(home: Path, count: int) -> None:
    flip_all(home, count, seed=2)


def swap_days(home: Path) -> None:
    one, two = file_of(home, EnergyDaily), file_of(home, EnergyDaily, NEXT)
    between = one.with_suffix(".between")
    one.rename(between)
    two.rename(one)
    between.rename(two)


def edit_value(home: Path) -> None:
    file = file_of(home, EnergyDaily)
    rows = pl.read_parquet(file, hive_partitioning=False)
    rows.with_columns(pv_generation_kwh=pl.col("pv_generation_kwh") + 1).write_parquet(file)


def rename_column(home: Path) -> None:
    """What a flipped bit in the footer of a file did."""
    file = file_of(home, EnergyBalanceIntervals)
    table = pq.read_table(file, partitioning=None)
    names = [name.replace("pv_generation_kwh", "pv_generatioo_kwh") for name in table.column_names]
    pq.write_table(table.rename_columns(names), file, write_page_checksum=True)


def cut_file(home: Path) -> None:
    file = file_of(home, EnergyDaily)
    file.write_bytes(file.read_bytes()[:-20])


def drop_newest_entry(home: Path) -> None:
    log_of(home, EnergyDaily)[-1].unlink()


def drop_middle_entry(home: Path) -> None:
    log_of(home, EnergyDaily)[-3].unlink()


def put_old_entry_back(home: Path) -> None:
    """The newest entry becomes the one that was committed four versions before for the same day."""
    log = log_of(home, EnergyDaily)
    log[-1].write_bytes(log[-5].read_bytes())


def lose_log(home: Path) -> None:
    shutil.rmtree(home / "lake" / "energy_daily" / "_delta_log")


def lose_table(home: Path) -> None:
    shutil.rmtree(home / "lake" / "energy_daily")


def lose_plants(home: Path) -> None:
    shutil.rmtree(home / "lake" / "plants" / "_delta_log")


def lose_file(home: Path) -> None:
    file_of(home, EnergyDaily).unlink()


def empty_entry(home: Path) -> None:
    log_of(home, EnergyBalanceIntervals)[-1].write_bytes(b"")


def cut_entry(home: Path) -> None:
    entry = log_of(home, EnergyBalanceIntervals)[-1]
    entry.write_bytes(entry.read_bytes()[:-30])


def name_odd_folder(home: Path) -> None:
    """A flipped bit in the name of a folder."""
    entry = log_of(home, EnergyDaily)[-1]
    entry.write_bytes(entry.read_bytes().replace(b'"path":"local_date=', b'"path":"local_dat%='))


def write_otherwise(home: Path) -> None:
    """Another program removes a day by Delta's own means."""
    DeltaTable(home / "lake" / "energy_daily").delete(f"local_date = '{FIRST}'")


def lose_old_digests(home: Path) -> None:
    """All records are lost, and of the log what Delta removes in time is gone too."""
    for record in records_of(home, EnergyDaily):
        record.unlink()
    for entry in log_of(home, EnergyDaily)[:50]:
        entry.unlink()


def exchange_digests(home: Path) -> None:
    """The records of two tables change places."""
    digests = home / "lake" / "_digests"
    (digests / "energy_daily").rename(digests / "between")
    (digests / "raw_energy_balance").rename(digests / "energy_daily")
    (digests / "between").rename(digests / "raw_energy_balance")


DAMAGES = [
    (swap_days, {DamageKind.FILE_CHANGED}),
    (edit_value, {DamageKind.FILE_CHANGED}),
    (rename_column, {DamageKind.FILE_CHANGED}),
    (cut_file, {DamageKind.FILE_CHANGED}),
    (lose_file, {DamageKind.FILE_MISSING}),
    (drop_newest_entry, {DamageKind.ENTRY_MISSING}),
    (put_old_entry_back, {DamageKind.ENTRY_CHANGED, DamageKind.ROWS_INVALID}),
    (lose_log, {DamageKind.LOG_LOST}),
    (lose_table, {DamageKind.LOG_LOST, DamageKind.FILE_MISSING}),
    (lose_plants, {DamageKind.LOG_LOST}),
    (empty_entry, {DamageKind.ENTRY_CHANGED}),
    (cut_entry, {DamageKind.ENTRY_CHANGED}),
    (name_odd_folder, {DamageKind.ENTRY_CHANGED, DamageKind.FILE_MISSING, DamageKind.ROWS_INVALID}),
    (write_otherwise, {DamageKind.NOT_OURS}),
    (lose_old_digests, {DamageKind.DIGESTS_LOST}),
    (
        exchange_digests,
        {
            DamageKind.ENTRY_CHANGED,
            DamageKind.ENTRY_MISSING,
            DamageKind.DIGESTS_LOST,
            DamageKind.FILE_MISSING,
        },
    ),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_damage_is_seen_and_never_published(
    home: Path, damage: Callable[[Path], None], expected: set[DamageKind]
) -> None:
    published = (home / "sunledger.duckdb").read_bytes()
    damage(home)
    damages = [found.damage for found in verify_lake(lake_of(home), MODELS) if found.damage]
    found = {damage.kind for damage in damages}
    assert found
    assert found <= expected
    assert all("sunledger repair" in str(damage) for damage in damages)
    with pytest.raises(
        DamagedLakeError, match=r"was not published: .*\. Run 'sunledger repair'\.$"
    ) as refused:
        publish_again(home)
    assert "\n" not in str(refused.value)
    assert {each.kind for each in refused.value.damages} <= found | {DamageKind.ENTRY_CHANGED}
    assert (home / "sunledger.duckdb").read_bytes() == published


def test_a_lost_entry_in_the_middle_is_seen(home: Path) -> None:
    drop_middle_entry(home)
    assert kinds(home) == {DamageKind.ENTRY_MISSING} or DamageKind.ENTRY_CHANGED in kinds(home)


def test_what_is_only_read_in_place_is_refused_too_once_it_changes_after_a_publication(home: Path) -> None:
    """Detail files are not read again while they look as they did: a change of them is seen all the same."""
    publish_again(home)
    rename_column(home)
    with pytest.raises(DamagedLakeError, match="energy_balance_intervals 2021-10-01"):
        publish_again(home)


def test_files_that_look_as_they_did_are_not_read_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_again(home)
    read: list[str] = []
    real = digest_of

    def reading(files: object, path: str) -> object:
        read.append(path)
        return real(files, path)  # type: ignore[arg-type]

    monkeypatch.setattr("warehouse.integrity.file_check.digest_of", reading)
    publish_again(home)
    copied = {
        file.relative_to(home / "lake" / "energy_daily") for file in files_of(home, "lake/energy_daily")
    }
    plants = {file.relative_to(home / "lake" / "plants") for file in files_of(home, "lake/plants")}
    assert {Path(path) for path in read} == copied | plants


@pytest.mark.long
def test_a_kill_between_commit_and_record_heals_by_itself(home: Path) -> None:
    """Whoever comes next makes the record again, byte for byte: a writer, `verify` and `publish`."""
    whole = {record.name: record.read_bytes() for record in records_of(home, EnergyDaily)}
    for heal in (lambda: faults(home), lambda: publish_again(home), lambda: write(home)):
        for record in records_of(home, EnergyDaily)[-3:]:
            record.unlink()
        heal()
        assert faults(home) == []
        now = {record.name: record.read_bytes() for record in records_of(home, EnergyDaily)}
        assert now.items() >= whole.items()


def write(home: Path, kwh: float = 99.0) -> None:
    put(lake_of(home), EnergyDaily, [{"plant_id": "a", "local_date": FIRST, "pv_generation_kwh": kwh}])


@pytest.mark.long
@pytest.mark.parametrize("cut", [0, 1, 100, -1, -40])
def test_a_record_that_was_cut_short_heals_by_itself(home: Path, cut: int) -> None:
    for record in (records_of(home, EnergyDaily)[-1], records_of(home, EnergyDaily)[60]):
        whole = record.read_bytes()
        record.write_bytes(whole[:cut])
        assert faults(home) == []
        write(home)
        publish_again(home)
        assert record.read_bytes() in (whole, whole[:cut])


def test_lost_records_are_made_again_from_a_whole_log(home: Path) -> None:
    whole = {record.name: record.read_bytes() for record in records_of(home, EnergyDaily)}
    shutil.rmtree(home / "lake" / "_digests")
    assert faults(home) == []
    assert {record.name: record.read_bytes() for record in records_of(home, EnergyDaily)} == whole


def test_nobody_writes_over_a_version_that_the_log_has_lost(home: Path) -> None:
    drop_newest_entry(home)
    with pytest.raises(DamagedError, match=r"energy_daily: the log .* has lost its entry .*sunledger repair"):
        write(home)
    assert kinds(home) == {DamageKind.ENTRY_MISSING}


def strip_chain(home: Path) -> None:
    """Make the lake one that an older version wrote."""
    shutil.rmtree(home / "lake" / "_digests")
    for model in MODELS:
        for entry in log_of(home, model):
            actions = [json.loads(line) for line in entry.read_text().splitlines()]
            for action in actions:
                action.get("commitInfo", {}).pop("sunledger", None)
            entry.write_text("\n".join(json.dumps(action) for action in actions))


@pytest.mark.long
@pytest.mark.parametrize("first", [faults, publish_again, write])
def test_a_home_of_an_older_version_is_adopted_once_and_said_so(
    home: Path, first: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    strip_chain(home)
    said: list[str] = []
    make = damaged_lake.Lake
    monkeypatch.setattr(damaged_lake, "Lake", lambda *places: make(*places, tell=said.append))
    first(home)
    assert len(said) == 1
    assert "taken as correct" in said[0]
    assert faults(home) == []
    # A writer has adopted its own table alone.
    assert len(said) == (2 if first is write else 1)
    said.clear()
    write(home, kwh=98.0)
    publish_again(home)
    assert said == []
    edit_value(home)
    assert kinds(home) == {DamageKind.FILE_CHANGED}


@pytest.mark.long
def test_old_records_go_when_their_log_entries_do(home: Path) -> None:
    for entry in log_of(home, EnergyDaily)[:95]:
        entry.unlink()
    for step in range(25):
        write(home, kwh=200.0 + step)
    kept = [int(record.stem) for record in records_of(home, EnergyDaily)]
    assert kept[0] > 25
    assert kept[-1] == lake_of(home).take_snapshot(EnergyDaily).version
    assert faults(home) == []
    write(home, kwh=300.0)
    assert damaged_lake.energy(home, FIRST) == pytest.approx(300.0)


def test_a_checkpoint_that_has_lost_a_file_is_seen(home: Path) -> None:
    """The log's entries before it are whole, but Delta starts from the checkpoint."""
    (checkpoint,) = (home / "lake" / "energy_daily" / "_delta_log").glob("*.checkpoint.parquet")
    table = pq.read_table(checkpoint)
    kept = [row for row in table.to_pylist() if not (row["add"] and str(NEXT) in row["add"]["path"])]
    pq.write_table(pa.Table.from_pylist(kept, schema=table.schema), checkpoint)
    assert damaged_lake.energy(home, NEXT) == 0.0
    assert kinds(home) == {DamageKind.ENTRY_CHANGED}
    with pytest.raises(DamagedLakeError, match="energy_daily 2021-10-02"):
        publish_again(home)


def test_the_chain_reads_two_records_whatever_the_number_of_versions(home: Path) -> None:
    chain = Chain(lake_of(home), EnergyDaily)
    version = lake_of(home).take_snapshot(EnergyDaily).version
    head = chain.read_head(version)
    assert head.base is not None
    assert version - head.base[0] < 25
    assert set(chain.list_active_files(head)) == {
        str(path.relative_to(home / "lake" / "energy_daily")) for path in files_of(home, "lake/energy_daily")
    }
