"""Options that several commands share, and the run's context that they describe."""

import datetime as dt
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.console import say
from pipeline.common.errors import UsageError

if TYPE_CHECKING:
    from pipeline.run.context import RunContext


FIRST_DAY = typer.Option("--from", metavar="YYYY-MM-DD", help="First day to fetch.")
LAST_DAY = typer.Option("--to", metavar="YYYY-MM-DD", help="Last day to fetch.")
PLANTS = typer.Option("--plants", help="Plant id. Repeat the option for more plants. Default: all plants.")
SETS = typer.Option(
    "--sets", help="Measurement set, or 'all'. Repeat the option for more sets. Default: SUNLEDGER_SETS."
)
GROUPS = typer.Option(
    "--group",
    metavar="NAME",
    help="Group of plants in SUNLEDGER_PLANT_ATTRIBUTES. Repeat the option for more groups. Default: all plants.",
)
CREDENTIAL = typer.Option(
    "--credential", metavar="NAME", help="Name of one of the credentials that SMA_CREDENTIALS lists."
)
SHARD = typer.Option(
    "--shard",
    metavar="NUMBER/COUNT",
    help="Fetch only this shard of the plants, such as 2/3. The shards may run at once, on any machine; the last one "
    "makes the tables of the days and publishes.",
)
YES = typer.Option("--yes", help="Accept the PU that this adds to the month's bill, without being asked.")


def parse_day(option: str, text: str) -> dt.date:
    """The day that an option names. Raises UsageError with the option and the form to write it in."""
    with suppress(ValueError):
        day = dt.date.fromisoformat(text)
        # Python also accepts 20261031 and 2026-W44-6, which are usually typing errors.
        if day.isoformat() == text:
            return day
    raise UsageError(f"{option} {text} is not a day: write it as YYYY-MM-DD, for instance 2026-10-31.")


def parse_month_option(option: str, text: str) -> dt.date:
    """The first day of a month that an option names as YYYY-MM. Raises UsageError."""
    if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII) and text >= "0001":
        return dt.date.fromisoformat(f"{text}-01")
    raise UsageError(f"{option} {text} is not a month: write it as YYYY-MM, for instance 2026-10.")


def open_runtime(
    plants: list[str] | None,
    sets: list[str] | None = None,
    *,
    groups: list[str] | None = None,
    again: bool = False,
    shard: str | None = None,
    reuse: bool = True,
    overrides: Mapping[str, str] | None = None,
) -> "RunContext":
    """The context of a run that is limited to these plants, groups, sets and shard; without them it is about all.

    Without `reuse` it makes all tables of its days, whether anything has changed or not. `overrides` are settings that
    options of the command give, by the names of their fields.

    Raises UsageError for an empty list, for a group that does not exist, and for what is no shard.
    """
    from pipeline.common.settings import load_settings
    from pipeline.run.context import RunContext
    from pipeline.run.shards import parse_shard
    from pipeline.run.supplied_files.plant_attributes import find_members

    wanted = frozenset(word for plant in plants or [] for word in plant.split(",") if word)
    if plants and not wanted:
        raise UsageError("The option --plants is empty: give a plant id, for instance --plants 5000000.")
    given: dict[str, Any] = {**(overrides or {}), **({"sets": ",".join(sets)} if sets else {})}
    settings = load_settings(from_options=given, **given)
    chosen = frozenset(groups or [])
    # A group that does not exist is reported before anything begins.
    find_members(settings, sorted(chosen), "--group")
    part = parse_shard("--shard", shard) if shard else None
    return RunContext(
        settings, only_plants=wanted, only_groups=chosen, again=again, shard=part, reuse=reuse, tell=say
    )


def check_days_of_run(runtime: "RunContext", first: dt.date, last: dt.date) -> None:
    """Raises UsageError unless the warehouse can hold all days from `first` to `last`."""
    from pipeline.common.day_availability import check_days

    check_days(first, last, runtime.settings.first_day, runtime.now())
