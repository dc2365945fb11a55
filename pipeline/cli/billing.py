"""`sunledger billing`: what SMA charges in a year, and SMA's invoice against our own count."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What SMA charges: PU, invoices, a forecast, and the check of SMA's invoice.")


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    year: Annotated[
        int | None, typer.Option(min=2000, max=2200, help="Calendar year. Default: the running one.")
    ] = None,
    *,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Add what is still to come until the year's end.")
    ] = False,
) -> None:
    """Show PU and fees of a year by quarter, month and class, its invoices, and what could be saved."""
    if context.invoked_subcommand is None:
        from pipeline.cli.bill import show_year  # noqa: PLC0415 - commands load what they need

        show_year(year, forecast=forecast)


@app.command()
def check(
    invoice: Annotated[Path, typer.Argument(metavar="INVOICE.csv", help="SMA's invoice, one line a PU.")],
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="YYYY-MM", help="First month. Default: the quarter's first."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month. Default: the quarter's last.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write every line, those agreed too, to this file: CSV, Parquet, XLSX."),
    ] = None,
) -> None:
    """Compare SMA's invoice line by line with our count. Leaves with 0 when all agree, with 3 when not."""
    from pipeline.cli.invoice import check_file  # noqa: PLC0415

    code = check_file(invoice, first, last, output)
    if code:
        raise typer.Exit(code)
