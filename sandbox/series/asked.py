"""In which order plants are asked, to foresee which ones come next."""

KEPT_LAPS = 4


class AskedOrder:
    """A log of the plants that were asked, by index, bounded by some laps over the fleet.

    A backfill asks the same plants in much the same order day after day, so after a plant come those that came after it
    the last time. Plants that nobody asks any more are forgotten after one lap.
    """

    def __init__(self) -> None:
        """Nobody has asked anything yet."""
        self._log: list[int] = []
        self._dropped = 0
        self._latest: dict[int, int] = {}
        self._before: dict[int, int] = {}

    def note(self, plant: int) -> None:
        """This plant is being asked."""
        if self._log and self._log[-1] == plant:
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
