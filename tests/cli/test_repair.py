"""`sunledger repair` by the real program: every table is as before the damage, and nothing is booked as changed."""

import datetime as dt
import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from sandbox.launch import SandboxAddress
from schemas import TABLES, ApiRequests, BillingUnits, storage
from tests.programs import PATIENCE_S, run, start, wait_until
from tests.samples import take_samples
from tests.warehouse.damaged_lake import double_generation
from warehouse.lake import Lake
from warehouse.published_file.home_guard import find_marker

DAYS = ("--from", "2021-10-31", "--to", "2021-11-01")
# What a re-read may change of the tables: who was asked, and how often.
ASKED = {storage(model).table for model in (ApiRequests, BillingUnits)}
NO_SMA = {"SMA_MONITORING_URL": "http://127.0.0.1:9"}
VOLATILE = {"target", "request_date"}

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def settings(small_box: SandboxAddress) -> dict[str, str]:
    return small_box.settings() | {
        "SUNLEDGER_SETS": "EnergyBalance,EnergyAndPowerPv",
        "SUNLEDGER_LOGS": "plants",
    }


@pytest.fixture(scope="module")
def whole(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a closed month whose days were made in two ways: replaced files, restatements and adjustments."""
    home = tmp_path_factory.mktemp("whole")
    (home / "quality.toml").write_text("beyond_rated_times = 0.3\n")
    strict = {"SUNLEDGER_QUALITY": str(home / "quality.toml")}
    # Values that are set aside leave gaps, so that the days are not complete.
    assert run(home, "backfill", *DAYS, **settings, **strict)[0] == 3
    shutil.copytree(home / "home" / "lake", home / "before")
    assert run(home, "close", "2021-10", "--anyway", **settings)[0] == 0
    assert run(home, "rebuild", **settings)[0] == 0
    found = content(home)
    assert min(found[name].height for name in ("restatements", "row_changes", "adjustments")) > 0
    assert found["energy_monthly"]["closed_at"].count() > 0
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    shutil.copytree(whole / "home", tmp_path / "home", symlinks=True)
    return tmp_path


@cache
def content_of_whole(home: Path) -> dict[str, pl.DataFrame]:
    """The same of a home that nothing happens to."""
    return content(home)


def content(home: Path) -> dict[str, pl.DataFrame]:
    """The rows of every table, without what another reading of the same answers may change."""
    lake, found = Lake(str(home / "home" / "lake"), home / "home" / "tmp"), {}
    for model in TABLES:
        rows = lake.scan(model).collect()
        rows = rows.drop({*storage(model).volatile, *VOLATILE} & set(rows.columns))
        found[storage(model).table] = rows.sort(rows.columns)
    return found


def check(home: Path, whole: Path, settings: dict[str, str], *, asked: bool = False) -> None:
    """Every command works, and every table is as in the home that nothing happened to."""
    was, now = content_of_whole(whole), content(home)
    other = [name for name, rows in was.items() if not rows.equals(now[name])]
    assert set(other) <= (ASKED if asked else set())
    code, said = run(home, "verify", **settings)
    assert (code, " 0 faults" in said) == (0, True), said
    code, said = run(home, "publish", **settings)
    assert code == 0, said
    assert {name for name, rows in content(home).items() if not rows.equals(was[name])} <= ASKED
    assert "Nothing is damaged, so nothing was repaired." in run(home, "repair", **settings)[1]


def part(home: Path, table: str, day: str = "") -> Path:
    """The active file of a table's part, by the end of its name."""
    lake = Lake(str(home / "home" / "lake"), home / "home" / "tmp")
    (model,) = (model for model in TABLES if storage(model).table == table)
    return Path(next(file for file in lake.take_snapshot(model).files if day in file))


def entry(home: Path, table: str, number: int = -1) -> Path:
    return sorted((home / "home" / "lake" / table / "_delta_log").glob("*.json"))[number]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0x10
    file.write_bytes(bytes(content))


def drop_log(home: Path, table: str) -> None:
    shutil.rmtree(home / "home" / "lake" / table / "_delta_log")


def drop_table(home: Path, table: str) -> None:
    shutil.rmtree(home / "home" / "lake" / table)


def add_orphan(home: Path, table: str) -> None:
    file = part(home, table)
    shutil.copy(file, file.with_name("part-00000000-0000-0000-0000-000000000000.parquet"))


def exchange(home: Path, table: str) -> None:
    first, second = part(home, table, "2021-10-31"), part(home, table, "2021-11-01")
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.long
def test_damage_of_every_layer_at_once_is_mended_without_a_request(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    cut(part(home, "energy_balance_intervals", "2021-11-01"))
    part(home, "energy_daily", "2021-10-31").unlink()
    flip(part(home, "kpi_monthly"))
    part(home, "energy_monthly", "2021-10").unlink()
    entry(home, "raw_energy_balance").write_bytes(b"")
    cut(entry(home, "raw_pv", 2))
    entry(home, "energy_hourly", 2).unlink()
    entry(home, "kpi_daily").unlink()
    drop_log(home, "pv_intervals")
    drop_table(home, "plants")
    add_orphan(home, "devices")
    exchange(home, "raw_logs")
    assert run(home, "verify", **settings)[0] == 1
    code, said = run(home, "repair", **settings | NO_SMA)
    assert code == 0, said
    check(home, whole, settings)
    # What was damaged is kept.
    assert list((home / "home" / "set-aside").rglob("*.parquet"))


@pytest.mark.long
def test_lost_answers_are_asked_for_again_once_their_cost_was_agreed_to(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    cut(part(home, "raw_energy_balance", "2021-10-31"))
    # As if nobody had agreed to this month's PU, and none had been made.
    shutil.rmtree(home / "home" / "spending")
    unasked = settings | {"SUNLEDGER_MAX_EUR_PER_MONTH": ""}
    code, said = run(home, "repair", "--dry-run", **unasked)
    assert (code, "so nothing was changed" in said, "needs 2 requests" in said) == (0, True, True), said
    assert "fetched again with 2 requests" in said
    assert run(home, "verify", **settings)[0] == 1
    code, said = run(home, "repair", **unasked)
    assert code == 0, said
    assert "needs 2 requests. They add no PU to this month." in said
    check(home, whole, settings, asked=True)


@pytest.mark.long
def test_the_file_that_views_read_first_is_seen_and_written_again(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    assert run(home, "publish", **settings)[0] == 0
    query = ("sql", "SELECT count(*) FROM energy_balance_intervals")
    assert run(home, *query, **settings)[0] == 0
    marker = find_marker(str(home / "home" / "lake"))
    cut(marker)
    code, said = run(home, *query, **settings)
    assert (code, "run 'sunledger publish'" in said) == (1, True), said
    code, said = run(home, "verify", **settings)
    assert (code, "is lost or damaged: run 'sunledger publish'" in said) == (1, True), said
    assert "Nothing is damaged" not in run(home, "repair", "--dry-run", **settings)[1]
    code, said = run(home, "repair", **settings)
    assert code == 0, said
    assert run(home, *query, **settings)[0] == 0
    check(home, whole, settings)


@pytest.mark.parametrize("limit", take_samples(2, ["", "1"]))
def test_lost_answers_whose_pu_nobody_agrees_to_wait_for_consent(
    home: Path, whole: Path, settings: dict[str, str], limit: str
) -> None:
    cut(part(home, "raw_energy_balance", "2021-10-31"))
    # As in a later month than that of the requests: asking makes new PU.
    for gone in ("lake/api_requests", "lake/_digests/api_requests", "spending"):
        shutil.rmtree(home / "home" / gone)
    (home / "home" / "sunledger.duckdb").unlink()
    code, said = run(home, "repair", **settings | {"SUNLEDGER_MAX_EUR_PER_MONTH": limit})
    assert code == 1, said
    assert "needs 2 requests. Requests for 2 plants add 2 PU" in said
    refused = f"SUNLEDGER_MAX_EUR_PER_MONTH={limit}" if limit else "repeat the command with --yes"
    assert refused in said.rpartition("can't be rebuilt yet")[2], said
    # Nothing was sent, the figures that were made from the answers are there, and every command works.
    assert content(home)["api_requests"].filter(pl.col("plant_id") != "").height == 0
    assert content(home)["energy_daily"].equals(content_of_whole(whole)["energy_daily"])
    assert run(home, "verify", **settings)[0] == 0
    code, said = run(home, "repair", "--yes", **settings | {"SUNLEDGER_MAX_EUR_PER_MONTH": ""})
    assert code == 0, said
    assert content(home)["raw_energy_balance"].equals(content_of_whole(whole)["raw_energy_balance"])


@pytest.mark.long
def test_what_nothing_has_any_more_is_said_and_every_command_works(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    cut(part(home, "api_requests"))
    cut(part(home, "raw_energy_balance", "2021-10-31"))
    (home / "home" / "sunledger.duckdb").unlink()
    code, said = run(home, "repair", **settings | NO_SMA)
    assert code == 1, said
    assert (
        "1 part can't be rebuilt yet, and the next 'sunledger repair' tries again: raw_energy_balance 2021-10"
        in said
    )
    assert "the record of requests of that day is lost" in said
    assert "the request to SMA failed" in said
    for command in ("verify", "rebuild", "publish"):
        assert run(home, command, **settings | NO_SMA)[0] == 0, command
    # PU that were counted before stay, and every bill says that they may be more.
    assert content(home)["billing_units"].equals(content_of_whole(whole)["billing_units"])
    code, said = run(home, "billing", **settings)
    assert (code, "are a lower bound: SMA may charge more" in said) == (0, True), said
    # The answers are still to be had, and the figures that were made from them never went.
    code, said = run(home, "repair", **settings)
    assert code == 0, said
    was, now = content_of_whole(whole), content(home)
    assert {name for name, rows in was.items() if not rows.equals(now[name])} <= ASKED


@pytest.mark.long
def test_an_older_lake_below_a_newer_published_file_is_seen_and_brought_forward(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    shutil.rmtree(home / "home" / "lake")
    shutil.copytree(whole / "before", home / "home" / "lake")
    code, said = run(home, "verify", **settings)
    assert code == 1
    assert "energy_monthly: the published file shows version" in said
    assert "an older state was put in its place. Run 'sunledger repair'" in said
    code, said = run(home, "repair", **settings | NO_SMA)
    assert code == 0, said
    check(home, whole, settings)


@pytest.mark.long
def test_no_figure_is_made_or_closed_from_a_changed_file(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    for table, words in (
        ("energy_daily", ("close", "2021-11", "--anyway")),
        ("energy_balance_intervals", ("rebuild",)),
        ("energy_monthly", ("publish",)),
    ):
        double_generation(part(home, table, "2021-11-01"))
        code, said = run(home, *words, **settings)
        assert code == 1, said
        assert f"{table} 2021-11-01: its file" in said
        assert "was changed after it was written" in said
        assert "Run 'sunledger repair'" in said
        assert "program has a fault" not in said
        code, said = run(home, "repair", **settings | NO_SMA)
        assert code == 0, said
    # The month is as open as before, and nothing is noted as changed.
    check(home, whole, settings)


@pytest.mark.long
def test_days_are_fetched_though_an_earlier_one_is_damaged(
    home: Path, whole: Path, settings: dict[str, str]
) -> None:
    double_generation(part(home, "energy_daily", "2021-11-01"))
    code, said = run(home, "backfill", "--from", "2021-11-02", "--to", "2021-11-02", **settings)
    assert code == 1, said
    assert "energy_daily 2021-11-01: its file" in said
    assert part(home, "raw_energy_balance", "2021-11-02").is_file()
    code, said = run(home, "repair", **settings | NO_SMA)
    assert code == 0, said
    found = content(home)["energy_daily"].filter(pl.col("local_date") == dt.date(2021, 11, 2))
    assert (
        found.height == content_of_whole(whole)["energy_daily"].filter(local_date=dt.date(2021, 11, 1)).height
    )


KINDS: dict[str, Callable[[Path, str], object]] = {
    "missing file": lambda home, table: part(home, table).unlink(),
    "cut file": lambda home, table: cut(part(home, table)),
    "flipped bit": lambda home, table: flip(part(home, table)),
    "cut newest entry": lambda home, table: cut(entry(home, table)),
    "empty newest entry": lambda home, table: entry(home, table).write_bytes(b""),
    "missing newest entry": lambda home, table: entry(home, table).unlink(),
    "missing middle entry": lambda home, table: entry(home, table, 1).unlink(),
    "missing first entry": lambda home, table: entry(home, table, 0).unlink(),
    "lost log": drop_log,
    "lost table": drop_table,
    "orphan": add_orphan,
}
# One of each layer, partitioned by days, by months, and not at all.
LAYERS = (
    "raw_energy_balance",
    "raw_plants",
    "pv_intervals",
    "energy_daily",
    "energy_monthly",
    "devices",
    "restatements",
)


# A table of its own for each kind.
MORE_TABLES = ("raw_pv", "energy_hourly", "kpi_daily", "energy_balance_intervals")


@pytest.mark.long
def test_each_kind_of_damage_of_another_table(home: Path, whole: Path, settings: dict[str, str]) -> None:
    for damage, table in zip(KINDS.values(), LAYERS + MORE_TABLES, strict=True):
        damage(home, table)
    assert run(home, "verify", **settings)[0] == 1
    code, said = run(home, "repair", **settings)
    assert code == 0, said
    check(home, whole, settings, asked=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("table", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage_of_every_layer(
    home: Path, whole: Path, settings: dict[str, str], kind: str, table: str
) -> None:
    KINDS[kind](home, table)
    code, said = run(home, "repair", **settings)
    assert code == 0, said
    check(home, whole, settings, asked=table.startswith("raw"))


@pytest.mark.parametrize("moment", take_samples(2, ["repair/lost.json", "set-aside"]))
def test_a_repair_that_is_killed_is_finished_by_the_next_one(
    home: Path, whole: Path, settings: dict[str, str], moment: str
) -> None:
    cut(part(home, "energy_balance_intervals", "2021-11-01"))
    drop_log(home, "energy_hourly")
    cut(part(home, "energy_daily", "2021-10-31"))
    process = start(home, "repair", **settings)
    wait_until((home / "home" / moment).exists, process)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    code, said = run(home, "repair", **settings)
    assert code == 0, said
    check(home, whole, settings)
