"""The tables of data quality: what was set aside, what changed later, and where SMA's own figures differ."""

from collections.abc import Mapping

import polars as pl

from pipeline.report.figures import clean_name, format_number, format_percent
from pipeline.report.reasons import (
    CAUSES,
    CAUSES_JOINED_BY,
    DIFFERENCES,
    SET_ASIDE,
    explain_reasons,
    name_reason,
)
from pipeline.report.sheet import Cell, SheetColumn, SheetTable
from pipeline.report.sheet_tables import MOST_ROWS, format_name


def set_aside(found: pl.DataFrame) -> SheetTable:
    """What quarantine says, by reason."""
    reasons = (
        found.group_by("reason", "source", "kept")
        .agg(pl.col("n_found", "n_rows").sum(), plants=pl.col("plant_id").n_unique())
        .sort("n_found", "reason", "source", "kept", descending=[True, False, False, False])
    )
    rows = [
        (
            Cell(clean_name(name_reason(row["reason"]))),
            Cell(clean_name(row["source"])),
            Cell("kept as suspicious" if row["kept"] else "set aside"),
            Cell(format_number(row["n_found"])),
            Cell(format_number(row["n_rows"])),
            Cell(format_number(row["plants"])),
        )
        for row in reasons.head(MOST_ROWS).iter_rows(named=True)
    ]
    return SheetTable(
        "quarantine",
        "Set aside, by reason",
        "Values that were set aside do not count in energies, and their time is not covered. Suspicious values count "
        "in both. The table quarantine lists all of them.",
        "Nothing was set aside.",
        (
            SheetColumn("Reason", numeric=False),
            SheetColumn("Table", numeric=False),
            SheetColumn("Treatment", numeric=False),
            SheetColumn("Found"),
            SheetColumn("Rows"),
            SheetColumn("Plants"),
        ),
        rows,
        terms=explain_reasons(reasons["reason"], SET_ASIDE),
    )


def tabulate_restatements(found: pl.DataFrame, names: Mapping[str, str]) -> SheetTable:
    """Figures that became other ones after their day was final, the largest differences first."""
    size = pl.col("difference_kwh").abs()
    largest = found.sort(size, "local_date", "plant_id", "quantity", descending=[True, False, False, False])
    rows = [
        (
            format_name({"name": names.get(row["plant_id"], ""), "plant_id": row["plant_id"]}),
            Cell(row["local_date"].isoformat()),
            Cell(row["quantity"].replace("_", " ")),
            Cell(format_number(row["before_kwh"], 3)),
            Cell(format_number(row["after_kwh"], 3)),
            Cell(f"{row['difference_kwh']:+,.3f}"),
            Cell(clean_name(name_reason(row["cause"].replace(CAUSES_JOINED_BY, " and ")))),
            Cell(f"{row['noted_at']:%Y-%m-%d}"),
        )
        for row in largest.head(MOST_ROWS).iter_rows(named=True)
    ]
    more = f" {found.height:,} in all; the largest {MOST_ROWS}." if found.height > MOST_ROWS else ""
    return SheetTable(
        "restatements",
        "Restated figures",
        f"Figures of this month that changed after their day was final. This report has the new figures.{more}",
        "No figure of this month was restated.",
        (
            SheetColumn("Plant", numeric=False),
            SheetColumn("Day", numeric=False),
            SheetColumn("Figure", numeric=False),
            SheetColumn("Before", "kWh"),
            SheetColumn("After", "kWh"),
            SheetColumn("Difference", "kWh"),
            SheetColumn("Cause", numeric=False),
            SheetColumn("Noted", numeric=False),
        ),
        rows,
        terms=explain_reasons(
            (one for cause in found["cause"] for one in cause.split(CAUSES_JOINED_BY)), CAUSES
        ),
    )


def tabulate_reconciliation(found: pl.DataFrame, names: Mapping[str, str]) -> SheetTable:
    """Energies of the month that differ from SMA's own, the largest differences first."""
    size = pl.col("difference_kwh").abs()
    order = (size, "plant_id", "quantity")
    differing = found.filter(~pl.col("agrees")).sort(order, descending=[True, False, False], nulls_last=True)
    rows = [
        (
            format_name({"name": names.get(row["plant_id"], ""), "plant_id": row["plant_id"]}),
            Cell(row["quantity"].replace("_", " ")),
            Cell(format_number(row["measured_kwh"], 1)),
            Cell(format_number(row["vendor_kwh"], 1)),
            Cell("–" if row["difference_kwh"] is None else f"{row['difference_kwh']:+,.1f}"),
            Cell(format_percent(row["coverage"]), share=row["coverage"]),
            Cell(clean_name(name_reason(row["reason"]))),
        )
        for row in differing.head(MOST_ROWS).iter_rows(named=True)
    ]
    agreeing = f"{found.height - differing.height:,} of {found.height:,} figures agree within their tolerance"
    more = f", the largest {MOST_ROWS} of the others are here" if differing.height > MOST_ROWS else ""
    return SheetTable(
        "reconciliation",
        "Measured energies and SMA's own figures",
        f"{agreeing}{more}. Differences are shown, never corrected.",
        f"{agreeing}."
        if found.height
        else "SMA's own figures of this month were not fetched: run 'sunledger reconcile'.",
        (
            SheetColumn("Plant", numeric=False),
            SheetColumn("Figure", numeric=False),
            SheetColumn("Measured", "kWh"),
            SheetColumn("SMA's own", "kWh"),
            SheetColumn("Difference", "kWh"),
            SheetColumn("Coverage"),
            SheetColumn("Reason", numeric=False),
        ),
        rows,
        terms=explain_reasons(differing["reason"], DIFFERENCES),
    )
