"""The harness itself: what it must not take for equal, and that what was found can be struck again."""

import datetime as dt
import json

import polars as pl
import pytest

from tests.torture.compare import differences, round_last_digits, with_any_period
from tests.torture.flips import LAYERS
from tests.torture.floods import LASTING, once_each
from tests.torture.manners import MANNERS
from tests.torture.races import RACES
from tests.torture.seeds import SEEDS
from tests.torture.short import KILLS
from tests.torture.states import ACTS

SET = "/v1/plants/1/measurements/sets/EnergyBalance"
KNOWN = {"act": ACTS, "layer": LAYERS, "race": RACES}


def _answers(target: str, day: dt.date = dt.date(2025, 6, 4)) -> dict[str, pl.DataFrame]:
    return {"lake raw_energy_balance": pl.DataFrame({"local_date": [day], "target": [target]})}


@pytest.mark.parametrize(
    ("target", "other"),
    [
        (f"{SET}/Week?Date=2025-06-02", f"{SET}/Day?Date=2025-06-04"),
        (
            "/v1/plants/1/logs?From=2025-06-02&To=2025-06-04",
            "/v1/plants/1/logs?From=2025-06-04&To=2025-06-04",
        ),
        (f"{SET}/Month?Date=2025-06", f"{SET}/Month?Date=2025-06"),
    ],
)
def test_the_same_answer_may_have_been_asked_for_by_another_period(target: str, other: str) -> None:
    assert not differences(*map(with_any_period, (_answers(target), _answers(other))))


@pytest.mark.parametrize(
    "other",
    [
        f"{SET}/Day?Date=2025-06-20",
        f"{SET}/Week?Date=2025-05-26",
        f"{SET.replace('plants/1', 'plants/2')}/Day?Date=2025-06-04",
        f"{SET.replace('EnergyBalance', 'PowerAc')}/Day?Date=2025-06-04",
    ],
)
def test_an_answer_to_another_question_is_a_difference(other: str) -> None:
    expected = _answers(f"{SET}/Week?Date=2025-06-02")
    assert differences(*map(with_any_period, (expected, _answers(other))))


@pytest.mark.parametrize(
    ("date", "differs"), [("2025-06-04", False), ("2025-06-04/2025-06-05", True), ("2025-06-03", True)]
)
def test_the_period_that_a_row_names_is_that_of_its_target(date: str, differs: bool) -> None:
    named = (
        ("/v1/plants/1/logs?From=2025-06-02&To=2025-06-04", "2025-06-02/2025-06-04"),
        ("/v1/plants/1/logs?From=2025-06-04&To=2025-06-04", date),
    )
    expected, found = (
        {name: frame.with_columns(request_date=pl.lit(asked)) for name, frame in _answers(target).items()}
        for target, asked in named
    )
    assert bool(differences(*map(with_any_period, (expected, found)))) == differs


def test_a_row_that_is_there_twice_or_not_at_all_is_a_difference() -> None:
    one = {"lake energy_daily": pl.DataFrame({"plant_id": ["1"], "pv_generation_kwh": [1.0]})}
    twice = {"lake energy_daily": pl.concat([one["lake energy_daily"]] * 2)}
    none = {"lake energy_daily": one["lake energy_daily"].clear()}
    assert differences(one, twice)
    assert differences(one, none)
    assert not differences(one, dict(one))


def test_the_order_of_a_sum_is_no_difference_and_a_milliwatt_hour_is() -> None:
    figures = {"kwh": [0.1 + 0.2 + 0.3, 82.03260374999999, 0.0, None]}
    in_another_order = {"kwh": [0.3 + 0.2 + 0.1, 82.03260375, 1.3e-17, None]}
    more = {"kwh": [0.600001, 82.03260375, 0.0, None]}
    before, other, changed = (
        {"file v_energy_monthly": round_last_digits(pl.DataFrame(one))}
        for one in (figures, in_another_order, more)
    )
    assert figures != in_another_order
    assert not differences(before, other)
    assert differences(before, changed)


def test_what_was_found_can_be_struck_again() -> None:
    for file in SEEDS.glob("*.json"):
        kept = json.loads(file.read_text())
        assert kept["found"]
        assert all(kept[name] in known for name, known in KNOWN.items() if name in kept), file.name
        assert all(manner in MANNERS for manner, _ in kept.get("strikes", ())), file.name


def test_the_short_form_has_every_kind() -> None:
    found_before = {json.loads(file.read_text()).get("act") for file in SEEDS.glob("*.json")} - {None}
    assert {act for act, _ in KILLS} | found_before == ACTS.keys() - {"restate"}
    assert {manner for _, manner in KILLS} >= {"write", "term-write", "rename", "disk", "memory"}
    assert not {fault.partition("=")[0] for fault in once_each()} & LASTING
