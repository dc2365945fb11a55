"""What the commands of `sunledger grid` do, with what they print and what they ask a person."""

import datetime as dt
import math
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import polars as pl
import typer

from pipeline.cli.bills.cost_consent import know_plants, may_ask
from pipeline.cli.console import list_item, say, show_table
from pipeline.cli.run_options import open_runtime
from pipeline.common.errors import SmaError, UsageError
from pipeline.common.text import pluralize
from pipeline.extract.grid_follow import follow_orders
from pipeline.extract.grid_order_checks import check_window, find_clash, find_overlap, find_plant_fault
from pipeline.extract.grid_orders import (
    GridDesk,
    OrderOutcome,
    describe_cancellation,
    describe_order,
    find_early,
    find_resend_fault,
)
from pipeline.run.context import RunContext
from pipeline.run.grid_order_book import GridOrderBook, OpenOrder
from pipeline.run.plant_sessions import group_by_credential
from pipeline.run.plants import list_own_plants
from pipeline.run.stored_schedules import read_stored_commands
from pipeline.sma.feed_in_order import Eligibility, FeedInOrder
from pipeline.sma.unproven_grid_control import check_commanding, check_eligibility
from pipeline.tables.grid_control_tables import write_grid_commands, write_grid_schedules
from schemas import Devices, GridCommands
from schemas.curtailment import ASKED_BY
from schemas.grid_control import COMPLETED

_DRY: Final = "Nothing was sent: this was a dry run. Repeat the command with --send to send it."


@contextmanager
def open_work(plants: Sequence[str] | None) -> "Iterator[GridWork]":
    """The work on these plants or on all; at its end the tables have what was read and what happened.

    Raises ConfigurationError unless commands are switched on.
    """
    with open_runtime(list(plants or [])) as runtime:
        check_commanding(runtime.settings)
        work = GridWork(runtime)
        try:
            yield work
        finally:
            work.store()


