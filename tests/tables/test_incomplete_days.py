"""Which failed answers leave a day open: those of everything that a day is asked for, and of nothing else."""

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from pipeline.run.context import Runtime
from pipeline.tables.incomplete_days import standing
from schemas import Quarantine, polars_schema
from tests.e2e.test_days import MONDAY, run

New = Callable[..., Runtime]
# What is not asked for by the settings, and what is asked for whole months and years.
NOT_OF_THE_DAY = (
    "raw_other_sets-GridSettings",
    "raw_energy_values",
    "raw_device_logs",
    "raw_energy_months",
    "raw_energy_years",
)


def failed(runtime: Runtime, source: str) -> None:
    """An answer for plant 11 that never came, as a run leaves it in quarantine."""
    row = {
        "local_date": MONDAY,
        "source": source,
        "plant_id": "11",
        "scope": "answer",
        "kept": False,
        "reason": "request_failed",
    }
    found = pl.DataFrame([row], schema=polars_schema(Quarantine))
    runtime.lake.replace(Quarantine, {"local_date": MONDAY, "source": source}, [found])


def open_days(runtime: Runtime, **chosen: str) -> list[tuple[str, dt.date, str]]:
    runtime.settings = runtime.settings.model_copy(update=chosen)
    found = standing(runtime, MONDAY, MONDAY)
    return found.select("plant_id", "local_date", "reason").rows()


@pytest.mark.parametrize(
    ("source", "chosen"),
    [
        ("raw_energy_balance", {}),
        ("raw_other_sets-GridSettings", {"sets": "EnergyBalance,GridSettings"}),
        ("raw_energy_values", {"energy_values": "on"}),
        ("raw_device_logs", {"logs": "devices"}),
    ],
)
def test_a_failed_answer_of_what_is_asked_for_leaves_the_day_open(
    new_runtime: New, source: str, chosen: dict[str, str]
) -> None:
    runtime = run(new_runtime(), MONDAY)
    assert open_days(runtime) == []
    failed(runtime, source)
    assert open_days(runtime, **chosen) == [("11", MONDAY, "request_failed")]


def test_what_no_day_is_asked_for_leaves_none_open(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY)
    for source in NOT_OF_THE_DAY:
        failed(runtime, source)
    assert open_days(runtime) == []
