"""The report's section on limits: hours, and an estimate of the energy that they prevented."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.report.figures import format_number, format_ratio
from pipeline.report.sheet import Cell, SheetColumn, SheetTable
from pipeline.report.sheet_tables import format_name


def tabulate_limits(found: pl.DataFrame, names: Mapping[str, str]) -> SheetTable:
    """Each plant with a limit in the month, by rows of `curtailment_monthly`; the one that lost most comes first."""
    rows = [
        (
            format_name({"name": names.get(row["plant_id"], ""), "plant_id": row["plant_id"]}),
            Cell(format_number(row["limited_h"], 1)),
            Cell(format_number(row["binding_h"], 1)),
            Cell(format_number(row["lost_kwh"], 1), below=_explain_gaps(row)),
            Cell(format_number(row["lost_low_kwh"], 1)),
            Cell(format_number(row["lost_high_kwh"], 1)),
            Cell((row["methods"] or "–").replace("_", " ").replace(",", ", ")),
            Cell(format_ratio(row["performance_ratio"])),
            Cell(format_ratio(row["performance_ratio_without_curtailment"])),
        )
        for row in found.sort("lost_kwh", "plant_id", descending=[True, False], nulls_last=True).iter_rows(
            named=True
        )
    ]
    return SheetTable(
        "limits",
        "Limits and lost energy",
        "An estimate. A limit costs energy only while it binds: power is at the limit, by day. The bounds say between "
        "what the lost energy lies; docs/curtailment.md explains the methods and how far off they are.",
        "No plant had a limit.",
        (
            SheetColumn("Plant", numeric=False),
            SheetColumn("Limited", "h"),
            SheetColumn("Binding", "h"),
            SheetColumn("Lost", "kWh"),
            SheetColumn("At least", "kWh"),
            SheetColumn("At most", "kWh"),
            SheetColumn("Method", numeric=False),
            SheetColumn("Performance ratio"),
            SheetColumn("Performance ratio", "without limits"),
        ),
        rows,
    )


def describe_limits(found: pl.DataFrame | None) -> list[tuple[str, str, str]]:
    """What stands at the top of a page whose plants had limits: label, value and unit."""
    if found is None or found.is_empty():
        return []
    hours, binding = (float(found[name].sum()) for name in ("limited_h", "binding_h"))
    known = found["lost_kwh"].drop_nulls()
    return [
        ("Limited", format_number(hours, 1), f"h, {format_number(binding, 1)} binding"),
        ("Lost to limits", format_number(float(known.sum()) if len(known) else None, 1), "kWh, an estimate"),
    ]


def _explain_gaps(row: Mapping[str, Any]) -> str:
    """What the figure does not include."""
    days, hours = row["n_days_without_estimate"], row["unjudged_h"]
    said = [f"{days} of {row['n_days_limited']} days without an estimate"] if days else []
    said += [f"{hours:.1f} h not judged"] if not days and hours >= 0.05 else []  # noqa: PLR2004 - it shows as 0.1 h
    return ", ".join(said)
