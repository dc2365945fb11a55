"""`sunledger sql`: queries of the published file."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.console import say


def run_sql(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="SQL query. Default: queries are read from standard input."),
    ] = None,
    form: Annotated[
        Literal["table", "csv", "parquet", "xlsx"] | None,
        typer.Option(
            "--format", help="Format of the printed rows (table or csv), or of the file of --output."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write all rows to this .csv, .parquet or .xlsx file instead of printing them.",
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", help="File that the query may read besides the warehouse. Repeat the option for more."
        ),
    ] = None,
) -> None:
    """Query the published warehouse. It can't write anything, and can read only the files that --file names."""
    from pipeline.cli.sql import run_interactive, save_rows, show_rows
    from pipeline.common.settings import load_settings
    from warehouse.published_file.open_published import FIRST_DAYS, connect, has_days
    from warehouse.published_file.read_only import check_readable_files, restrict
    from warehouse.results.csv_file import CSV_STYLES

    granted, settings = check_readable_files(files or []), load_settings()
    published = settings.warehouse
    if settings.published_object:
        from warehouse.published_file.published_object import fetch_published  # Loads the client of stores.

        published = fetch_published(settings, say)
    with connect(published) as connection:
        if output is not None:
            text = sys.stdin.read() if query is None else query
            save_rows(connection, text, output, form, granted, CSV_STYLES[settings.csv])
            return
        restrict(connection, granted)
        if not has_days(connection):
            say(f"The warehouse holds no day yet: {FIRST_DAYS}")
        if query is None and sys.stdin.isatty():
            run_interactive(connection, form or "table")
        else:
            show_rows(connection, sys.stdin.read() if query is None else query, form or "table")
