"""Structure of the asset graph: what every asset must carry, and what the graph must not do."""

import datetime as dt
import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

import pipeline.extract
import pipeline.ops
import pipeline.tables
from assets.asset_builders import build_table_schema
from assets.day_partitions import DayPartitions
from assets.definitions import DAYS_JOB, LISTS_JOB, build_definitions
from assets.whole_steps import CHECK_MODULES, TABLE_MODULES
from pipeline.common.settings import load_settings
from pipeline.run.check import CheckMoment, collect_checks
from pipeline.run.table_step import Stage, list_steps
from schemas import (
    RAW,
    TABLES,
    BillingUnits,
    Consents,
    Invoices,
    LogMessages,
    PlantAttributes,
    Reconciliation,
    ReconciliationYearly,
    Table,
    columns,
    storage,
)

DEFS = build_definitions(load_settings(env_file=None))
GRAPH = DEFS.resolve_asset_graph()
KEYS = sorted(GRAPH.materializable_asset_keys)
OPERATION = Path("docs/operations.md")
MODELS = {storage(model).table: model for model in TABLES}
# Made of the record of requests, of what owners say, of counting or of comparing: no column has parents of its own.
COUNTED = (BillingUnits, Invoices, Consents, LogMessages, Reconciliation, ReconciliationYearly)
LAYERS = ["source", "raw", "core", "report", "publish"]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_every_asset_says_what_it_is(key: dg.AssetKey) -> None:
    node = GRAPH.get(key)
    assert node.group_name in LAYERS
    assert node.owners
    assert len(node.description or "") > 30
    assert node.kinds


