"""A publication that starts from the one before equals one that is built from nothing, whatever changed meanwhile."""

import datetime as dt
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schemas import (
    CoverageDaily,
    DeviceEnergyDaily,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    KpiDaily,
    PlantAttributes,
    Plants,
    Quarantine,
    Restatements,
    Table,
    storage,
)
from tests.warehouse.publish.conftest import NOW, fill, make_frame
from warehouse import publication_base, published_content
from warehouse import publish as publishing
from warehouse.lake import Lake
from warehouse.publish import publish

DAYS = [dt.date(2021, 9, 28) + dt.timedelta(days=number) for number in range(8)]
PLANTS = ("a", "b", "c")


def _replace(lake: Lake, model: type[Table], part: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    frame = make_frame(model, [row | part for row in rows])
    key = list(storage(model).key)
    lake.replace(model, part, [frame.sort(key) if key else frame], empty=True)


def _change(lake: Lake, dice: random.Random) -> None:
    """One thing that happens to a lake."""
    day, plant = dice.choice(DAYS), dice.choice(PLANTS)
    number = dice.random() * 100
    some = [one for one in PLANTS if dice.random() < 0.7]
    status = dice.choice(["complete", "partial", "missing"])
    part = {"local_date": day}
    kinds: list[Callable[[], None]] = [
        lambda: _replace(
            lake,
            EnergyDaily,
            part,
            [
                {"plant_id": p, "pv_generation_kwh": number, "status": status, "timezone": "Europe/Berlin"}
                for p in some
            ],
        ),
        lambda: _replace(
            lake,
            DeviceEnergyDaily,
            part,
            [{"plant_id": p, "device_id": d, "pv_generation_kwh": number} for p in some for d in ("1", "2")],
        ),
        lambda: _replace(
            lake,
            CoverageDaily,
            part,
            [
                {
                    "plant_id": p,
                    "quantity": "pv_generation",
                    "coverage": number / 100,
                    "covered_h": 1.0,
                    "expected_h": 2.0,
                }
                for p in some
            ],
        ),
        lambda: _replace(
            lake, KpiDaily, part, [{"plant_id": p, "final_yield_kwh_per_kw": number} for p in some]
        ),
        lambda: _replace(
            lake,
            Quarantine,
            part | {"source": "pv_intervals"},
            [{"plant_id": p, "reason": status} for p in some],
        ),
        lambda: _replace(
            lake,
            Restatements,
            part,
            [
                {
                    "plant_id": p,
                    "quantity": "pv_generation",
                    "noted_at": NOW,
                    "status_before": status,
                    "status_after": status,
                }
                for p in some
            ],
        ),
        lambda: _replace(
            lake,
            EnergyMonthly,
            {"month": day.replace(day=1)},
            [{"plant_id": p, "pv_generation_kwh": number} for p in some],
        ),
        lambda: _replace(
            lake, EnergyBalanceIntervals, part, [{"plant_id": p, "interval_end": NOW} for p in some]
        ),
        lambda: _replace(
            lake,
            Plants,
            {},
            [
                {
                    "plant_id": p,
                    "name": f"{number}",
                    "timezone": dice.choice(["Europe/Berlin", "Asia/Tokyo"]),
                    "excluded_from": day if p == plant else None,
                }
                for p in PLANTS
            ],
        ),
        lambda: _replace(
            lake, PlantAttributes, {}, [{"plant_id": p, "plant_group": f"{number}"} for p in some]
        ),
    ]
    dice.choice(kinds)()


def _read(file: Path) -> dict[str, Any]:
    """All that a reader can see of a file: rows, comments and definitions, but for where and when it was made."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        tables = connection.execute(
            "SELECT database_name, schema_name, table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT database_name, schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
        found: dict[str, Any] = {}
        for _, schema, name, comment in tables:
            rows = connection.execute(f'SELECT * FROM "{schema}"."{name}" ORDER BY ALL').fetchall()
            found[f"{schema}.{name}"] = (comment, rows)
        columns = (
            "SELECT schema_name, table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY ALL"
        )
        found["columns"] = connection.execute(columns).fetchall()
        macros = (
            "SELECT function_name, parameters, macro_definition, comment FROM duckdb_functions() "
            "WHERE NOT internal ORDER BY ALL"
        )
        found["macros"] = connection.execute(macros).fetchall()
        return found


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each publication, whether it started from the one before."""
    seen: list[bool] = []
    build = published_content.build

    def spy(*args: Any, **options: Any) -> Any:
        seen.append(options.get("base") is not None)
        return build(*args, **options)

    monkeypatch.setattr(publishing, "build", spy)
    return seen


def _compare(lake: Lake, target: Path, **options: Any) -> None:
    """Publish on what was published before, and from nothing: both are equal."""
    publish(lake, target, now=NOW, version="1", **options)
    mine = _read(target)
    aside = target.with_name("aside")
    target.rename(aside)
    record = target.with_name(f".{target.name}.made-of")
    kept = record.read_bytes()
    publish(lake, target, now=NOW, version="1", **options)
    assert _read(target) == mine
    # What comes next goes on from the changed file.
    aside.replace(target)
    record.write_bytes(kept)


@pytest.mark.parametrize(("seed", "detail"), [(1, "none"), (2, "none"), (3, "2d"), (4, "all"), (5, "month")])
def test_changes_lead_to_the_same_file(
    tmp_path: Path, changed: list[bool], monkeypatch: pytest.MonkeyPatch, seed: int, detail: str
) -> None:
    # So small a file has more room than rows.
    monkeypatch.setattr(publication_base, "MOST_GROWTH", 100)
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    fill(lake)
    target = tmp_path / "sunledger.duckdb"
    publish(lake, target, now=NOW, version="1", detail=detail)
    for _ in range(6):
        for _ in range(dice.randrange(1, 4)):
            _change(lake, dice)
        _compare(lake, target, detail=detail)
    assert changed.count(True) == 6


def test_what_a_client_wrote_reaches_no_later_publication(tmp_path: Path, changed: list[bool]) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    fill(lake)
    target = tmp_path / "sunledger.duckdb"
    publish(lake, target, now=NOW, version="1")
    clean = _read(target)
    copy = tmp_path / "copy.duckdb"
    shutil.copy(target, copy)
    with duckdb.connect(str(copy)) as writer:
        writer.execute("UPDATE energy_daily SET pv_generation_kwh = 999; CREATE TABLE mine AS SELECT 1 AS x")
    shutil.copy(copy, target)
    publish(lake, target, now=NOW, version="1")
    assert _read(target) == clean
    assert changed == [False, False]


@pytest.mark.parametrize("doubt", ["version", "detail", "record", "content", "growth"])
def test_any_doubt_leads_to_a_full_build(tmp_path: Path, changed: list[bool], doubt: str) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    fill(lake)
    target = tmp_path / "sunledger.duckdb"
    publish(lake, target, now=NOW, version="1")
    record = target.with_name(f".{target.name}.made-of")
    if doubt == "record":
        record.write_bytes(record.read_bytes()[:50])
    elif doubt == "content":
        found = bytearray(target.read_bytes())
        found[len(found) // 2] ^= 1
        target.write_bytes(found)
    elif doubt == "growth":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"full_bytes": 1}))
    publish(
        lake,
        target,
        now=NOW,
        version="2" if doubt == "version" else "1",
        detail="all" if doubt == "detail" else "none",
    )
    assert changed == [False, False]
    publish(
        lake,
        target,
        now=NOW,
        version="2" if doubt == "version" else "1",
        detail="all" if doubt == "detail" else "none",
    )
    assert changed == [False, False, True]
