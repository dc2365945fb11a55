"""Sections of a report that compare: groups of plants with each other, and months with the year before."""

import datetime as dt
from collections.abc import Iterator

import polars as pl

from pipeline.report.figures import clean_name, format_month, format_number, format_ratio
from pipeline.report.sheet import Cell, SheetColumn, SheetTable

ALL = "All plants"
_BOTH = ("pv_generation_kwh", "pv_generation_before_kwh")
_COUNTS = ("n_days", "n_days_held")


def tabulate_groups(ranked: pl.DataFrame, n_days: int) -> SheetTable:
    """The groups of the plants, of rows of `rank_plants` with their attributes; `n_days` is the length of the month.

    What is expected is compared for the plants whose month is whole, as `v_energy_monthly` does it.
    """
    rows = [
        (
            Cell(clean_name(row["plant_group"])),
            Cell(f"{row['n_complete']} of {row['n_plants']}"),
            Cell(format_number(row["kwh"], 1)),
            Cell(format_number(row["specific_yield"], 1)),
            Cell(format_number(row["expected"], 1)),
            Cell(format_ratio(row["share"])),
            Cell(format_number(row["n_whole"])),
        )
        for row in _sum_groups(ranked, n_days).iter_rows(named=True)
    ]
    return SheetTable(
        "groups",
        "Groups",
        "By plant_attributes. The share of what you expect is of the plants whose month is whole alone.",
        "No plant of this report is in a group.",
        (
            SheetColumn("Group", numeric=False),
            SheetColumn("Complete", "plants"),
            SheetColumn("PV generation", "kWh"),
            SheetColumn("Specific yield", "kWh/kW"),
            SheetColumn("Expected", "kWh"),
            SheetColumn("Of expected"),
            SheetColumn("Compared", "plants"),
        ),
        rows,
    )


def _sum_groups(ranked: pl.DataFrame, n_days: int) -> pl.DataFrame:
    """A row for each group: counts of plants, kwh and expected (kWh), specific_yield (kWh/kW), share (of expected)."""
    energy, peak, expected = pl.col("pv_generation_kwh"), pl.col("peak_power_kw"), pl.col("expected_kwh")
    rated = pl.col("specific_yield").is_not_null()
    whole = (
        (pl.col("status") == "complete")
        & (pl.col("n_days") == n_days)
        & (expected > 0)
        & energy.is_not_null()
    )
    return (
        ranked.filter(pl.col("plant_group").is_not_null())
        .group_by("plant_group")
        .agg(
            n_plants=pl.len(),
            n_complete=(pl.col("status") == "complete").sum(),
            kwh=_sum_known(energy),
            specific_yield=_divide(energy.filter(rated).sum(), peak.filter(rated).sum()),
            expected=_sum_known(expected),
            n_whole=whole.sum(),
            share=_divide(energy.filter(whole).sum(), expected.filter(whole).sum()),
        )
        .sort("plant_group")
    )


def tabulate_like_for_like(found: pl.DataFrame, month: dt.date, *, groups: bool) -> SheetTable:
    """PV generation of the months of the year beside those of the year before, of rows of v_months_like_for_like.

    `found` has rows of plants. With `groups` the groups of the last month follow.
    """
    rows = [*_list_cells(found.with_columns(of=pl.lit(ALL)))]
    if groups:
        of_groups = found.filter(pl.col("month") == month, pl.col("plant_group").is_not_null())
        rows += _list_cells(of_groups.with_columns(of="plant_group"))
    return SheetTable(
        "before",
        "Beside the year before, like for like",
        "Both years sum up the same days of the same plants: those that are complete in both.",
        "No day of this year so far is complete here and a year before.",
        (
            SheetColumn("Plants", numeric=False),
            SheetColumn("Month", numeric=False),
            SheetColumn("PV generation", "kWh"),
            SheetColumn("A year before", "kWh"),
            SheetColumn("Change"),
            SheetColumn("Days compared"),
        ),
        rows,
    )


def _list_cells(found: pl.DataFrame) -> Iterator[tuple[Cell, ...]]:
    """A row for each value of `of` and month, by these."""
    sums = (_sum_known(pl.col(name)).alias(name) for name in _BOTH)
    summed = (
        found.group_by("of", "month")
        .agg(*sums, *(pl.col(name).sum() for name in _COUNTS))
        .sort("of", "month")
    )
    for row in summed.iter_rows(named=True):
        made, before = (row[name] for name in _BOTH)
        change = f"{100 * (made / before - 1) + 0.0:+.1f} %" if before else "–"
        yield (
            Cell(clean_name(row["of"])),
            Cell(format_month(row["month"], short=True)),
            Cell(format_number(made, 1)),
            Cell(format_number(before, 1)),
            Cell(change),
            Cell(f"{format_number(row['n_days'])} of {format_number(row['n_days_held'])}"),
        )


def describe_attributes(row: dict[str, object]) -> list[tuple[str, str]]:
    """The user's own attributes of a plant, as facts for its page."""
    labels = {"plant_group": "Group", "owner": "Owner", "region": "Region", "tariff": "Tariff"}
    told = [
        (label, clean_name(str(row[name]))) for name, label in labels.items() if row.get(name) is not None
    ]
    capacity, expected = row.get("battery_capacity_kwh"), row.get("expected_kwh")
    if isinstance(capacity, float):
        told.append(("Battery", f"{format_number(capacity, 1)} kWh"))
    if isinstance(expected, float):
        told.append(("Expected PV generation of the month", f"{format_number(expected, 1)} kWh"))
    return told


def _sum_known(values: pl.Expr) -> pl.Expr:
    """A sum of nothing known is null."""
    return pl.when(values.count() > 0).then(values.sum())


def _divide(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)
