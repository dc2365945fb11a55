"""The part of `sunledger repair` that repairs the lake and the published file: what it checks, asks and reports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.billing import load_prices
from pipeline.billing.spending import CostNotAllowedError, find_new_units
from pipeline.cli.bills.cost_consent import agree
from pipeline.cli.console import Bars, out, say, say_all, show_table
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.text import pluralize
from pipeline.ops import repair
from pipeline.ops.repair_list import LostParts
from pipeline.ops.repair_requests import (
    LISTS_ASKED,
    SHOWN,
    AskedAgain,
    RepairOutcome,
    find_answers,
    plan_requests_again,
    send,
)
from pipeline.run.context import RunContext
from pipeline.run.preflight import check_before_requests
from pipeline.tables.incomplete_days import list_days_with_answers
from schemas import TABLES, RawPlants, storage
from warehouse.integrity.damage import Damage
from warehouse.lake import Lake
from warehouse.published_file.publish import forget_published
from warehouse.published_file.published_copy import PublishedCopy, open_published_copy
from warehouse.published_file.published_object import open_target
from warehouse.repairs.lost_parts import LostPart, Step
from warehouse.verification.known_tables import KnownTables, LakeLostError
from warehouse.verification.older_states import find_older_states
from warehouse.verification.verify import list_damages, verify_published


def mend_lake(settings: Settings, *, yes: bool, lost_lake: bool) -> Iterator[str]:
    """Repair what `verify` finds, show it in a table, and yield a sentence. Raises SunledgerError if damage is left.

    `lost_lake` says that a lake that is gone as a whole won't come back.
    """
    _fetch_copy(settings)
    if lost_lake:
        # The new lake will have none of its files, and yet it is this home's.
        forget_published(settings.warehouse, say)
    lake = Lake(settings.lake, settings.home / "tmp")
    with open_published_copy(settings.warehouse, lake) as copy, _list_lost_lake(settings):
        steps = repair.make_readable(settings, copy, say, lost_lake=lost_lake)
        lost = LostParts(settings.home).read()
        published = [found.damage for found in verify_published(lake, settings.warehouse) if found.damage]
        if not (steps or lost or published):
            return
        if copy and any(find_older_states(Lake(settings.lake, settings.home / "tmp"), copy.versions)):
            # All that it has was brought forward. A table that was lost begins again at its first version.
            forget_published(settings.warehouse, say)
        with RunContext(settings, reuse=False, tell=say) as runtime:
            outcome = _make_again(runtime, copy, lost, yes=yes)
    _show(steps, outcome, published, "what the repair did")
    left = list_damages(Lake(settings.lake, settings.home / "tmp"))
    left += [found.damage for found in verify_published(lake, settings.warehouse) if found.damage]
    _tell_rest(left, outcome)
    yield "All damage that was found is repaired, and 'sunledger verify' passes."


def _fetch_copy(settings: Settings) -> None:
    """What is published holds rows that may be lost in the lake, so this machine's copy of it has to be the newest."""
    if target := open_target(settings, say):
        target.fetch()


def look_at_lake(settings: Settings) -> Iterator[str]:
    """Show what `mend_lake` would do and cost. Changes nothing and sends no request."""
    _fetch_copy(settings)
    lake = Lake(settings.lake, settings.home / "tmp")
    published = [found.damage for found in verify_published(lake, settings.warehouse) if found.damage]
    with (
        repair.open_shadow(settings) as shadow,
        open_published_copy(settings.warehouse, lake) as copy,
        _list_lost_lake(settings),
    ):
        KnownTables(settings.home, settings.warehouse).check_lake(lake)
        steps = repair.make_readable(shadow, copy)
        lost = LostParts(shadow.home).read()
        if not (steps or lost or published):
            return
        outcome = RepairOutcome()
        with RunContext(shadow) as runtime:
            repair.put_back(runtime, copy, outcome, lost)
            repair.make_lists(runtime, outcome, lost)
            rest = [one for one in lost if one not in outcome.known]
            for again in plan_requests_again(runtime, rest):
                text = f"would be fetched again with {pluralize(len(again.requests), 'request')}"
                outcome.waiting |= dict.fromkeys(again.lost, text)
                if again.plants:
                    yield _describe_cost(runtime, again)
            others = [one for one in rest if one not in outcome.known]
            outcome.healed |= dict.fromkeys(others, "would be rebuilt without a request")
    _show(steps, outcome, published, "what the repair would do")
    yield "This was a dry run, so nothing was changed."


