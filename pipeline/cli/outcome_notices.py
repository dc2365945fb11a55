"""What a command says at its end of missing items and unknown fields, and the exit code that follows."""

from typing import TYPE_CHECKING

import typer

from pipeline.cli.console import list_item, out, say
from pipeline.cli.exit_codes import IN_PART
from pipeline.common.text import pluralize, shorten_text

if TYPE_CHECKING:
    from pipeline.run.context import RunContext
    from pipeline.run.notices import Notices
    from pipeline.transform.sun.fleet_verdict import SolarTime


# A list longer than a screen is not read; the table quarantine holds the rest.
MISSING_SHOWN = 20
NAME_SHOWN = 100


def tell_unknown(notices: "Notices") -> None:
    """Report once a run which fields of SMA's answers the tables do not have."""
    for table, names in sorted(notices.unknown_fields.items()):
        shown = ", ".join(shorten_text(name, NAME_SHOWN) for name in sorted(names)[:MISSING_SHOWN])
        say(f"Notice: SMA sends fields that no table has. They are kept unchanged in {table}: {shown}.")
    if notices.odd_facts:
        say(
            f"Notice: {pluralize(notices.odd_facts, 'part')} of SMA's lists and logs can't be read. What is unreadable "
            "is stored as null, names without their broken characters, and the rest as it is. Look at the table "
            "quarantine (sources plants, devices, measurement_sets and logs) for each."
        )


def tell_shard_end(runtime: "RunContext", lacking: int) -> None:
    """Report that a shard is fetched, and who makes the tables: `lacking` plants of other shards lack answers."""
    say(
        f"Shard {runtime.shard} is fetched with {pluralize(runtime.session.requests_sent, 'request')}. "
        f"{pluralize(lacking, 'plant')} of other shards {'lacks' if lacking == 1 else 'lack'} answers of these days: "
        "the shard that comes last makes their tables and publishes. If none comes, 'sunledger publish' does."
    )


def tell_missing(notices: "Notices", solar_time: "SolarTime | None" = None) -> None:
    """List what is missing in this run, and last that its times contradict the sun, for then all figures are wrong."""
    n_missing = len(notices.missing)
    if n_missing:
        out.print(
            f"Done in part: {pluralize(n_missing, 'item')} {'is' if n_missing == 1 else 'are'} missing."
        )
    for item in sorted(notices.missing)[:MISSING_SHOWN]:
        plant = f" plant {item.plant_id}" if item.plant_id else ""
        list_item(f"  {item.day} {item.table}{plant}: {item.reason}")
    if n_missing > MISSING_SHOWN:
        out.print(f"  and {n_missing - MISSING_SHOWN} more: look at the table quarantine for the rest.")
    fits = solar_time is None or solar_time.agrees
    if solar_time is not None and not fits:
        out.print(
            f"The times of these days contradict the position of the sun. {solar_time.describe()}",
            soft_wrap=True,
        )
    if n_missing or not fits:
        raise typer.Exit(IN_PART)
