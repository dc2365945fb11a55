"""Orders of `sunledger grid` that are not over, and what happened to them: durable before anything is sent.

The book is a file of the home, or a document in the cluster's PostgreSQL. Its events go to the table
grid_command_audit, and leave the book when the lake has them. An order leaves it when its state can't change any more.
"""

import datetime as dt
import getpass
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson
import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.sma.auth.private_documents import open_document
from pipeline.sma.feed_in_order import FeedInOrder, GridReceipt
from pipeline.sma.unproven_grid_control import FEED_IN_LIMIT
from schemas import GridCommandAudit, polars_schema
from schemas.grid_control import SENDING
from warehouse.lake import Lake

# Below SUNLEDGER_HOME; in a cluster the book is in PostgreSQL.
ORDER_FOLDER, _NAME = "grid", "orders.json"


class OrderBookError(SunledgerError):
    """The book does not hold orders."""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that is not over. `accepted`: whether SMA is known to have it. `last_event` is one of ORDER_EVENTS."""

    order: FeedInOrder
    sent_at: dt.datetime
    accepted: bool = False
    schedule_id: str | None = None
    state: str | None = None
    last_event: str = SENDING
    events: int = 0


@dataclass(slots=True)
class BookContent:
    """The orders by their key, and the events that the lake does not have yet; to be changed under the book's lock."""

    orders: dict[str, OpenOrder] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def note(
        self, key: str, event: str, text: str, at: dt.datetime, *, receipt: GridReceipt | None = None
    ) -> None:
        """Add an event of an order that is in the book."""
        one = replace(self.orders[key], last_event=event, events=self.orders[key].events + 1)
        self.orders[key] = one
        order = one.order
        self.events.append(
            {
                "request_key": key,
                "event_number": one.events,
                "event_at": at,
                "event_date": at.date(),
                "event": event,
                "operator": _name_operator(),
                "asked_by": order.asked_by,
                "plant_id": order.plant_id,
                "command": FEED_IN_LIMIT,
                "limit_kw": order.limit_w / 1000,
                "command_start": order.start,
                "command_end": order.end,
                "schedule_id": one.schedule_id,
                "status": receipt.status if receipt else None,
                "state": one.state,
                "text": text,
            }
        )

    def change(self, key: str, **facts: Any) -> None:
        """Replace facts of an order."""
        self.orders[key] = replace(self.orders[key], **facts)


class GridOrderBook:
    """The book of a home or a cluster. Every process of it sees the same one."""

    def __init__(self, settings: Settings) -> None:
        self._document = open_document(settings, _NAME, ORDER_FOLDER)

    def list_orders(self, plants: Collection[str] | None = None) -> list[OpenOrder]:
        """The orders that are not over, of these plants or of all, as they were sent.

        Raises OrderBookError for a damaged book, and SecretFileError for one that can't be read.
        """
        found = self._parse(self._document.read()).orders.values()
        return sorted(
            (one for one in found if plants is None or one.order.plant_id in plants),
            key=lambda one: (one.sent_at, one.order),
        )

    def find_order(self, key: str) -> OpenOrder | None:
        """The order with this key, if it is not over."""
        return self._parse(self._document.read()).orders.get(key)

    @contextmanager
    def open(self) -> Iterator[BookContent]:
        """The content, alone; what the block makes of it is durable when it ends. Raises SunledgerError."""
        with self._document.lock():
            before = self._document.read()
            content = self._parse(before)
            yield content
            after = orjson.dumps(
                {
                    "orders": {key: asdict(one) for key, one in content.orders.items()},
                    "events": content.events,
                }
            )
            # A lock in PostgreSQL is gone once its server was started again, and an order of another process must stay.
            if after != before and not self._document.replace(before, after):
                raise SunledgerError(
                    f"{self._document.place} was changed by another process at the same time, so this was not noted "
                    "there: see 'sunledger grid list', then run this again."
                )

    def store_events(self, lake: Lake) -> int:
        """Move the events to the table grid_command_audit; their number. After a kill the same rows come again."""
        if not self._parse(self._document.read()).events:
            return 0
        with self.open() as content:
            rows = pl.DataFrame(content.events, schema=polars_schema(GridCommandAudit))
            for (day,), part in rows.group_by("event_date", maintain_order=True):
                assert isinstance(day, dt.date)  # noqa: S101 - for the type checker
                lake.append(GridCommandAudit, {"event_date": day}, part)
            content.events.clear()
            return rows.height

    def _parse(self, text: bytes | None) -> BookContent:
        try:
            # Only a book that was never written is empty: what lost its orders must not look like one.
            found = {"orders": {}, "events": []} if text is None else orjson.loads(text)
            orders = {key: _read_order(one) for key, one in found["orders"].items()}
            events = [_read_moments(one, _EVENT_MOMENTS) for one in found["events"]]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise OrderBookError(
                f"{self._document.place} does not hold orders of 'sunledger grid', so no command is sent: restore it "
                "from a backup. What was sent is in the table api_requests (grid_command), and SMA's portal lists what "
                "holds. Without a backup cancel there what you do not want any more, then delete this file: nobody "
                "follows the orders in it then."
            ) from None
        return BookContent(orders, events)


_EVENT_MOMENTS: Final = ("event_at", "command_start", "command_end")


def _read_order(stored: dict[str, Any]) -> OpenOrder:
    order = FeedInOrder(**_read_moments(stored["order"], ("start",)))
    return OpenOrder(**_read_moments(stored, ("sent_at",)) | {"order": order})


def _read_moments(stored: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    read: dict[str, dt.date] = {name: dt.datetime.fromisoformat(stored[name]) for name in names}
    if "event_date" in stored:
        read["event_date"] = dt.date.fromisoformat(stored["event_date"])
    return stored | read


def _name_operator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run as a number that has no name.
        return f"user {os.getuid()}"
