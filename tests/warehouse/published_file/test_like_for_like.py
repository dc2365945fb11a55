"""Months beside the year before: the same days of the same plants, recomputed here one by one."""

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import EnergyDaily, PlantAttributes, Plants
from tests.small_lake import NOW, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

PLANTS = {"a": "North", "b": "North", "c": "South", "d": None}
SOLD = dt.date(2024, 2, 20)
QUANTITIES = {
    "pv_generation": "pv_generation_kwh",
    "grid_feed_in": "grid_feed_in_kwh",
    "grid_consumption": "grid_consumption_kwh",
    "total_consumption": "total_consumption_kwh",
}


def list_days() -> Iterator[dt.date]:
    """Three winters around a leap day."""
    for year in (2023, 2024, 2025):
        first = dt.date(year, 2, 10)
        yield from (first + dt.timedelta(days=number) for number in range(35))


def draw_rows() -> list[dict[str, Any]]:
    draw = random.Random(5)  # noqa: S311 - figures of a test
    rows = []
    for plant in PLANTS:
        for day in list_days():
            # Plant c came in 2024; days are silent, have gaps, or lack a quantity.
            if (plant == "c" and day.year == 2023) or draw.random() < 0.1:
                continue
            status = draw.choice(["complete"] * 6 + ["partial", "missing", "provisional"])
            energies = {
                name: None if draw.random() < 0.2 else round(draw.uniform(0, 50), 3)
                for name in QUANTITIES.values()
            }
            rows.append({"plant_id": plant, "local_date": day, "status": status} | energies)
    return rows


def recompute(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Each row of the view by scope, plant, group and month, from the days one by one."""
    known = {(row["plant_id"], row["local_date"]): row for row in rows}
    pairs: dict[tuple[Any, ...], list[tuple[dict[str, Any], dict[str, Any]]]] = defaultdict(list)
    held: dict[tuple[str, dt.date], int] = defaultdict(int)
    for (plant, day), row in known.items():
        if plant == "b" and day >= SOLD:
            continue
        month = day.replace(day=1)
        held[plant, month] += 1
        if (day.month, day.day) == (2, 29):
            continue
        before = known.get((plant, day.replace(year=day.year - 1)))
        if before and before["status"] == row["status"] == "complete":
            for place in (
                ("plant", plant, PLANTS[plant]),
                ("group", None, PLANTS[plant]),
                ("fleet", None, None),
            ):
                if place[0] != "group" or place[2] is not None:
                    pairs[(*place, month)].append((row, before))
    found = {}
    for key, of_key in pairs.items():
        plants = {row["plant_id"] for row, _ in of_key}
        figures: dict[str, Any] = {
            "n_plants": len(plants),
            "n_days": len(of_key),
            "n_days_held": sum(held[plant, key[3]] for plant in plants),
        }
        for quantity, column in QUANTITIES.items():
            both = [
                (row[column], before[column])
                for row, before in of_key
                if None not in (row[column], before[column])
            ]
            figures[f"{quantity}_kwh"] = sum(now for now, _ in both) if both else None
            figures[f"{quantity}_before_kwh"] = sum(before for _, before in both) if both else None
        made, before_kwh = figures["pv_generation_kwh"], figures["pv_generation_before_kwh"]
        figures["pv_generation_change"] = made / before_kwh - 1 if before_kwh else None
        found[key] = figures
    return found


@pytest.mark.long
def test_the_view_is_what_one_by_one_gives(lake: Lake, tmp_path: Path) -> None:
    rows = draw_rows()
    put(
        lake,
        Plants,
        [
            {"plant_id": plant, "name": plant.upper(), "excluded_from": SOLD if plant == "b" else None}
            for plant in PLANTS
        ],
    )
    put(
        lake,
        PlantAttributes,
        [{"plant_id": plant, "plant_group": group} for plant, group in PLANTS.items() if group],
    )
    put(lake, EnergyDaily, rows)
    done = publish(lake, tmp_path / "sunledger.duckdb", now=NOW, version="0")
    with connect(done.path) as connection:
        shown = connection.execute("FROM v_months_like_for_like").pl().to_dicts()
    expected = recompute(rows)
    keys = ("scope", "plant_id", "plant_group", "month")
    found = {tuple(row[name] for name in keys): row for row in shown}
    assert len(found) == len(shown)
    assert found.keys() == expected.keys()
    for key, figures in expected.items():
        assert {name: found[key][name] for name in figures} == pytest.approx(figures, rel=1e-9), key
    assert {row["scope"] for row in shown} == {"plant", "group", "fleet"}
    # The cases that this is about are among them.
    assert ("plant", "c", "South", dt.date(2024, 2, 1)) not in found
    assert ("plant", "c", "South", dt.date(2025, 2, 1)) in found


@pytest.mark.long
def test_the_leap_day_is_no_pair_of_the_28th(lake: Lake, tmp_path: Path) -> None:
    days = [
        dt.date(2023, 2, 28),
        dt.date(2024, 2, 28),
        dt.date(2024, 2, 29),
        dt.date(2025, 2, 28),
        dt.date(2025, 3, 1),
    ]
    put(lake, Plants, [{"plant_id": "a"}])
    put(
        lake,
        EnergyDaily,
        [{"plant_id": "a", "local_date": day, "pv_generation_kwh": 2.0**n} for n, day in enumerate(days)],
    )
    done = publish(lake, tmp_path / "sunledger.duckdb", now=NOW, version="0")
    with connect(done.path) as connection:
        rows = connection.execute(
            "SELECT month, n_days, n_days_held, pv_generation_kwh, pv_generation_before_kwh, pv_generation_change "
            "FROM v_months_like_for_like WHERE scope = 'fleet'"
        ).fetchall()
    assert rows == [
        (dt.date(2024, 2, 1), 1, 2, 2.0, 1.0, 1.0),
        (dt.date(2025, 2, 1), 1, 1, 8.0, 2.0, 3.0),
    ]
