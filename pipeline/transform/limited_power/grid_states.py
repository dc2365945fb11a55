"""What has become of the commands of the GridControl API, by all answers that are stored: frames in, frames out.

A schedule supersedes older ones of the same command from its first such command on. SMA says in which state a command
was when it was read; when it ended is known from the times and from when it was read.
"""

from typing import Final

import polars as pl

from pipeline.common.local_time import UTC_US
from schemas.grid_control import (
    ACTIVE,
    CANCELLED,
    CANCELLED_WITH_RANDOMIZATION,
    COMPLETED,
    FROM_SMA,
    FROM_TIMES,
    NOT_LISTED,
    SCHEDULED,
    STATES,
    SUPERSEDED,
)

# The rows of the answers, with when the answer was read first and last.
LISTED: Final = pl.Schema(
    {
        "plant_id": pl.String(),
        "first_read_at": UTC_US,
        "last_read_at": UTC_US,
        "schedule_id": pl.String(),
        "created_at": UTC_US,
        "requested_by": pl.String(),
        "asked_by": pl.String(),
        "sma_status": pl.String(),
        "listed_as": pl.Int64(),
        "position": pl.Int64(),
        "is_fallback": pl.Boolean(),
        "command": pl.String(),
        "standard_command": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "command_start": UTC_US,
        "duration_s": pl.Float64(),
        "command_end": UTC_US,
        "sma_state": pl.String(),
        "limit_kind": pl.String(),
        "limit_kw": pl.Float64(),
        "limit_pct": pl.Float64(),
        "request_key": pl.String(),
    }
)
_SCHEDULE: Final = ["plant_id", "schedule_id"]
_COMMAND: Final = [*_SCHEDULE, "position"]
_STOPPED: Final = [CANCELLED, CANCELLED_WITH_RANDOMIZATION, SUPERSEDED]


def find_states(rows: pl.DataFrame, readings: pl.DataFrame) -> pl.DataFrame:
    """Each command once, with state, state_source, held_until, is_listed, and when its schedule was read.

    `rows` has the columns of LISTED, a row for each command and each answer that differs from the plant's others.
    `readings` has plant_id and read_at of all answers. Sorted by schedule and position; new are also `first_read_at`,
    `last_read_at` (of the schedule) and `read_at` (the newest answer that says what became of it).
    """
    state = pl.col("sma_state").replace_strict({name.lower(): name for name in STATES}, default=None)
    known = rows.with_columns(sma_state=pl.col("sma_state").str.to_lowercase()).with_columns(sma_state=state)
    stopped = pl.col("sma_state").is_in(_STOPPED)
    newest = (
        known.sort("last_read_at", maintain_order=True)
        .group_by(_COMMAND, maintain_order=True)
        .agg(
            pl.exclude("first_read_at", "last_read_at").last(),
            pl.col("first_read_at").min(),
            pl.col("last_read_at").max(),
            stopped_at=pl.col("first_read_at").filter(stopped).min(),
        )
    )
    found = _add_listing(newest, readings)
    found = _add_superseding(found)
    # Without an end, a fallback holds until further notice.
    far = pl.col("command_end")
    seen = pl.when(pl.col("sma_state").is_in(_STOPPED)).then("stopped_at")
    whole = (pl.col("sma_state") == COMPLETED) & far.is_not_null()
    ended = pl.when(whole).then(far).otherwise(pl.min_horizontal(far, "superseded_at", seen, "gone_at"))
    held = pl.max_horizontal("command_start", ended)
    return (
        found.with_columns(held_until=pl.when(ended.is_not_null()).then(held))
        .with_columns(state=_judge_state(), state_source=_name_source())
        .sort(_COMMAND)
    )


def sum_schedules(commands: pl.DataFrame) -> pl.DataFrame:
    """The schedules of commands that `find_states` gives: a row each, sorted."""
    own = ~pl.col("is_fallback")
    last = pl.col("state").filter(own).last()
    return (
        commands.sort(*_SCHEDULE, "command_start", "position")
        .group_by(_SCHEDULE, maintain_order=True)
        .agg(
            pl.col("created_at", "asked_by", "requested_by", "sma_status").first(),
            state=pl.when((pl.col("state") == ACTIVE).any())
            .then(pl.lit(ACTIVE))
            .when((pl.col("state").filter(own) == SCHEDULED).any())
            .then(pl.lit(SCHEDULED))
            .otherwise(last),
            schedule_start=pl.col("command_start").filter(own).min(),
            schedule_end=pl.col("command_end").max(),
            n_commands=own.sum().cast(pl.Int64),
            has_fallback=pl.col("is_fallback").any(),
            is_listed=pl.col("is_listed").any(),
            first_read_at=pl.col("first_read_at").min(),
            last_read_at=pl.col("last_read_at").max(),
        )
    )


