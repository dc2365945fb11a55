"""Looks at orders until they have ended, with waits that are bounded and announced."""

import datetime as dt
import time
from collections.abc import Callable, Collection
from typing import Final

from pipeline.common.errors import SmaError
from pipeline.common.local_time import ONE_DAY
from pipeline.common.text import pluralize
from pipeline.extract.grid_schedules import read_schedules
from pipeline.extract.order_states import note_order_states
from pipeline.run.context import RunContext
from pipeline.run.grid_order_book import GridOrderBook, OpenOrder

# Between two looks; the longest is also how late a cancellation by others is noticed.
SHORTEST_WAIT_S, LONGEST_WAIT_S = 10.0, 300.0
# So long after its end a command may still be shown as active.
GRACE: Final = dt.timedelta(minutes=15)
# An order that begins later is not waited for: the daily reading closes it.
FOLLOWED_FOR: Final = ONE_DAY


def follow_orders(
    runtime: RunContext,
    book: GridOrderBook,
    keys: Collection[str],
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str | None]:
    """The last known state of each of these orders, when all have ended or GRACE after their end, a day at most.

    Each new state, each wait and each look that fails is announced.
    """
    open_ = {one.order.request_key: one for one in book.list_orders() if one.order.request_key in keys}
    states: dict[str, str | None] = {key: open_[key].state for key in open_}
    last = max((one.order.end for one in open_.values()), default=runtime.now()) + GRACE
    deadline = min(last, runtime.now() + FOLLOWED_FOR)
    while open_:
        for key, state in _look(runtime, book, open_).items():
            if states[key] != state:
                order = open_[key].order
                runtime.tell(f"Plant {order.plant_id}: the order {key} ({order.describe()}) is {state}.")
            states[key] = state
        left = {one.order.request_key: one for one in book.list_orders()}
        open_ = {key: left[key] for key in open_ if key in left}
        now = runtime.now()
        if not open_:
            break
        if now >= deadline:
            runtime.tell(
                f"{pluralize(len(open_), 'order')} had not ended by {deadline:%Y-%m-%d %H:%M} UTC and can be followed "
                "with 'sunledger grid list --follow'; the daily reading of schedules closes them too."
            )
            break
        wait_s = find_wait(open_.values(), now, deadline)
        runtime.tell(
            f"Looks again in {wait_s:.0f} s, and at the latest until {deadline:%Y-%m-%d %H:%M} UTC: "
            f"{pluralize(len(open_), 'order')} {'has' if len(open_) == 1 else 'have'} not ended. Ctrl-C ends the "
            "looking and not the orders."
        )
        sleep(wait_s)
    return states


def find_wait(orders: Collection[OpenOrder], now: dt.datetime, deadline: dt.datetime) -> float:
    """Seconds until the next start or end of an order, or the deadline, within the bounds of a wait."""
    moments = [deadline, *(moment for one in orders for moment in (one.order.start, one.order.end))]
    ahead = min((moment - now).total_seconds() for moment in moments if moment > now)
    return min(max(ahead, SHORTEST_WAIT_S), LONGEST_WAIT_S)


def _look(runtime: RunContext, book: GridOrderBook, orders: dict[str, OpenOrder]) -> dict[str, str]:
    plants = sorted({one.order.plant_id for one in orders.values()})
    try:
        result = read_schedules(runtime, plants)
    except SmaError as error:
        runtime.tell(str(error))
        return {}
    silent = {one.plant_id: one.reason for one in result.notices.missing}
    found, unread = note_order_states(runtime, book, [plant for plant in plants if plant not in silent])
    for plant, reason in (silent | unread).items():
        runtime.tell(f"Plant {plant}: {reason}")
    return {key: state for key, state in found.items() if key in orders}
