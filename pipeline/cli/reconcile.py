"""Our energies beside SMA's own on the terminal."""

import datetime as dt

import polars as pl

from pipeline import steps
from pipeline.cli.console import Bars, say, show_table
from pipeline.errors import UsageError
from pipeline.runs import recorded
from pipeline.runtime import Runtime
from schemas import Reconciliation

# The largest differences: all are in the table.
SHOWN = 20


def run(runtime: Runtime, month: dt.date, max_requests: int | None) -> None:
    """Ask for SMA's figures of the month, compare, publish, and show the result."""
    runtime.settings.require_credentials()
    needed = len(steps.month_requests(runtime, month))
    if max_requests is not None and needed > max_requests:
        raise UsageError(
            f"This month needs {needed} requests, more than --max-requests {max_requests}: choose fewer plants, or "
            "raise it. Nothing was sent."
        )
    say(f"{month:%Y-%m}: {needed} requests, one for each plant that SMA's figures are not stored of.")
    with Bars() as bars:
        runtime.progress = bars
        steps.fetch_energy_months(runtime, month)
    steps.write_reconciliation(runtime)
    with recorded(runtime) as runs:
        runs.publish()
    show(runtime, month)


def show(runtime: Runtime, month: dt.date) -> None:
    """The differences by reason, and the largest ones."""
    stored = runtime.lake.scan(Reconciliation).filter(pl.col("month") == month)
    rows = stored.filter(pl.col("period") == "day").collect()
    counts = ", ".join(
        f"{count} {reason}" for reason, count in rows["reason"].value_counts().sort("reason").rows()
    )
    say(
        f"{rows.height} figures of {rows['plant_id'].n_unique()} plants compared: {counts or 'nothing to compare'}."
    )
    off = rows.filter(~pl.col("agrees"))
    size = (pl.col("measured_kwh").fill_null(0) - pl.col("vendor_kwh").fill_null(0)).abs()
    largest = off.sort(
        size, "plant_id", "local_date", "quantity", descending=[True, False, False, False]
    ).head(SHOWN)
    if not largest.height:
        return
    columns = [
        ("plant", False),
        ("day", False),
        ("quantity", False),
        ("measured kWh", True),
        ("SMA kWh", True),
    ]
    columns += [("difference", True), ("tolerance", True), ("reason", False), ("would book", False)]
    names = [
        "plant_id",
        "local_date",
        "quantity",
        "measured_kwh",
        "vendor_kwh",
        "difference_kwh",
        "tolerance_kwh",
    ]
    show_table(
        f"The largest of {off.height} differences beyond the tolerance",
        columns,
        [
            (plant, str(day), quantity, *map(_kwh, figures), reason, booked)
            for plant, day, quantity, *figures, reason, booked in largest.select(
                *names, "reason", "would_book"
            ).iter_rows()
        ],
    )


def _kwh(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3f}"
