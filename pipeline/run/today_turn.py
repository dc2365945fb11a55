"""Whose current day the hourly schedule reads, where the request budget can't hold all plants: pure decisions.

The chosen plants are read each hour. The others take turns in the order of their ids, as many as fit beside them: a
turn begins after the last plant of the turn before, so each comes up, whatever ticks were skipped in between. A plant
that needs more requests than an hour has is passed over. Where not even the chosen ones fit, they take the turns, and
the others are not read before their day is over.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.text import pluralize

HOURS_A_DAY = 24


class TurnOf(StrEnum):
    """Who takes turns: nobody, since all fit; the chosen plants; or those that are not chosen."""

    NOBODY = "nobody"
    CHOSEN = "chosen"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class TodayTurn:
    """What one tick reads. `first` and `last` are ids of those that take turns; empty where none of them fits.

    `listed` plants have news, `chosen` of them are named by the setting, `read` are read with `requests`; `room` is how
    many requests fit, None without a budget. `cycle` is the number of ticks in which each of those that take turns is
    read once; 0 where none fits. `beyond` of them need more requests than an hour has room for, so they have no turn.
    """

    turn_of: TurnOf
    first: str
    last: str
    listed: int
    chosen: int
    read: int
    requests: int
    room: int | None
    cycle: int
    beyond: int = 0

    def build_tag(self) -> str:
        """The turn as the tag of a run: who takes turns, and from which id to which."""
        return f"{self.turn_of}:{self.first}...{self.last}"

    def describe(self) -> str:
        """Which plants are read and which are left out, as a sentence."""
        if self.turn_of is TurnOf.NOBODY:
            return f"The current day of {pluralize(self.listed, 'plant')} is read each hour, which is all of them."
        taking = self.chosen if self.turn_of is TurnOf.CHOSEN else self.listed - self.chosen
        kept = self.chosen if self.turn_of is TurnOf.OTHERS else 0
        of_them = f"the {taking} {'chosen plants' if self.turn_of is TurnOf.CHOSEN else 'others'}"
        if not self.chosen:
            of_them = "them"
        turns = (
            f"{self.read - kept} of {of_them} at a time, each about every {self.cycle} hours"
            if self.cycle
            else f"none of {of_them}"
        )
        said = [f"the {kept} chosen ones", turns] if kept else [turns]
        unread = self.listed - self.chosen if self.turn_of is TurnOf.CHOSEN else 0
        rest = (
            f" The {pluralize(unread, 'plant')} that are not chosen are not read before their day is over."
            if unread
            else ""
        )
        passed = f" {pluralize(self.beyond, 'plant')} {'needs' if self.beyond == 1 else 'need'} more requests than that"
        beyond = f"{passed}, and can't be read before the day is over." if self.beyond and self.cycle else ""
        return (
            f"{self.room} requests an hour are left beside the daily runs, too few for the current day of all "
            f"{self.listed} plants. Each hour reads {' and '.join(said)}; {self.listed - self.read} are left out."
            f"{beyond}{rest}"
        )


def count_room(requests_a_second: float, daily: int) -> int:
    """How many requests fit between two hourly ticks, while `daily` requests of each day have their room."""
    return max(0, math.floor((requests_a_second * 86_400 - daily) / HOURS_A_DAY))


def choose_turn(costs: pl.DataFrame, room: int | None, after: str = "") -> TodayTurn:
    """The turn that follows the one that ended with the plant `after`.

    `costs` has plant_id, requests (of one reading) and chosen, a row a plant; `room` is None where nothing limits. With
    several credentials `costs` also has credential and its_room, the room of the plant's; a turn ends where one
    of them has none left.
    """
    if "credential" not in costs.columns:
        costs = costs.with_columns(credential=pl.lit(""), its_room=pl.lit(room, pl.Int64))
    of_chosen = costs.filter("chosen")
    total, kept = int(costs["requests"].sum()), int(of_chosen["requests"].sum())
    if room is None or _has_room(costs):
        return TodayTurn(
            TurnOf.NOBODY, "", "", costs.height, of_chosen.height, costs.height, total, room, cycle=1
        )
    who = TurnOf.OTHERS if _has_room(of_chosen) else TurnOf.CHOSEN
    taking = costs.filter(pl.col("chosen") == (who is TurnOf.CHOSEN)).sort("plant_id")
    beside, left = 0, pl.col("its_room")
    if who is TurnOf.OTHERS:
        of_each = of_chosen.group_by("credential").agg(kept=pl.col("requests").sum())
        taking = taking.join(of_each, on="credential", how="left", maintain_order="left")
        beside, left = kept, pl.col("its_room") - pl.col("kept").fill_null(0)
    in_order = pl.concat(
        [taking.filter(pl.col("plant_id") > after), taking.filter(pl.col("plant_id") <= after)]
    )
    fits = pl.col("requests") <= left
    # A plant that needs more than an hour has would end every turn before it: the turn passes over it.
    from_first = in_order.filter(fits.cum_max())
    found = from_first.filter((pl.col("requests").cum_sum().over("credential") <= left).cum_min())
    spent, fitting = int(found["requests"].sum()), taking.filter(fits).height
    return TodayTurn(
        who,
        found["plant_id"][0] if found.height else "",
        found["plant_id"][-1] if found.height else "",
        costs.height,
        of_chosen.height,
        found.height + (of_chosen.height if who is TurnOf.OTHERS else 0),
        beside + spent,
        room,
        cycle=math.ceil(fitting / found.height) if found.height else 0,
        beyond=taking.height - fitting,
    )


def _has_room(costs: pl.DataFrame) -> bool:
    """Whether the requests of each credential fit into its room."""
    sums = costs.group_by("credential").agg(pl.col("requests").sum(), pl.col("its_room").first())
    return bool((sums["requests"] <= sums["its_room"]).all())


def select_turn(plants: pl.DataFrame, tag: str) -> frozenset[str]:
    """The ids that a turn reads, by its tag, of `plants` with plant_id and chosen.

    Raises UsageError for another tag.
    """
    who, _, ends = tag.partition(":")
    first, dots, last = ends.partition("...")
    if who not in {TurnOf.CHOSEN, TurnOf.OTHERS} or not dots:
        raise UsageError(f"{tag} is not a turn of plants: write it as others:FIRST...LAST, with two ids.")
    at = pl.col("plant_id")
    # A turn that goes beyond the last id begins again with the first.
    inside = (at >= first) & (at <= last) if first <= last else (at >= first) | (at <= last)
    if not first:
        inside = pl.lit(value=False)
    if who == TurnOf.CHOSEN:
        return frozenset(plants.filter("chosen").filter(inside)["plant_id"])
    return frozenset(plants.filter(pl.col("chosen") | inside)["plant_id"])


def read_last_id(tags: Mapping[str, str], name: str) -> str:
    """The id with which the turn of a run ended, by its tag of that name; empty where it had none."""
    return tags.get(name, "").rpartition("...")[2]
