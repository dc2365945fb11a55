"""The powers of a day are those that SMA listed then: larger ones, smaller ones and mistakes that were corrected."""

import datetime as dt
import json
from collections.abc import Sequence

import polars as pl
import pytest

from pipeline.transform.lists.inventory import build_devices, build_plants
from pipeline.transform.lists.remembered_lists import remember_devices, remember_plants
from pipeline.transform.plant_power import join_powers, take_powers_of_day
from schemas import Devices, Plants, polars_schema
from tests.transform.test_inventory import answers, plant
from warehouse.frames import validate

FIRST = dt.date(2025, 1, 1)
Listing = tuple[int, float | None]


def find_day(number: int) -> dt.date:
    """A day by its number; the first list is of day 0."""
    return FIRST + dt.timedelta(days=number)


def follow(
    listings: Sequence[Listing], plant_id: str = "1", stored: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The table plants after lists of these days, each with one AC power in kW; the peak power is always 12 kW."""
    frame = pl.DataFrame(schema=polars_schema(Plants)) if stored is None else stored
    for number, power in listings:
        entry = plant(plant_id, installation={"acNominalPower": power and power * 1000, "peakPower": 12_000})
        listed, _ = build_plants(answers({"plants": [entry]}), find_day(number))
        frame = remember_plants(frame, listed)
        validate(Plants, frame, {})
    return frame


def list_powers(plants: pl.DataFrame, days: Sequence[int], plant_id: str = "1") -> list[float | None]:
    """The plant's AC power on days, which both ways to ask for it give."""
    one = plants.filter(plant_id=plant_id)
    rows = pl.DataFrame({"plant_id": plant_id, "local_date": [find_day(number) for number in days]})
    found: list[float | None] = join_powers(rows, one)["ac_power_kw"].to_list()
    assert found == [take_powers_of_day(one, find_day(number))["ac_power_kw"].item() for number in days]
    return found


@pytest.mark.parametrize(
    ("listings", "of_days"),
    [
        # More power counts from the day of the list on, less from the day after it.
        ([(0, 10), (99, 10), (100, 20)], {-500: 10, 0: 10, 99: 10, 100: 20, 500: 20}),
        ([(0, 20), (100, 10)], {-500: 20, 100: 20, 101: 10}),
        # Each of several changes counts.
        ([(0, 10), (100, 20), (200, 5), (300, 8)], {99: 10, 100: 20, 200: 20, 201: 5, 299: 5, 300: 8}),
        # A power that was listed for less than 31 days was a mistake, at first and later.
        ([(0, 1), (30, 10)], {-500: 10, 0: 10, 30: 10}),
        ([(0, 100), (30, 10)], {-500: 10, 0: 10, 30: 10}),
        ([(0, 1), (31, 10)], {-500: 1, 30: 1, 31: 10}),
        ([(0, 10), (100, 200), (110, 20)], {99: 10, 100: 20, 110: 20}),
        ([(0, 10), (100, 200), (110, 10), (115, 20)], {99: 10, 114: 10, 115: 20}),
        # A list without a power is none; a power that comes later was there before.
        ([(0, None), (50, 10)], {-500: 10, 50: 10}),
        ([(0, 10), (100, None), (103, 10)], {99: 10, 101: 10, 104: 10}),
        ([(0, 10), (100, None)], {100: 10, 101: None}),
        ([(0, 10), (5, None)], {-500: 10, 5: 10, 6: None}),
        ([(0, 10), (100, None), (150, 20)], {100: 10, 101: 20, 150: 20}),
        # Two lists of a day.
        ([(0, 10), (100, 20), (100, 30)], {99: 10, 100: 30}),
    ],
)  # fmt: skip
def test_a_day_has_the_power_that_was_listed_then(
    listings: list[Listing], of_days: dict[int, float | None]
) -> None:
    plants = follow(listings)
    assert list_powers(plants, list(of_days)) == list(of_days.values())
    number, power = listings[-1]
    again = follow([(number + 1, power)], stored=plants)
    assert again.drop("last_seen").equals(plants.drop("last_seen"))


@pytest.mark.parametrize("late", [False, True])
def test_a_plant_that_moved_has_the_powers_of_its_former_id(late: bool) -> None:
    """10 kW, then 20 kW under the old id, and 30 kW since the move, which may be known later than the new id."""
    before = follow([(0, 10), (100, 20), (200, 20)], "old")
    if late:
        before = follow([(300, 30)], "new", before)
    entry = plant("new", installation={"acNominalPower": 30_000, "peakPower": 12_000})
    listed, _ = build_plants(answers({"plants": [entry]}), find_day(301 if late else 300))
    moved = remember_plants(before, listed.with_columns(migrated_from=pl.lit("old")))
    days = {0: 10, 99: 10, 100: 20, 299: 20, 300: 30}
    assert list_powers(moved, list(days), "new") == list(days.values())
    assert list_powers(moved, [100, 300], "old") == [20, 20]
    # The first weeks after a move are no first listing.
    more = follow([(310, 40)], "new", moved)
    assert list_powers(more, [0, 299, 309, 310], "new") == [10, 20, 40, 40]


def test_a_device_has_the_power_that_was_listed_then() -> None:
    frame = pl.DataFrame(schema=polars_schema(Devices))
    for number, watts in ((0, 5000), (100, 8000)):
        device = {"deviceId": "7", "generatorPower": watts, "generatorPowerDc": 9000}
        listed = build_devices(answers({"devices": [device]}, plant="1"), find_day(number))
        frame = remember_devices(frame, listed)
    validate(Devices, frame, {})
    former = {"until": str(find_day(99)), "generator_power_w": 5000.0, "generator_power_dc_w": 9000.0}
    assert json.loads(frame["former_powers"].item()) == [former]


def test_a_home_of_an_earlier_version_has_its_last_reduction() -> None:
    """There a reduction is in columns of its own, and a correction was one."""
    stored = follow([(0, 20), (100, 10)]).with_columns(former_powers=pl.lit(None, pl.String))
    assert list_powers(follow([(150, 10)], stored=stored), [0, 100, 101]) == [20, 20, 10]
    assert list_powers(follow([(150, 30)], stored=stored), [0, 100, 101, 149, 150]) == [20, 20, 10, 10, 30]
