"""A publication that starts from the one before equals one that is built from nothing, whatever changed meanwhile."""

import datetime as dt
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from schemas import (
    CoverageDaily,
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    PlantAttributes,
    Plants,
    ProfileMonthly,
    Quarantine,
    Restatements,
    Table,
    storage,
)
from tests.home_template import HomeTemplate
from tests.small_lake import NOW, fill, flip_bit, make_frame
from warehouse.lake import Lake
from warehouse.published_file import publication_base, published_changes, published_content
from warehouse.published_file import publish as publishing
from warehouse.published_file.publication import digest_file, record_publication
from warehouse.published_file.publication_base import forget_base
from warehouse.published_file.publish import forget_published, publish
from warehouse.verification.full_comparison import NotComparedError, compare_with_full
from warehouse.views import CuratedView

DAYS = [dt.date(2021, 9, 28) + dt.timedelta(days=number) for number in range(8)]
PLANTS = ("a", "b", "c")


def _publish_first(home: Path) -> None:
    lake = Lake(str(home / "lake"), home / "tmp")
    fill(lake)
    publish(lake, home / "sunledger.duckdb", now=NOW, version="1")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    return HomeTemplate(tmp_path_factory.mktemp("changed"), _publish_first)


def _open_home(home: Path) -> tuple[Lake, Path]:
    return Lake(str(home / "lake"), home / "tmp"), home / "sunledger.duckdb"


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
                    "name": dice.choice(["same", f"{number}"]),
                    "last_seen": day,
                    "timezone": dice.choice(["Europe/Berlin", "Asia/Tokyo"]),
                    "excluded_from": day if p == plant else None,
                }
                for p in PLANTS
            ],
        ),
        lambda: _replace(
            lake, PlantAttributes, {}, [{"plant_id": p, "plant_group": f"{number}"} for p in some]
        ),
        lambda: _replace(
            lake,
            KpiMonthly,
            {"month": day.replace(day=1)},
            [{"plant_id": p, "co2_avoided_kg": number} for p in some],
        ),
        lambda: _replace(
            lake,
            ProfileMonthly,
            {"month": day.replace(day=1)},
            [
                {"plant_id": p, "local_hour": hour, "n_days": 1, "pv_generation_kwh": number / 3}
                for p in some
                for hour in range(3)
            ],
        ),
        lambda: _replace(
            lake,
            Devices,
            {},
            [
                {"plant_id": p, "device_id": d, "name": f"{number}", "generator_power_w": 100 * number}
                for p in some
                for d in ("1", "2")
            ],
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
    options = {"version": "1"} | options
    publish(lake, target, now=NOW, **options)
    mine = _read(target)
    aside = target.with_name("aside")
    target.rename(aside)
    record = target.with_name(f".{target.name}.made-of")
    kept = record.read_bytes()
    publish(lake, target, now=NOW, **options)
    assert _read(target) == mine
    # What comes next goes on from the changed file.
    aside.replace(target)
    record.write_bytes(kept)


LONG = pytest.mark.long


@pytest.mark.long
@pytest.mark.parametrize(
    ("seed", "detail", "rounds"),
    [
        (1, "none", 1),
        pytest.param(2, "none", 6, marks=LONG),
        pytest.param(3, "2d", 4, marks=LONG),
        pytest.param(4, "all", 4, marks=LONG),
        pytest.param(5, "month", 4, marks=LONG),
    ],
)
def test_changes_lead_to_the_same_file(
    home: Path, changed: list[bool], monkeypatch: pytest.MonkeyPatch, seed: int, detail: str, rounds: int
) -> None:
    # So small a file has more room than rows.
    monkeypatch.setattr(publication_base, "MOST_GROWTH", 100)
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    lake, target = _open_home(home)
    if detail != "none":
        publish(lake, target, now=NOW, version="1", detail=detail)
        assert changed.pop() is False
    for _ in range(rounds):
        for _ in range(dice.randrange(1, 8)):
            _change(lake, dice)
        _compare(lake, target, detail=detail)
    assert changed == [True, False] * rounds


@pytest.mark.long
def test_a_small_file_may_grow_by_more_than_half(tmp_path: Path, changed: list[bool]) -> None:
    lake, target = Lake(str(tmp_path / "lake"), tmp_path / "tmp"), tmp_path / "sunledger.duckdb"
    sizes = []
    for name in "ABCD":
        _replace(lake, Plants, {}, [{"plant_id": "a", "name": name}])
        publish(lake, target, now=NOW, version="1")
        sizes.append(target.stat().st_size)
    assert changed == [False, True, True, True]
    # It is more than half, but of what the first change took the others have enough.
    assert sizes[1] > 1.5 * sizes[0]
    assert max(sizes) < sizes[0] + publication_base.SMALL_GROWTH


@pytest.mark.long
def test_what_a_client_wrote_reaches_no_later_publication(
    home: Path, tmp_path: Path, changed: list[bool]
) -> None:
    lake, target = _open_home(home)
    clean = _read(target)
    copy = tmp_path / "copy.duckdb"
    shutil.copy(target, copy)
    with duckdb.connect(str(copy)) as writer:
        writer.execute("UPDATE energy_daily SET pv_generation_kwh = 999; CREATE TABLE mine AS SELECT 1 AS x")
    shutil.copy(copy, target)
    publish(lake, target, now=NOW, version="1")
    assert _read(target) == clean
    assert changed == [False]


@pytest.mark.long
def test_sums_of_many_plants_are_equal_in_the_last_digit(tmp_path: Path, changed: list[bool]) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    dice = random.Random(6)  # noqa: S311 - not for secrets
    plants = [f"{number:05}" for number in range(200)]
    target = tmp_path / "sunledger.duckdb"
    _replace(lake, Plants, {}, [{"plant_id": one, "peak_power_kw": dice.random()} for one in plants])
    for day in (*DAYS, DAYS[0]):
        rows = [{"plant_id": one, "pv_generation_kwh": 100 * dice.random()} for one in plants]
        _replace(lake, EnergyDaily, {"local_date": day}, rows)
        of_devices = [row | {"device_id": device} for row in rows for device in ("1", "2", "3")]
        _replace(lake, DeviceEnergyDaily, {"local_date": day}, of_devices)
        if day == DAYS[-1]:
            publish(lake, target, now=NOW, version="1")
    _compare(lake, target)
    assert changed == [False, True, False]


@pytest.mark.long
def test_a_list_that_says_nothing_new_leaves_the_rows_made_of_it(
    home: Path, changed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, target = _open_home(home)
    made: list[str] = []
    find = published_changes._find_rows_to_make

    def spy(view: CuratedView, *others: Any) -> Any:
        found = find(view, *others)
        made.extend([view.name] if found else [])
        return found

    monkeypatch.setattr(published_changes, "_find_rows_to_make", spy)
    plants = lake.scan(Plants).collect()
    lake.replace(Plants, {}, [plants.with_columns(last_seen=pl.lit(NOW.date()))])
    _compare(lake, target)
    assert made == []
    lake.replace(Plants, {}, [plants.with_columns(name=pl.lit("New"))])
    _compare(lake, target)
    assert {"v_energy_daily", "v_kpi_monthly", "v_plants_energy"} <= set(made)
    assert changed == [True, False, True, False]


@pytest.mark.long
def test_a_publisher_that_is_killed_in_the_middle_leaves_the_old_file_to_go_on_from(
    tmp_path: Path, changed: list[bool]
) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    fill(lake)
    target = tmp_path / "sunledger.duckdb"
    publish(lake, target, now=NOW, version="0")
    before = target.read_bytes()
    _replace(lake, EnergyDaily, {"local_date": DAYS[0]}, [{"plant_id": "a", "pv_generation_kwh": 7.0}])
    command = [
        sys.executable,
        "-m",
        "tests.warehouse.published_file.worker",
        "stall",
        lake.root,
        str(target),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == '"building"\n'
        other.kill()
    assert target.read_bytes() == before
    _compare(lake, target, version="0")
    assert changed == [False, True, False]
    assert not list(tmp_path.glob(".sunledger.duckdb.new-*"))


@pytest.mark.long
def test_a_published_file_is_compared_with_a_full_one(tmp_path: Path, changed: list[bool]) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    fill(lake)
    target = tmp_path / "sunledger.duckdb"
    own = tmp_path / "own"
    own.mkdir()
    (own / "prices.toml").write_text('[columns]\ncents = { type = "BIGINT" }\n')
    (own / "prices.csv").write_text("cents\n8\n")
    assert list(compare_with_full(lake, target)) == []
    publish(lake, target, now=NOW, version="1", own_tables=own)
    _replace(lake, EnergyDaily, {"local_date": DAYS[0]}, [{"plant_id": "a", "pv_generation_kwh": 7.0}])
    assert publish(lake, target, now=NOW, version="1", own_tables=own).tables["own.prices"] == 1
    # The user's own file of tomorrow is no fault of what was published.
    (own / "prices.csv").write_text("cents\n9\n")
    found = list(compare_with_full(lake, target))
    assert {one.place for one in found} > {
        "warehouse, energy_daily",
        "warehouse, v_energy_daily",
        "warehouse, _clocks",
    }
    assert [one.fault for one in found if one.fault] == []
    assert changed == [False, True, False]
    assert not (tmp_path / ".sunledger.duckdb.full").exists()

    # As a fault of our own would do it: the file is recorded as what was published.
    copy = tmp_path / "copy.duckdb"
    shutil.copy(target, copy)
    with duckdb.connect(str(copy)) as writer:
        writer.execute("UPDATE energy_monthly SET pv_generation_kwh = 8; DROP TABLE v_days_to_check")
        # As an older program's view in a newer file.
        writer.execute("CREATE OR REPLACE VIEW v_power AS SELECT * FROM v_strings_daily; DROP VIEW v_logs")
        writer.execute(
            "CREATE OR REPLACE MACRO month_of(day) AS CAST(day AS DATE); CREATE VIEW mine AS SELECT 1"
        )
        writer.execute("CREATE OR REPLACE MACRO power_of_day(plant, day) AS TABLE SELECT 1")
        writer.execute("COMMENT ON COLUMN pv_intervals.local_date IS 'in UTC'")
    copy.replace(target)
    record_publication(digest_file(target), target)
    # What a comparison that was killed leaves behind.
    (tmp_path / ".sunledger.duckdb.full").mkdir()
    (tmp_path / ".sunledger.duckdb.full" / "full.duckdb").write_bytes(b"half of it")
    faults = {one.place: one.fault for one in compare_with_full(lake, target) if one.fault}
    assert faults.keys() == {
        f"warehouse, {name}"
        for name in (
            *("energy_monthly", "v_days_to_check", "v_power", "v_logs", "mine", "pv_intervals"),
            *("month_of", "power_of_day"),
        )
    }
    assert all(fault.endswith("Run 'sunledger publish --full'.") for fault in faults.values())
    assert not (tmp_path / ".sunledger.duckdb.full").exists()

    _replace(lake, EnergyDaily, {"local_date": DAYS[1]}, [{"plant_id": "a", "pv_generation_kwh": 7.0}])
    with pytest.raises(
        NotComparedError, match="the lake was changed since the publication: when no run is at work"
    ):
        list(compare_with_full(lake, target))


class BegunError(Exception):
    """A publication has begun to be built: what it starts from is known."""


def _change_record(target: Path, *changes: tuple[bytes, bytes]) -> None:
    record = target.with_name(f".{target.name}.made-of")
    content = record.read_bytes()
    for old, new in changes:
        content = content.replace(old, new)
    record.write_bytes(content)


def _cut_record(target: Path) -> None:
    record = target.with_name(f".{target.name}.made-of")
    record.write_bytes(record.read_bytes()[:50])


DOUBTS: dict[str, Callable[[Path], object]] = {
    "content": flip_bit,
    "record": _cut_record,
    # Still a record that can be read: of the rows of old files it names another column.
    "column": lambda target: _change_record(target, (b"pv_generation_kwh", b"pv_generation_kwi")),
    "shape": lambda target: _change_record(
        target,
        (b'"footers": {', b'"footers": {"pv_intervals": null, "x": {'),
        (b', "full_bytes"', b'}, "full_bytes"'),
    ),
    "depth": lambda target: target.with_name(f".{target.name}.made-of").write_bytes(b"[" * 200_000),
    "forgotten": forget_base,
    **dict.fromkeys(("code", "version", "detail", "growth", "place"), lambda _: None),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_any_doubt_leads_to_a_full_build(home: Path, monkeypatch: pytest.MonkeyPatch, doubt: str) -> None:
    lake, target = _open_home(home)
    from_nothing: list[bool] = []

    def begin(*_: object, base: object = None, **__: object) -> None:
        from_nothing.append(base is None)
        raise BegunError

    monkeypatch.setattr(publishing, "build", begin)
    DOUBTS[doubt](target)
    if doubt == "code":
        monkeypatch.setattr(publication_base, "CODE", ("schemas", "warehouse", "pipeline.transform"))
    elif doubt == "place":
        record = target.with_name(f".{target.name}.made-of")
        target = target.replace(home / "elsewhere.duckdb")
        record.replace(target.with_name(f".{target.name}.made-of"))
    elif doubt == "growth":
        monkeypatch.setattr(publication_base, "MOST_GROWTH", 0.5)
        monkeypatch.setattr(publication_base, "SMALL_GROWTH", -1)
        _replace(lake, EnergyDaily, {"local_date": DAYS[0]}, [{"plant_id": "a"}])
    version, detail = "2" if doubt == "version" else "1", "all" if doubt == "detail" else "none"
    with pytest.raises(BegunError):
        publish(lake, target, now=NOW, version=version, detail=detail)
    assert from_nothing == [True]


@pytest.mark.long
def test_a_full_publication_does_not_start_from_one_that_was_running(
    home: Path, changed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, target = _open_home(home)
    _replace(lake, EnergyDaily, {"local_date": DAYS[0]}, [{"plant_id": "a"}])
    built, go = threading.Event(), threading.Event()
    put = publishing._put

    def stall(*args: Any) -> int:
        built.set()
        assert go.wait(60)
        return put(*args)

    monkeypatch.setattr(publishing, "_put", stall)
    running = threading.Thread(target=publish, args=(lake, target), kwargs={"now": NOW, "version": "1"})
    running.start()
    assert built.wait(60)
    forgetting = threading.Thread(target=forget_published, args=(target, lambda _: None))
    forgetting.start()
    forgetting.join(0.2)
    go.set()
    running.join()
    forgetting.join()
    publish(lake, target, now=NOW, version="1")
    assert changed == [True, False]
