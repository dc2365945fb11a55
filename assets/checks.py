"""Asset checks: what a person should look at, beside the data that shows it."""

import dagster as dg

from assets.common import told
from pipeline import steps
from pipeline.runtime import Runtime


@dg.asset_check(
    name="consent",
    asset="plants",
    description="SMA lists every plant of the last month, and every owner who was asked has accepted.",
)
def consent(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
    """Warn, with what to do, when plants are listed no more or consents are open."""
    concern = steps.concern(runtime)
    return dg.AssetCheckResult(
        passed=concern is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=concern or "Every plant of the last month is listed.",
    )


@dg.asset_check(
    name="solar_time",
    asset="energy_monthly",
    description="The energy of the newest stored days comes while the sun is up, and the fleet's noon is the sun's.",
)
def solar_time(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
    """Warn, with the plants and the setting to change, when production and sun disagree."""
    with told():
        found = steps.judge_times(runtime)
    noons = {"noon_min": found.noon_min, "other_noon_min": found.other_noon_min}
    return dg.AssetCheckResult(
        passed=found.agrees,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.sentence(),
        metadata={
            "read_as": found.read_as,
            "judged": found.judged,
            "otherwise": list(found.otherwise),
            "neither": list(found.neither),
            **{name: value for name, value in noons.items() if value is not None},
        },
    )


def list_checks() -> list[dg.AssetChecksDefinition]:
    """The checks that go with the lists."""
    return [consent]


def day_checks() -> list[dg.AssetChecksDefinition]:
    """The checks that go with the days, made once for all of them after the last one."""
    return [solar_time]
