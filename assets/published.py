"""The published DuckDB file as an asset."""

from importlib.metadata import version

import dagster as dg

from assets.common import OWNERS, told
from pipeline.instance import PUBLISH_POOL
from pipeline.runtime import Runtime
from schemas import (
    TABLES,
    Adjustments,
    ApiRequests,
    CoverageDaily,
    Quarantine,
    Restatements,
    RowChanges,
    storage,
)
from warehouse.publish import publish

# Written by the assets that set something aside, ask SMA, add up days or find them changed: no assets of their own.
BY_THE_WAY = (Quarantine, CoverageDaily, ApiRequests, Restatements, RowChanges, Adjustments)


@dg.asset(
    name="warehouse",
    group_name="publish",
    description="sunledger.duckdb: report tables, and views on the lake's detail tables, for SQL and BI.",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[storage(m).table for m in TABLES if storage(m).published != "no" and m not in BY_THE_WAY],
    pool=PUBLISH_POOL,
)
def warehouse(runtime: dg.ResourceParam[Runtime]) -> dg.MaterializeResult[None]:
    """Build the file beside the old one and swap it in."""
    with told():
        # What this run has asked for so far belongs into what it publishes.
        runtime.store_requests()
        published = publish(
            runtime.lake, runtime.settings.warehouse, now=runtime.now(), version=version("sunledger")
        )
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(published.path)),
            "bytes": published.bytes,
            "seconds": published.seconds,
            "tables": dg.MetadataValue.json(dict(published.tables)),
        }
    )
