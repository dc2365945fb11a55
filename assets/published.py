"""The published DuckDB file as an asset."""

from importlib.metadata import version

import dagster as dg

from assets.common import OWNERS, PUBLISH_POOL, told
from pipeline.runtime import Runtime
from schemas import TABLES, Quarantine, storage
from warehouse.publish import publish


@dg.asset(
    name="warehouse",
    group_name="publish",
    description="sunledger.duckdb: report tables, and views on the lake's detail tables, for SQL and BI.",
    kinds={"duckdb"},
    owners=OWNERS,
    # quarantine is written by the assets that set something aside, and is no asset of its own.
    deps=[storage(m).table for m in TABLES if storage(m).published != "no" and m is not Quarantine],
    pool=PUBLISH_POOL,
)
def warehouse(runtime: dg.ResourceParam[Runtime]) -> dg.MaterializeResult[None]:
    """Build the file beside the old one and swap it in."""
    with told():
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
