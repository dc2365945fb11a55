"""One's own facts about plants from the file to the published views, and groups of plants in commands."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.plants import find_chosen_plants, list_plants
from pipeline.tables.energy_tables import write_energy_daily, write_energy_monthly
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.inventory_tables import write_plant_attributes
from sandbox.launch import run_sandbox
from schemas import PlantAttributes
from tests.programs import run
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import fetch, refresh
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

New = Callable[..., RunContext]
SEPTEMBER = [dt.date(2021, 9, day) for day in range(1, 31)]
EXPECTED = ",".join(f"expected_{month:02}_kwh" for month in range(1, 13))


def told(runtime: RunContext, text: str, *groups: str, **settings: str) -> RunContext:
    """The runtime with a file of attributes, limited to groups."""
    file = runtime.settings.home.parent / "attributes.csv"
    file.write_text(text)
    runtime.settings = runtime.settings.model_copy(update={"plant_attributes": file, **settings})
    runtime.only_groups = frozenset(groups)
    return runtime


@pytest.mark.long
def test_a_run_asks_the_plants_of_a_group_alone(new_runtime: New, sma: ScriptedSma) -> None:
    text = "plant_id,group\n12,South\n11,North\n"
    refresh(told(new_runtime(), text, "south"))
    assert {asked.plant_id for asked in sma.asked} == {"", "12"}
    sma.asked.clear()
    runtime = told(new_runtime("11"), text, "South")
    fetch(runtime, SEPTEMBER[0])
    # A plant that is named, and those of a group.
    assert {asked.plant_id for asked in sma.asked} == find_chosen_plants(runtime) == {"11", "12"}


def test_a_member_that_is_gone_or_left_out_does_not_stop_its_group(
    new_runtime: New, sma: ScriptedSma
) -> None:
    text = "plant_id,group\n11,South\n12,South\n"
    refresh(new_runtime())
    sma.lists = ["12"]
    refresh(new_runtime())
    assert list_plants(told(new_runtime(), text, "South"))["plant_id"].to_list() == ["12"]
    with pytest.raises(UsageError, match="No plant of the group South is listed by SMA and yours"):
        list_plants(told(new_runtime(), text, "South", exclude_plants="12"))


def test_an_unknown_plant_stops_a_run_before_a_plant_is_asked(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    sma.asked.clear()
    with pytest.raises(
        ConfigurationError, match="line 2 names plant 5, which is not in SMA's list of plants"
    ):
        fetch(told(new_runtime(), "plant_id,group\n5,North\n"), SEPTEMBER[0])
    assert sma.asked == []


@pytest.mark.long
def test_attributes_are_published_and_joined(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    sma.watts["12", "2021-09-07"] = None
    runtime = new_runtime()
    for day, _ in SetFetch(BALANCE)(runtime, SEPTEMBER):
        write_intervals(runtime, BALANCE, day)
        write_energy_daily(runtime, day)
    write_energy_monthly(new_runtime())
    months = "1,1,1,1,1,1,1,1,900,1,1,1"
    text = f"plant_id,group,tariff,{EXPECTED}\n11,North,day,{months}\n12,North,,{months}\n"
    runtime = told(new_runtime(), text)
    write_plant_attributes(runtime)
    publish(runtime.lake, runtime.settings.warehouse, now=NOW, version="0")
    with connect(runtime.settings.warehouse) as connection:
        # 1 kW for 24 h on 30 days is 720 kWh; plant 12 lacks a day, so its month is held against nothing.
        rows = connection.execute(
            "SELECT plant_id, plant_group, pv_generation_kwh, expected_kwh, share_of_expected FROM v_energy_monthly "
            "WHERE month = DATE '2021-09-01'"
        ).fetchall()
        assert rows == [
            ("11", "North", pytest.approx(720), 900, pytest.approx(0.8)),
            ("12", "North", pytest.approx(696), 900, None),
        ]
        group = connection.execute(
            "SELECT plant_group, n_plants, pv_generation_kwh, expected_kwh, n_plants_compared, share_of_expected "
            "FROM v_energy_monthly_by_group"
        ).fetchall()
        assert group == [("North", 2, pytest.approx(1416), 1800, 1, pytest.approx(0.8))]
        per_plant = "SELECT plant_id, plant_group, tariff FROM v_plants_energy ORDER BY ALL"
        assert connection.execute(per_plant).fetchall() == [("11", "North", "day"), ("12", "North", None)]
        for view in ("v_energy_daily", "v_days_to_check"):
            assert connection.execute(f"SELECT DISTINCT plant_group FROM {view}").fetchall() == [("North",)]
    # What is taken out of the setting is gone with the next publication.
    write_plant_attributes(new_runtime())
    assert runtime.lake.scan(PlantAttributes).collect().height == 0


@pytest.mark.long
def test_the_program_takes_groups_and_asks_nothing_for_a_wrong_file(tmp_path: Path) -> None:
    file = tmp_path / "attributes.toml"
    with run_sandbox("--plants", "3", "--seed", "7") as address:
        settings = {name: str(value) for name, value in address.settings().items()}
        settings["SUNLEDGER_PLANT_ATTRIBUTES"] = str(file)
        day = ("backfill", "--from", "2024-06-03", "--to", "2024-06-03", "--yes")
        file.write_text('["5000000"]\ngroup = "Hill"\n\n["77"]\ngroup = "Hill"\n')
        code, said = run(tmp_path, *day, **settings)
        assert (code, "line 4 names plant 77, which is not in SMA's list of plants" in said) == (2, True), (
            said
        )
        file.write_text('["5000000"]\ngroup = "Hill"\n["5000022"]\ngroup = "Dale"\n')
        code, said = run(tmp_path, *day, "--group", "Hil", **settings)
        assert (code, "--group names the group Hil, which" in said, "choose from Dale, Hill" in said) == (
            2,
            True,
            True,
        )
        # Neither has asked a plant.
        asked = "SELECT DISTINCT plant_id FROM api_requests WHERE plant_id <> '' ORDER BY ALL"
        code, said = run(tmp_path, "publish", **settings)
        assert code == 0, said
        assert run(tmp_path, "sql", asked, "--format", "csv", **settings)[1].split()[-1] == "plant_id"
        code, said = run(tmp_path, *day, "--group", "hill", **settings)
        assert code == 0, said
        assert "1 of 1 plant-day" in said
        assert run(tmp_path, "sql", asked, "--format", "csv", **settings)[1].split() == [
            "plant_id",
            "5000000",
        ]
        # What SMA itself says of groups and sections.
        sections = (
            "SELECT plant_group_id, count(DISTINCT sub_plant_id) > 1 FROM plants JOIN sub_plants USING (plant_id) "
            "JOIN devices USING (plant_id, sub_plant_id) GROUP BY ALL ORDER BY ALL"
        )
        found = run(tmp_path, "sql", sections, "--format", "csv", **settings)
        assert found[1].split()[-1] == "group-1,True"
        found = run(
            tmp_path, "sql", "SELECT plant_id, plant_group FROM v_energy_daily", "--format", "csv", **settings
        )
        assert found[1].split() == ["plant_id,plant_group", "5000000,Hill"]
