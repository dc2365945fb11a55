"""What the doctor examines, and the limits of the requests with which it does."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from pipeline.common.credentials import Credential
from pipeline.common.settings import Settings
from pipeline.ops.doctor.network import Probe
from pipeline.run.context import RunContext
from pipeline.sma.clock import Clock
from pipeline.sma.http.attempt import Limits
from pipeline.sma.http.retry import RetryPolicy
from pipeline.sma.http.transport import Timeouts

# A person waits: one more try for what fails, none for a refusal of the rate, and no patience for a dead host.
LIMITS = Limits(
    timeouts=Timeouts(connect=5.0, read=30.0, pool=10.0, whole_try=45.0),
    retry=RetryPolicy(tries=2, limited_tries=1),
)


class CostAgreement(Protocol):
    """Has somebody agree to the PU of these plants, or raises CostNotAllowedError."""

    def __call__(self, runtime: RunContext, plants: Collection[str], *, capacities: pl.DataFrame) -> None:
        """`capacities` has plant_id, listed_on and capacity_kw."""


def agree_to_nothing(runtime: RunContext, plants: Collection[str], *, capacities: pl.DataFrame) -> None:
    """Nobody is there to be asked: the gate in front of the requests decides by the settings alone."""


@dataclass
class Patient:
    """What is examined, and what was learned on the way."""

    runtime: RunContext
    clock: Clock
    # None stands for the plants that cost nothing more this month.
    plants_asked: int | None
    agree: CostAgreement
    # The one that is examined: with several, each in its turn.
    credential: Credential
    probes: list[Probe] = field(default_factory=list)
    plants: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def settings(self) -> Settings:
        """Of the runtime."""
        return self.runtime.settings

    @property
    def own_settings(self) -> Settings:
        """Those of the credential that is examined."""
        return self.credential.settings

    @property
    def custom(self) -> bool:
        """Whether owners consent to the credential, and nobody logs in."""
        return self.own_settings.sma_flow == "custom"
