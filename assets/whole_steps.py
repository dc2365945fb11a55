"""The steps of the asset graph without Dagster: which there are in each stage, and in which order they can be done.

`assets.table_assets` makes assets of them, `assets.run_control.spared_runs` does them where nothing has changed.
"""

from graphlib import TopologicalSorter

from pipeline.common.settings import Settings
from pipeline.extract import consent_refresh
from pipeline.extract.fetch import fetch_devices, fetch_measurement_sets, fetch_plants
from pipeline.extract.grid_schedules import fetch_grid_schedules
from pipeline.ops import checks
from pipeline.run.measurement_sets import SOURCES, VALUES, list_idle_tables
from pipeline.run.table_step import Stage, TableStep, list_steps
from pipeline.tables import (
    billing_tables,
    curtailment_tables,
    energy_tables,
    grid_control_tables,
    hourly_tables,
    interval_tables,
    inventory_tables,
    kpi_tables,
    log_tables,
    month_close,
    reconciliation_tables,
)
from schemas import (
    Consents,
    Devices,
    Plants,
    RawDevices,
    RawGridSchedules,
    RawMeasurementSets,
    RawPlants,
    storage,
)

# The modules whose functions declare which tables they write.
TABLE_MODULES = (
    inventory_tables,
    grid_control_tables,
    interval_tables,
    log_tables,
    hourly_tables,
    energy_tables,
    kpi_tables,
    curtailment_tables,
    reconciliation_tables,
    billing_tables,
)
# The modules whose functions declare checks.
CHECK_MODULES = (
    consent_refresh,
    checks,
    month_close,
    reconciliation_tables,
    billing_tables,
    curtailment_tables,
    grid_control_tables,
)
# SMA's lists, which are asked for.
ASKED_LISTS = (
    TableStep(RawPlants, fetch_plants, (), Stage.PLANTS),
    TableStep(Consents, consent_refresh.refresh_consents, (RawPlants,), Stage.PLANTS),
    TableStep(RawDevices, fetch_devices, (Plants,), Stage.DEVICES),
    TableStep(RawMeasurementSets, fetch_measurement_sets, (Plants, Devices), Stage.DEVICES),
    TableStep(RawGridSchedules, fetch_grid_schedules, (Plants,), Stage.DEVICES),
)


def list_asked(stage: Stage) -> list[TableStep]:
    """SMA's lists of that stage."""
    return [step for step in ASKED_LISTS if step.stage is stage]


def list_whole_steps(settings: Settings, stage: Stage) -> list[TableStep]:
    """The steps of a stage that the settings choose, each after those of the stage whose tables it reads."""
    idle = list_idle_tables(settings)
    steps = {
        storage(step.model).table: step for step in (*list_asked(stage), *list_steps(TABLE_MODULES, stage))
    }
    order = TopologicalSorter({name: steps.keys() & set(step.inputs) for name, step in steps.items()})
    return [steps[name] for name in order.static_order() if name not in idle]


def list_day_steps(settings: Settings) -> list[str]:
    """The tables of days that a run makes of answers by the settings."""
    made = (
        *(source.intervals for source in (*SOURCES, VALUES)),
        *(step.model for step in list_steps(TABLE_MODULES, Stage.DAYS)),
    )
    idle = list_idle_tables(settings)
    return [name for model in made if (name := storage(model).table) not in idle]
