"""In which order plants and days are asked, to foresee which ones come next."""

from datetime import date

KEPT_LAPS = 4


class RequestOrder:
    """A log of the plants that were asked, by index, bounded by some laps over the fleet.

    A backfill asks the same plants in much the same order day after day, so after a plant come those that came after it
    the last time. Plants that are no longer requested are forgotten after one lap. `over_days` tells whether the last
    step led to another day of the same plant, rather than to another plant on the same day.
    """

    def __init__(self) -> None:
        """Nobody has asked anything yet."""
        self.over_days = False
        self._day: date | None = None
        self._log: list[int] = []
        self._dropped = 0
        self._latest: dict[int, int] = {}
        self._before: dict[int, int] = {}

    def note(self, plant: int, day: date | None = None) -> None:
        """This plant (and day) is being asked."""
        same_plant, same_day = bool(self._log) and self._log[-1] == plant, self._day == day
        if same_plant != same_day:
            self.over_days = same_plant
        self._day = day
        if same_plant:
            return
        if plant in self._latest:
            self._before[plant] = self._latest[plant]
        self._latest[plant] = self._dropped + len(self._log)
        self._log.append(plant)
        if len(self._log) > 1 + 2 * KEPT_LAPS * len(self._latest):
            half = len(self._log) // 2
            del self._log[:half]
            self._dropped += half

    def followers(self, plant: int, count: int) -> list[int]:
        """Up to `count` plants that came after this one when it was asked the time before; none if it never was."""
        before = self._before.get(plant, -1) - self._dropped
        if before < 0:
            return []
        later = dict.fromkeys(self._log[before + 1 : before + 1 + 4 * count])
        later.pop(plant, None)
        return list(later)[:count]