def list_grid_limits(commands: pl.DataFrame, unknown_asker: str) -> pl.DataFrame:
    """The times in which commands limited power, by rows of grid_commands.

    The frame has plant_id, limit_start, limit_end (null: open), limit_kw, limit_pct, kind and asked_by. Where nobody is
    named, `unknown_asker` is.
    """
    held = pl.col("held_until").is_null() | (pl.col("held_until") > pl.col("command_start"))
    return commands.filter(pl.col("limit_kind").is_not_null() & held).select(
        "plant_id",
        pl.col("command_start").alias("limit_start"),
        pl.col("held_until").alias("limit_end"),
        "limit_kw",
        "limit_pct",
        pl.col("limit_kind").alias("kind"),
        pl.col("asked_by").fill_null(unknown_asker),
    )


def _add_listing(commands: pl.DataFrame, readings: pl.DataFrame) -> pl.DataFrame:
    """With `is_listed`, `read_at`, and `gone_at`: when the plant's answers first lacked the command for good.

    That is the whole schedule, or a command of it that an amended schedule no longer has.
    """
    moments = readings.select("plant_id", gone_at="read_at").unique().sort("gone_at")
    last = readings.group_by("plant_id").agg(read_at=pl.col("read_at").max())
    after = (
        commands.select(*_COMMAND, after=pl.col("last_read_at") + pl.duration(microseconds=1))
        .sort("after")
        .join_asof(
            moments,
            left_on="after",
            right_on="gone_at",
            by="plant_id",
            strategy="forward",
            check_sortedness=False,
        )
        .select(*_COMMAND, "gone_at")
    )
    return (
        commands.join(after, on=_COMMAND)
        .join(last, on="plant_id")
        .with_columns(is_listed=pl.col("gone_at").is_null())
    )


def _add_superseding(commands: pl.DataFrame) -> pl.DataFrame:
    """With `superseded_at`: when a newer schedule with the same command began, at the earliest when it came.

    A command that was stopped before its start supersedes nothing.
    """
    named = pl.coalesce("standard_command", "command").alias("named")
    stopped = pl.min_horizontal(pl.when(pl.col("sma_state").is_in(_STOPPED)).then("stopped_at"), "gone_at")
    began = stopped.is_null() | (stopped > pl.col("command_start"))
    begins = (
        commands.filter(began)
        .with_columns(named)
        .group_by(*_SCHEDULE, "named")
        .agg(
            came=pl.coalesce(pl.col("created_at").first(), pl.col("first_read_at").min()),
            order=pl.col("listed_as").first(),
            begin=pl.col("command_start").min(),
            known=pl.col("created_at").first(),
        )
        .with_columns(at=pl.max_horizontal("begin", "known"))
        .sort("came", "order", "schedule_id")
    )
    cut = begins.select(
        *_SCHEDULE,
        "named",
        superseded_at=pl.col("at").cum_min(reverse=True).shift(-1).over("plant_id", "named"),
    )
    return commands.with_columns(named).join(cut, on=[*_SCHEDULE, "named"], how="left").drop("named")


def _judge_state() -> pl.Expr:
    """The state as SMA says it; else by the times, at the moment of the newest answer."""
    read, start, held = pl.col("read_at"), pl.col("command_start"), pl.col("held_until")
    whole = pl.col("command_end").is_not_null() & (held >= pl.col("command_end"))
    gone = ~pl.col("is_listed") & ~(whole & (held <= read))
    superseded = pl.col("superseded_at").is_not_null() & (pl.col("superseded_at") <= held)
    over = held <= pl.max_horizontal(read, start)
    by_times = (
        pl.when(over & ~whole & superseded)
        .then(pl.lit(SUPERSEDED))
        .when(over & whole & (held <= read))
        .then(pl.lit(COMPLETED))
        .when(start > read)
        .then(pl.lit(SCHEDULED))
        .otherwise(pl.lit(ACTIVE))
    )
    stopped = pl.col("sma_state").is_in(_STOPPED)
    return (
        pl.when(pl.col("sma_state").is_not_null() & (pl.col("is_listed") | stopped))
        .then("sma_state")
        .when(gone & ~superseded)
        .then(pl.lit(CANCELLED))
        .otherwise(by_times)
    )


def _name_source() -> pl.Expr:
    stopped = pl.col("sma_state").is_in(_STOPPED)
    return (
        pl.when(pl.col("sma_state").is_not_null() & (pl.col("is_listed") | stopped))
        .then(pl.lit(FROM_SMA))
        .when(~pl.col("is_listed"))
        .then(pl.lit(NOT_LISTED))
        .otherwise(pl.lit(FROM_TIMES))
    )
