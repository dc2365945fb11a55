"""The fleet's recent days and months, simulated many rows at a time and kept within bounds."""

import calendar
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from itertools import groupby, islice

import numpy as np

from sandbox.days import find_day_bounds, list_dates
from sandbox.fleet.plant_model import Plant
from sandbox.physics.flows import CELL_HOURS, Flows, count_cells, simulate_flows
from sandbox.physics.solar_position import CELL_S
from sandbox.series import fields as sma_fields
from sandbox.series.balance import classify_plant
from sandbox.series.held_limits import ActsOn, PowerLimit, spread_limits
from sandbox.series.request_order import RequestOrder
from sandbox.series.table import Columns, Floats

# At most so many, or half as many more if none are left then.
PLANTS_AT_ONCE = 96
DAYS_AT_ONCE = 8
# How many rows come along as long as nothing is known: a small fleet's day, or a week of a plant. Many, because the
# days of a fleet are requested soon, even if in no order; fewer as soon as they are not used.
FIRST_REACH = 63
# How many rows are computed ahead now and then if none of the recent ones was used.
_TRIED, _TRIED_EVERY = 3, 8

# The charging station's own quantity among a plant's energies.
CHARGER = "charger"

_FLOWS = tuple(item.name for item in fields(Flows))
_Row = tuple[Plant, date]
_Key = tuple[int, date]


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows that were simulated together, and so are kept and dropped together."""

    number: int
    keys: tuple[_Key, ...]
    flows: Flows
    used: set[int] = field(default_factory=set)

    def row(self, position: int) -> Flows:
        """One row, shape (cells,); it shares the block's memory."""
        return Flows(*(getattr(self.flows, name)[position] for name in _FLOWS))


