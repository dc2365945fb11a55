"""The report of a month: the fleet's page and the plants' pages. Frames in, text out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from pipeline.common.text import format_money, pluralize
from pipeline.report import costs, quality, sheet_tables
from pipeline.report.closed_month import describe_changes_since_closing
from pipeline.report.comparison import describe_attributes, tabulate_groups, tabulate_like_for_like
from pipeline.report.figures import clean_name, format_month, format_number, format_percent
from pipeline.report.fleet_figures import (
    FleetHours,
    build_grids,
    build_profile,
    list_silent_plants,
    rank_plants,
    sum_fleet_days,
    sum_pv_coverage,
)
from pipeline.report.limits_table import describe_limits, tabulate_limits
from pipeline.report.month import MonthFigures, build_month_from_grid, find_ends
from pipeline.report.plots import draw_plots
from pipeline.report.record import Record
from pipeline.report.sheet import Sheet, SheetTable, render

INDEX = "index.html"
MOST_NAMES = 10
_COMPLETE = (
    "a day without a data gap. Its coverage may be below 100 %, because inverters start after sunrise and stop before "
    "sunset, and up to an hour of each does not count as a gap"
)
_NOTHING_INVENTED = "Missing measurements are shown as missing, never as zero."


@dataclass(frozen=True, slots=True)
class Frames:
    """A month's rows of some plants by their newest ids: what the pages are made of.

    The class MonthRows says what each frame holds. `units` may have PU of systems that are not in `plants`; `asked_as`
    in it is the id that SMA was asked for. `moved` has plant_id, an earlier id, and its `successor`.
    """

    plants: pl.DataFrame
    days: pl.DataFrame
    months: pl.DataFrame
    units: pl.DataFrame
    invoices: pl.DataFrame
    set_aside: pl.DataFrame
    restatements: pl.DataFrame | None
    reconciliation: pl.DataFrame | None
    figures: pl.DataFrame | None
    curtailment: pl.DataFrame | None
    attributes: pl.DataFrame
    like_for_like: pl.DataFrame | None
    moved: pl.DataFrame
    record: Record

    def select_plant(self, plant_id: str) -> "Frames":
        """The same of one plant."""
        mine = pl.col("plant_id") == plant_id
        return Frames(
            plants=self.plants.filter(mine),
            days=self.days.filter(mine),
            months=self.months.filter(mine),
            units=self.units.filter(mine),
            invoices=self.invoices.clear(),
            set_aside=self.set_aside.filter(mine),
            restatements=None if self.restatements is None else self.restatements.filter(mine),
            reconciliation=None if self.reconciliation is None else self.reconciliation.filter(mine),
            figures=None if self.figures is None else self.figures.filter(mine),
            curtailment=None if self.curtailment is None else self.curtailment.filter(mine),
            attributes=self.attributes.filter(mine),
            like_for_like=None if self.like_for_like is None else self.like_for_like.filter(mine),
            moved=self.moved.filter(pl.col("successor") == plant_id),
            record=self.record,
        )


class MonthReport:
    """The pages of a month. Feed it the plants' hours part by part; the fleet's page comes when all are in."""

    def __init__(self, frames: Frames, month: date, *, published_at: datetime, version: str) -> None:
        self._frames = frames
        self._first, self._last = find_ends(month)
        self._hours = FleetHours(self._last.day)
        of_pv = sum_pv_coverage(frames.days.filter(pl.col("local_date") >= self._first))
        months = frames.months.join(of_pv, on="plant_id", how="left", maintain_order="left")
        ranked = rank_plants(tell_names_apart(frames.plants), months, frames.units)
        self._ranked = ranked.join(frames.attributes, on="plant_id", how="left", maintain_order="left")
        self._rows = {row["plant_id"]: row for row in self._ranked.iter_rows(named=True)}
        self._names = {plant: row["name"] for plant, row in self._rows.items()}
        # Whether SMA was asked before the record begins is not known, unless a PU says so.
        known = bool(frames.units.height) or frames.record.knows(self._first)
        self._no_unit = "no PU" if known else "not known"
        # A PU before the record's first day is one of another zone's calendar: then there is nothing to add.
        self._limit = (
            ""
            if frames.units.height and not frames.record.knows(self._first)
            else frames.record.limit(self._first)
        )
        self._before = f"before {frames.record.begins}" if not known and frames.record.begins else ""
        self._facts = [
            ("Month", f"{self._first} to {self._last}, by each plant's own calendar"),
            ("Warehouse", f"published {published_at:%Y-%m-%d %H:%M} UTC by sunledger {version}"),
            (
                "Energy",
                "mean power times each interval's length; data gaps are counted, never filled",
            ),
            (
                "Coverage",
                "the share of the expected time that has values; of PV it is from sunrise to sunset",
            ),
            ("Complete", _COMPLETE),
        ]

    def render_plant_pages(self, hours: pl.DataFrame, plant_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """File name and text of each of these plants' pages, from rows of `MonthRows.hours` of theirs."""
        profiles, grids = build_profile(hours), build_grids(hours, self._last.day)
        self._hours.add(profiles, grids)
        for plant_id in plant_ids:
            found = self._frames.select_plant(plant_id)
            grid = grids.get(plant_id, FleetHours(self._last.day).power_kw)
            month = build_month_from_grid(found.days, grid, month=self._first)
            profile = profiles.filter(pl.col("plant_id") == plant_id)
            yield (
                sheet_tables.name_file(plant_id),
                render(self._build_plant_sheet(self._rows[plant_id], found, month, profile)),
            )

    def build_fleet_month(self) -> MonthFigures:
        """The figures of the fleet's picture."""
        return build_month_from_grid(
            sum_fleet_days(self._frames.days), self._hours.power_kw, month=self._first
        )

    def render_fleet_page(self) -> str:
        """The text of the fleet's page, which links to the plants' pages beside it."""
        frames, month = self._frames, self.build_fleet_month()
        name, clock = pluralize(frames.plants.height, "plant"), "each plant's own clock"
        grouped = bool(frames.attributes["plant_group"].count())
        strangers = frames.units.filter(~pl.col("plant_id").is_in(list(self._rows)))
        sections = [
            sheet_tables.tabulate_yields(self._ranked, self._last.day, self._no_unit),
            *([tabulate_groups(self._ranked, self._last.day)] if grouped else []),
            *self._compare(frames, groups=grouped),
            *_list_known_tables(frames, self._names),
            costs.tabulate_classes(frames.units, self._limit),
            *([costs.tabulate_unlisted(strangers)] if strangers.height else []),
            costs.tabulate_invoices(frames.invoices, self._first.year, frames.record),
            sheet_tables.tabulate_ids(self._ranked),
        ]
        return render(
            Sheet(
                title=f"Solar fleet, {format_month(self._first)}",
                lead=self._write_lead(f"Energy, coverage, data quality and cost of {name}.", frames),
                headline=self._build_headline(month),
                plots=draw_plots(
                    "All plants", month, sum_fleet_days(frames.days), self._hours.profile, clock
                ),
                tables=sections,
                facts=[*self._describe_silent(), *self._facts],
            )
        )

    def _write_lead(self, what: str, frames: Frames) -> str:
        changes = describe_changes_since_closing(frames.months, frames.days, self._first)
        return " ".join(filter(None, (what, _NOTHING_INVENTED, changes)))

    def _describe_silent(self) -> list[tuple[str, str]]:
        """The plants that the marks of the fleet's picture leave out."""
        names = [clean_name(self._names[plant]) for plant in self._list_silent()]
        if not names:
            return []
        more = (
            f", and {pluralize(len(names) - MOST_NAMES, 'further plant')}" if len(names) > MOST_NAMES else ""
        )
        left_out = "they count in the coverage of the month, but mark no day of the picture as incomplete"
        return [("Silent all month", f"{', '.join(names[:MOST_NAMES])}{more}; {left_out}")]

    def _list_silent(self) -> list[str]:
        silent = list_silent_plants(self._frames.days, self._first)
        return sorted(
            (plant for plant in silent if plant in self._names), key=lambda plant: self._names[plant]
        )

    def _build_plant_sheet(
        self, row: Mapping[str, Any], found: Frames, month: MonthFigures, profile: pl.DataFrame
    ) -> Sheet:
        name, clock = clean_name(row["name"]), f"clock of {row['timezone']}"
        inside = found.days.filter(pl.col("local_date") >= self._first)
        best = self._ranked["rank"].count()
        return Sheet(
            title=f"{name}, {format_month(self._first)}",
            lead=self._write_lead(
                f"Plant {clean_name(row['plant_id'])}, time zone {row['timezone']}.", found
            ),
            headline=[
                ("PV generation", *_split_energy(month.kwh)),
                (
                    "Specific yield"
                    if row["rank"] is None
                    else f"Specific yield, rank {row['rank']} of {best}",
                    format_number(row["specific_yield"], 1),
                    "kWh/kW",
                ),
                ("Coverage of PV", format_percent(month.coverage), self._name_stored(found)),
                ("Consumption", *_split_energy(_sum(inside, "total_consumption_kwh"))),
                ("Days with PV values", format_number(month.n_held - month.n_missing), f"of {month.n_days}"),
                ("PU fee of the month", costs.format_fee(row, self._no_unit), self._before),
                *describe_limits(found.curtailment),
            ],
            plots=draw_plots(name, month, found.days, profile, clock),
            tables=[
                sheet_tables.tabulate_gaps(inside, month.n_days),
                *self._compare(found, groups=False),
                *_list_known_tables(found, self._names),
                costs.tabulate_plant(found.units, self._limit),
            ],
            facts=[*_describe_plant(row, found.moved), *describe_attributes(dict(row)), *self._facts],
            back=INDEX,
        )

    def _compare(self, frames: Frames, *, groups: bool) -> list[SheetTable]:
        """The section on the year before, where the file has it."""
        if frames.like_for_like is None:
            return []
        return [tabulate_like_for_like(frames.like_for_like, self._first, groups=groups)]

    def _build_headline(self, month: MonthFigures) -> list[tuple[str, str, str]]:
        frames = self._frames
        both = self._ranked.filter(pl.col("specific_yield").is_not_null())
        energy, power = (float(both[name].sum()) for name in ("pv_generation_kwh", "peak_power_kw"))
        complete = frames.months.filter(status="complete").height
        return [
            ("PV generation", *_split_energy(month.kwh)),
            (
                "Specific yield of the fleet",
                format_number(energy / power if power else None, 1),
                "kWh/kW",
            ),
            ("Coverage of PV", format_percent(month.coverage), self._name_stored(frames)),
            (
                "Plants with a complete month",
                format_number(complete),
                f"of {format_number(frames.plants.height)}",
            ),
            *self._build_money(),
            *describe_limits(frames.curtailment),
        ]

    def _name_stored(self, found: Frames) -> str:
        """What a coverage is of, where a plant lacks days of the month: they are not in it."""
        stored = found.days.filter(pl.col("local_date") >= self._first).height
        return "of the stored days" if stored < found.plants.height * self._last.day else ""

    def _build_money(self) -> list[tuple[str, str, str]]:
        """The requested systems and their cost, for the time of the record of requests."""
        units, begins = self._frames.units, self._frames.record.begins
        if self._no_unit == "not known":
            return [(label, "not known", self._before) for label in ("PU of the month", "Fees of the month")]
        since = f"since {begins}" if self._limit else ""
        unpriced, priced = units["fee_eur"].null_count(), units["fee_eur"].drop_nulls()
        # The amounts are in EUR by their names, unless a price list says another currency.
        named = pl.concat([units["currency"], self._frames.invoices["currency"]]).drop_nulls()
        currencies = named.unique().to_list() or ["EUR"]
        counted = [f"{format_number(unpriced)} unpriced"] if unpriced else []
        amount = "unpriced" if unpriced and not len(priced) else format_money(priced.sum())
        money = currencies if len(currencies) == 1 and amount != "unpriced" else []
        return [
            ("PU of the month", format_number(units.height), ", ".join(filter(None, [*counted, since]))),
            ("Fees of the month", amount, " ".join(filter(None, [*money, since]))),
        ]


