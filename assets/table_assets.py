"""The asset graph: raw answers, core tables, report tables. Each asset calls one step and reports its result.

What is made of other tables follows from what the functions of `pipeline.tables` declare (`pipeline.run.table_step`).
"""

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import dagster as dg

from assets.asset_builders import (
    EARLY,
    FIRST,
    Steps,
    Upcoming,
    build_day_asset,
    build_days_asset,
    build_whole_asset,
)
from assets.home_setup.dagster_home import API_POOL
from assets.whole_steps import TABLE_MODULES, list_asked
from pipeline.common.settings import Settings
from pipeline.extract.fetch import (
    OtherSetsFetch,
    SetFetch,
    fetch_device_logs,
    fetch_logs,
    list_device_logs,
    list_logs,
)
from pipeline.extract.request_plan import group_by_week
from pipeline.extract.vendor_energies import fetch_energy_months, fetch_past_years
from pipeline.report.day_pictures import draw_day_pictures
from pipeline.run.context import RunContext
from pipeline.run.made_ahead import DayTable, MakeDay
from pipeline.run.measurement_sets import SETS, SOURCES, VALUES, SetSource, list_idle_tables
from pipeline.run.sent_ahead import DaysToFetch
from pipeline.run.step_result import StepResult
from pipeline.run.table_step import Stage, TableStep, list_steps
from pipeline.tables.interval_tables import write_intervals
from schemas import (
    EnergyDaily,
    RawAnswers,
    RawDeviceLogs,
    RawEnergyMonths,
    RawEnergyYears,
    RawLogs,
    RawOtherSets,
    Table,
    storage,
)

SOURCE = "source"
FROM_API = {"sma", "httpx", "deltalake"}
FROM_LAKE = {"polars", "deltalake"}


def _build_whole_assets(
    settings: Settings,
    steps: Iterable[TableStep],
    kinds: set[str],
    *,
    pool: str | None = None,
    group: str | None,
    last: bool = False,
) -> list[dg.AssetsDefinition]:
    return [
        build_whole_asset(
            step.model,
            settings,
            step.write,
            deps=step.inputs,
            kinds=kinds,
            pool=pool,
            group=group,
            every=step.every,
            last=last,
        )
        for step in steps
    ]


def _build_made_assets(
    settings: Settings, stage: Stage, *, group: str | None = None, last: bool = False
) -> list[dg.AssetsDefinition]:
    """The tables of a stage that are made whole, from other tables."""
    return _build_whole_assets(settings, list_steps(TABLE_MODULES, stage), FROM_LAKE, group=group, last=last)


def _build_asked_lists(settings: Settings, stage: Stage) -> list[dg.AssetsDefinition]:
    """SMA's lists of a stage."""
    return _build_whole_assets(settings, list_asked(stage), FROM_API, pool=API_POOL, group=SOURCE)


def list_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Consents, plants, devices and measurement sets, which are the objects of all further requests."""
    return [*build_plant_assets(settings), *build_device_assets(settings)]


def build_plant_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The list of plants and their owners' consents, which cost nothing to ask for."""
    # A group of their own: they come before all days, and every layer of those reads them.
    return [
        *_build_asked_lists(settings, Stage.PLANTS),
        *_build_made_assets(settings, Stage.PLANTS, group=SOURCE),
    ]


def build_device_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Devices, measurement sets and the schedules of grid control, each asked for by its plant: so lists make PU."""
    return [
        *_build_asked_lists(settings, Stage.DEVICES),
        *_build_made_assets(settings, Stage.DEVICES, group=SOURCE),
    ]


class DayFetch(NamedTuple):
    """What fetches the days of a raw table, and lists what it will fetch of some days."""

    model: type[RawAnswers]
    fetch: Steps
    list_upcoming: Upcoming
    inputs: list[str]
    priority: Mapping[str, str]


def list_day_fetches() -> list[DayFetch]:
    """The raw tables of days."""
    sets = [(source.raw, SetFetch(source)) for source in (*SETS, VALUES)]
    others, lists = OtherSetsFetch(), ["plants", "measurement_sets", "devices"]
    return [
        *(DayFetch(raw, fetch, fetch.list_upcoming, lists, FIRST) for raw, fetch in sets),
        DayFetch(RawOtherSets, others, others.list_upcoming, lists, EARLY),
        DayFetch(RawLogs, fetch_logs, list_logs, ["plants"], EARLY),
        DayFetch(RawDeviceLogs, fetch_device_logs, list_device_logs, ["plants", "devices"], EARLY),
    ]


def list_upcoming(
    runtime: RunContext, fetches: Iterable[DayFetch], days: Sequence[dt.date]
) -> list[DaysToFetch]:
    """What a run fetches of these days by the settings, in its order: Dagster takes equal priorities by name."""
    idle = list_idle_tables(runtime.settings)
    chosen = [one for one in fetches if storage(one.model).table not in idle]
    chosen.sort(key=lambda one: (-int(one.priority["dagster/priority"]), storage(one.model).table))
    return [upcoming for one in chosen for upcoming in one.list_upcoming(runtime, days)]


def build_fetched_day_assets(
    settings: Settings, fetches: Iterable[DayFetch] | None = None, without: frozenset[str] = frozenset()
) -> list[dg.AssetsDefinition]:
    """The answers of each day as received, by default by fetches of their own; but for the tables of these names."""
    return [
        build_days_asset(
            one.model,
            settings,
            one.fetch,
            group_by_week,
            deps=one.inputs,
            kinds=FROM_API,
            pool=API_POOL,
            priority=one.priority,
            upcoming=one.list_upcoming,
        )
        for one in fetches or list_day_fetches()
        if storage(one.model).table not in without
    ]


def build_made_day_assets(
    settings: Settings, without: frozenset[str] = frozenset()
) -> list[dg.AssetsDefinition]:
    """The tables that are made from each day's answers, but for those of these names. They make no API calls."""
    return [
        build_day_asset(table.model, settings, table.make, deps=table.inputs, kinds=FROM_LAKE)
        for table in _list_made_tables()
        if storage(table.model).table not in without
    ]


