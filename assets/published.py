"""The published DuckDB file, and the pages made of it, as assets."""

from base64 import b64encode
from importlib.metadata import version

import dagster as dg
from pydantic import Field

from assets.common import EVERY, LAST, OWNERS, convert_errors
from assets.dagster_home import PUBLISH_POOL
from pipeline.run.context import Runtime
from pipeline.run.notices import Missing, Notices
from pipeline.run.plants import mark_excluded
from pipeline.tables.inventory_tables import write_plant_attributes
from schemas import TABLES, storage
from warehouse.publish import connect, publish


@dg.asset(
    name="warehouse",
    group_name="publish",
    description="sunledger.duckdb: report tables, and views on the lake's detail tables, for SQL and BI.",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[storage(m).table for m in TABLES if storage(m).published != "no" and storage(m).asset],
    pool=PUBLISH_POOL,
    op_tags=LAST,
)
def warehouse(
    runtime: dg.ResourceParam[Runtime], notices: dg.ResourceParam[Notices]
) -> dg.MaterializeResult[None]:
    """Build the file beside the old one and swap it in."""
    with convert_errors():
        # What this run has asked for so far belongs into what it publishes.
        notices.add(runtime.store_requests().notices(runtime.today()))
        # The settings may have changed since the list of plants was made.
        mark_excluded(runtime)
        write_plant_attributes(runtime)
        published = publish(
            runtime.lake,
            runtime.settings.warehouse,
            now=runtime.now(),
            version=version("sunledger"),
            own_tables=runtime.settings.own_tables,
        )
        today = str(runtime.today())
        notices.add(Notices.of(Missing(today, one.name, "", one.reason) for one in published.left_out))
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(published.path)),
            "bytes": published.bytes,
            "seconds": published.seconds,
            "had_log": published.had_log,
            "left_out": dg.MetadataValue.json({one.name: one.reason for one in published.left_out}),
            "tables": dg.MetadataValue.json(dict(published.tables)),
        }
    )


class ReportOf(dg.Config):
    """Which month is reported."""

    month: str = Field(default="", description="YYYY-MM. Empty: the month before the current one, in UTC.")


@dg.asset(
    name="monthly_report",
    group_name="publish",
    description="A month as HTML pages for people: the fleet and each plant, in a folder of SUNLEDGER_HOME/reports.",
    kinds={"html"},
    owners=OWNERS,
    deps=[warehouse],
    tags={EVERY: "month"},
)
def monthly_report(config: ReportOf, runtime: dg.ResourceParam[Runtime]) -> dg.MaterializeResult[None]:
    """Write the pages, and show the fleet's picture in the metadata."""
    # Whatever starts Dagster loads this module; few of those processes draw.
    from pipeline.report.picture import draw_month_png  # noqa: PLC0415
    from pipeline.report.write_report import choose_month, write_report  # noqa: PLC0415

    with convert_errors():
        month = choose_month(config.month, runtime.now())
        folder = runtime.settings.home / "reports" / f"{month:%Y-%m}"
        with connect(runtime.settings.warehouse) as connection:
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
