"""The project's own assets and sunledger's graph as one: `dg dev`, `dg check defs` and `dg list defs` find it."""

import dagster as dg

from assets.definitions import build_definitions
from pipeline.common.settings import load_settings
from portfolio.revenue import build_feed_in_revenue, plants

# The same as SUNLEDGER_ASSET_PREFIX, by which the commands of sunledger record their runs.
PREFIX = "solar"


@dg.definitions
def defs() -> dg.Definitions:
    """All that Dagster loads."""
    settings = load_settings(asset_prefix=PREFIX)
    revenue = build_feed_in_revenue(settings, settings.home / "revenue")
    own = dg.Definitions(
        assets=[plants, revenue],
        jobs=[
            dg.define_asset_job(
                "revenue_days",
                selection=dg.AssetSelection.assets(revenue).upstream(),
                executor_def=dg.in_process_executor,
                description="Fetch days, turn power into energy, publish, and calculate the revenue of the feed-in.",
            )
        ],
    )
    return dg.Definitions.merge(build_definitions(settings), own)
