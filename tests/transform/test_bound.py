"""How wrong a day can be: never more than what the time that is reported as uncovered or as bridged can hold."""

import datetime as dt
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.local_time import TimeBasis
from pipeline.transform.daily import summarize_day
from schemas.quantities import ENERGY_BALANCE
from tests.transform import oracle
from tests.transform.answers import Row, balance, body, examples, places, raw, row

QUANTITIES = [each.column for each in ENERGY_BALANCE.powers]
ZONE = ZoneInfo("Europe/Berlin")
DAYS = [dt.date(2025, 7, 9), dt.date(2025, 3, 30), dt.date(2025, 10, 26)]
RESOLUTIONS = {"FiveMinutes": 300, "FifteenMinutes": 900, "OneHour": 3600}
MOST_W = 5000
ROUNDING_KWH = 1e-9
PLANTS = 12


class Sent(NamedTuple):
    """A plant's rows as they came, and what really was."""

    rows: list[Row]
    true_kwh: float


def sent(day: dt.date, basis: TimeBasis, step_s: int, holes: float, chance: Random) -> Sent:
    """A day whose rows are gone, joined to the mean of two, or without a value, each with chance `holes`."""
    start, end = oracle.bounds(day, ZONE)
    step = dt.timedelta(seconds=step_s)
    clock = dt.UTC if basis == "utc" else ZONE
    rows, total, held = list[Row](), 0.0, list[float]()
    for number in range((end - start) // step):
        watts = float(chance.choice([0, MOST_W, chance.randint(0, MOST_W)]))
        total += watts * step_s / 3_600_000
        held.append(watts)
        fate = chance.choice(["gone", "joined", "absent"]) if chance.random() < holes else "sent"
        if fate == "joined" and len(held) == 1:
            continue
        label = (start + (number + 1) * step).astimezone(clock).replace(tzinfo=None, fold=0)
        mean = sum(held) / len(held)
        held.clear()
        if fate != "gone":
            rows.append(row(label.isoformat(), None if fate == "absent" else mean))
    return Sent(rows, total)


def told(day: dt.date, basis: TimeBasis, resolution: str, plants: list[Sent]) -> pl.DataFrame:
    """energy_kwh, uncovered_h and bridged_h of PV of each plant, in their order."""
    start, end = oracle.bounds(day, ZONE)
    names = [f"{number:02}" for number in range(len(plants))]
    answers = raw((name, body(each.rows, resolution)) for name, each in zip(names, plants, strict=True))
    outcome = balance([answers], places(dict.fromkeys(names, str(ZONE))), day, basis)
    times = pl.Datetime("us", "UTC")
    nothing = {name: pl.lit(None, times) for name in ("sunrise", "sunset", "start_up", "ended")}
    asked = pl.DataFrame({"plant_id": names}).with_columns(
        day_start=pl.lit(start, times), day_end=pl.lit(end, times), final=pl.lit(value=True),
        expects=pl.lit(["pv_generation"]), **nothing,
    )  # fmt: skip
    figures = summarize_day([outcome.rows], asked, keys=["plant_id"], quantities=QUANTITIES)
    covered = figures.rows.select("plant_id", "pv_generation_covered_h", whole_bridged_h="bridged_h")
    hours = (end - start) / dt.timedelta(hours=1)
    return (
        figures.quantities.filter(quantity="pv_generation")
        .join(covered, on="plant_id")
        .sort("plant_id")
        .with_columns(uncovered_h=hours - pl.col("pv_generation_covered_h").fill_null(0.0))
    )


@examples(25)
@given(
    st.sampled_from(DAYS),
    st.sampled_from(["plant_local", "utc"]),
    st.sampled_from([*RESOLUTIONS]),
    st.sampled_from([0.02, 0.1, 0.4]),
    st.integers(0, 10**6),
)
def test_no_error_is_beyond_what_the_day_tells(
    day: dt.date, basis: TimeBasis, resolution: str, holes: float, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311 - nothing secret
    plants = [sent(day, basis, RESOLUTIONS[resolution], holes, chance) for _ in range(PLANTS)]
    for each, row_ in zip(plants, told(day, basis, resolution, plants).rows(named=True), strict=True):
        error = abs((row_["energy_kwh"] or 0.0) - each.true_kwh)
        room_h = row_["uncovered_h"] + row_["bridged_h"]
        assert error <= MOST_W / 1000 * room_h + ROUNDING_KWH
        # What an absent value bridges is its own row's alone.
        assert row_["bridged_h"] <= row_["whole_bridged_h"]


def test_a_bridged_hole_is_an_error_that_only_its_own_time_bounds() -> None:
    """Two hours of full power are gone between hours of none: 10 kWh are missing on a day without a gap."""
    rows = [row(f"2025-07-09T{hour:02}:00:00", 0.0) for hour in range(1, 24) if hour not in {11, 12}]
    rows.append(row("2025-07-10T00:00:00", 0.0))
    (day,) = told(DAYS[0], "plant_local", "OneHour", [Sent(rows, 10.0)]).rows(named=True)
    assert (day["energy_kwh"], day["uncovered_h"], day["bridged_h"], day["status"]) == (0, 0, 2, "complete")


@pytest.mark.parametrize("basis", ["plant_local", "utc"])
def test_a_day_whose_rows_all_came_bridges_nothing(basis: TimeBasis) -> None:
    for day in DAYS:
        whole = sent(day, basis, 900, 0.0, Random(1))  # noqa: S311 - nothing secret
        (found,) = told(day, basis, "FifteenMinutes", [whole]).rows(named=True)
        assert (found["uncovered_h"], found["bridged_h"]) == (0.0, 0.0)
        assert found["energy_kwh"] == pytest.approx(whole.true_kwh, rel=1e-12)
