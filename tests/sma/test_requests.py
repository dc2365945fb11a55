"""Requests: their addresses, and that a vendor's id cannot lead anywhere else."""

import datetime as dt
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import UsageError
from pipeline.sma.requests import Request

DAY = dt.date(2021, 10, 3)


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (Request.plants(), "/v1/plants?WithStatus=true&WithInstallation=true&WithLocation=true"),
        (Request.devices("13"), "/v1/plants/13/devices/lean?WithDeactivatedDevices=true"),
        (Request.plant_sets("13"), "/v1/plants/13/measurements/sets"),
        (Request.device_sets("13", "14"), "/v1/devices/14/measurements/sets"),
        (
            Request.measured("13", "", "EnergyBalance", "Day", DAY),
            "/v1/plants/13/measurements/sets/EnergyBalance/Day?Date=2021-10-03",
        ),
        (
            Request.measured("13", "14", "EnergyAndPowerPv", "Day", "2021-10-03"),
            "/v1/devices/14/measurements/sets/EnergyAndPowerPv/Day?Date=2021-10-03",
        ),
        (
            replace(Request.measured("13", "", "EnergyBalance", "Day", DAY), energies=True),
            "/v1/plants/13/measurements/sets/EnergyBalance/Day?Date=2021-10-03&ReturnEnergyValues=true",
        ),
        (
            Request.plant_month("13", "EnergyBalance", DAY),
            "/v1/plants/13/measurements/sets/EnergyBalance/Month?Date=2021-10",
        ),
        (
            Request.plant_year("13", "EnergyBalance", DAY),
            "/v1/plants/13/measurements/sets/EnergyBalance/Year?Date=2021",
        ),
        (Request.logs("13", DAY), "/v1/plants/13/logs?From=2021-10-03&To=2021-10-03"),
        (Request.logs("13", DAY, device_id="14"), "/v1/devices/14/logs?From=2021-10-03&To=2021-10-03"),
    ],
)
def test_targets(request_: Request, target: str) -> None:
    assert request_.target == target


def test_requests_are_values() -> None:
    first, second = (
        Request.measured("13", "", "EnergyBalance", "Day", DAY),
        Request.measured("13", "", "EnergyBalance", "Day", DAY),
    )
    assert first == second
    assert len({first, second}) == 1
    ordered = sorted([Request.plants(), Request.devices("2"), Request.devices("1")])
    assert ordered == [Request.devices("1"), Request.devices("2"), Request.plants()]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=500).filter(
        lambda t: t not in {".", ".."}
    )
)
def test_any_id_stays_one_segment_of_the_path(plant_id: str) -> None:
    path = urlsplit(Request.devices(plant_id).target).path
    assert path.split("/")[:3] == ["", "v1", "plants"]
    assert path.split("/")[4:] == ["devices", "lean"]
    assert unquote(path.split("/")[3]) == plant_id


@pytest.mark.parametrize("plant_id", ["", ".", "..", "9" * 100_000])
def test_an_id_that_is_no_segment_is_refused(plant_id: str) -> None:
    with pytest.raises(UsageError, match="plant") as told:
        _ = Request.devices(plant_id).target
    assert len(str(told.value)) < 200


@pytest.mark.parametrize("day", ["2021-10-32", "20211003", "yesterday", "", "2021-W40-7"])
def test_a_wrong_day_is_refused(day: str) -> None:
    with pytest.raises(UsageError, match="YYYY-MM-DD"):
        Request.measured("13", "", "EnergyBalance", "Day", day)


def test_a_moment_is_not_a_day() -> None:
    with pytest.raises(UsageError, match="local date"):
        Request.logs("13", dt.datetime(2021, 10, 3, 23, tzinfo=dt.UTC))
