"""One's own facts about plants: which files are taken, which place of a bad one is named, and who is in a group."""

from pathlib import Path

import polars as pl
import pytest

from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings, load_settings
from pipeline.run.preflight import check_before_requests
from pipeline.run.supplied_files.fleet_membership import read_fleet
from pipeline.run.supplied_files.plant_attributes import find_members, match_plants, read_plant_attributes
from schemas import PlantAttributes, polars_schema

MONTHS = ",".join(f"expected_{month:02}_kwh" for month in range(1, 13))
PLANTS = pl.DataFrame(
    {
        "plant_id": ["11", "12", "13"],
        "name": ["One", "Two", "Three"],
        "migrated_from": [None, None, "abc"],
    }
)
CSV = f"""\
plant_id,group,owner,contract no,battery_capacity_kwh,{MONTHS}
11,North,"Sun, Ltd",A-7,12.5,1,2,3,4,5,6,7,8,9,10,11,12

abc,South,,,,,,,,,,,,,,,
"""


def settings_of(tmp_path: Path, text: str, name: str = "attributes.csv", **others: str) -> Settings:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return load_settings(env_file=None, home=tmp_path / "home", plant_attributes=file, **others)


def test_a_csv_file_becomes_rows_by_the_newest_ids(tmp_path: Path) -> None:
    found = match_plants(settings_of(tmp_path, "\ufeff" + CSV), PLANTS)
    assert found.schema == polars_schema(PlantAttributes)
    first, second = found.to_dicts()
    assert (first["plant_id"], first["plant_group"], first["owner"], first["tariff"]) == (
        "11", "North", "Sun, Ltd", None,
    )  # fmt: skip
    assert first["battery_capacity_kwh"] == 12.5
    assert [first[f"expected_{month:02}_kwh"] for month in range(1, 13)] == [float(n) for n in range(1, 13)]
    assert first["other_attributes"] == '{"contract no": "A-7"}'
    # The plant is named by the id that it had before it moved, and has no attribute but its group.
    assert second == dict.fromkeys(second) | {"plant_id": "13", "plant_group": "South"}


def test_toml_says_the_same_as_csv(tmp_path: Path) -> None:
    text = """
    ["11"]
    group = "North"
    owner = "Sun, Ltd"
    "contract no" = "A-7"
    battery_capacity_kwh = 12.5
    expected_kwh = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    [abc]
    group = "South"
    """
    toml = match_plants(settings_of(tmp_path, text, "attributes.toml"), PLANTS)
    assert toml.equals(match_plants(settings_of(tmp_path, CSV), PLANTS))


def test_semicolons_as_a_german_spreadsheet_writes_them(tmp_path: Path) -> None:
    found = read_plant_attributes(
        settings_of(tmp_path, "plant_id;group\r\n11;North, or so\r\n".replace(",", " "))
    )
    assert found["plant_group"].to_list() == ["North  or so"]