class FlowCache:
    """Recent days of all simulated plants, bounded by number: about 35 kB each.

    Rows simulated together cost far less than one by one. So a day that is not kept brings along what is likely to be
    asked next: the same day of the plants that follow where a day is asked plant by plant, the next days where a plant
    is asked day by day. How many are computed ahead follows from how many were used recently, so that requests in no
    order cost little.
    """

    def __init__(self, seed: int, days: int = 1536, months: int = 2048) -> None:
        """Hold at most `days` days of plants in full, and `months` months of daily energies."""
        self.seed = seed
        self._max_days, self._max_months = days, months
        self._fleet: dict[int, Plant] = {}
        self._limits: dict[int, tuple[PowerLimit, ...]] = {}
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._untaken: set[int] = set()
        self._reach = FIRST_REACH
        self._places: dict[_Key, tuple[_Block, int]] = {}
        self._months: OrderedDict[tuple[int, int, int], Columns] = OrderedDict()
        self._order = RequestOrder()
        self._misses = 0

    def join(self, plant: Plant) -> None:
        """`plant` belongs to the fleet from now on; under its index it may have had another id before."""
        self._fleet[plant.index] = plant

    def note_request(self, plant: Plant, day: date | None) -> None:
        """Somebody asks for this plant (and day), be it for an answer that is kept elsewhere."""
        self._order.note(plant.index, day)
        if day is not None and (place := self._places.get((plant.index, day))) is not None:
            self._use(*place)

    def limits(self, plant: Plant) -> tuple[PowerLimit, ...]:
        """The plant's limits."""
        return self._limits.get(plant.index, ())

    def limit(self, plant: Plant, limits: Iterable[PowerLimit]) -> None:
        """Replace the plant's limits, and drop what was simulated under the old ones."""
        self._limits[plant.index] = tuple(limits)
        stale = [block for block in self._blocks.values() if any(key[0] == plant.index for key in block.keys)]
        for block in stale:
            self._drop(self._blocks.pop(block.number))
        for month in [key for key in self._months if key[0] == plant.index]:
            del self._months[month]

    def day(self, plant: Plant, day: date) -> Flows:
        """The flows of one day, shape (cells,)."""
        block, position = self._place(plant, day)
        return block.row(position)

    def take_neighbours(self, plant: Plant, day: date) -> tuple[list[Plant], Flows] | None:
        """All plants whose day was simulated together with this one's, and their flows with the shape (plants, cells).

        None if the plant was alone, and for everyone but the first who asks about a simulation.
        """
        block, _ = self._place(plant, day)
        if block.number not in self._untaken:
            return None
        self._untaken.remove(block.number)
        return [self._fleet[index] for index, _ in block.keys], block.flows

    def month(self, plant: Plant, year: int, month: int) -> Columns:
        """Wh of each day of a month for all of the plant's quantities, shape (days of the month,)."""
        key = (plant.index, year, month)
        energies = self._months.get(key)
        if energies is None:
            energies = self._months[key] = self._month(plant, year, month)
            if len(self._months) > self._max_months:
                self._months.popitem(last=False)
        else:
            self._months.move_to_end(key)
        return energies

    def chunks(self, plant: Plant, days: Sequence[date], *, unlimited: bool = False) -> Iterator[Flows]:
        """The flows of many days in order, as blocks of at most 31 days of the same length; nothing is kept.

        With `unlimited` they are as they would be without the plant's limits.
        """
        for _, same in groupby(days, key=lambda day: (count_cells(day, plant.zone), day.year, day.month)):
            rows = [(plant, day) for day in same]
            yield (
                simulate_flows([plant] * len(rows), [day for _, day in rows], self.seed)
                if unlimited
                else (self._flows(rows))
            )

    def list_kept(self) -> set[tuple[int, date]]:
        """Which days of which plants (by index) are kept now."""
        return set(self._places)

    def count_kept(self) -> tuple[int, int]:
        """How many days and months are kept now."""
        return len(self._places), len(self._months)

    def _month(self, plant: Plant, year: int, month: int) -> Columns:
        days = list(list_dates(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])))
        parts = [
            {name: watts.sum(axis=-1) * CELL_HOURS for name, watts in collect_energies(plant, flows).items()}
            for flows in self.chunks(plant, days)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _expect_rows(self, plant: Plant, day: date) -> list[_Row]:
        """The missed row and those to be expected after it: further days of the plant, or other plants on this day."""
        self._order.note(plant.index, day)
        reach = min(self._choose_reach(), self._max_days - 1)
        if self._order.over_days:
            return [(plant, day + timedelta(days=ahead)) for ahead in range(1 + min(reach, DAYS_AT_ONCE - 1))]
        followers = (
            row for row in self._list_followers(plant, day, 2 * reach) if _key(row) not in self._places
        )
        most = min(reach, PLANTS_AT_ONCE - 1)
        ahead = list(islice(followers, min(most + most // 2, self._max_days - 1)))
        # A few that would be left over come along: alone they would cost far more.
        return [(plant, day), *(ahead if next(followers, None) is None else ahead[:most])]

    def _choose_reach(self) -> int:
        """How many rows shall come along; now and then some, even if none of the recent ones was used."""
        self._misses += 1
        return self._reach or (_TRIED if self._misses % _TRIED_EVERY == 0 else 0)

    def _list_followers(self, plant: Plant, day: date, count: int) -> Iterator[_Row]:
        """The plants likely to be asked after this one: those of the last time, else the next of the fleet."""
        followers = self._order.followers(plant.index, count) or range(
            plant.index + 1, plant.index + 1 + count
        )
        return ((self._fleet[index], day) for index in followers if index in self._fleet)

    def _simulate(self, rows: list[_Row]) -> None:
        """Simulate the rows that are not kept yet, and drop the blocks that were not asked for longest."""
        by_length: dict[int, list[_Row]] = {}
        for plant, day in rows:
            if _key((plant, day)) not in self._places:
                by_length.setdefault(count_cells(day, plant.zone), []).append((plant, day))
        wanted = sum(len(same) for same in by_length.values())
        while self._blocks and len(self._places) + wanted > self._max_days:
            self._drop(self._blocks.popitem(last=False)[1])
        for number, same in enumerate(by_length.values()):
            same.sort(
                key=lambda row: classify_plant(row[0])
            )  # so that plants of a kind can be written together
            keys = tuple(map(_key, same))
            block = _Block(self._misses * PLANTS_AT_ONCE + number, keys, self._flows(same))
            self._blocks[block.number] = block
            if len({index for index, _ in keys}) > 1:
                self._untaken.add(block.number)
            self._places |= {key: (block, position) for position, key in enumerate(keys)}

    def _place(self, plant: Plant, day: date) -> tuple[_Block, int]:
        """The block that holds the plant's day, and its row there; simulated if need be."""
        key = (plant.index, day)
        if key not in self._places:
            self._simulate(self._expect_rows(plant, day))
        block, position = self._places[key]
        self._blocks.move_to_end(block.number)
        self._use(block, position)
        return block, position

    def _use(self, block: _Block, position: int) -> None:
        """Somebody asked for this row; if all rows of a block were asked for, twice as many shall come along."""
        if position not in block.used:
            block.used.add(position)
            if len(block.used) == len(block.keys) > 1:
                self._reach = max(self._reach, min(2 * len(block.used), PLANTS_AT_ONCE) - 1)

    def _drop(self, block: _Block) -> None:
        """Forget a block; if hardly any of its rows were asked for, half as many shall come along."""
        if 2 * len(block.used) <= len(block.keys):
            self._reach //= 2
        self._untaken.discard(block.number)
        for key in block.keys:
            del self._places[key]

    def _flows(self, rows: Sequence[_Row]) -> Flows:
        """The flows of rows of one length."""
        held = (
            {kind: np.stack([self._spread_limits(*row, kind) for row in rows]) for kind in ActsOn}
            if any(self.limits(plant) for plant, _ in rows)
            else {}
        )
        return simulate_flows(
            [plant for plant, _ in rows],
            [day for _, day in rows],
            self.seed,
            held.get(ActsOn.FEED_IN),
            held.get(ActsOn.GENERATION),
        )

    def _spread_limits(self, plant: Plant, day: date, acts_on: ActsOn) -> Floats:
        """The limits of one kind in each cell of the day."""
        begins = find_day_bounds(day, plant.zone)[0] + CELL_S * np.arange(count_cells(day, plant.zone))
        return spread_limits(self.limits(plant), begins, acts_on)


def _key(row: _Row) -> _Key:
    return row[0].index, row[1]


def collect_energies(plant: Plant, flows: Flows) -> Columns:
    """W of every quantity that has an energy: the balance's fields and the charging station's consumption."""
    power = sma_fields.build_plant_power(plant, flows)
    return {**power, CHARGER: flows.charger} if plant.charger_w else power
