"""Schedules and commands of the GridControl API by all answers that are stored; sends no request."""

from collections.abc import Collection
from functools import lru_cache

import polars as pl

from pipeline.common.errors import PermanentError
from pipeline.common.local_time import UTC_US
from pipeline.sma.unproven_grid_control import Row, parse_schedules
from pipeline.transform.limited_power.grid_states import LISTED, find_states
from schemas import RawGridSchedules
from warehouse.lake import Lake

_READINGS = pl.Schema({"plant_id": pl.String(), "read_at": UTC_US})


def read_stored_commands(
    lake: Lake, plants: Collection[str] | None = None
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The commands as `find_states` gives them, and the plants with an answer that can't be read, with the reason.

    `plants` are the only ones to read; by default all are.
    """
    raw = lake.scan(RawGridSchedules)
    if plants is not None:
        raw = raw.filter(pl.col("plant_id").is_in(sorted(plants)))
    # Most answers are equal to the plant's answer of the day before, or to that of a plant without schedules.
    answers = (
        raw.group_by("plant_id", "body")
        .agg("read_at", first_read_at=pl.col("read_at").min(), last_read_at=pl.col("read_at").max())
        .collect()
        .sort("plant_id", "first_read_at")
    )
    parsed, readings = [LISTED.to_frame()], [pl.DataFrame(schema=_READINGS)]
    unread: dict[str, str] = {}
    for body, same in answers.group_by("body", maintain_order=True):
        try:
            rows = _parse(bytes(body[0]))
        except PermanentError as error:
            # What such an answer lacks is not gone.
            unread |= dict.fromkeys(same["plant_id"], str(error))
            continue
        parsed.append(same.drop("body", "read_at").join(rows, how="cross").select(LISTED.names()))
        readings.append(same.select("plant_id", "read_at").explode("read_at"))
    return find_states(pl.concat(parsed), pl.concat(readings)), unread


@lru_cache(maxsize=1024)
def _parse(body: bytes) -> pl.DataFrame:
    """The rows of an answer, parsed once for both tables."""
    rows: list[Row] = parse_schedules(body)
    names = [name for name in LISTED if name not in {"plant_id", "first_read_at", "last_read_at"}]
    return pl.DataFrame(rows, schema={name: LISTED[name] for name in names})
