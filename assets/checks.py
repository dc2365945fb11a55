"""Asset checks: what a person should look at, beside the data that shows it."""

import dagster as dg

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


def list_checks() -> list[dg.AssetChecksDefinition]:
    """The checks that go with the lists."""
    return [consent]
