"""One pandera model per table: the contract of storage, documentation and user interfaces.

A table is declared once, by its model in a module of this package. The package exports every public name of those
modules, and `TABLES` and `RAW` are derived from them, so a new model needs no other entry.
"""

from types import ModuleType

from schemas import (
    access,
    battery_sets,
    changes,
    core,
    curtailment,
    grid_control,
    inverter_sets,
    kpi,
    live_values,
    meter_sets,
    raw,
    report_tables,
    sets,
    site_sets,
    usage,
)
from schemas.access import *  # noqa: F403
from schemas.base import Column as Column
from schemas.base import Storage as Storage
from schemas.base import Table as Table
from schemas.base import columns as columns
from schemas.base import comment as comment
from schemas.base import polars_schema as polars_schema
from schemas.base import storage as storage
from schemas.battery_sets import *  # noqa: F403
from schemas.changes import *  # noqa: F403
from schemas.core import *  # noqa: F403
from schemas.curtailment import *  # noqa: F403
from schemas.grid_control import *  # noqa: F403
from schemas.inverter_sets import *  # noqa: F403
from schemas.kpi import *  # noqa: F403
from schemas.live_values import *  # noqa: F403
from schemas.meter_sets import *  # noqa: F403
from schemas.raw import *  # noqa: F403
from schemas.report_tables import *  # noqa: F403
from schemas.sets import *  # noqa: F403
from schemas.site_sets import *  # noqa: F403
from schemas.usage import *  # noqa: F403

# The order of the modules is the order of the tables in the published file and the data dictionary.
MODULES: tuple[ModuleType, ...] = (
    raw,
    core,
    access,
    battery_sets,
    meter_sets,
    inverter_sets,
    site_sets,
    sets,
    usage,
    live_values,
    grid_control,
    report_tables,
    kpi,
    curtailment,
    changes,
)


def list_tables(module: ModuleType) -> tuple[type[Table], ...]:
    """The models of tables that the module declares, in its order.

    Parts of tables have no table name and are left out.
    """
    return tuple(
        model
        for model in vars(module).values()
        if isinstance(model, type)
        and issubclass(model, Table)
        and model.__module__ == module.__name__
        and storage(model).table
    )


TABLES: tuple[type[Table], ...] = tuple(model for module in MODULES for model in list_tables(module))
RAW: tuple[type[raw.RawAnswers], ...] = tuple(m for m in TABLES if issubclass(m, raw.RawAnswers))
