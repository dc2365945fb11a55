"""How complete the days of a command are, on the terminal."""

import datetime as dt
from collections.abc import Collection

import duckdb
import polars as pl
from rich.text import Text

from pipeline.cli.console import out, say
from pipeline.common.calendar_months import find_month_end
from pipeline.common.text import pluralize
from pipeline.ops.completeness import Completeness, measure_completeness, summarize
from pipeline.run.context import RunContext
from pipeline.run.plants import find_chosen_plants
from warehouse.month_queries.month_completeness import NOT_FETCHED, read_plant_days

# A list longer than a screen is not read; the view v_days_to_check holds the rest.
LINES_SHOWN = 20


def show_completeness(runtime: RunContext, days: Collection[dt.date]) -> bool:
    """Say how many plant-days of these days are complete and list what is missing. Returns whether all are complete."""
    found = measure_completeness(runtime, days, find_chosen_plants(runtime))
    say(found.describe())
    if not found.is_whole:
        out.print("Done in part:")
    for line in found.list_lines(LINES_SHOWN):
        out.print(Text(f"  {line}"), soft_wrap=True)
    if found.lacking.height > LINES_SHOWN:
        more = found.lacking.height - LINES_SHOWN
        out.print(f"  and {pluralize(more, 'more plant')}: look at the view v_days_to_check for the rest.")
    return found.is_whole


def say_month(connection: duckdb.DuckDBPyConnection, month: dt.date, only: Collection[str]) -> Completeness:
    """Say how many plant-days of a published month are complete, since a report can't be better than its days."""
    days = read_plant_days(connection, month, only)
    found = summarize(days)
    if days.height:
        held = days.filter(pl.col("reason") != NOT_FETCHED)["local_date"].n_unique()
        of_month = find_month_end(month).day
        absent = (
            f" The warehouse holds {held} of the {of_month} days of this month." if held < of_month else ""
        )
        whole = found.is_whole and not found.provisional and held == of_month
        say(f"{month:%Y-%m}{'' if whole else ' is not complete'}: {found.describe()}{absent}")
    return found
