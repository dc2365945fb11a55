"""A user's own irradiation: read in either unit, refused with the row and the cure, and named in the figures."""

import datetime as dt
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings
from pipeline.run.supplied_files.supplied_irradiation import IRRADIATION, read_supplied_irradiation
from tests.run.user_files import write_lines

HEAD = "plant_id,interval_start,interval_end,w_per_m2"
GOOD = "11,2024-06-01T10:00:00Z,2024-06-01T10:30:00Z"


def read(settings: Settings, path: Path) -> pl.DataFrame:
    return read_supplied_irradiation(settings.model_copy(update={"irradiation": path}))


written = partial(write_lines, name="Meteo A.csv")


def test_without_the_setting_there_is_none(settings: Settings) -> None:
    assert read_supplied_irradiation(settings).schema == IRRADIATION
    assert not read_supplied_irradiation(settings).height


@pytest.mark.parametrize(
    ("head", "value"), [(HEAD, "400"), (HEAD.replace("w_per_m2", "kwh_per_m2"), "0.2")], ids=["W", "kWh"]
)
@pytest.mark.parametrize("offset", ["Z", "+02:00", "+0200"])
def test_both_units_and_all_offsets_mean_the_same(
    settings: Settings, tmp_path: Path, head: str, value: str, offset: str
) -> None:
    clock = "10" if offset == "Z" else "12"
    line = f"11,2024-06-01T{clock}:00:00{offset},2024-06-01T{clock}:30:00{offset},{value}"
    (row,) = read(settings, written(tmp_path, head, line)).rows(named=True)
    start = dt.datetime(2024, 6, 1, 10, tzinfo=dt.UTC)
    assert row == {
        "plant_id": "11",
        "interval_start": start,
        "interval_end": start + dt.timedelta(minutes=30),
        "w_per_m2": pytest.approx(400.0),
        "series": "Meteo A",
    }


def test_a_parquet_file_names_its_source_row_by_row(settings: Settings, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "plant_id": ["12", "11"],
            "interval_start": [dt.datetime(2024, 6, 1, 12), dt.datetime(2024, 6, 1, 12)],  # noqa: DTZ001 - below
            "interval_end": [dt.datetime(2024, 6, 1, 13), dt.datetime(2024, 6, 1, 13)],  # noqa: DTZ001 - below
            "w_per_m2": [400.0, None],
            "source": ["SolarSat", "SolarSat"],
        }
    ).with_columns(pl.col("interval_start", "interval_end").dt.replace_time_zone("Europe/Berlin"))
    frame.write_parquet(tmp_path / "it.parquet")
    found = read(settings, tmp_path / "it.parquet")
    # A value that is not there is a gap and no row.
    assert found.select("plant_id", "series").rows() == [("12", "SolarSat")]
    assert found["interval_start"][0] == dt.datetime(2024, 6, 1, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["plant_id,time,w_per_m2", "11,2024-06-01T10:00:00Z,4"], "it lacks interval_start, interval_end"),
        ([f"{HEAD},kwh_per_m2", f"{GOOD},4,5"], "exactly one of the columns w_per_m2 and kwh_per_m2"),
        (
            [HEAD.replace("w_per_m2", "ghi"), f"{GOOD},4"],
            "exactly one of the columns w_per_m2 and kwh_per_m2",
        ),
        (
            [HEAD, f"{GOOD},400", "11,2024-06-01T10:30:00,2024-06-01T11:00:00,4"],
            "of row 2 (plant 11) its interval",
        ),
        ([HEAD, f"{GOOD},-5"], "its value is not from 0 to 2,000 W/m²"),
        ([HEAD, f"{GOOD},200000"], "check the unit"),
        ([HEAD, f"{GOOD},much"], "its value is not a number"),
        ([HEAD, f"{GOOD},NaN"], "its value is not from 0"),
        ([HEAD, f",{GOOD.partition(',')[2]},4"], "its plant_id is empty"),
        ([HEAD, "11,2024-06-01T10:00:00Z,2024-06-02T10:00:00Z,4"], "is empty or longer than 1 h"),
        ([HEAD, "11,2024-06-01T10:00:00Z,2024-06-01T10:00:00Z,4"], "is empty or longer than 1 h"),
        ([HEAD, f"{GOOD},4", "11,2024-06-01T10:15:00Z,2024-06-01T10:45:00Z,4"], "overlaps another one"),
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
    assert str(refused.value).startswith(f"SUNLEDGER_IRRADIATION={tmp_path / 'Meteo A.csv'} can't be used: ")


@pytest.mark.parametrize("name", ["plant_id", "interval_end", "w_per_m2", "source"])
def test_a_column_of_lists_is_named(settings: Settings, tmp_path: Path, name: str) -> None:
    start = dt.datetime(2024, 6, 1, 10, tzinfo=dt.UTC)
    row = {"plant_id": "11", "interval_start": start, "interval_end": start, "w_per_m2": 4.0, "source": "A"}
    pl.DataFrame([row | {name: [row[name]]}]).write_parquet(tmp_path / "it.parquet")
    with pytest.raises(
        ConfigurationError, match=f"its column {name} holds lists or structures. To correct it, "
    ):
        read(settings, tmp_path / "it.parquet")


def test_a_file_that_is_not_there_is_told(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it can't be read"):
        read(settings, tmp_path / "none.csv")


def test_a_changed_file_is_read_again(settings: Settings, tmp_path: Path) -> None:
    assert read(settings, written(tmp_path, HEAD, f"{GOOD},4"))["w_per_m2"].to_list() == [4.0]
    assert read(settings, written(tmp_path, HEAD, f"{GOOD},567"))["w_per_m2"].to_list() == [567.0]