def test_without_a_file_no_plant_has_attributes(tmp_path: Path) -> None:
    found = match_plants(load_settings(env_file=None, home=tmp_path), PLANTS)
    assert (found.height, found.schema) == (0, polars_schema(PlantAttributes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it lacks the column plant_id. To correct it, write a header"),
        ("id,group\n11,North\n", "line 1 lacks the column plant_id"),
        ("plant_id,group,group\n", "line 1 names the column 'group' twice"),
        ("plant_id,expected_01_kwh\n11,5\n", "line 1 lacks the column expected_02_kwh"),
        (
            "plant_id,batery_capacity_kwh\n",
            "line 1 names 'batery_capacity_kwh'. To correct it, write battery_cap",
        ),
        ("plant_id,Group\n", "line 1 names 'Group'. To correct it, write group"),
        ("plant_id,,x\n", "line 1 has a column without a name"),
        (
            ",".join(["plant_id", *(f"own_{i}" for i in range(256))]),
            "line 1 names 257 columns. To correct it, keep 256 at most",
        ),
        ("plant_id,group\n11,North\n11,South\n", "line 3 names plant 11, which another line names already"),
        ("plant_id,group\n\n11,North,x\n", "line 3 has 3 values for 2 columns (plant 11)"),
        ("plant_id,group\n,North\n", "line 2 names plant ?, which is an empty plant_id"),
        ('plant_id,group\n11,"a\nb"\n12,"open\n', "line 4 is not CSV"),
        (
            'plant_id,group,battery_capacity_kwh\n11,"a\nb",1\n12,,12 kWh\n',
            "line 4 names plant 12, whose battery_capacity_kwh is not a number of 0 or more. To correct it, write it",
        ),
        ("plant_id,battery_capacity_kwh\n11,-1\n", "whose battery_capacity_kwh is not a number"),
        ("plant_id,battery_capacity_kwh\n11,nan\n", "whose battery_capacity_kwh is not a number"),
        ("plant_id,battery_capacity_kwh\n11,1e99\n", "whose battery_capacity_kwh is not a number"),
        ('plant_id,group\n11,"a,b"\n', "whose group has a comma in its name"),
        (
            "plant_id,group\n99,North\n",
            "line 2 names plant 99, which is not in SMA's list of plants. To correct it,",
        ),
        (
            "plant_id,group\n13,North\nabc,South\n",
            "line 3 names plant abc, which another row names by the id",
        ),
    ],
)
def test_a_bad_file_is_told_by_its_place_and_with_a_cure(tmp_path: Path, text: str, says: str) -> None:
    settings = settings_of(tmp_path, text)
    with pytest.raises(ConfigurationError) as told:
        match_plants(settings, PLANTS)
    assert says in str(told.value)
    assert str(told.value).startswith(f"SUNLEDGER_PLANT_ATTRIBUTES={tmp_path}/attributes.csv can't be used: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[11]\ngroup = 'N'\n[12\n", "it is not TOML"),
        ("[11]\ngroup = 'N'\n[11]\n", "it is not TOML"),
        ("group = 'N'\n", "line 1 has 'group' outside of a plant's table"),
        ("[11]\n\n[12]\ngroup = ['N']\n", "group of line 3 (plant 12) is a list or a table"),
        (
            "[11]\nexpected_kwh = [1, 2]\n",
            "expected_kwh of line 1 (plant 11) is not a list of twelve numbers",
        ),
        ("[11]\ngruop = 'N'\n", "line 1 (plant 11) names 'gruop'. To correct it, write group"),
        (
            "[11]\nbattery_capacity_kwh = inf\n",
            "line 1 names plant 11, whose battery_capacity_kwh is not a number",
        ),
        ("[11]\n\n\n[99]\nx = 2021-10-04\n", "line 4 names plant 99, which is not in SMA's list"),
    ],
)
def test_a_bad_toml_file_is_told_too(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        match_plants(settings_of(tmp_path, text, "attributes.toml"), PLANTS)
    assert says in str(told.value)


@pytest.mark.parametrize("line", ["11,anna@example.org", "anna@example.org,x", "11,Anna <anna@example.org>"])
def test_an_address_is_neither_taken_nor_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError, match="e-mail address") as told:
        read_plant_attributes(settings_of(tmp_path, f"plant_id,owner\n{line}\n"))
    assert "anna" not in str(told.value)
    assert "line 2" in str(told.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it can't be read"):
        read_plant_attributes(load_settings(env_file=None, plant_attributes=tmp_path / "none.csv"))
    (tmp_path / "bytes.csv").write_bytes(b"plant_id\n\xff\xfe\n")
    with pytest.raises(ConfigurationError, match="line 2 is not UTF-8 text"):
        read_plant_attributes(load_settings(env_file=None, plant_attributes=tmp_path / "bytes.csv"))


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "plant_id,group\n11,North\n")
    assert read_plant_attributes(settings)["plant_group"].to_list() == ["North"]
    settings_of(tmp_path, "plant_id,group\n11,Southern\n")
    assert read_plant_attributes(settings)["plant_group"].to_list() == ["Southern"]


def test_the_file_is_looked_at_before_the_first_request(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 3 names plant 11"):
        check_before_requests(settings_of(tmp_path, "plant_id\n11\n11\n"))


GROUPS = "plant_id,group\n11,North sea\n12,north wood\nabc,South\n"


@pytest.mark.parametrize(
    ("groups", "members"),
    [
        (["North sea"], {"11"}),
        (["NORTH*"], {"11", "12"}),
        (["South", "north ???"], {"11", "abc"}),
        ([], set()),
    ],
)
def test_groups_are_named_as_plants_are(tmp_path: Path, groups: list[str], members: set[str]) -> None:
    assert find_members(settings_of(tmp_path, GROUPS), groups, "--group") == members


def test_a_group_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"--group names the group Nort, which .*attributes\.csv does not hav"
    ):
        find_members(settings_of(tmp_path, GROUPS), ["Nort"], "--group")
    with pytest.raises(ConfigurationError, match="no file says which plants are in it: set SUNLEDGER_PLANT"):
        find_members(load_settings(env_file=None), ["North"], "--group")


@pytest.mark.parametrize(
    ("chosen", "left_out"),
    [
        ({"include_plants": "group:North*"}, {"13"}),
        ({"include_plants": "Group: south, 11"}, {"12"}),
        ({"exclude_plants": "group:north wood, group:South from 2026-10-15"}, {"12", "13"}),
    ],
)
def test_a_group_says_which_plants_are_yours(
    tmp_path: Path, chosen: dict[str, str], left_out: set[str]
) -> None:
    fleet = read_fleet(settings_of(tmp_path, GROUPS, **chosen))
    assert set(fleet.find_excluded(PLANTS)["plant_id"]) == left_out
    assert fleet.list_unknown(PLANTS) == []


def test_an_unknown_group_stops_before_it_leaves_everything_out(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"SUNLEDGER_INCLUDE_PLANTS names the group Nroth, .* choose from Nor"
    ):
        read_fleet(settings_of(tmp_path, GROUPS, include_plants="group:Nroth"))