@contextmanager
def _list_lost_lake(settings: Settings) -> Iterator[None]:
    """Name each table of a lake that is gone as a whole, before the error says so."""
    try:
        yield
    except LakeLostError:
        known = KnownTables(settings.home, settings.warehouse).read()
        rows = [(storage(model).table, "is lost", "nothing") for model in TABLES if model in known]
        show_table("", [("where", False), ("what was found", False), ("what the repair did", False)], rows)
        raise


def _make_again(
    runtime: RunContext, copy: PublishedCopy | None, lost: Sequence[LostPart], *, yes: bool
) -> RepairOutcome:
    from assets.runs import record_runs  # Loads Dagster.

    outcome = RepairOutcome()
    # Prices and the records of runs are needed at the end, and requests that were sent before would cost their fees
    # for nothing.
    load_prices(runtime.settings.prices)
    if any(find_answers(one) for one in lost):
        check_before_requests(runtime.settings)
    with record_runs(runtime, command="repair") as runs:
        repair.put_back(runtime, copy, outcome, lost)
        repair.make_lists(runtime, outcome, lost)
        # The list of plants costs nothing, and nothing else can be fetched without it.
        for wave in ([one for one in lost if one.model is RawPlants], lost):
            _ask(runtime, outcome, [one for one in wave if one not in outcome.known], yes=yes)
            repair.make_lists(runtime, outcome, lost)
        # What is still unknown can't be recovered, so it is recorded before anything is counted again.
        repair.keep_lost_requests(runtime.settings, outcome, lost)
        answered = list_days_with_answers(runtime)
        left = [one for one in lost if one not in outcome.known]
        repair.put_back_days(runtime, copy, outcome, left, answered)
        if set(lost) - outcome.copied.keys():
            with Bars("day") as bars:
                runtime.progress = bars
                runs.mend(repair.list_days_to_make(lost, outcome, answered))
        repair.make_vendor_tables(runtime, lost)
        say_all(runs.publish())
    repair.judge_repair(runtime, outcome, lost, answered)
    LostParts(runtime.settings.home).write(outcome.waiting)
    return outcome


def _ask(runtime: RunContext, outcome: RepairOutcome, lost: Sequence[LostPart], *, yes: bool) -> None:
    """Fetch lost answers from SMA, after consent to their cost."""
    try:
        found = plan_requests_again(runtime, lost)
    except SunledgerError as fault:
        outcome.waiting |= {one: str(fault) for one in lost if one.model in LISTS_ASKED}
        return
    for again in found:
        try:
            if again.plants:
                say(_describe_cost(runtime, again))
                agree(runtime, sorted(again.plants), yes=yes)
        except CostNotAllowedError as fault:
            outcome.waiting |= dict.fromkeys(again.lost, f"must be fetched again. {fault}")
            continue
        with Bars() as bars:
            runtime.progress = bars
            send(runtime, again, outcome)


def _describe_cost(runtime: RunContext, again: AskedAgain) -> str:
    places = ", ".join(one.place for one in again.lost[:SHOWN]) + (", …" if len(again.lost) > SHOWN else "")
    text = f"Fetching the lost answers again ({places}) needs {pluralize(len(again.requests), 'request')}."
    units = find_new_units(runtime, again.plants)
    return f"{text} {units.describe()}" if units.plants.height else f"{text} They add no PU to this month."


def _show(steps: Sequence[Step], outcome: RepairOutcome, published: Sequence[Damage], heading: str) -> None:
    rows = [(step.place, step.found, step.done) for step in steps]
    for said in (outcome.copied, outcome.healed, outcome.gone, outcome.waiting):
        rows += [(one.place, "its rows are lost", text) for one, text in said.items()]
    rows += [(damage.place, damage.fault, "published again") for damage in published]
    show_table("", [("where", False), ("what was found", False), (heading, False)], rows)


def _tell_rest(left: Sequence[Damage], outcome: RepairOutcome) -> None:
    for damage in left:
        out.print(str(damage), soft_wrap=True, markup=False)
    if left:
        raise SunledgerError(
            f"{pluralize(len(left), 'fault')} can't be repaired: restore these parts from a backup."
        )
    if outcome.gone or outcome.waiting:
        gone, waiting = (
            "; ".join(f"{one.place}: {text.rstrip('.')}" for one, text in said.items())
            for said in (outcome.gone, outcome.waiting)
        )
        n_later = pluralize(len(outcome.waiting), "part")
        later = f" {n_later} can't be rebuilt yet, and the next 'sunledger repair' tries again: {waiting}."
        raise SunledgerError(
            f"All tables can be read again, but not all rows could be rebuilt.{f' {gone}.' if gone else ''}"
            f"{later if waiting else ''}"
        )
