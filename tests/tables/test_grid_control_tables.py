"""Schedules and commands from stored answers, and their limits beside those of the user's file."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipeline.common.errors import CredentialsError, SmaError, TransientError
from pipeline.common.settings import load_settings
from pipeline.extract import grid_schedules
from pipeline.run.context import RunContext
from pipeline.run.step_result import StepResult
from pipeline.tables.grid_control_tables import judge_grid_commands, write_grid_commands, write_grid_schedules
from pipeline.tables.limited_months import list_limited_months
from pipeline.transform.limited_power.curtailed_energy import cut_limits
from schemas import (
    GridCommands,
    GridSchedules,
    Plants,
    QuarterHours,
    RawGridSchedules,
    columns,
    polars_schema,
)

DAY = dt.date(2026, 6, 15)
NOON = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
PLANT = "5000000"


def at(hours: float) -> dt.datetime:
    return NOON + dt.timedelta(hours=hours)


def schedule(name: str, start: float, watts: float, **more: Any) -> dict[str, Any]:
    command = {"command": "FeedInLimit", "startTime": at(start).isoformat(), "duration": 7200, "value": watts}
    return {
        "scheduleId": name,
        "createdAt": at(-20).isoformat(),
        "commands": [command | more.pop("of", {})],
        **more,
    }


@pytest.fixture
def runtime(tmp_path: Path) -> RunContext:
    return RunContext(load_settings(env_file=None, home=tmp_path / "home"), now=lambda: at(6))


def read(runtime: RunContext, hours: float, *schedules: dict[str, Any], body: bytes | None = None) -> None:
    """Store an answer, read so many hours after noon."""
    text = orjson.dumps({"schedules": schedules}) if body is None else body
    row = {"plant_id": PLANT, "read_at": at(hours), "read_date": DAY, "body": text}
    frame = pl.DataFrame([row], schema=polars_schema(RawGridSchedules))
    runtime.lake.append(RawGridSchedules, {"read_date": DAY}, frame)


def commands(runtime: RunContext) -> pl.DataFrame:
    write_grid_schedules(runtime)
    write_grid_commands(runtime)
    return runtime.lake.scan(GridCommands).collect()


def store_facts(runtime: RunContext) -> None:
    """A plant of 10 kW, and a stored day of it."""
    for model, part, facts in (
        (Plants, {}, {"plant_id": PLANT, "ac_power_kw": 10.0, "timezone": "UTC", "backend": "ennexos"}),
        (
            QuarterHours,
            {"local_date": DAY},
            {"plant_id": PLANT, "quarter_start": NOON, "local_start": NOON.replace(tzinfo=None)},
        ),
    ):
        fill = {pl.String: "x", pl.Date: DAY, pl.Boolean: False, pl.Float64: 0.0, pl.Int64: 0}
        row = {
            column.name: facts.get(column.name, None if column.nullable else fill.get(type(column.dtype)))
            for column in columns(model)
        }
        runtime.lake.replace(model, part, [pl.DataFrame([row], schema=polars_schema(model))])


@pytest.mark.parametrize("put", [Path.touch, Path.mkdir])
def test_a_damaged_book_of_orders_does_not_stop_the_reading_of_plants(
    runtime: RunContext, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], None]
) -> None:
    runtime.settings = runtime.settings.model_copy(update={"grid_control": "read"})
    book = runtime.settings.home / "grid" / "orders.json"
    book.parent.mkdir(parents=True)
    put(book)
    monkeypatch.setattr(grid_schedules, "list_own_plants", lambda _: pl.DataFrame({"plant_id": [PLANT]}))
    monkeypatch.setattr(
        grid_schedules, "read_schedules", lambda _, due: StepResult(facts={"requests": len(due)})
    )
    result = grid_schedules.fetch_grid_schedules(runtime)
    (missing,) = result.notices.missing
    assert (result.facts, str(book) in missing.reason) == ({"requests": 1}, True)


DOWN = TransientError("GET /v1/x answered 503, the last of 6 tries.", status=503)
LIMITED = TransientError("GET /v1/x answered 429, the last of 8 tries.", status=429)


def test_a_service_that_answers_for_no_plant_leaves_schedules_missing_and_ends_nothing(
    runtime: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.settings = runtime.settings.model_copy(update={"grid_control": "read"})
    monkeypatch.setattr(grid_schedules, "list_own_plants", lambda _: pl.DataFrame({"plant_id": [PLANT, "2"]}))
    monkeypatch.setattr(grid_schedules, "ask_by_plant", lambda *_: [DOWN, DOWN])
    result = grid_schedules.fetch_grid_schedules(runtime)
    (missing,) = result.notices.missing
    assert (missing.table, result.facts) == ("raw_grid_schedules", {"requests": 2, "unanswered": 2})
    assert ("2 plants" in missing.reason, str(DOWN) in missing.reason) == (True, True)


@pytest.mark.parametrize("error", [LIMITED, CredentialsError("The token endpoint refused the client.")])
def test_the_rate_and_credentials_end_the_reading(
    runtime: RunContext, monkeypatch: pytest.MonkeyPatch, error: SmaError
) -> None:
    runtime.settings = runtime.settings.model_copy(update={"grid_control": "read"})
    monkeypatch.setattr(grid_schedules, "list_own_plants", lambda _: pl.DataFrame({"plant_id": [PLANT]}))
    monkeypatch.setattr(grid_schedules, "ask_by_plant", lambda *_: [error])
    with pytest.raises(SmaError, match=str(error)):
        grid_schedules.fetch_grid_schedules(runtime)


def test_nothing_is_stored_where_nothing_was_read(runtime: RunContext) -> None:
    assert commands(runtime).height == 0
    assert runtime.lake.take_snapshot(GridCommands).version == -1
    assert judge_grid_commands(runtime).passed


def test_a_command_has_its_standard_name_value_unit_state_and_who_asked(runtime: RunContext) -> None:
    rest = {"command": "FeedInLimit", "value": 9000}
    of = {"state": "Active", "mRID": "k"}
    read(runtime, 1, schedule("a", 0, 3000, requestedBy="Grid Operator", fallback=rest, of=of))
    one, fallback = commands(runtime).rows(named=True)
    named = ("standard_command", "value", "unit", "state", "limit_kw", "duration_s", "request_key")
    assert [one[name] for name in named] == ["opModExpLimW", 3000.0, "W", "Active", 3.0, 7200.0, "k"]
    assert (fallback["is_fallback"], fallback["command_start"], fallback["held_until"]) == (True, at(2), None)
    (found,) = runtime.lake.scan(GridSchedules).collect().rows(named=True)
    assert (found["asked_by"], found["requested_by"], found["has_fallback"]) == (
        "grid_operator",
        "Grid Operator",
        True,
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("opModMaxLimW", 6000, ("generation", None, 60.0, "0.01 %")),
        ("opModGenLimW", 2500, ("generation", 2.5, None, "W")),
        ("opModConnect", False, ("generation", 0.0, None, "switch")),
        ("opModConnect", True, (None, None, None, "switch")),
        ("ReactivePower", 100, (None, None, None, None)),
        ("FeedInLimit", -1, (None, None, None, "W")),
    ],
)
def test_what_a_command_limits(runtime: RunContext, name: str, value: Any, expected: tuple[Any, ...]) -> None:
    read(runtime, 1, schedule("a", 0, 0, of={"command": name, "value": value}))
    found = commands(runtime).select("limit_kind", "limit_kw", "limit_pct", "unit")
    assert found.row(0) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"[]", b"{}", b'{"schedules":[{}]}', b'{"schedules":[{"scheduleId":"a","commands":[{}]}]}',
        orjson.dumps({"schedules": [schedule("a", 0, 1, of={"duration": -1})]}),
        orjson.dumps({"schedules": [schedule("a", 0, 1, of={"startTime": "9999-12-31T23:59:59Z"})]}),
        orjson.dumps({"schedules": [schedule("a", 0, 1, of={"duration": 1e300})]}),
        orjson.dumps({"schedules": [schedule("", 0, 1)]}),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_missing_and_ends_nothing(runtime: RunContext, body: bytes) -> None:
    read(runtime, 1, schedule("a", 0, 3000))
    read(runtime, 1.5, body=body)
    write_grid_schedules(runtime)
    report = write_grid_commands(runtime)
    assert runtime.lake.scan(GridCommands).collect()["state"].to_list() == ["Active"]
    (missing,) = report.notices.missing
    assert (missing.plant_id, "SMA_GRIDCONTROL_URL" in missing.reason) == (PLANT, True)


def test_the_check_names_what_is_open_strange_or_without_a_state(runtime: RunContext) -> None:
    read(
        runtime,
        1,
        schedule("a", 0, 3000, of={"state": "Active"}),
        schedule("b", 9, 1, of={"command": "Dance"}),
    )
    commands(runtime)
    found = judge_grid_commands(runtime)
    assert not found.passed
    assert (found.facts["open_after_end"], found.facts["without_state"], found.facts["unknown_commands"]) == (
        1,
        1,
        1,
    )
    assert "Dance" in found.text


def test_limits_of_the_file_and_of_commands_hold_together_and_the_lower_one_binds(
    runtime: RunContext, tmp_path: Path
) -> None:
    store_facts(runtime)
    file = tmp_path / "limits.csv"
    file.write_text(
        "plant_id,limit_start,limit_end,limit_kw,asked_by\n"
        f"{PLANT},{at(1).isoformat()},{at(4).isoformat()},4,grid_operator\n"
    )
    read(runtime, 6, schedule("a", 0, 3000, requestedBy="energy trader"), schedule("b", 3, 6000))
    commands(runtime)
    (of_commands,) = list_limited_months(runtime)
    assert of_commands.limits["limit_w"].to_list() == [3000.0, 6000.0]
    # Whoever is not named was not the grid operator.
    assert of_commands.limits["asked_by"].to_list() == ["energy_trader", "manual"]
    runtime.settings = runtime.settings.model_copy(update={"curtailment_limits": file})
    (month,) = list_limited_months(runtime)
    day = pl.DataFrame(
        {"plant_id": [PLANT], "local_date": [DAY], "day_start": [at(-12)], "day_end": [at(12)]},
        schema_overrides={"day_start": pl.Datetime("us", "UTC"), "day_end": pl.Datetime("us", "UTC")},
    )
    held = [
        ((start - NOON).total_seconds() / 3600, watts)
        for start, watts in cut_limits(month.limits, day).select("seg_start", "feed_in_w").rows()
    ]
    assert held == [(0, 3000.0), (1, 3000.0), (2, 4000.0), (3, 4000.0), (4, 6000.0)]
