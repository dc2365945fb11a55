"""Whether stored times agree with the sun, over the whole fleet: what a check, a doctor or a report can say of it.

Pure: `judge_time_basis` measures each plant, `judge_fleet` makes one finding of that, with the plants and the setting
to change. Nothing is corrected.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline.common.local_time import TimeBasis
from pipeline.common.text import join_first, pluralize
from pipeline.transform.sun.time_basis import LEAST_IN_THE_DARK_IF_FALSE

# Over a fleet, roofs to the east and to the west cancel out; a wrong basis does not. Nearly all zones are an hour or
# more from UTC.
FLEET_NOON_MIN: Final = 45.0
# Fewer plants may well have all their roofs to one side.
FLEET_FROM: Final = 5
# A few plants less are enough if each of them fits the other basis better, and their median noon lies as close to the
# sun's as clocks allow.
FEW_FROM: Final = 3
CLOSE_NOON_MIN: Final = 25.0
# If at most this share of the plants contradicts the basis, it is right, and the zones of these plants are wrong.
MOST: Final = 0.5
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class SolarTime:
    """What the sun says about the times of a fleet, read by the basis `read_as`.

    `judged` plants had energy and a place. The energy of `otherwise` fits the other basis and not this one, that of
    `neither` fits none. `noon_min`: minutes from solar noon to the middle of the energy, the median of the judged
    plants (None: there is none), and `other_noon_min` had the times been read by the other basis, by which `nearer`
    plants have their noon closer to the sun's.
    """

    read_as: TimeBasis
    judged: int
    otherwise: tuple[str, ...]
    neither: tuple[str, ...]
    noon_min: float | None
    other_noon_min: float | None
    nearer: int = 0

    @property
    def other(self) -> TimeBasis:
        """The basis that is not set."""
        return "plant_local" if self.read_as == "utc" else "utc"

    @property
    def fleet_is_off(self) -> bool:
        """Whether the noon of the fleet is too far from the sun's."""
        if self.noon_min is None or self.other_noon_min is None or abs(self.noon_min) <= FLEET_NOON_MIN:
            return False
        few = self.judged >= FEW_FROM and self.nearer == self.judged
        return self.judged >= FLEET_FROM or (few and abs(self.other_noon_min) <= CLOSE_NOON_MIN)

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to say."""
        return not (self.otherwise or self.neither or self.fleet_is_off)

    @property
    def basis_is_wrong(self) -> bool:
        """Whether it is the basis, and not the zone of a few plants."""
        if len(self.otherwise) > self.judged * MOST:
            return True
        nearer = abs(self.other_noon_min or 0.0) < abs(self.noon_min or 0.0)
        return self.fleet_is_off and nearer

    def describe(self) -> str:
        """What is the matter, with which plants, and what to change."""
        if not self.judged:
            return (
                "No plant has both energy and coordinates, so the position of the sun can't test the times."
            )
        if self.agrees:
            return f"The energy of {pluralize(self.judged, 'plant')} is measured while the sun is up."
        found = []
        if self.otherwise:
            found.append(
                f"The energy of {_name_plants(self.otherwise)} is measured in the dark with the present time basis "
                f"({self.read_as}), and by day with {self.other}."
            )
        if self.neither:
            found.append(
                f"The energy of {_name_plants(self.neither)} is measured in the dark with either time basis."
            )
        if self.fleet_is_off:
            found.append(
                f"The energy of {pluralize(self.judged, 'plant')} is centred {self.noon_min:+.0f} minutes from solar "
                f"noon ({self.other_noon_min:+.0f} with {self.other})."
            )
        return " ".join([*found, self._cure()])

    def _cure(self) -> str:
        if self.basis_is_wrong:
            return (
                f"Set SMA_TIME_BASIS={self.other}, then run 'sunledger backfill' for the stored days, because they "
                "were fetched and read with the other time basis."
            )
        return (
            "Correct the time zones or coordinates of these plants in the portal, then run 'sunledger refresh' and "
            "'sunledger rebuild'."
        )


def judge_fleet(verdicts: pl.DataFrame, *, read_as: TimeBasis) -> SolarTime:
    """One finding from the rows of `judge_time_basis`; plants without energy or place have no say."""
    other: TimeBasis = "plant_local" if read_as == "utc" else "utc"
    known = verdicts.filter((pl.col("n_days") > 0) & pl.col(f"dark_share_{read_as}").is_not_null()).sort(
        "plant_id"
    )
    noon, other_noon = (pl.col(f"noon_offset_min_{basis}") for basis in (read_as, other))
    # Standby noise in a week without sun is energy in the dark as well, but has no middle that is far from noon.
    lost = (
        (pl.col("verdict") == "undecided")
        & (pl.min_horizontal("dark_share_utc", "dark_share_plant_local") >= LEAST_IN_THE_DARK_IF_FALSE)
        & (pl.min_horizontal(noon.abs(), other_noon.abs()) > FLEET_NOON_MIN)
    )
    medians = known.select(noon.median().alias("now"), other_noon.median().alias("other")).row(0)
    return SolarTime(
        read_as,
        judged=known.height,
        otherwise=tuple(known.filter(pl.col("verdict") == other)["plant_id"]),
        neither=tuple(known.filter(lost)["plant_id"]),
        noon_min=medians[0],
        other_noon_min=medians[1],
        nearer=known.filter(other_noon.abs() < noon.abs()).height,
    )


def _name_plants(plants: tuple[str, ...]) -> str:
    noun = "plant" if len(plants) == 1 else "plants"
    return f"{noun} {join_first(plants, SHOWN)}"
