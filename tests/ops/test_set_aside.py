"""What repairs have set aside is told, and goes after the time that the settings say, and not before."""

import dataclasses
import datetime as dt
from pathlib import Path

from pipeline.common.settings import Settings
from pipeline.extract.fetch import fetch_plants
from pipeline.ops.repair_list import LostParts
from pipeline.ops.set_aside import (
    delete_outdated,
    describe_outdated,
    describe_set_aside,
    name_folder,
)
from pipeline.run.fleet_lists.stored_lists import find_confirmed_time
from schemas import EnergyDaily
from tests.programs import run
from tests.scripted import ScriptedSma
from tests.scripted_home import make_runtime
from warehouse.repairs.lost_parts import LostPart

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def put_aside(settings: Settings, days_ago: int) -> Path:
    folder = name_folder(settings, NOW - dt.timedelta(days=days_ago)) / "energy_daily"
    folder.mkdir(parents=True)
    (folder / "part-1.parquet").write_bytes(bytes(500_000))
    return folder.parent


def test_what_is_older_than_the_setting_goes(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, keep_set_aside_days=30)
    assert describe_set_aside(settings) == ""
    old, young = put_aside(settings, 31), put_aside(settings, 29)
    notes = tmp_path / "set-aside" / "notes"
    notes.mkdir()
    said = describe_set_aside(settings)
    assert "1.0 MB in" in said
    assert (
        "by 2 repairs since 2026-01-29. Each is deleted after 30 days (SUNLEDGER_KEEP_SET_ASIDE_DAYS)" in said
    )
    assert list(describe_outdated(settings, NOW)) == [
        "0.5 MB of 1 repair from more than 30 days ago (SUNLEDGER_KEEP_SET_ASIDE_DAYS) would be deleted."
    ]
    assert old.is_dir()
    assert len(list(delete_outdated(settings, NOW))) == 1
    assert (old.exists(), young.is_dir(), notes.is_dir()) == (False, True, True)
    assert list(delete_outdated(settings, NOW)) == []


def test_nothing_goes_while_lost_parts_are_not_made_again(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, keep_set_aside_days=30)
    old = put_aside(settings, 31)
    LostParts(tmp_path).write([LostPart(EnergyDaily, "local_date=2021-10-31")])
    assert list(delete_outdated(settings, NOW)) == []
    assert old.is_dir()


def test_a_clock_that_is_ahead_makes_nothing_old(settings: Settings, sma: ScriptedSma) -> None:
    runtime = make_runtime(settings, sma)
    fetch_plants(runtime)
    now = runtime.now()
    assert find_confirmed_time(runtime.lake, now) == now
    ahead = now + dt.timedelta(days=365)
    name_folder(settings, now - dt.timedelta(days=1)).mkdir(parents=True)
    assert list(delete_outdated(settings, ahead)) == []
    # The clock was right: SMA has answered since.
    fetch_plants(dataclasses.replace(runtime, now=lambda: ahead))
    assert len(list(delete_outdated(settings, ahead))) == 1


def test_the_program_tells_of_it_and_deletes_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    old = name_folder(Settings(home=home), dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
    old.mkdir(parents=True)
    (old / "part-1.parquet").write_bytes(b"x")
    assert "set aside by 1 repair since 2021-01-01" in run(tmp_path, "verify")[1]
    assert "1 repair from more than 90 days ago" in run(tmp_path, "repair", "--dry-run")[1]
    assert old.is_dir()
    code, said = run(tmp_path, "repair")
    assert (code, "Deleted " in said) == (0, True), said
    assert not old.exists()
