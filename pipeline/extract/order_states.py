"""Notes by stored answers of the GridControl API what became of orders of `sunledger grid`; sends no request."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from pipeline.common.local_time import ONE_DAY
from pipeline.run.context import RunContext
from pipeline.run.grid_order_book import BookContent, GridOrderBook, OpenOrder
from pipeline.run.stored_schedules import read_stored_commands
from schemas.grid_control import (
    CANCELLED,
    CANCELLED_WITH_RANDOMIZATION,
    COMPLETED,
    FOUND,
    LAPSED,
    NEW_STATE,
    NOT_KNOWN,
    SUPERSEDED,
)

ENDS: Final = frozenset({CANCELLED, CANCELLED_WITH_RANDOMIZATION, SUPERSEDED, COMPLETED})


def note_order_states(
    runtime: RunContext, book: GridOrderBook, plants: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Note by the newest answers, which must be there, what became of the open orders of these plants.

    Returns the states by key, and the plants whose answers can't be read, with the reason.
    """
    if not plants or not book.list_orders(plants):
        return {}, read_stored_commands(runtime.lake, plants)[1] if plants else {}
    commands, unread = read_stored_commands(runtime.lake, plants)
    by_key = {row["request_key"]: row for row in commands.drop_nulls("request_key").iter_rows(named=True)}
    by_schedule = {
        (row["plant_id"], row["schedule_id"]): row
        for row in commands.filter(pl.col("position") == 1).iter_rows(named=True)
    }
    states: dict[str, str] = {}
    with book.open() as content:
        for key, one in list(content.orders.items()):
            plant = one.order.plant_id
            if plant not in plants or plant in unread:
                continue
            row = by_key.get(key) or by_schedule.get((plant, one.schedule_id))
            if row is not None:
                states[key] = row["state"]
            _note_state(content, one, row, runtime.now())
    return states, unread


def _note_state(content: BookContent, one: OpenOrder, row: dict[str, Any] | None, now: dt.datetime) -> None:
    key = one.order.request_key
    if row is None:
        if now > one.order.end + ONE_DAY:
            content.note(key, LAPSED, "Its time is over, and SMA does not list it.", now)
            del content.orders[key]
        elif not one.accepted and one.last_event != NOT_KNOWN:
            content.note(key, NOT_KNOWN, "The plant's schedules do not have its key.", now)
        return
    state = row["state"]
    content.change(key, accepted=True, schedule_id=row["schedule_id"], state=state)
    if not one.accepted:
        content.note(key, FOUND, f"The plant's schedules have its key: it is {state}.", now)
    elif state != one.state:
        content.note(key, NEW_STATE, f"It is {state}.", now)
    if state in ENDS:
        del content.orders[key]
