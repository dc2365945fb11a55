"""A lake whose tables are older than the published file: a run refuses to go on from it, and says what to do."""

import shutil
from pathlib import Path

import pytest

from pipeline.ops.backup import back_up
from pipeline.ops.restore import restore_backup
from pipeline.run.context import RunContext
from schemas import EnergyDaily, storage
from tests.scripted_home import make_settings
from tests.small_lake import FIRST, NOW, fill, put
from warehouse.integrity.damage import DamagedError
from warehouse.integrity.digests import FOLDER
from warehouse.lake import Lake
from warehouse.published_file.publish import forget_published, publish
from warehouse.verification.older_states import OlderLakeError
from warehouse.verification.verify import verify_versions

OLDER = r"energy_daily: the published file shows version \d+ of the table, but its log ends with version \d+"


def publish_twice(home: Path) -> Lake:
    """A home whose days became others between two publications; `before` beside it is what it was then."""
    lake, target = Lake(str(home / "lake"), home / "tmp"), home / "sunledger.duckdb"
    fill(lake)
    publish(lake, target, now=NOW, version="1")
    shutil.copytree(home, home.with_name("before"), symlinks=True)
    put(lake, EnergyDaily, [{"plant_id": "a", "local_date": FIRST, "pv_generation_kwh": 31.0}])
    publish(lake, target, now=NOW, version="1")
    return lake


def lay_back(home: Path) -> None:
    """The days as they were at the first publication; all else as it is now."""
    table = storage(EnergyDaily).table
    for part in (table, f"{FOLDER}/{table}"):
        shutil.rmtree(home / "lake" / part)
        shutil.copytree(home.with_name("before") / "lake" / part, home / "lake" / part)


@pytest.mark.long
def test_nothing_is_made_of_a_lake_that_is_older_than_what_was_published(tmp_path: Path) -> None:
    """As in a home that was copied while a run wrote to it. It was published, which hid the later state for good."""
    settings = make_settings(tmp_path)
    publish_twice(settings.home)
    assert RunContext(settings).lake.take_snapshot(EnergyDaily).version > 0
    lay_back(settings.home)
    with pytest.raises(DamagedError, match=rf"{OLDER}.*Run 'sunledger repair'"):
        _ = RunContext(settings).lake
    # The copy of the file came last, and what is known of it before all else.
    for record in settings.home.with_name("before").glob(".sunledger.duckdb.[mp]*"):
        shutil.copy2(record, settings.home)
    with pytest.raises(OlderLakeError, match=rf"{OLDER}.*Copy it again while nothing writes"):
        _ = RunContext(settings).lake
    lake = Lake(settings.lake, tmp_path / "tmp")
    (found,) = verify_versions(lake, settings.warehouse)
    assert "Copy it again while nothing writes" in str(found.fault)
    # Somebody has thought about it.
    forget_published(settings.warehouse, print)
    assert RunContext(settings).lake.take_snapshot(EnergyDaily).version > 0
    assert list(verify_versions(lake, settings.warehouse)) == []


@pytest.mark.long
def test_a_restore_below_a_newer_published_file_is_meant(tmp_path: Path) -> None:
    made = make_settings(tmp_path)
    settings = made.model_copy(update={"warehouse": tmp_path / "shown" / "sunledger.duckdb"})
    lake = Lake(settings.lake, settings.home / "tmp")
    fill(lake)
    back_up(settings, tmp_path / "backup.tar", print)
    put(lake, EnergyDaily, [{"plant_id": "a", "local_date": FIRST, "pv_generation_kwh": 31.0}])
    publish(lake, settings.warehouse, now=NOW, version="1")
    shutil.rmtree(settings.home)
    restore_backup(settings, tmp_path / "backup.tar")
    publish(RunContext(settings).lake, settings.warehouse, now=NOW, version="1")
