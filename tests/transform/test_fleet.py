"""Which plants are yours: entries of the settings, and what is asked for, made and told of plants that are not."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.billing import load_prices
from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.common.settings import load_settings
from pipeline.extract.backfill_estimate import plan_backfill
from pipeline.extract.fetch import fetch_plants
from pipeline.ops.alert_conditions import collect_concerns
from pipeline.run.context import RunContext
from pipeline.run.plants import list_own_plants, list_plants, mark_excluded
from pipeline.run.supplied_files.fleet_membership import ALWAYS, find_today_plants, read_fleet
from pipeline.tables.energy_tables import write_energy_monthly
from pipeline.tables.incomplete_days import find_incomplete_days
from pipeline.tables.inventory_tables import write_plants
from pipeline.tables.month_close import close_month, judge_closed_months
from schemas import Adjustments, EnergyDaily, EnergyMonthly, Plants
from tests.noticed import noticed
from tests.scripted import NOW, ScriptedSma
from tests.small_lake import put
from tests.whole_days import build, fetch, refresh
from warehouse.month_queries.month_rows import select_month_rows
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

New = Callable[..., RunContext]
PLANTS = pl.DataFrame(
    {
        "plant_id": ["5000000", "5000022", "1A2B3C4D-0000-4fff-8abc-0123456789AB", "5000044"],
        "name": ["Roof [north]", "Barn, old", "Roof south", "Foreign 1"],
        "migrated_from": [None, "aaaaaaaa-0000-4fff-8abc-0123456789ab", None, None],
    }
)
SOLD = dt.date(2021, 10, 6)
# The last day on which plant 12 is yours, and the first on which it is not.
DAYS = [SOLD - dt.timedelta(days=1), SOLD]


def excluded(**settings: str) -> dict[str, dt.date]:
    found = read_fleet(load_settings(env_file=None, **settings)).find_excluded(PLANTS)
    return dict(found.sort("plant_id").iter_rows())


@pytest.mark.parametrize(
    ("entries", "left_out"),
    [
        ("", []),
        ("5000044", ["5000044"]),
        (" 5000044 , 5000000,", ["5000000", "5000044"]),
        ("50000", []),
        ("500*", ["5000000", "5000022", "5000044"]),
        ("roof*", ["1A2B3C4D-0000-4fff-8abc-0123456789AB", "5000000"]),
        ("Roof [north]", ["5000000"]),
        ("foreign ?", ["5000044"]),
        ("1a2b3c4d-0000-4FFF-8abc-0123456789ab", ["1A2B3C4D-0000-4fff-8abc-0123456789AB"]),
        # Of a plant that moved, its former id.
        ("aaaaaaaa-0000-4fff-8abc-0123456789ab", ["5000022"]),
        ("Roof.north.", []),
    ],
)
def test_entries_are_ids_and_names(entries: str, left_out: list[str]) -> None:
    assert excluded(exclude_plants=entries) == dict.fromkeys(left_out, ALWAYS)


def test_an_id_of_before_means_the_plant_over_several_moves() -> None:
    plants = pl.DataFrame(
        {
            "plant_id": ["1", "2", "3", "4"],
            "name": ["Roof", "Roof", "Roof", "Barn"],
            "migrated_from": [None, "1", "2", None],
        }
    )
    fleet = read_fleet(load_settings(env_file=None, exclude_plants="1"))
    assert fleet.find_excluded(plants)["plant_id"].to_list() == ["1", "2", "3"]
    chosen = load_settings(env_file=None, today_plants="2")
    assert find_today_plants(chosen, plants) == ["2", "3"]


def test_only_included_plants_are_yours_and_exclusion_wins() -> None:
    found = excluded(include_plants="500*", exclude_plants="5000044 from 2026-10-15, 5000000")
    day = dt.date(2026, 10, 15)
    assert found == {"1A2B3C4D-0000-4fff-8abc-0123456789AB": ALWAYS, "5000000": ALWAYS, "5000044": day}


def test_the_first_day_of_several_entries_counts() -> None:
    assert excluded(exclude_plants="5000044 from 2026-10-15, Foreign* FROM 2026-09-01") == {
        "5000044": dt.date(2026, 9, 1)
    }


def test_a_file_has_one_entry_a_line(tmp_path: Path) -> None:
    file = tmp_path / "sold.txt"
    file.write_text(
        "\ufeff# sold in autumn\n5000044 from 2026-10-15   # to Smith\n\nBarn, old\n", encoding="utf-8"
    )
    assert excluded(exclude_plants=f"@{file}, 5000000") == {
        "5000000": ALWAYS, "5000022": ALWAYS, "5000044": dt.date(2026, 10, 15),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"exclude_plants": "5000044 from October"},
            r"SUNLEDGER_EXCLUDE_PLANTS: '5000044 from October' is not a valid entry",
        ),
        (
            {"include_plants": "5000044 from 2026-10-15"},
            r"SUNLEDGER_INCLUDE_PLANTS: .* is not a valid entry: write ID",
        ),
        ({"exclude_plants": "from 2026-10-15"}, "is not a valid entry"),
        (
            {"exclude_plants": "@/none.txt"},
            r"SUNLEDGER_EXCLUDE_PLANTS=/none\.txt can't be used: it can't be read \(No such file",
        ),
    ],
)
def test_a_wrong_entry_is_told_and_no_plant_is_asked(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        excluded(**settings)


def test_entries_that_fit_nobody_are_known() -> None:
    fleet = read_fleet(load_settings(env_file=None, exclude_plants="5000044, 7, Yard*"))
    assert fleet.list_unknown(PLANTS) == ["7", "Yard*"]


def fleet(runtime: RunContext, **settings: Any) -> RunContext:
    runtime.settings = runtime.settings.model_copy(update=settings)
    return runtime


@pytest.mark.long
def test_a_foreign_plant_is_neither_asked_nor_billed(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = fleet(new_runtime(), exclude_plants="12")
    refresh(runtime)
    fetch(runtime, *DAYS)
    assert {asked.plant_id for asked in sma.asked} == {"", "11"}
    assert list_plants(runtime)["plant_id"].to_list() == ["11"]
    assert plan_backfill(runtime, DAYS[0], DAYS[-1], load_prices(None)).plants == 1
    assert set(find_incomplete_days(runtime, DAYS[0], DAYS[-1])["plant_id"]) == {"11"}
    # The table tells who is left out, and that it is there.
    plants = runtime.lake.scan(Plants).collect()
    assert dict(plants.select("plant_id", "excluded_from").iter_rows()) == {"11": None, "12": ALWAYS}


def test_a_foreign_plant_that_leaves_the_list_is_told_to_nobody(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    sma.lists = ["11"]
    runtime = fleet(new_runtime(), exclude_plants="12")
    sma.asked.clear()
    notices = noticed([fetch_plants(runtime), write_plants(runtime)])
    assert notices.missing == []
    assert [asked.plant_id for asked in sma.asked] == [""]
    assert [told for told in collect_concerns(runtime) if "12" in told.name] == []


def test_a_plant_that_is_left_out_cannot_be_named(new_runtime: New) -> None:
    refresh(new_runtime())
    with pytest.raises(UsageError, match="Plant 12 is excluded by SUNLEDGER_INCLUDE_PLANTS or"):
        list_plants(fleet(new_runtime("12"), exclude_plants="12"))


def test_a_plant_that_moved_is_named_by_its_new_id(new_runtime: New) -> None:
    runtime = new_runtime("11")
    listed = {"last_seen": SOLD, "timezone": "Etc/GMT"}
    put(runtime.lake, Plants, [listed | {"plant_id": "13", "migrated_from": "11"}])
    with pytest.raises(UsageError, match="Plant 11 has moved to a new id, 13: name it by that one"):
        list_plants(runtime)


@pytest.mark.long
def test_a_sold_plant_is_asked_for_days_before_it_was_sold(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    sma.asked.clear()
    runtime = fleet(new_runtime(), exclude_plants=f"12 from {SOLD}")
    for day in DAYS:
        fetch(runtime, day)
        build(runtime, day)
    of_12 = {asked.date for asked in sma.asked if asked.plant_id == "12" and asked.endpoint == "measurements"}
    assert of_12 == {"2021-10-05"}
    daily = runtime.lake.scan(EnergyDaily).filter(pl.col("plant_id") == "12").collect()
    assert daily["status"].to_list() == ["complete"]
    # Today it is not asked what it has.
    assert list_own_plants(runtime)["plant_id"].to_list() == ["11"]
    assert list_own_plants(runtime, DAYS[0])["plant_id"].to_list() == ["11", "12"]
    # The days of this test have no plant figures.
    left = find_incomplete_days(runtime, DAYS[0], DAYS[-1]).filter(pl.col("reason") != "not_made")
    assert left.height == 0


@pytest.mark.long
def test_months_leave_its_days_out_and_days_stay(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime()
    refresh(runtime)
    sma.watts["12", str(SOLD)] = None
    made(runtime, DAYS)
    assert months(runtime) == {"11": 2, "12": 2}
    sold = fleet(new_runtime(), exclude_plants=f"12 from {SOLD}")
    write_energy_monthly(sold)
    assert months(sold) == {"11": 2, "12": 1}
    foreign = fleet(new_runtime(), exclude_plants="12")
    write_energy_monthly(foreign)
    assert months(foreign) == {"11": 2}
    # Nothing that was measured is lost, and the setting can be taken back.
    assert runtime.lake.scan(EnergyDaily).collect().height == 4
    write_energy_monthly(new_runtime())
    assert months(runtime) == {"11": 2, "12": 2}
    nobody = fleet(new_runtime(), exclude_plants="*")
    write_energy_monthly(nobody)
    assert months(nobody) == {}


def made(runtime: RunContext, days: list[dt.date]) -> None:
    for day in days:
        fetch(runtime, day)
        build(runtime, day)


def months(runtime: RunContext) -> dict[str, int]:
    return dict(runtime.lake.scan(EnergyMonthly).select("plant_id", "n_days").collect().iter_rows())


def test_a_month_whose_last_days_are_not_yours_can_be_complete(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    made(runtime, [dt.date(2021, 9, 1)])
    status = pl.col("plant_id") == "12"
    assert runtime.lake.scan(EnergyMonthly).filter(status).collect()["status"].to_list() == ["partial"]
    sold = fleet(new_runtime(), exclude_plants="12 from 2021-09-02")
    write_energy_monthly(sold)
    assert sold.lake.scan(EnergyMonthly).filter(status).collect()["status"].to_list() == ["complete"]


@pytest.mark.long
def test_a_closed_month_keeps_a_plant_that_is_excluded_later(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    made(runtime, DAYS)
    runtime.now = lambda: NOW.replace(month=11)
    close_month(runtime, DAYS[0].replace(day=1), anyway=True)
    foreign = fleet(new_runtime(), exclude_plants="12")
    write_energy_monthly(foreign)
    assert months(foreign) == {"11": 2, "12": 2}
    assert foreign.lake.scan(Adjustments).collect().height == 0
    assert judge_closed_months(foreign).passed


def test_a_publication_knows_the_settings_of_now(new_runtime: New) -> None:
    refresh(new_runtime())
    runtime = fleet(new_runtime(), exclude_plants="12")
    mark_excluded(runtime)
    stored = runtime.lake.scan(Plants).filter(pl.col("plant_id") == "12").collect()
    assert stored["excluded_from"].to_list() == [ALWAYS]


@pytest.mark.long
def test_views_and_reports_leave_its_days_out(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = fleet(new_runtime(), exclude_plants=f"12 from {SOLD}")
    refresh(new_runtime())
    sma.watts["12", str(SOLD)] = None
    made(new_runtime(), DAYS)
    mark_excluded(runtime)
    write_energy_monthly(runtime)
    publish(runtime.lake, runtime.settings.warehouse, now=NOW, version="0")
    with connect(runtime.settings.warehouse) as connection:
        stored = "SELECT count(*) FROM energy_daily WHERE plant_id = '12'"
        assert connection.execute(stored).fetchall() == [(2,)]
        to_check = "SELECT count(*) FROM v_days_to_check WHERE plant_id = '12' AND status = 'missing'"
        assert connection.execute(to_check).fetchall() == [(0,)]
        shown = "SELECT plant_id, count(*) FROM v_energy_daily GROUP BY ALL ORDER BY ALL"
        assert connection.execute(shown).fetchall() == [("11", 2), ("12", 1)]
        lines = "SELECT plant_id, n_days FROM v_plants_energy ORDER BY ALL"
        assert connection.execute(lines).fetchall() == [("11", 2), ("12", 1)]
        rows = select_month_rows(connection, DAYS[0].replace(day=1))
        assert rows.read_days().group_by("plant_id").len().sort("plant_id").rows() == [("11", 2), ("12", 1)]
