"""The page of a fleet: headline figures, one plant's month, energy and coverage, and what to do next.

One HTML file that asks the network for nothing. Every text from outside (names, ids, zones) is escaped by the
template; only the picture goes in as it is, because it is our own SVG.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.common.text import pluralize
from pipeline.report.figures import (
    clean,
    format_minutes,
    format_month,
    format_number,
    format_percent,
    format_share,
)
from pipeline.report.palette import FONTS, GAP_LINE, INK, MUTED, PAPER, RULE, SUN

COLOURS = {"paper": PAPER, "ink": INK, "muted": MUTED, "rule": RULE, "sun": SUN, "gap-line": GAP_LINE}

# kWh; tenths say nothing beside figures of this size.
_NO_DECIMALS_FROM = 10_000

_VERDICTS = {
    "utc": "UTC",
    "plant_local": "plant-local",
    "either": "both: its time zone is UTC",
    "undecided": "not conclusive",
}


@dataclass(frozen=True, slots=True)
class _Energy:
    """A column of the table of months."""

    name: str
    label: str


_ENERGIES = (
    _Energy("pv_generation_kwh", "PV generation"),
    _Energy("grid_feed_in_kwh", "Feed-in"),
    _Energy("total_consumption_kwh", "Consumption"),
    _Energy("grid_consumption_kwh", "From grid"),
)


def render_fleet_page(
    *,
    month_rows: pl.DataFrame,
    plants: pl.DataFrame,
    picture: str,
    picture_of: str,
    facts: Sequence[tuple[str, str]],
    next_steps: Sequence[tuple[str, str]],
    title: str,
    time_basis: pl.DataFrame | None = None,
) -> str:
    """The page as the text of one HTML file; the same input gives the same text.

    * month_rows: rows of energy_monthly with the plant's `name` joined. They are sorted here, and summed up.
    * plants: rows of the table plants; their number and power go into the headline.
    * picture: SVG text of `draw_month_picture`, put in unescaped; picture_of: its caption.
    * facts: label and value of whatever else is worth knowing about the run.
    * next_steps: what one may want to do, and the command for it.
    * time_basis: rows of `judge_time_basis`; without them the page has no such section.
    """
    months = month_rows.sort("name", "plant_id", "month")
    total = _sum_months(months)
    return (
        build_environment()
        .get_template("fleet.html.j2")
        .render(
            title=clean(title),
            headline=_build_headline(months, plants, total),
            picture=Markup(picture),  # noqa: S704 - our own drawing; names in it are escaped where it is made
            picture_of=clean(picture_of),
            months=_build_rows(months),
            energies=[
                energy for energy in _ENERGIES if months[energy.name].count() or energy is _ENERGIES[0]
            ],
            total=total,
            evidence=_build_rows(_build_evidence(time_basis, plants)) if time_basis is not None else [],
            verdicts=_VERDICTS,
            next_steps=next_steps,
            facts=facts,
            colours=COLOURS,
            fonts=FONTS,
        )
    )


@cache
def build_environment() -> Environment:
    """Templates, which are compiled once, and their filters."""
    made = Environment(
        loader=PackageLoader("pipeline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "number": format_number,
        "percent": format_percent,
        "share": format_share,
        "month": format_month,
        "clock": format_minutes,
    }
    return made


def _build_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table on the page; a name is one line without letters that a page can't hold."""
    return [row | {"name": clean(row["name"])} for row in frame.iter_rows(named=True)]


def _sum_months(months: pl.DataFrame) -> dict[str, Any]:
    """The last row of the table: sums, and the coverage of all together. A sum of nothing measured is None."""
    counts = ("n_days", "n_days_missing", "n_flagged")
    expected, covered = pl.col("expected_h").sum(), pl.col("covered_h").sum()
    return months.select(
        *(
            pl.when(pl.col(energy.name).count() > 0).then(pl.col(energy.name).sum()).alias(energy.name)
            for energy in _ENERGIES
        ),
        pl.col(counts).sum(),
        pl.col("largest_gap_min").max(),
        coverage=pl.when(expected > 0).then((covered / expected).clip(0, 1)),
        n_complete=(pl.col("status") == "complete").sum(),
    ).row(0, named=True)


def _build_headline(
    months: pl.DataFrame, plants: pl.DataFrame, total: dict[str, Any]
) -> list[tuple[str, str, str]]:
    """Label, value and unit of the figures at the top."""
    power = plants.select(pl.when(pl.col("ac_power_kw").count() > 0).then(pl.col("ac_power_kw").sum())).item()
    energy = total["pv_generation_kwh"]
    zones = pluralize(plants["timezone"].n_unique(), "time zone")
    measured = total["n_days"] - total["n_days_missing"]
    return [
        ("PV generation", format_number(energy, 0 if energy and energy >= _NO_DECIMALS_FROM else 1), "kWh"),
        (
            f"Plants, {zones}",
            format_number(plants.height),
            "" if power is None else f"{format_number(power, 1)} kW AC",
        ),
        ("Coverage of the expected time", format_percent(total["coverage"]), ""),
        ("Plant days with values", format_number(measured), f"of {format_number(total['n_days'])}"),
        ("Complete plant months", format_number(total["n_complete"]), f"of {format_number(months.height)}"),
    ]


def _build_evidence(verdicts: pl.DataFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """The verdicts with name and zone; plants on whose days nothing was produced have nothing to show."""
    named = plants.select("plant_id", "name", "timezone")
    return (
        verdicts.filter(pl.col("n_days") > 0).join(named, on="plant_id", how="inner").sort("name", "plant_id")
    )
