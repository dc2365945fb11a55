"""`sunledger plants`: the stored fleet, shown without a request to SMA."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    "plant_id",
    "name",
    "timezone",
    "ac_power_kw",
    "sets",
    "first_day",
    "last_day",
    "last_seen",
    "excluded_from",
    "plant_group",
)


def run_plants(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False
) -> None:
    """List the stored plants: time zone, AC power, sets, first and last day with data, day of exclusion, group."""
    import polars as pl
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    from pipeline.cli.console import HarmlessStream, out, say

    found = _read_plants()
    if as_json:
        HarmlessStream().write(json.dumps(found.to_dicts(), default=str, indent=2) + "\n")
        return
    if not found.height:
        say("No plant is stored yet: fetch the list with 'sunledger refresh'.")
        return
    grid = Grid(*COLUMNS, box=box.SIMPLE)
    for row in found.with_columns(pl.col("sets").list.len()).rows():
        grid.add_row(*(Text("" if value is None else str(value)) for value in row))
    out.print(grid)


def _read_plants() -> "pl.DataFrame":
    """The stored plants with COLUMNS, by name; their sets as a list."""
    import polars as pl

    from pipeline.common.settings import load_settings
    from pipeline.run.supplied_files.fleet_membership import read_fleet
    from pipeline.run.supplied_files.plant_attributes import match_plants
    from schemas import EnergyDaily, MeasurementSets, Plants
    from warehouse.lake import Lake

    settings = load_settings()
    lake = Lake(settings.lake, settings.home / "tmp")
    known = lake.scan(Plants).drop("excluded_from").collect()
    # By the present settings, which may be newer than the stored list.
    excluded = read_fleet(settings).find_excluded(known)
    sets = lake.scan(MeasurementSets).group_by("plant_id").agg(sets=pl.col("set_type").unique().sort())
    day = pl.col("local_date")
    days = (
        lake.scan(EnergyDaily)
        .filter(pl.col("n_rows") > 0)
        .group_by("plant_id")
        .agg(first_day=day.min(), last_day=day.max())
    )
    return (
        known.join(excluded, on="plant_id", how="left")
        .join(sets.collect(), on="plant_id", how="left")
        .join(days.collect(), on="plant_id", how="left")
        .join(match_plants(settings, known).select("plant_id", "plant_group"), on="plant_id", how="left")
        .with_columns(pl.col("sets").fill_null([]))
        .select(COLUMNS)
        .sort("name", "plant_id")
    )
