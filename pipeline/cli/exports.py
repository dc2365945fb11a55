"""`sunledger export` and `sunledger pack`: tables as files for other programs and for people."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from pipeline.cli.run_options import parse_month_option
from pipeline.common.text import pluralize

FileFormat: TypeAlias = Literal["csv", "parquet", "xlsx"]


def run_export(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="Published table or view; 'sunledger sql \"SHOW TABLES\"' lists them."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File to write, with the ending .csv, .parquet or .xlsx. An earlier file is replaced.",
        ),
    ],
    form: Annotated[
        FileFormat | None,
        typer.Option("--format", help="Format of the file, if its ending does not name one."),
    ] = None,
) -> None:
    """Write a published table to a CSV, Parquet or XLSX file. 'sunledger sql --output' does the same for a query."""
    from pipeline.cli.console import say
    from pipeline.common.settings import load_settings
    from warehouse.published_file.open_published import connect
    from warehouse.published_file.published_object import fetch_published
    from warehouse.results.csv_file import CSV_STYLES
    from warehouse.results.export import export_table

    settings = load_settings()
    with connect(fetch_published(settings, say)) as connection:
        done = export_table(connection, table, output, form, CSV_STYLES[settings.csv])
    say(f"Wrote {pluralize(done.rows, 'row')} to {done.path}.")


def run_pack(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Month to write.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for the files. An earlier pack there is replaced. Default: pack-MONTH."),
    ] = None,
    form: Annotated[
        FileFormat,
        typer.Option("--format", help="One workbook (xlsx), or a file for each sheet (csv or parquet)."),
    ] = "xlsx",
    language: Annotated[
        Literal["en", "de"] | None,
        typer.Option(help="Language of headings, sheets and months. Default: SUNLEDGER_LANGUAGE."),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Only the plants of this group. Repeat the option for more groups.",
        ),
    ] = None,
    invoice: Annotated[
        Path | None,
        typer.Option(metavar="INVOICE.csv", help="SMA's invoice, to compare it with our count in a sheet."),
    ] = None,
) -> None:
    """Write a month's energy, completeness, PU and invoices as one workbook with a README, for finance."""
    from pipeline.billing.lost_requests import explain_lower_bound
    from pipeline.cli.bills.invoice_check import read_checked_lines
    from pipeline.cli.completeness_summary import say_month
    from pipeline.cli.console import say
    from pipeline.common.settings import load_settings
    from warehouse.finance.pack import PackChoice, write_pack
    from warehouse.month_queries.published_units import list_members
    from warehouse.published_file.open_published import connect
    from warehouse.published_file.published_object import fetch_published
    from warehouse.results.csv_file import CSV_STYLES

    first, settings = parse_month_option("--month", month), load_settings()
    checked = None if invoice is None else read_checked_lines(settings, invoice)
    with connect(fetch_published(settings, say)) as connection:
        plants = list_members(connection, first, groups) if groups else None
        choice = PackChoice(form, language or settings.language, CSV_STYLES[settings.csv], plants, checked)
        say_month(connection, first, plants or ())
        if lower_bound := explain_lower_bound(settings.home, [first]):
            say(lower_bound)
        done = write_pack(connection, first, folder or Path(f"pack-{month}"), choice)
    for one in done:
        say(f"  {one.path.name}: {pluralize(one.rows, 'row')}")
    say(f"Wrote the pack of {month} to {done[0].path.parent}.")