class GridWork:
    """One command of `sunledger grid`."""

    def __init__(self, runtime: RunContext) -> None:
        self._runtime = runtime
        self._book = GridOrderBook(runtime.settings)
        self._desk = GridDesk(runtime, self._book)
        self._has_read = False

    def store(self) -> None:
        """Move the events to the audit table, and make the tables of what was read."""
        self._book.store_events(self._runtime.lake)
        if self._has_read:
            write_grid_schedules(self._runtime)
            write_grid_commands(self._runtime)

    def show_eligibility(self) -> None:
        """Print for each plant whether SMA takes FeedInLimit for it, or why not."""
        plants = self._know_plants()
        answers = self._ask_eligibility(plants["plant_id"].to_list())
        rows = [
            (plant, name, "yes" if answers[plant].supported else "no", answers[plant].reason)
            for plant, name in plants.select("plant_id", "name").rows()
        ]
        show_table("", [("plant", False), ("name", False), ("FeedInLimit", False), ("reason", False)], rows)

    def plan_orders(self, limit_kw: float, start: str, hours: float, asked_by: str) -> list[FeedInOrder]:
        """The orders for the plants of the run, with new keys. Raises UsageError for a limit or time that can't be."""
        now = self._runtime.now()
        if asked_by not in ASKED_BY:
            raise UsageError(f"--asked-by {asked_by[:60]} is not known: choose from {', '.join(ASKED_BY)}.")
        if not math.isfinite(limit_kw) or limit_kw < 0:
            raise UsageError(f"--limit-kw {limit_kw:g} can't be: a limit is 0 kW or more.")
        if not math.isfinite(hours) or not 0 < hours < 1e6:  # noqa: PLR2004 - what a duration can hold
            raise UsageError(f"--hours {hours:g} can't be: write it as 2 or 0.25.")
        moment, seconds = _parse_start(start), round(hours * 3600)
        check_window(moment, dt.timedelta(seconds=seconds), now)
        return [
            FeedInOrder(secrets.token_hex(16), plant, round(limit_kw * 1000, 3), moment, seconds, asked_by)
            for plant in sorted(self._runtime.only_plants)
        ]

    def schedule(
        self, orders: Sequence[FeedInOrder], *, supersede: bool, send: bool, yes: bool
    ) -> list[OrderOutcome]:
        """Check the orders, and with `send` ask a person and send them one by one; what became of each."""
        self._require_answer(send=send, yes=yes)
        plants = self._know_plants() if send else list_own_plants(self._runtime)
        rows = {row["plant_id"]: row for row in plants.iter_rows(named=True)}
        settled: dict[str, OrderOutcome] = {}
        for order in orders:
            fault = find_plant_fault(rows[order.plant_id], order.limit_w / 1000, self._list_types(order))
            if fault:
                settled[order.request_key] = _refuse(order, fault)
        left = [order for order in orders if order.request_key not in settled]
        if left:
            settled |= self._settle(left, supersede=supersede, send=send)
        outcomes = list(settled.values())
        for one in outcomes:
            say(one.text)
        good = [order for order in orders if order.request_key not in settled]
        if good:
            for line in _describe_orders(good, rows):
                list_item(line)
        if not send:
            say(
                f"{_DRY} With --send, SMA is also asked which plants take it."
                if good
                else "Nothing was sent."
            )
            return [*outcomes, *(OrderOutcome(order.request_key, done=True, text="") for order in good)]
        if not good:
            return outcomes
        what = "this command" if len(good) == 1 else f"these {len(good)} commands"
        if not (yes or _confirm(f"Do you send {what}?")):
            raise UsageError("You did not agree, so nothing was sent.")
        return [*outcomes, *(self._send(order, supersede=supersede) for order in good)]

    def resend(self, key: str, *, send: bool, yes: bool) -> OrderOutcome:
        """Send an order again that SMA does not list, after a new look."""
        self._require_answer(send=send, yes=yes)
        one = self._find_order(key)
        if not send:
            list_item(
                f"Sends again to plant {one.order.plant_id}: {one.order.describe()}, with the key {key}."
            )
            say(f"{_DRY} It is only sent if SMA still does not list it then.")
            return OrderOutcome(key, done=True, text="")
        self._read([one.order.plant_id])
        current = self._book.find_order(key)
        commands, _ = read_stored_commands(self._runtime.lake, [one.order.plant_id])
        if current is None or current.accepted:
            return self._tell(describe_order(one.order, current, _find_state(commands, key)))
        if fault := find_resend_fault(self._runtime, current, commands):
            raise UsageError(f"The order {key} of plant {one.order.plant_id} is not sent again: {fault}.")
        rows = {row["plant_id"]: row for row in list_own_plants(self._runtime).iter_rows(named=True)}
        for line in _describe_orders([one.order], rows):
            list_item(line)
        if not (yes or _confirm("SMA does not list this command. Do you send it again, with the same key?")):
            raise UsageError("You did not agree, so nothing was sent.")
        return self._tell(self._desk.resend(current))

    def cancel(self, keys: Sequence[str], *, send: bool, yes: bool) -> list[OrderOutcome]:
        """Cancel orders after a new look at them; what each really is then."""
        self._require_answer(send=send, yes=yes)
        known = [self._find_order(key) for key in dict.fromkeys(keys)]
        for one in known:
            list_item(
                f"Cancels the order {one.order.request_key} of plant {one.order.plant_id}: {one.order.describe()}."
            )
        if not send:
            say(_DRY)
            return [OrderOutcome(one.order.request_key, done=True, text="") for one in known]
        silent = self._read({one.order.plant_id for one in known})
        what = "this order" if len(known) == 1 else f"these {len(known)} orders"
        if not (yes or _confirm(f"Do you cancel {what}?")):
            raise UsageError("You did not agree, so nothing was cancelled.")
        return [self._cancel(one, silent) for one in known]

    def show_orders(self, *, read: bool) -> None:
        """Print the orders that are not over, and the commands that are stored, after a new look with `read`."""
        chosen = self._runtime.only_plants or None
        if read:
            self._read(self._know_plants()["plant_id"].to_list())
        show_table(
            "Orders that are not over",
            [("key", False), ("plant", False), ("limit", False), ("asked by", False), ("state", False)],
            [
                (
                    one.order.request_key,
                    one.order.plant_id,
                    one.order.describe(),
                    one.order.asked_by,
                    one.state or ("accepted" if one.accepted else f"not known to SMA ({one.last_event})"),
                )
                for one in self._book.list_orders(chosen)
            ],
        )
        if self._has_read:
            write_grid_commands(self._runtime)
        commands = self._runtime.lake.scan(GridCommands).sort("plant_id", "command_start").collect()
        if chosen:
            commands = commands.filter(pl.col("plant_id").is_in(sorted(chosen)))
        show_table(
            "Commands by the schedules that were read",
            [
                (name, False)
                for name in ("plant", "command", "kW", "from", "held until", "state", "read at", "key")
            ],
            [
                (
                    row["plant_id"],
                    row["command"] + (" (fallback)" if row["is_fallback"] else ""),
                    "" if row["limit_kw"] is None else f"{row['limit_kw']:g}",
                    f"{row['command_start']:%Y-%m-%d %H:%M}",
                    f"{row['held_until']:%Y-%m-%d %H:%M}" if row["held_until"] else "further notice",
                    row["state"],
                    f"{row['read_at']:%Y-%m-%d %H:%M}",
                    row["request_key"] or "",
                )
                for row in commands.iter_rows(named=True)
            ],
        )

    def follow(self, keys: Collection[str] | None) -> bool:
        """Look at these orders, or all that are not over, until they have ended; whether all are Completed."""
        if keys is None:
            chosen = self._runtime.only_plants or None
            keys = [one.order.request_key for one in self._book.list_orders(chosen)]
        self._has_read = True
        states = follow_orders(self._runtime, self._book, keys)
        return all(state == COMPLETED for state in states.values())

    def _settle(
        self, orders: Sequence[FeedInOrder], *, supersede: bool, send: bool
    ) -> dict[str, OrderOutcome]:
        """Those orders that are not to be sent, by their keys; with `send` after a new look and SMA's own check."""
        plants = [order.plant_id for order in orders]
        before = self._book.list_orders(plants)
        silent = self._read(plants) if send else {}
        commands, unread = read_stored_commands(self._runtime.lake, plants)
        open_ = self._book.list_orders(plants)
        found: dict[str, OrderOutcome] = {}
        for order in orders:
            if twin := next((one for one in before if one.order.is_like(order)), None):
                # The same was ordered before: by a process that was killed, for instance.
                key = twin.order.request_key
                now = next((one for one in open_ if one.order.request_key == key), None)
                known = describe_order(twin.order, now, _find_state(commands, key))
                found[order.request_key] = replace(known, text=f"{known.text} Nothing was sent now.")
                continue
            fault = (
                (silent | unread).get(order.plant_id)
                or find_clash(order, open_, supersede=supersede)
                or find_overlap(order, commands, supersede=supersede)
            )
            if fault:
                found[order.request_key] = _refuse(order, fault)
        asked = [order for order in orders if order.request_key not in found]
        answers = self._ask_eligibility([order.plant_id for order in asked]) if send and asked else {}
        for order in asked:
            answer = answers.get(order.plant_id)
            if answer and not answer.supported:
                fault = f"SMA does not take FeedInLimit for it ({answer.reason})"
                found[order.request_key] = _refuse(order, fault)
        return found

    def _send(self, order: FeedInOrder, *, supersede: bool) -> OrderOutcome:
        try:
            outcome = self._desk.send(order, supersede=supersede)
        except UsageError as error:
            # Something came between while a person thought. Others may be sent all the same.
            outcome = OrderOutcome(order.request_key, done=False, text=str(error))
        return self._tell(outcome)

    def _cancel(self, one: OpenOrder, silent: dict[str, str]) -> OrderOutcome:
        key, plant = one.order.request_key, one.order.plant_id
        current = self._book.find_order(key)
        if plant in silent:
            return self._tell(OrderOutcome(key, done=False, text=f"Plant {plant}: {silent[plant]}"))
        if current is None:
            commands, _ = read_stored_commands(self._runtime.lake, [plant])
            return self._tell(describe_cancellation(one, _find_state(commands, key)))
        if early := find_early(self._runtime, current):
            return self._tell(OrderOutcome(key, done=False, text=f"Plant {plant}: the order {key}: {early}."))
        try:
            return self._tell(self._desk.cancel(current))
        except (SmaError, UsageError) as error:
            return self._tell(OrderOutcome(key, done=False, text=str(error)))

    def _find_order(self, key: str) -> OpenOrder:
        """The open order with this key. Raises UsageError where there is none, with the state it ended in."""
        if one := self._book.find_order(key):
            return one
        commands, _ = read_stored_commands(self._runtime.lake)
        state = _find_state(commands, key)
        ended = f"has ended as {state}" if state else "is not in the list of orders"
        raise UsageError(
            f"The order {key[:60]} {ended}, so nothing was sent: 'sunledger grid list' shows the orders "
            "that are not over."
        )

    def _read(self, plants: Collection[str]) -> dict[str, str]:
        self._has_read = True
        return self._desk.read_plants(plants)

    def _know_plants(self) -> pl.DataFrame:
        know_plants(self._runtime)
        return list_own_plants(self._runtime)

    def _ask_eligibility(self, plants: Sequence[str]) -> dict[str, Eligibility]:
        found: dict[str, Eligibility] = {}
        for credential, places in group_by_credential(self._runtime, plants):
            asked, settings = [plants[place] for place in places], credential.settings
            found |= self._runtime.find_session(credential).use(
                partial(check_eligibility, settings=settings, plants=asked)
            )
        return found

    def _list_types(self, order: FeedInOrder) -> list[str | None]:
        devices = self._runtime.lake.scan(Devices).filter(pl.col("plant_id") == order.plant_id)
        return devices.select("type").collect()["type"].to_list()

    def _require_answer(self, *, send: bool, yes: bool) -> None:
        if send and not yes and not may_ask():
            raise UsageError(
                "Nobody can be asked, because this is no terminal, so nothing was sent: repeat the command with --yes "
                "to send it without a question."
            )

    def _tell(self, outcome: OrderOutcome) -> OrderOutcome:
        say(outcome.text)
        return outcome