def list_day_tables(settings: Settings) -> list[DayTable]:
    """The tables of which a run brings days by the settings, fetched ones first."""
    idle = list_idle_tables(settings)
    fetched = (storage(one.model).table for one in list_day_fetches())
    made = (
        DayTable(storage(one.model).table, frozenset(one.inputs), one.make) for one in _list_made_tables()
    )
    tables = [*(DayTable(name, frozenset(), None) for name in fetched), *made]
    return [table for table in tables if table.name not in idle]


class _MadeTable(NamedTuple):
    model: type[Table]
    inputs: list[str]
    make: MakeDay


def _list_made_tables() -> Iterator[_MadeTable]:
    for source in (*SOURCES, VALUES):
        inputs = [storage(source.raw).table, "plants", *(["devices"] if source.of_devices else [])]
        yield _MadeTable(source.intervals, inputs, functools.partial(_make_intervals, source))
    for step in list_steps(TABLE_MODULES, Stage.DAYS):
        yield _MadeTable(step.model, step.inputs, _find_day_step(step))


def select_chosen(assets: Iterable[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets that a run makes by the settings: without the sets, logs and schedules that are not asked for."""
    idle = list_idle_tables(settings)
    return [asset for asset in assets if asset.key.path[-1] not in idle]


def drop_optional_inputs(
    assets: Iterable[dg.AssetsDefinition], settings: Settings
) -> list[dg.AssetsDefinition]:
    """The assets, of which none that every run of days makes depends on one that by the settings no such run makes.

    Those that are not made are read where they are there. Dagster knows no such input: it would warn before each
    backfill that it "may fail" and its days "cannot be materialized", because sets that are not asked for, or SMA's own
    energies before the first month is closed, are not there.
    """
    optional = list_idle_tables(settings) | {asset.key.path[-1] for asset in build_vendor_assets(settings)}

    def cut(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key.path[-1] in optional:
            return spec
        return spec.replace_attributes(
            deps=[dep for dep in spec.deps if dep.asset_key.path[-1] not in optional]
        )

    return list(dg.map_asset_specs(cut, assets))


def _make_intervals(source: SetSource, runtime: RunContext, day: dt.date) -> StepResult:
    return write_intervals(runtime, source, day)


def _find_day_step(step: TableStep) -> Callable[[RunContext, dt.date], StepResult]:
    return functools.partial(_add_pictures, step) if step.model is EnergyDaily else step.write


def _add_pictures(step: TableStep, runtime: RunContext, day: dt.date) -> StepResult:
    report = step.write(runtime, day)
    report.pictures |= draw_day_pictures(runtime, day)
    return report


def build_month_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Months, and the dictionary of log messages: from all stored days."""
    return _build_made_assets(settings, Stage.MONTHS)


def build_vendor_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """SMA's own energies of the last month and, where wanted, of past years, and ours beside them.

    Once a month, since each plant costs a request.
    """
    return [
        build_whole_asset(
            RawEnergyMonths,
            settings,
            fetch_energy_months,
            deps=["plants", "measurement_sets"],
            kinds=FROM_API,
            pool=API_POOL,
            every="month",
        ),
        build_whole_asset(
            RawEnergyYears,
            settings,
            fetch_past_years,
            deps=["plants", "measurement_sets", "raw_energy_balance"],
            kinds=FROM_API,
            pool=API_POOL,
            every="year",
        ),
        *_build_made_assets(settings, Stage.VENDOR),
    ]


def build_money_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """PU and invoices from the record of requests, made after all assets that send requests."""
    return _build_made_assets(settings, Stage.MONEY, last=True)
