"""How complete the days of a command are, on the terminal."""

import datetime as dt
from calendar import monthrange
from collections.abc import Collection

import duckdb
from rich.text import Text

from pipeline.cli.console import out, say
from pipeline.common.text import pluralize
from pipeline.ops.completeness import measure_completeness, summarize
from pipeline.run.context import RunContext
from pipeline.run.plants import find_chosen_plants

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


def say_month(connection: duckdb.DuckDBPyConnection, month: dt.date, only: Collection[str] = ()) -> None:
    """Say how many plant-days of a published month are complete, since a report can't be better than its days."""
    found = connection.execute(
        """
        SELECT energy.plant_id, plants.name, energy.local_date, energy.status AS reason
        FROM energy_daily AS energy LEFT JOIN plants USING (plant_id)
        WHERE date_trunc('month', energy.local_date) = $month
        AND (len($only) = 0 OR list_contains($only, energy.plant_id))
        """,
        {"month": month, "only": list(only)},
    ).pl()
    if not found.height:
        return
    stored, of_month = found["local_date"].n_unique(), monthrange(month.year, month.month)[1]
    # Days that were never fetched have no row, so a count of rows would not show that they are missing.
    absent = (
        f" The warehouse holds {stored} of the {of_month} days of this month." if stored < of_month else ""
    )
    say(f"{month:%Y-%m}: {summarize(found).describe()}{absent}")