def _refuse(order: FeedInOrder, fault: str) -> OrderOutcome:
    return OrderOutcome(order.request_key, done=False, text=f"Plant {order.plant_id}: {fault.rstrip('.')}.")


def _find_state(commands: pl.DataFrame, key: str) -> str | None:
    return next(iter(commands.filter(pl.col("request_key") == key)["state"]), None)


def _describe_orders(orders: Sequence[FeedInOrder], rows: dict[str, dict[str, object]]) -> Iterator[str]:
    """What is to be sent, a line for each plant."""
    yield f"Limits what {pluralize(len(orders), 'plant')} may feed in, by SMA's GridControl API:"
    for order in orders:
        plant = rows.get(order.plant_id, {})
        yield (
            f"  plant {order.plant_id} {plant.get('name', '')} ({plant.get('ac_power_kw') or 0:g} kW rated): "
            f"{order.describe()}, key {order.request_key}"
        )


def _parse_start(text: str) -> dt.datetime:
    """The moment in UTC. Raises UsageError for one without an offset: the plants may be in several zones."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"--start {text[:60]} is not a time with an offset: write it as 2026-06-01T10:00+02:00, or as "
            "2026-06-01T08:00Z for UTC."
        )
    return moment.astimezone(dt.UTC).replace(microsecond=0)


def _confirm(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False