def test_the_page_of_operation_has_every_check_with_its_asset() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)`.*\| (?:warning|error)", OPERATION.read_text("utf-8"), re.MULTILINE
    )
    specs = [spec for checks in DEFS.asset_checks or [] for spec in checks.check_specs]
    assert {(spec.name, spec.asset_key.path[-1]) for spec in specs} <= set(rows)
    assert {name for name, _ in rows} == {spec.name for spec in specs} | {"grid_commands_ended"}


@pytest.mark.parametrize("key", [k for k in KEYS if k.path[0] in MODELS], ids=str)
def test_every_table_asset_shows_its_columns_with_units(key: dg.AssetKey) -> None:
    model = MODELS[key.path[0]]
    shown = GRAPH.get(key).metadata["dagster/column_schema"]
    assert [column.name for column in shown.columns] == [column.name for column in columns(model)]
    for column in columns(model):
        if column.unit:
            drawn = next(c for c in shown.columns if c.name == column.name)
            assert f"Unit: {column.unit}." in (drawn.description or "")


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_every_asset_links_to_what_is_written_about_it(key: dg.AssetKey) -> None:
    name = key.path[0]
    metadata = GRAPH.get(key).metadata
    references = {
        Path(ref.file_path): ref.line_number for ref in metadata["dagster/code_references"].code_references
    }
    page, line = next((path, line) for path, line in references.items() if path.suffix == ".md")
    assert metadata["docs"].value == f"docs/{page.name}"
    if name in MODELS:
        assert page.read_text().splitlines()[line - 1] == f"### `{name}`"
        source, line = next((path, line) for path, line in references.items() if path.suffix == ".py")
        assert source.read_text().splitlines()[line - 1].startswith(f"class {MODELS[name].__name__}(")


def test_links_lead_to_the_web_where_the_docs_are_there() -> None:
    settings = load_settings(env_file=None, docs_url="https://git.example.org/docs/")
    graph = build_definitions(settings).resolve_asset_graph()
    assert {
        name: graph.get(dg.AssetKey(name)).metadata["docs"].value for name in ("energy_daily", "warehouse")
    } == {
        "energy_daily": "https://git.example.org/docs/data-dictionary.md#energy_daily",
        "warehouse": "https://git.example.org/docs/bi.md",
    }


def parents(table: str, column: str) -> set[str]:
    lineage = GRAPH.get(dg.AssetKey(table)).metadata["dagster/column_lineage"]
    return {f"{dep.asset_key.path[0]}.{dep.column_name}" for dep in lineage.deps_by_column.get(column, ())}


def test_a_figure_leads_back_to_the_answer() -> None:
    assert parents("energy_monthly", "pv_generation_kwh") == {"energy_daily.pv_generation_kwh"}
    assert parents("energy_daily", "pv_generation_kwh") == {"energy_balance_intervals.pv_generation_kwh"}
    assert parents("energy_balance_intervals", "pv_generation_kwh") == {"raw_energy_balance.body"}
    # By a formula, also one that names columns of the same table; and by what only the model says.
    assert {
        "plants.peak_power_kw",
        "sensor_intervals.external_insolation_w_per_m2",
    } <= parents("kpi_daily", "performance_ratio_period")
    assert "plants.latitude" in parents("kpi_daily", "performance_ratio_clear_sky")
    assert "plants.latitude" not in parents("kpi_daily", "performance_ratio")
    assert parents("energy_daily", "n_flagged") == {"energy_balance_intervals.flagged"}
    assert parents("energy_daily", "pv_generation_covered_h") == {
        "energy_balance_intervals.pv_generation_kwh"
    }


ENERGY = [
    m for m in TABLES if storage(m).layer in {"core", "report"} and storage(m).asset and m not in COUNTED
]


@pytest.mark.parametrize("model", ENERGY, ids=lambda model: storage(model).table)
def test_every_column_of_core_and_report_tables_comes_from_somewhere(model: type[Table]) -> None:
    table = storage(model).table
    # A person closes a month, and a user's files name their source and tell what they know of plants.
    own = {"closed_at"} | ({"irradiation_series"} if table == "kpi_daily" else set())
    if model is PlantAttributes:
        own |= {column.name for column in columns(model)} - set(storage(model).key)
    lacking = {column.name for column in columns(model) if not parents(table, column.name)}
    assert lacking <= own
    for column in columns(model):
        for name in parents(table, column.name):
            parent, _, of = name.partition(".")
            assert of in {c.name for c in columns(MODELS[parent])}


def test_every_table_is_an_asset() -> None:
    tables = {storage(model).table for model in TABLES if storage(model).asset}
    assert {key.path[0] for key in KEYS} == {*tables, "warehouse", "monthly_report"}


def test_the_day_is_the_only_partition() -> None:
    found = {GRAPH.get(key).partitions_def for key in KEYS} - {None}
    assert len(found) == 1
    (days,) = found
    assert isinstance(days, dg.DailyPartitionsDefinition)
    for key in KEYS:
        if GRAPH.get(key).partitions_def:
            assert GRAPH.get(key).backfill_policy == dg.BackfillPolicy.multi_run(31)


@pytest.mark.parametrize("first", ["2026-10-20", "2026-10-26", "2026-10-27", "2026-10-28"])
@pytest.mark.parametrize("end_offset", [0, 1])
def test_days_are_those_that_dagster_lists(first: str, end_offset: int) -> None:
    # The next day has begun in the first zone, and a day of 25 hours has ended in Europe.
    for zone, hour in (("Pacific/Kiritimati", 9), ("Pacific/Kiritimati", 10), ("Europe/Berlin", 23)):
        options = {"start_date": first, "end_offset": end_offset, "timezone": zone}
        now = dt.datetime(2026, 10, 25, hour, 30, tzinfo=dt.UTC)
        days = dg.DailyPartitionsDefinition(**options).get_partition_keys(now)
        assert DayPartitions(**options).get_partition_keys(now) == days


def test_data_flows_one_way() -> None:
    for key in KEYS:
        layer = LAYERS.index(GRAPH.get(key).group_name or "")
        for parent in GRAPH.get(key).parent_keys:
            above = LAYERS.index(GRAPH.get(parent).group_name or "")
            assert above <= layer


def test_only_raw_assets_hold_the_pool_of_the_api() -> None:
    # Consents are asked for as well, but what SMA says of an owner names the owner: it is not kept as received.
    raw = {storage(model).table for model in RAW} | {"consents", "raw_grid_schedules"}
    assert {key.path[0] for key in KEYS if GRAPH.get(key).pools == {"sma_api"}} == raw


def covered(defs: dg.Definitions) -> set[str]:
    """The assets that the jobs make."""
    names = (LISTS_JOB, DAYS_JOB, "close_month", "close_year")
    jobs = [defs.resolve_job_def(name) for name in names]
    return {key.path[0] for job in jobs for key in job.asset_layer.executable_asset_keys}


def test_the_jobs_cover_the_graph() -> None:
    whole = load_settings(env_file=None, sets="all", logs="devices", energy_values="on", grid_control="read")
    assert covered(build_definitions(whole)) == {key.path[0] for key in KEYS}


def test_the_jobs_leave_out_the_sets_that_are_not_asked_for() -> None:
    asked = {name for name in covered(DEFS) if name.startswith("raw_")}
    lists = {"raw_plants", "raw_devices", "raw_measurement_sets"}
    lists |= {"raw_energy_months", "raw_energy_years"}
    assert asked == lists | {"raw_energy_balance", "raw_pv", "raw_logs"}
    made = covered(build_definitions(load_settings(env_file=None, sets="powerdc", logs="none")))
    assert {name for name in made if name.startswith("raw_")} == lists | {"raw_dc"}
    assert {name for name in made if name.endswith("_intervals")} == {"dc_intervals", "dc_device_intervals"}


def test_the_month_is_closed_and_published() -> None:
    made = DEFS.resolve_job_def("close_month").asset_layer.executable_asset_keys
    wanted = ("energy_monthly", "raw_energy_months", "reconciliation", "warehouse", "monthly_report")
    assert {dg.AssetKey(name) for name in wanted} <= set(made)


def test_a_column_schema_has_types_and_rules() -> None:
    schema = build_table_schema(MODELS["pv_intervals"])
    watts = next(column for column in schema.columns if column.name == "pv_generation_w")
    assert watts.type == "DOUBLE"
    assert watts.constraints.nullable
    assert watts.tags == {"unit": "W"}
    assert any("greater_than_or_equal_to(0)" in rule for rule in watts.constraints.other)


@pytest.mark.parametrize(
    "choice", [{}, {"sets": "powerdc", "logs": "none"}, {"sets": "all", "logs": "devices"}]
)
def test_a_backfill_needs_nothing_that_no_run_of_days_makes(choice: dict[str, str]) -> None:
    """Dagster warns of each input from outside that was never materialized: only lists may be one."""
    defs = build_definitions(load_settings(env_file=None, **choice))
    graph = defs.resolve_asset_graph()
    made = defs.resolve_job_def(DAYS_JOB).asset_layer.executable_asset_keys
    outside = {parent for key in made for parent in graph.get(key).parent_keys} - set(made)
    assert {graph.get(key).group_name for key in outside} == {"source"}


def declaring(room: ModuleType, declared: Callable[[ModuleType], list[Any]]) -> set[str]:
    """The modules of a room whose functions declare something."""
    names = [f"{room.__name__}.{found.name}" for found in pkgutil.iter_modules(room.__path__)]
    return {name for name in names if declared(importlib.import_module(name))}


def test_no_module_that_declares_a_table_or_a_check_is_forgotten() -> None:
    steps = declaring(
        pipeline.tables, lambda module: [s for stage in Stage for s in list_steps([module], stage)]
    )
    assert steps == {module.__name__ for module in TABLE_MODULES}
    checks = {
        name
        for room in (pipeline.extract, pipeline.tables, pipeline.ops)
        for name in declaring(
            room, lambda module: [c for after in CheckMoment for c in collect_checks([module], after)]
        )
    }
    assert checks == {module.__name__ for module in CHECK_MODULES}
