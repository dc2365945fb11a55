"""Schedules and commands of the GridControl API, from all stored answers; calls no API."""

import polars as pl

from pipeline.common.finding import Finding
from pipeline.common.text import pluralize
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.stored_schedules import read_stored_commands
from pipeline.run.table_step import Stage, writes
from pipeline.transform.limited_power.grid_states import sum_schedules
from schemas import GridCommands, GridSchedules, RawGridSchedules, Table, polars_schema, storage
from schemas.grid_control import ACTIVE, FROM_TIMES, SCHEDULED


@writes(GridSchedules, reads=(RawGridSchedules,), stage=Stage.DEVICES)
def write_grid_schedules(runtime: RunContext) -> StepResult:
    """The schedules of all stored answers."""
    commands, unread = read_stored_commands(runtime.lake)
    return _write(runtime, GridSchedules, sum_schedules(commands), unread)


@writes(GridCommands, reads=(RawGridSchedules,), stage=Stage.DEVICES)
def write_grid_commands(runtime: RunContext) -> StepResult:
    """The commands of all stored answers, with what became of each."""
    commands, unread = read_stored_commands(runtime.lake)
    return _write(runtime, GridCommands, commands, unread)


@checks(
    "grid_commands_ended",
    asset="grid_commands",
    after=CheckMoment.LISTS,
    description="Commands of the GridControl API have a state of the standard, and none is open after its end.",
)
def judge_grid_commands(runtime: RunContext) -> Finding:
    """Whether SMA names a state for each command, and whether any is Scheduled or Active although its time is over."""
    commands = runtime.lake.scan(GridCommands).collect()
    late = commands.filter(
        pl.col("state").is_in([SCHEDULED, ACTIVE]), pl.col("command_end") < pl.lit(runtime.now())
    )
    unclear = commands.filter(pl.col("state_source") == FROM_TIMES)
    strange = commands.filter(pl.col("standard_command").is_null())
    facts = {
        "commands": commands.height,
        "open_after_end": late.height,
        "without_state": unclear.height,
        "unknown_commands": strange.height,
    }
    said = []
    if late.height:
        plant, name = late.select("plant_id", "command").row(0)
        said.append(
            f"{pluralize(late.height, 'command')} were not over when they were read last, but their time is, such as "
            f"{name} of plant {plant}: read them again with 'sunledger refresh'."
        )
    if unclear.height:
        said.append(
            f"{pluralize(unclear.height, 'command')} have no state that IEEE 2030.5 knows, so theirs follows from the "
            "times: compare it with SMA's portal."
        )
    if strange.height:
        names = ", ".join(sorted({*strange["command"]})[:5])
        said.append(
            f"{pluralize(strange.height, 'command')} are not known ({names}), so their limits are not in "
            "curtailment_daily: write them into the file of SUNLEDGER_CURTAILMENT_LIMITS."
        )
    text = (
        " ".join(said) or f"{pluralize(commands.height, 'command')} of the GridControl API are accounted for."
    )
    return Finding(passed=not said, text=text, facts=facts)


def _write(runtime: RunContext, model: type[Table], rows: pl.DataFrame, unread: dict[str, str]) -> StepResult:
    """Replace the table; where nothing was ever read, none is made."""
    table = storage(model).table
    if not rows.height and not runtime.lake.scan(model).select(pl.len()).collect().item():
        return StepResult()
    written = runtime.lake.replace(model, {}, [rows.select(polars_schema(model).names())])
    today = str(runtime.find_today())
    missing = [MissingItem(today, table, plant, reason) for plant, reason in unread.items()]
    return build_result(written, Notices.of(missing) if model is GridCommands else None)
