"""The published DuckDB file, and the pages made of it, as assets."""

from base64 import b64encode

import dagster as dg
from pydantic import Field

from assets.asset_builders import EVERY, LAST, OWNERS, convert_errors
from assets.home_setup.dagster_home import PUBLISH_POOL
from assets.prefix import build_key, split_prefix
from pipeline.common.settings import Settings
from pipeline.ops.stored_publication import WAREHOUSE, publish_stored
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.run.store_waits import retry_after_outage
from schemas import TABLES, storage
from warehouse.published_file.open_published import connect
from warehouse.published_file.published_object import fetch_published, open_target


def build_warehouse(settings: Settings) -> dg.AssetsDefinition:
    """The asset that publishes."""

    @dg.asset(
        name=WAREHOUSE,
        key_prefix=split_prefix(settings),
        group_name="publish",
        description="The published file sunledger.duckdb: report tables, and views of the lake's detail tables, for "
        "SQL and BI tools.",
        kinds={"duckdb"},
        owners=OWNERS,
        deps=[
            build_key(settings, storage(m).table)
            for m in TABLES
            if storage(m).published != "no" and storage(m).asset
        ],
        pool=PUBLISH_POOL,
        op_tags=LAST,
    )
    def warehouse(
        sunledger_runtime: dg.ResourceParam[RunContext], sunledger_notices: dg.ResourceParam[Notices]
    ) -> dg.MaterializeResult[None]:
        """Build the file beside the old one and swap it in."""
        with convert_errors():
            target = open_target(sunledger_runtime.settings, sunledger_runtime.tell)
            published = retry_after_outage(
                sunledger_runtime,
                lambda: sunledger_runtime.opened.done.take(
                    WAREHOUSE, lambda: publish_stored(sunledger_runtime, sunledger_notices, target)
                ),
                published=True,
            )
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(target.address if target else str(published.path)),
                "bytes": published.bytes,
                "seconds": published.seconds,
                "had_log": published.had_log,
                "left_out": dg.MetadataValue.json({one.name: one.reason for one in published.left_out}),
                "tables": dg.MetadataValue.json(dict(published.tables)),
            }
        )

    return warehouse


class ReportOf(dg.Config):
    """Which month is reported."""

    month: str = Field(
        default="", description="Month as YYYY-MM. If empty, the month before the current one in UTC."
    )


def build_monthly_report(settings: Settings) -> dg.AssetsDefinition:
    """The asset that writes a month's pages."""

    @dg.asset(
        name="monthly_report",
        key_prefix=split_prefix(settings),
        group_name="publish",
        description="A month as HTML pages for people: the fleet and each plant, in a folder of "
        "SUNLEDGER_HOME/reports.",
        kinds={"html"},
        owners=OWNERS,
        deps=[build_key(settings, WAREHOUSE)],
        tags={EVERY: "month"},
    )
    def monthly_report(
        config: ReportOf, sunledger_runtime: dg.ResourceParam[RunContext]
    ) -> dg.MaterializeResult[None]:
        """Write the pages, and show the fleet's picture in the metadata."""
        # Whatever starts Dagster loads this module. Few of those processes draw, and matplotlib takes a second to load.
        from pipeline.report.picture import draw_month_png  # noqa: PLC0415
        from pipeline.report.write_report import choose_month, write_report  # noqa: PLC0415

        with convert_errors():
            month = choose_month(config.month, sunledger_runtime.now())
            folder = sunledger_runtime.settings.home / "reports" / f"{month:%Y-%m}"
            source = fetch_published(sunledger_runtime.settings, sunledger_runtime.tell)
            with connect(source) as connection:
                done = write_report(connection, month, folder)
        picture = b64encode(draw_month_png(done.month)).decode()
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(done.index)),
                "month": f"{month:%Y-%m}",
                "plants": done.plants,
                "bytes": done.bytes,
                "picture": dg.MetadataValue.md(
                    f"![The fleet's energy by day and power by hour](data:image/png;base64,{picture})"
                ),
            }
        )

    return monthly_report
