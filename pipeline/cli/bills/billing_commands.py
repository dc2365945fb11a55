"""`sunledger billing`: what SMA charges in a year, and SMA's invoice against our own count."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Show what SMA charges (PU, invoices, a forecast), and check SMA's invoice.")


@app.callback(invoke_without_command=True)
def run_billing(
    context: typer.Context,
    year: Annotated[
        int | None, typer.Option(min=2000, max=2200, help="Calendar year. Default: the current year.")
    ] = None,
    *,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Add the PU that are expected until the end of the year.")
    ] = False,
) -> None:
    """Show the PU and fees of a year by quarter, month and class, its invoices, and possible savings."""
    if context.invoked_subcommand is None:
        from pipeline.cli.bills.yearly_bill import show_year

        show_year(year, forecast=forecast)


@app.command("check")
def run_check(
    invoice: Annotated[
        Path, typer.Argument(metavar="INVOICE.csv", help="SMA's invoice as CSV, with one line for each PU.")
    ],
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="YYYY-MM",
            help="First month. Default: the first month of the invoice's quarter.",
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="YYYY-MM", help="Last month. Default: the last month of the invoice's quarter."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write all lines, including those that agree, to this .csv, .parquet or .xlsx file."
        ),
    ] = None,
) -> None:
    """Compare SMA's invoice line by line with our count. The exit code is 0 if all lines agree, otherwise 3."""
    from pipeline.cli.bills.invoice_check import check_file

    code = check_file(invoice, first, last, output)
    if code:
        raise typer.Exit(code)
