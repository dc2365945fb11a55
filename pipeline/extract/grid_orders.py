"""Sends orders to the GridControl API, each once, and finds out what became of them.

An order is durable in the book before its request is sent. Where a process or an answer is lost, the plant's schedules
tell by the order's key what SMA did; until they do, nothing more is sent to the plant.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline.common.errors import SmaError, SunledgerError, UsageError
from pipeline.extract.grid_order_checks import check_window, find_clash, find_overlap
from pipeline.extract.grid_schedules import read_schedules
from pipeline.extract.order_states import ENDS, note_order_states
from pipeline.run.context import RunContext
from pipeline.run.grid_order_book import GridOrderBook, OpenOrder
from pipeline.run.plant_sessions import find_plant_credential
from pipeline.sma.feed_in_order import FeedInOrder
from pipeline.sma.unproven_grid_control import cancel_schedule, send_command
from schemas.grid_control import (
    ACCEPTED,
    CANCEL_ACCEPTED,
    CANCEL_REFUSED,
    CANCEL_UNANSWERED,
    CANCELLED,
    CANCELLED_WITH_RANDOMIZATION,
    CANCELLING,
    GIVEN_UP,
    REFUSED,
    SENDING,
    UNANSWERED,
)

STOPPED: Final = frozenset({CANCELLED, CANCELLED_WITH_RANDOMIZATION})
# So long a request may be on its way, and its answer may take: before, an order that SMA does not list may still come.
SETTLES_AFTER: Final = dt.timedelta(minutes=5)
_CANCEL_EVENTS: Final = {
    ACCEPTED: CANCEL_ACCEPTED,
    REFUSED: CANCEL_REFUSED,
    UNANSWERED: CANCEL_UNANSWERED,
}


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """What is known of an order, as a sentence. `done`: whether it is as the person wanted it."""

    key: str
    done: bool
    text: str


class GridDesk:
    """Sends, cancels and looks after orders of one run. Store the book's events at the end."""

    def __init__(self, runtime: RunContext, book: GridOrderBook) -> None:
        self._runtime, self._book = runtime, book

    def read_plants(self, plants: Collection[str]) -> dict[str, str]:
        """Read the schedules of these plants and note what became of their orders; the plants not read, with why.

        Raises SmaError where SMA answers for none of them.
        """
        result = read_schedules(self._runtime, sorted(plants))
        silent = {one.plant_id: one.reason for one in result.notices.missing}
        _, unread = note_order_states(self._runtime, self._book, [p for p in plants if p not in silent])
        return silent | unread

    def send(self, order: FeedInOrder, *, supersede: bool) -> OrderOutcome:
        """Write the order down and send it once. Raises UsageError where something is in the way meanwhile."""
        now = self._runtime.now()
        check_window(order.start, dt.timedelta(seconds=order.duration_s), now)
        with self._book.open() as content:
            if clash := find_clash(order, content.orders.values(), supersede=supersede):
                raise UsageError(f"Plant {order.plant_id}: {clash}.")
            content.orders[order.request_key] = OpenOrder(order, now)
            content.note(order.request_key, SENDING, f"Sends {order.describe()}.", now)
        return self._send(order, first=True)

    def resend(self, one: OpenOrder) -> OrderOutcome:
        """Send an order again that SMA does not list, with its own key. Raises UsageError where it is not so."""
        order, now = one.order, self._runtime.now()
        check_window(order.start, dt.timedelta(seconds=order.duration_s), now)
        with self._book.open() as content:
            current = content.orders.get(order.request_key)
            if current is None or current != one:
                raise UsageError(
                    f"The order {order.request_key} has changed meanwhile: see 'sunledger grid list'."
                )
            content.change(order.request_key, sent_at=now)
            content.note(
                order.request_key, SENDING, f"Sends {order.describe()} again, with the same key.", now
            )
        return self._send(order, first=False)

    def cancel(self, one: OpenOrder) -> OrderOutcome:
        """Cancel an order whose schedules were just read, asking once; says in which state it really is then."""
        key, order, now = one.order.request_key, one.order, self._runtime.now()
        if not one.accepted:
            with self._book.open() as content:
                content.note(key, GIVEN_UP, "SMA does not list it, and nobody wants it any more.", now)
                del content.orders[key]
            text = (
                f"SMA does not list the order {key} of plant {order.plant_id}, so there was nothing to cancel. It is "
                "given up, and will not be sent again."
            )
            return OrderOutcome(key, done=True, text=text)
        if one.schedule_id is None:
            raise UsageError(
                f"SMA has accepted the order {key} of plant {order.plant_id} and does not list it, so its schedule is "
                "not known: cancel it in SMA's portal, or try again later."
            )
        with self._book.open() as content:
            content.note(key, CANCELLING, f"Cancels the schedule {one.schedule_id}.", now)
        schedule = one.schedule_id
        try:
            credential = find_plant_credential(self._runtime, order.plant_id)
            receipt = self._runtime.find_session(credential).use(
                lambda client: cancel_schedule(client, credential.settings, order.plant_id, schedule)
            )
        except SmaError as error:
            with self._book.open() as content:
                content.note(key, CANCEL_REFUSED, f"Was not sent: {error}", self._runtime.now())
            raise
        with self._book.open() as content:
            if key in content.orders:
                event = _CANCEL_EVENTS[receipt.outcome]
                content.note(key, event, receipt.text, self._runtime.now(), receipt=receipt)
        states = self._look_again([order.plant_id])
        return describe_cancellation(
            one, states.get(key), "" if receipt.outcome == ACCEPTED else receipt.text
        )

    def _send(self, order: FeedInOrder, *, first: bool) -> OrderOutcome:
        key = order.request_key
        try:
            credential = find_plant_credential(self._runtime, order.plant_id)
            receipt = self._runtime.find_session(credential).use(
                lambda client: send_command(client, credential.settings, order)
            )
        except SmaError as error:
            # It is certain that this request was not sent.
            with self._book.open() as content:
                content.note(key, REFUSED, f"Was not sent: {error}", self._runtime.now())
                if first:
                    del content.orders[key]
            return OrderOutcome(key, done=False, text=f"Plant {order.plant_id}: nothing was sent. {error}")
        with self._book.open() as content:
            if receipt.outcome == ACCEPTED:
                content.change(key, accepted=True, schedule_id=receipt.schedule_id)
            content.note(key, receipt.outcome, receipt.text, self._runtime.now(), receipt=receipt)
            # A second request may be refused because the first one arrived.
            if receipt.outcome == REFUSED and first:
                del content.orders[key]
        if receipt.outcome == REFUSED and first:
            return OrderOutcome(
                key,
                done=False,
                text=f"Plant {order.plant_id}: SMA refused the order {key}, so it is over. {receipt.text}",
            )
        states = self._look_again([order.plant_id])
        one = self._book.find_order(key)
        return describe_order(
            order, one, states.get(key), "" if receipt.outcome == ACCEPTED else receipt.text
        )

    def _look_again(self, plants: Collection[str]) -> dict[str, str]:
        """The states of the plants' orders by a new look; none where SMA can't be read just now, which is announced."""
        try:
            result = read_schedules(self._runtime, sorted(plants))
        except SunledgerError as error:
            self._runtime.tell(f"What became of it can't be seen now: {error}")
            return {}
        silent = {one.plant_id for one in result.notices.missing}
        return note_order_states(self._runtime, self._book, [p for p in plants if p not in silent])[0]