def tell_names_apart(plants: pl.DataFrame) -> pl.DataFrame:
    """The plants; where several share a name, each carries the beginning of its id."""
    told = pl.format("{} ({})", "name", pl.col("plant_id").str.slice(0, 8))
    return plants.with_columns(name=pl.when(pl.col("name").is_duplicated()).then(told).otherwise("name"))


def _list_known_tables(found: Frames, names: Mapping[str, str]) -> list[SheetTable]:
    """The tables that both kinds of pages have, where the file has their rows."""
    return [
        *([] if found.figures is None else [sheet_tables.tabulate_figures(found.figures, names)]),
        *(
            []
            if found.curtailment is None or found.curtailment.is_empty()
            else [tabulate_limits(found.curtailment, names)]
        ),
        quality.set_aside(found.set_aside),
        *([] if found.restatements is None else [quality.tabulate_restatements(found.restatements, names)]),
        *(
            []
            if found.reconciliation is None
            else [quality.tabulate_reconciliation(found.reconciliation, names)]
        ),
    ]


def _describe_plant(row: Mapping[str, Any], moved: pl.DataFrame) -> list[tuple[str, str]]:
    earlier = ", ".join(clean_name(plant) for plant in moved["plant_id"].sort())
    peak, ac = (format_number(row[name], 2) for name in ("peak_power_kw", "ac_power_kw"))
    return [
        ("Power", f"{peak} kW DC peak, {ac} kW AC, class {row['capacity_class'] or 'not known'}"),
        *([("Earlier id", f"{earlier}, before the plant moved")] if earlier else []),
    ]


def _split_energy(kwh: float | None) -> tuple[str, str]:
    """Value and unit."""
    if kwh is not None and kwh >= 100_000:  # noqa: PLR2004 - six digits are hard to read at a glance
        return format_number(kwh / 1000, 1), "MWh"
    return format_number(kwh, 1), "kWh"


def _sum(days: pl.DataFrame, column: str) -> float | None:
    return float(days[column].sum()) if days[column].count() else None
