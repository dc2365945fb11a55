"""The stored lists of devices and measurement sets: each plant's are asked for in turn, so no day holds all of them."""

import datetime as dt
import zlib
from collections.abc import Callable, Collection, Iterator

import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.transform.lists import inventory
from schemas import RawAnswers, RawDevices, RawPlants, polars_schema, storage
from warehouse.lake import Lake

OWNER = ["plant_id", "device_id"]
# Machines that share a lake may disagree about the date around midnight.
TOLERANCE = dt.timedelta(days=1)
_ANSWER = [*OWNER, "fetched_at", "body"]
_MOMENT = ["local_date", "fetched_at"]


def find_turns(plants: Collection[str], today: dt.date, cycle: int) -> pl.DataFrame:
    """plant_id and turn: the latest day, today at most, on which it was the plant's turn in a cycle of so many days.

    The id alone decides: so a fleet is spread over the cycle, and every process finds the same days.
    """
    late = [(today.toordinal() - zlib.crc32(plant.encode())) % cycle for plant in plants]
    found = pl.DataFrame({"plant_id": list(plants), "late": late}, {"plant_id": pl.String, "late": pl.Int32})
    return found.select("plant_id", turn=pl.lit(today) - pl.duration(days="late"))


def read_newest_answers(
    lake: Lake, model: type[RawAnswers], cycle: int, today: dt.date, of: dt.date | None
) -> tuple[dt.date, pl.DataFrame]:
    """The newest day with answers, and the newest answer of each plant and device in the cycle that ends with it.

    Days after `today` are left out: there a clock was ahead.
    The frame has plant_id, device_id, fetched_at, body and local_date. With `of` it has the answers of that day alone.
    The answers of a run that was interrupted before their table was written are among those of the next run. Raises
    SunledgerError where nothing is stored.
    """
    days = list_past_days(lake, model, today) if of is None else [of]
    if not days:
        raise SunledgerError(f"The table {storage(model).table} is empty: fetch it first.")
    found = _read_day(lake, model, days[-1])
    for day in reversed(days[:-1]):
        if day >= days[-1] - dt.timedelta(days=cycle):
            found = pl.concat([found, _read_day(lake, model, day).join(found, on=OWNER, how="anti")])
    return days[-1], found


def list_answered_days(lake: Lake, model: type[RawAnswers]) -> list[dt.date]:
    """The days on which answers of a list were stored, sorted."""
    return [dt.date.fromisoformat(part["local_date"]) for part in lake.list_parts(model)]


def list_past_days(lake: Lake, model: type[RawAnswers], today: dt.date) -> list[dt.date]:
    """The days of `list_answered_days` without those that have not come: there a clock was ahead."""
    return [day for day in list_answered_days(lake, model) if day <= today + TOLERANCE]


def list_future_days(lake: Lake, model: type[RawAnswers], today: dt.date) -> list[dt.date]:
    """The other days of `list_answered_days`."""
    return [day for day in list_answered_days(lake, model) if day > today + TOLERANCE]


def find_confirmed_time(lake: Lake, now: dt.datetime) -> dt.datetime:
    """`now`, or the end of the day after that of the newest list of plants, where that is earlier.

    Nothing is stored that was fetched with a clock that is ahead. So what is deleted because of its age waits until an
    answer of SMA's says that it is that old. Raises SunledgerError where the lists can't be read.
    """
    days = list_answered_days(lake, RawPlants)
    if not days:
        return now
    return min(now, dt.datetime.combine(days[-1] + 2 * TOLERANCE, dt.time(), dt.UTC))


def read_last_asked(lake: Lake, model: type[RawAnswers], first: dt.date, last: dt.date) -> pl.DataFrame:
    """plant_id and device_id of those that answered on these days, with the moment of the newest answer."""
    columns = [*OWNER, "fetched_at"]
    days = [
        _read_day(lake, model, day, columns)
        for day in list_answered_days(lake, model)
        if first <= day <= last
    ]
    return pl.concat([_build_empty(columns), *days]).unique(OWNER, keep="last", maintain_order=True)


def find_changed_plants(lake: Lake, first: dt.date, last: dt.date) -> pl.DataFrame:
    """plant_id of plants whose installation or sections differ from those in the list before, with the moment.

    The moment is local_date and fetched_at of the newest list that differs. Such a list announces other devices.
    """
    lists = (
        _read_day(lake, RawPlants, day).filter(pl.col("plant_id") == "")
        for day in list_answered_days(lake, RawPlants)
        if first <= day <= last
    )
    return _find_changes(lists, inventory.list_installations).drop("device_id")


def find_changed_devices(lake: Lake, first: dt.date, last: dt.date) -> pl.DataFrame:
    """plant_id and device_id of devices that are new, other or gone in their plant's list, with the moment.

    The moment is local_date and fetched_at of the newest lists that differ from those before.
    """
    lists = (
        _read_day(lake, RawDevices, day)
        for day in list_answered_days(lake, RawDevices)
        if first <= day <= last
    )
    return _find_changes(lists, inventory.list_device_facts)


def _find_changes(
    lists: Iterator[pl.DataFrame], list_facts: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """Whose facts differ between an answer and the one before, with the newest moment; lists come in their order.

    Answers are compared as a whole first, because nearly all of them are what they were.
    """
    known = _build_empty(_ANSWER)
    changes = [_build_empty([*OWNER, "fetched_at"]).select(*OWNER, *_MOMENT)]
    for answers in lists:
        both = answers.join(known.select(*OWNER, before="body"), on=OWNER).filter(
            pl.col("body") != pl.col("before")
        )
        if both.height:
            now = list_facts(both)
            before = list_facts(both.with_columns(body="before"))
            other = pl.concat(
                [now.join(before, on=now.columns, how="anti"), before.join(now, on=now.columns, how="anti")]
            )
            moment = both.select(pl.col(_MOMENT).max())
            changes.append(other.select(OWNER).unique().join(moment, how="cross"))
        known = pl.concat([known.join(answers, on=OWNER, how="anti"), answers])
    return pl.concat(changes).unique(OWNER, keep="last", maintain_order=True)


def _read_day(
    lake: Lake, model: type[RawAnswers], day: dt.date, columns: Collection[str] = _ANSWER
) -> pl.DataFrame:
    frames = lake.read_batches(model, {"local_date": day}, columns=columns)
    return pl.concat(
        [_build_empty(columns), *(frame.with_columns(local_date=pl.lit(day)) for frame in frames)]
    )


def _build_empty(columns: Collection[str]) -> pl.DataFrame:
    schema = polars_schema(RawAnswers)
    return pl.DataFrame(schema={name: schema[name] for name in (*columns, "local_date")})