def describe_order(
    order: FeedInOrder, one: OpenOrder | None, state: str | None, problem: str = ""
) -> OrderOutcome:
    """What is known of an order that was sent. `one` is None where it is over, `state` where nobody knows it."""
    name = f"Plant {order.plant_id}: the order {order.request_key} ({order.describe()})"
    lead = f"{problem} " if problem else ""
    if state is not None or (one is not None and one.accepted):
        shown = f"is {state}" if state else "was accepted, and its state is not known yet"
        return OrderOutcome(order.request_key, done=True, text=f"{lead}{name} {shown}.")
    text = (
        f"{lead}{name} was sent, and SMA is not known to have it. It is not sent again by itself: look with 'sunledger "
        "grid list --read'. While SMA does not list it, you can send it again with 'sunledger grid schedule "
        f"--resend {order.request_key}', or give it up with 'sunledger grid cancel {order.request_key}'."
    )
    return OrderOutcome(order.request_key, done=False, text=text)


def describe_cancellation(one: OpenOrder, state: str | None, problem: str = "") -> OrderOutcome:
    """What a cancellation has come to. Only a state that says so makes it a success."""
    order = one.order
    name = f"Plant {order.plant_id}: the order {order.request_key} ({order.describe()})"
    if state in STOPPED:
        return OrderOutcome(order.request_key, done=True, text=f"{name} is {state}.")
    lead = f"{problem} " if problem else ""
    if state in ENDS:
        text = f"{lead}{name} was not cancelled: it had ended as {state}."
    elif state is None:
        text = f"{lead}{name}: whether it was cancelled is not known. See 'sunledger grid list --read'."
    else:
        text = f"{lead}{name} is still {state}: see 'sunledger grid list --follow', or cancel it again."
    return OrderOutcome(order.request_key, done=False, text=text)


def find_resend_fault(runtime: RunContext, one: OpenOrder, commands: pl.DataFrame) -> str:
    """Why an order must not be sent again, as a clause; empty where it may. Its schedules were just read."""
    if one.accepted:
        return "SMA has it already"
    age = runtime.now() - one.sent_at
    if age < SETTLES_AFTER:
        return (
            f"it was sent {age.total_seconds():.0f} s ago and may still arrive: wait until "
            f"{SETTLES_AFTER.seconds // 60} minutes have passed"
        )
    return find_overlap(one.order, commands, supersede=False)


def find_early(runtime: RunContext, one: OpenOrder) -> str:
    """Why an order that SMA does not list can't be given up yet, as a clause; empty where it can."""
    age = runtime.now() - one.sent_at
    if one.accepted or age >= SETTLES_AFTER:
        return ""
    return (
        f"SMA does not list it, and it was sent {age.total_seconds():.0f} s ago, so it may still arrive: wait until "
        f"{SETTLES_AFTER.seconds // 60} minutes have passed"
    )
