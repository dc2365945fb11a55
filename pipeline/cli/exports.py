"""`sunledger export` and `sunledger pack`: tables as files for other programs and for people."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.common.text import pluralize


class FileFormat(StrEnum):
    """Formats of files."""

    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


def run_export(
    table: Annotated[
        str, typer.Argument(help="Published table or view; 'sunledger sql \"SHOW TABLES\"' lists them.")
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
    from pipeline.cli.console import say  # noqa: PLC0415 - commands load what they need
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from warehouse.export import export_table  # noqa: PLC0415
    from warehouse.publish import connect  # noqa: PLC0415

    with connect(load_settings().warehouse) as connection:
        done = export_table(connection, table, output, form)
    say(f"Wrote {pluralize(done.rows, 'row')} to {done.path}.")


def run_pack(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Month to write.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for the files. An earlier pack there is replaced. Default: pack-MONTH."),
    ] = None,
    form: Annotated[FileFormat, typer.Option("--format", help="Format of the files.")] = FileFormat.XLSX,
) -> None:
    """Write a month's energy, PU, invoices and quality with a README into one folder, for finance."""
    from pipeline.billing.lost_requests import explain_lower_bound  # noqa: PLC0415
    from pipeline.cli.completeness_summary import say_month  # noqa: PLC0415
    from pipeline.cli.console import say  # noqa: PLC0415
    from pipeline.cli.invoice import parse_month_option as month_of  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from warehouse import pack as packing  # noqa: PLC0415
    from warehouse.publish import connect  # noqa: PLC0415

    first, settings = month_of("--month", month), load_settings()
    with connect(settings.warehouse) as connection:
        say_month(connection, first)
        if lower_bound := explain_lower_bound(settings.home, [first]):
            say(lower_bound)
        done = packing.write_pack(connection, first, folder or Path(f"pack-{month}"), form)
    for one in done:
        say(f"  {one.path.name}: {pluralize(one.rows, 'row')}")
    say(f"Wrote the pack of {month} to {done[0].path.parent}.")
