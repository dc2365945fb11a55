"""Writers and a repair keep apart."""

import threading
from pathlib import Path

import pytest

from pipeline.common.errors import SunledgerError
from schemas import EnergyDaily
from tests.warehouse.repair.test_lake_repair import DAYS, frame_of, values
from warehouse import lake_lock
from warehouse.lake import Lake
from warehouse.lake_lock import take_repair_turn, take_write_turn


def test_a_writer_waits_for_the_end_of_a_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, waits, taken = (
        Lake(str(tmp_path / "lake"), tmp_path / "tmp"),
        threading.Event(),
        lake_lock._take_lock,
    )

    def seen(file: int, kind: int) -> bool:
        had = taken(file, kind)
        if not had:
            waits.set()
        return had

    monkeypatch.setattr(lake_lock, "_taken", seen)
    part, frame = {"local_date": DAYS[0]}, frame_of(EnergyDaily, DAYS[0], 1.0)
    with take_repair_turn(lake.root):
        writer = threading.Thread(target=lake.replace, args=(EnergyDaily, part, [frame]))
        writer.start()
        assert waits.wait(60)
        assert values(Lake(lake.root, lake.scratch), EnergyDaily) == {}
    writer.join(60)
    assert values(Lake(lake.root, lake.scratch), EnergyDaily) == {DAYS[0]: 1.0}


def test_a_repair_waits_for_writers_which_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_lock, "WAIT_S", 0.0)
    writers = take_write_turn(str(tmp_path)), take_write_turn(str(tmp_path))
    with writers[0], writers[1], pytest.raises(SunledgerError, match="other runs have been writing to it"):
        take_repair_turn(str(tmp_path)).__enter__()
    with (
        take_repair_turn(str(tmp_path)),
        pytest.raises(SunledgerError, match="has been mending it"),
    ):
        take_write_turn(str(tmp_path)).__enter__()
