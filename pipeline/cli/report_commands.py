"""`sunledger report`: a month as HTML pages."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.run_options import PLANTS, parse_month_option
from pipeline.common.text import pluralize


def run_report(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Month to report.")],
    plants: Annotated[list[str] | None, PLANTS] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Only the plants of this group. Repeat the option for more groups.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder for the pages. An earlier report there is replaced. Default: report-MONTH.",
        ),
    ] = None,
) -> None:
    """Write a month as HTML pages: index.html for the fleet and one page for each plant, readable offline."""
    from pipeline.cli.completeness_summary import say_month
    from pipeline.cli.console import Bars, say
    from pipeline.common.settings import load_settings
    from pipeline.report.write_report import write_report as write
    from warehouse.month_queries.published_units import list_members
    from warehouse.published_file.open_published import connect
    from warehouse.published_file.published_object import fetch_published

    first = parse_month_option("--month", month)
    only = [word for plant in plants or [] for word in plant.split(",") if word]
    with connect(fetch_published(load_settings(), say)) as connection, Bars("plant") as bars:
        if groups:
            only += list_members(connection, first, groups)
        done = write(connection, first, output or Path(f"report-{month}"), only, bars)
        say_month(connection, first, only)
    say(
        f"Wrote the pages of the fleet and {pluralize(done.plants, 'plant')} to {done.index.parent}. Open {done.index} "
        "in a browser."
    )
