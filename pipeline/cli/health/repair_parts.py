"""`sunledger repair`: each part repairs one kind of damage and says what it did."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pipeline.cli.console import complain, say
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.ops.set_aside import delete_outdated, describe_outdated


class Part(NamedTuple):
    """A part of the repair: its name, and the function that repairs and yields a sentence for each repair.

    `mend` raises SunledgerError for damage that it can't repair; the other parts still run.
    """

    name: str
    mend: Callable[[Settings], Iterator[str]]


def run_repair_parts(settings: Settings, parts: Sequence[Part]) -> bool:
    """Run all parts in order. Returns whether no damage is left."""
    well, n_mended = True, 0
    for part in parts:
        try:
            for sentence in part.mend(settings):
                n_mended += 1
                say(f"{part.name}: {sentence}")
        except SunledgerError as error:
            well = False
            complain(f"{part.name}: {error}")
    if well and not n_mended:
        say("Nothing is damaged, so nothing was repaired.")
    return well


def build_parts(lost_hosts: Sequence[str], *, yes: bool, lost_lake: bool) -> list[Part]:
    """Build the parts in the order in which they need each other. `yes` is consent to the cost of requests.

    `lost_hosts` and `lost_lake` name what is gone for good.
    """
    from assets.home_setup.mend_records import mend_records  # Loads Dagster.
    from pipeline.cli.health.repair_lake import mend_lake

    def end_runs(settings: Settings) -> Iterator[str]:
        return _end_runs(settings, lost_hosts)

    return [
        Part("records of runs", mend_records),
        Part("runs", end_runs),
        Part("lake", lambda settings: mend_lake(settings, yes=yes, lost_lake=lost_lake)),
        *build_document_parts(),
        Part("set aside", lambda settings: delete_outdated(settings, dt.datetime.now(dt.UTC))),
    ]


def build_dry_run_parts() -> list[Part]:
    """Build the parts that only report: what `build_parts` would repair, and what is kept for too long."""
    from assets.home_setup.mend_records import look_at_records  # Loads Dagster.
    from pipeline.cli.health.repair_lake import look_at_lake

    return [
        Part("records of runs", look_at_records),
        Part("lake", look_at_lake),
        *build_document_parts(),
        Part("set aside", lambda settings: describe_outdated(settings, dt.datetime.now(dt.UTC))),
    ]


def build_document_parts() -> list[Part]:
    """The parts that read what no repair can make: consents to costs and of owners, and ordered limits."""
    from pipeline.billing.spending import check_agreements
    from pipeline.extract.consent_refresh import read_owners
    from pipeline.run.grid_order_book import GridOrderBook

    def read_agreements(settings: Settings) -> None:
        check_agreements(settings, dt.datetime.now(dt.UTC))

    return [
        Part("agreed costs", _build_reader(read_agreements)),
        Part("orders of limits", _build_reader(lambda settings: GridOrderBook(settings).list_orders())),
        Part("owners' consents", _build_reader(read_owners)),
    ]


def _build_reader(read: Callable[[Settings], object]) -> Callable[[Settings], Iterator[str]]:
    """What repairs nothing, and raises the SunledgerError of `read`, which names the cure."""

    def mend(settings: Settings) -> Iterator[str]:
        read(settings)
        yield from ()

    return mend


def _end_runs(settings: Settings, lost_hosts: Sequence[str]) -> Iterator[str]:
    from assets.home_setup.dagster_home import explain_faults, open_dagster, prepare_dagster_home
    from assets.run_control.dead_runs import end_dead_runs  # Loads Dagster.
    from assets.run_control.pool_waits import describe_ended_run

    if not (settings.home / "dagster").is_dir():
        return
    with (
        open_dagster(settings) as instance,
        explain_faults(prepare_dagster_home(settings), records_only=True),
    ):
        for one in end_dead_runs(instance, lost_hosts=lost_hosts):
            yield describe_ended_run(one)
