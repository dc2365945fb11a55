"""A user's own limits: read from CSV and TOML, and refused with the row and what to do."""

import datetime as dt
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings
from pipeline.run.supplied_files.supplied_limits import FOREVER, LIMITS, read_supplied_limits
from tests.run.user_files import write_lines

HEAD = "plant_id,limit_start,limit_end,limit_percent,kind,asked_by"
GOOD = "11,2024-06-01T10:00:00Z,2024-06-01T12:00:00Z"


def read(settings: Settings, path: Path) -> pl.DataFrame:
    return read_supplied_limits(settings.model_copy(update={"curtailment_limits": path}))


written = partial(write_lines, name="limits.csv")


def test_without_the_setting_there_are_none(settings: Settings) -> None:
    assert read_supplied_limits(settings).schema == LIMITS
    assert not read_supplied_limits(settings).height


def test_csv_and_toml_say_the_same(settings: Settings, tmp_path: Path) -> None:
    lines = [HEAD.replace(",", ";"), "11;2024-06-01T12:00:00+02:00;;60;;static"]
    of_csv = read(settings, written(tmp_path, *lines))
    toml = '[[limit]]\nplant_id = "11"\nlimit_start = 2024-06-01T12:00:00+02:00\nlimit_percent = 60\n'
    toml += 'asked_by = "static"'
    assert read(settings, written(tmp_path, toml, name="limits.toml")).equals(of_csv)
    (row,) = of_csv.rows(named=True)
    assert row == {
        "plant_id": "11",
        "limit_start": dt.datetime(2024, 6, 1, 10, tzinfo=dt.UTC),
        "limit_end": FOREVER,
        "limit_kw": None,
        "limit_percent": 60.0,
        "kind": "feed_in",
        "asked_by": "static",
        "method": None,
    }


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["plant_id,from,to,limit_kw", "11,a,b,4"], "it lacks limit_start, limit_end"),
        ([f"{HEAD},colour", f"{GOOD},4,,,red"], "it has the unknown column 'colour'"),
        ([HEAD.replace("limit_percent,", ""), f"{GOOD},,"], "it has neither limit_kw nor limit_percent"),
        (
            [HEAD, f"{GOOD},60,,", "11,2024-06-02T10:00:00,,60,,"],
            "of row 2 (plant 11) its limit_start or limit_end",
        ),
        ([HEAD, "11,2024-06-02T10:00:00Z,soon,60,,"], "its limit_start or limit_end is not a time"),
        ([HEAD, f"{GOOD},,,"], "either limit_kw or limit_percent"),
        ([f"{HEAD},limit_kw", f"{GOOD},60,,,4"], "either limit_kw or limit_percent"),
        ([HEAD, f"{GOOD},60 %,,"], "its limit_percent is not a number from 0 to 100"),
        ([HEAD, f"{GOOD},101,,"], "its limit_percent is not a number from 0 to 100"),
        ([HEAD.replace("percent", "kw"), f"{GOOD},-1,,"], "its limit_kw is not a number of 0 or more"),
        ([HEAD.replace("percent", "kw"), f"{GOOD},NaN,,"], "its limit_kw is not a number of 0 or more"),
        ([HEAD, f",{GOOD.partition(',')[2]},60,,"], "its plant_id is empty"),
        ([HEAD, f"{GOOD},60,export,"], "choose from feed_in, generation, outage"),
        ([HEAD, f"{GOOD},60,,me"], "choose from grid_operator, energy_trader, manual, static"),
        ([f"{HEAD},method", f"{GOOD},60,,,guess"], "choose from spitz, spitz_light, clear_sky_day, pauschal"),
        ([HEAD, "11,2024-06-01T10:00:00Z,2024-06-01T10:00:00Z,60,,"], "its end is not after its start"),
        ([HEAD, f"{GOOD},60,,", "11,2024-06-01T11:00:00Z,,0,,"], "overlaps another limit"),
        ([""], "it is not a table"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_row_and_the_cure(
    settings: Settings, tmp_path: Path, lines: list[str], says: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(settings, written(tmp_path, *lines))
    assert says in str(refused.value)
    assert "To correct it, " in str(refused.value)
    assert str(refused.value).startswith(
        f"SUNLEDGER_CURTAILMENT_LIMITS={tmp_path / 'limits.csv'} can't be used: "
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plant = 1", "something other than tables [[limit]]"),
        ("[[limit]", "it is not TOML"),
        ("limit = 4", "[[limit]]"),
    ],
)
def test_a_toml_file_of_another_form_is_refused(
    settings: Settings, tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(settings, written(tmp_path, text, name="limits.toml"))
    assert says in str(refused.value)


def test_limits_of_different_askers_may_overlap(settings: Settings, tmp_path: Path) -> None:
    found = read(
        settings, written(tmp_path, HEAD, f"{GOOD},60,,", f"{GOOD},70,,static", f"{GOOD},50,generation,")
    )
    assert found.height == 3


def test_a_file_that_is_not_there_is_told_and_a_changed_one_is_read_again(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="it can't be read"):
        read(settings, tmp_path / "none.csv")
    assert read(settings, written(tmp_path, HEAD, f"{GOOD},60,,"))["limit_percent"].to_list() == [60.0]
    assert read(settings, written(tmp_path, HEAD, f"{GOOD},5.5,,"))["limit_percent"].to_list() == [5.5]
