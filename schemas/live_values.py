"""Near-time values of SMA's Live API."""

import polars as pl

from schemas.base import Table, Utc, column
from schemas.core import PLANT_ID
from schemas.quantities import BalancePowers, BalanceStates


class _Reading(Table):
    """Which answer a row is, and of when."""

    plant_id: str = column(PLANT_ID)
    read_at: Utc = column("When the answer was complete.")
    read_date: pl.Date = column("Partition: the UTC day of read_at.", of=("read_at",))
    measured_at: Utc = column(
        "End of the interval that the values are of, as SMA labels it. Calls within one interval of the plant give it "
        "more than once.",
        null="the answer had no time that can be read",
    )
    status: str = column("State of the answer or plant as SMA words it.", null="not in the answer")


class LiveReadings(
    BalanceStates,
    BalancePowers,
    _Reading,
    table="live_readings",
    asset=False,
    layer="core",
    key=("plant_id", "read_at"),
    partition=("read_date",),
):
    """Near-time powers of plants, a row for each answer of the Live API, from sessions of `sunledger live`.

    No energy is made of them. The unit W was never compared with the real service.
    """
