"""docs/tables.md, which says where each table is made.

`python -m tests.assets.tables_page` writes it, and a test compares it.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assets.whole_steps import TABLE_MODULES
from pipeline.extract import consent_refresh, fetch, fetch_days, grid_schedules, live_session, vendor_energies
from pipeline.run import step
from pipeline.run.grid_order_book import GridOrderBook
from pipeline.run.measurement_sets import SETS, SOURCES, VALUES
from pipeline.run.request_log import RequestLog
from pipeline.run.table_step import Stage, list_steps
from pipeline.tables import energy_tables, interval_tables, month_close, restatement_tables
from pipeline.transform import batch_account, intervals
from schemas import (
    TABLES,
    Adjustments,
    ApiRequests,
    Consents,
    CoverageDaily,
    GridCommandAudit,
    LiveReadings,
    Quarantine,
    RawDeviceLogs,
    RawDevices,
    RawEnergyMonths,
    RawEnergyYears,
    RawGridSchedules,
    RawLogs,
    RawMeasurementSets,
    RawOtherSets,
    RawPlants,
    Restatements,
    RowChanges,
    Table,
    storage,
)
from warehouse.views import load_curated_views

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "tables.md"

_HEAD = """\
# Where each table is made

The second column names the code that makes the table, the third the tables that it reads, and the fourth the model that
says its columns. [architecture.md](architecture.md) shows the way from one to the next,
[data-dictionary.md](data-dictionary.md) what is in them.

`python -m tests.assets.tables_page` writes this page from the code, and a test compares it.
"""

# What no function declares to be its table.
_OTHERS: dict[type[Table], tuple[Callable[..., Any], ...]] = {
    RawPlants: (fetch.fetch_plants,),
    RawDevices: (fetch.fetch_devices,),
    RawMeasurementSets: (fetch.fetch_measurement_sets,),
    RawOtherSets: (fetch.OtherSetsFetch, fetch_days.fetch_days),
    RawLogs: (fetch.fetch_logs, fetch_days.fetch_days),
    RawDeviceLogs: (fetch.fetch_device_logs, fetch_days.fetch_days),
    RawEnergyMonths: (vendor_energies.fetch_energy_months,),
    RawEnergyYears: (vendor_energies.fetch_past_years,),
    RawGridSchedules: (grid_schedules.fetch_grid_schedules,),
    Consents: (consent_refresh.refresh_consents,),
    ApiRequests: (RequestLog.store,),
    GridCommandAudit: (GridOrderBook.store_events,),
    LiveReadings: (live_session.LiveSession,),
    # The rows of intervals and of answers, and the one place that stores them.
    Quarantine: (step.quarantine, batch_account.build_quarantine, fetch_days.fetch_days),
    CoverageDaily: (energy_tables.write_energy_daily,),
    Restatements: (restatement_tables.note_figures,),
    RowChanges: (restatement_tables.note_rows,),
    Adjustments: (month_close.adjust,),
}


def find_makers() -> dict[str, tuple[list[Callable[..., Any]], list[str]]]:
    """By table: the functions that make it, and the tables that it is made of."""
    found: dict[str, tuple[list[Callable[..., Any]], list[str]]] = {}
    for source in (*SETS, VALUES):
        found[storage(source.raw).table] = [fetch.SetFetch, fetch_days.fetch_days], []
    for source in (*SOURCES, VALUES):
        made = (
            [interval_tables.write_intervals, intervals.SetTransform],
            [storage(source.raw).table, "plants"],
        )
        found[storage(source.intervals).table] = made
    for stage in Stage:
        for one in list_steps(TABLE_MODULES, stage):
            found[storage(one.model).table] = [one.write], one.inputs
    for model, functions in _OTHERS.items():
        found[storage(model).table] = list(functions), []
    return found


def write_page() -> str:
    """The page as it should be."""
    makers = find_makers()
    lines = [_HEAD]
    for layer in ("raw", "core", "report"):
        lines += [f"## {layer}", "", "| table | made by | from | model |", "|---|---|---|---|"]
        models = {storage(model).table: model for model in TABLES if storage(model).layer == layer}
        lines += [
            f"| `{name}` | {'; '.join(map(_locate, makers[name][0]))} | {_join(makers[name][1])} | {_locate(model)} |"
            for name, model in sorted(models.items())
        ]
        lines.append("")
    lines += ["## Views and tables of the published file alone", "", "| name | made by |", "|---|---|"]
    lines += [f"| {name} | {file} |" for name, file in _list_published()]
    return "\n".join(lines) + "\n"


def _list_published() -> Iterator[tuple[str, str]]:
    for view in load_curated_views():
        yield f"`{view.name}`", f"[warehouse/views/{view.name}.sql](../warehouse/views/{view.name}.sql)"
    yield "`_meta`", "[warehouse/published_file/meta.py](../warehouse/published_file/meta.py)"
    yield "`_clocks`", "[warehouse/published_file/clocks.py](../warehouse/published_file/clocks.py)"


def _locate(code: Callable[..., Any]) -> str:
    file = Path(inspect.getfile(inspect.unwrap(code))).resolve().relative_to(ROOT).as_posix()
    return f"`{code.__qualname__}` in [{file}](../{file})"


def _join(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    DOCUMENT.write_text(write_page())
