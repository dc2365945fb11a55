"""Anything may lie in the folders of a lake: its tables are read, verified, kept up and repaired all the same."""

import datetime as dt
import os
from pathlib import Path

from schemas import EnergyDaily
from tests.common.test_regular_files import lay_strays
from tests.warehouse.repairs.test_lake_repair import entry, mend, recorded, whole  # noqa: F401
from tests.warehouse.three_days import DAYS, NEWEST, values
from warehouse.lake import Lake
from warehouse.repairs.lost_parts import LostPart
from warehouse.table_upkeep import keep_up_table
from warehouse.verification.verify import verify_lake

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


def test_strays_in_every_folder_of_a_table_stop_nothing(recorded: Lake) -> None:  # noqa: F811
    table = Path(recorded.find_uri(EnergyDaily))
    records = Path(recorded.root) / "_digests" / table.name
    day = table / f"local_date={DAYS[0]}"
    for folder in (table, table / "_delta_log", day, records):
        for suffix in (".json", ".parquet", ".new"):
            lay_strays(folder / "below", suffix)
            for stray in (folder / "below").iterdir():
                stray.rename(folder / stray.name)
    # The names of versions that are still to come, and of a checkpoint.
    for name in ("00000000000000000099.json", "00000000000000000098.checkpoint.parquet"):
        (table / "_delta_log" / name).mkdir()
        os.mkfifo(records / name)
    os.mkfifo(table / "_delta_log" / "_last_checkpoint")
    told: list[str] = []
    lake = Lake(recorded.root, recorded.scratch, tell=told.append)
    assert values(lake, EnergyDaily) == NEWEST
    assert [found.fault for found in verify_lake(lake) if found.fault] == []
    assert keep_up_table(lake, EnergyDaily, (), NOW) is not None
    assert mend(lake, []) == []
    # What delta-rs can't pass has been moved, which is said in words that can be printed.
    assert len([sentence for sentence in told if "caf\\xe9" in sentence]) == 3
    assert len([sentence for sentence in told if "was moved to" in sentence]) == 7
    assert len(list((Path(recorded.root) / "_strays" / table.name).iterdir())) == 7


def test_a_file_beside_the_parts_is_never_taken_for_one(recorded: Lake) -> None:  # noqa: F811
    table = Path(recorded.find_uri(EnergyDaily))
    (table / "x.parquet").write_bytes(b"")
    (table / "other").mkdir()
    (table / "other" / "y.parquet").write_bytes(b"")
    # Nobody knows what this entry said.
    entry(table, 7).write_bytes(b"")
    lost: list[LostPart] = []
    mend(recorded, lost)
    assert {str(one.part.get("local_date")) for one in lost} <= {str(day) for day in DAYS}
    assert [found.fault for found in verify_lake(Lake(recorded.root, recorded.scratch)) if found.fault] == []
