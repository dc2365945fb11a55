"""The part of `sunledger repair` that mends the lake and the published file: what it looks at, asks, and says."""

from collections.abc import Iterator, Sequence

from pipeline.billing.spending import CostNotAllowedError, find_new_units
from pipeline.cli.console import Bars, out, say, say_all, show_table
from pipeline.cli.spending import agree
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.text import pluralize
from pipeline.ops import repair
from pipeline.ops.repair_list import LostParts
from pipeline.ops.repair_requests import LISTS_ASKED, SHOWN, AskedAgain, Outcome, plan_requests_again, send
from pipeline.run.context import Runtime
from pipeline.tables.incomplete_days import list_days_with_answers
from schemas import RawPlants
from warehouse.damage import Damage
from warehouse.lake import Lake
from warehouse.lake_repair import Lost, Step
from warehouse.published_copy import PublishedCopy, open_published_copy
from warehouse.verify import verify_lake, verify_published


def mend_lake(settings: Settings, *, yes: bool) -> Iterator[str]:
    """Mend what `verify` finds, and show it in a table; a sentence at the end. Raises SunledgerError for what stays."""
    with open_published_copy(settings.warehouse) as copy:
        steps = repair.make_readable(settings, copy, say)
        lost = LostParts(settings.home).read()
        published = [found.damage for found in verify_published(settings.warehouse) if found.damage]
        if not (steps or lost or published):
            return
        with Runtime(settings, tell=say) as runtime:
            outcome = _make_again(runtime, copy, lost, yes=yes)
    _show(steps, outcome, published, "what was done")
    left = [found.damage for found in verify_lake(Lake(settings.lake, settings.home / "tmp")) if found.damage]
    left += [found.damage for found in verify_published(settings.warehouse) if found.damage]
    _tell_rest(left, outcome)
    yield "Everything that was found is mended, and 'sunledger verify' passes."


def look_at_lake(settings: Settings) -> Iterator[str]:
    """What `mend_lake` would do and cost. Nothing is changed, and nothing is asked."""
    published = [found.damage for found in verify_published(settings.warehouse) if found.damage]
    with repair.open_shadow(settings) as shadow, open_published_copy(settings.warehouse) as copy:
        steps = repair.make_readable(shadow, copy)
        lost = LostParts(shadow.home).read()
        if not (steps or lost or published):
            return
        outcome = Outcome()
        with Runtime(shadow) as runtime:
            repair.put_back(runtime, copy, outcome, lost)
            repair.make_lists(runtime, outcome, lost)
            rest = [one for one in lost if one not in outcome.known]
            for again in plan_requests_again(runtime, rest):
                text = f"would be asked for again: {pluralize(len(again.requests), 'request')}"
                outcome.waiting |= dict.fromkeys(again.lost, text)
                if again.plants:
                    yield _cost(runtime, again)
            others = [one for one in rest if one not in outcome.known]
            outcome.healed |= dict.fromkeys(others, "would be made again without a request")
    _show(steps, outcome, published, "what would be done")
    yield "Nothing was changed: this was a dry run."


def _make_again(runtime: Runtime, copy: PublishedCopy | None, lost: Sequence[Lost], *, yes: bool) -> Outcome:
    from assets.runs import record_runs  # noqa: PLC0415 - loads Dagster

    outcome = Outcome()
    repair.put_back(runtime, copy, outcome, lost)
    repair.make_lists(runtime, outcome, lost)
    # The list of plants costs nothing, and nothing else can be asked for without it.
    for wave in ([one for one in lost if one.model is RawPlants], lost):
        _ask(runtime, outcome, [one for one in wave if one not in outcome.known], yes=yes)
        repair.make_lists(runtime, outcome, lost)
    # What is not known by now is not to be had: it is kept before anything is counted anew.
    repair.keep_lost_requests(runtime.settings, outcome, lost)
    answered = list_days_with_answers(runtime)
    repair.put_back_days(runtime, copy, outcome, [one for one in lost if one not in outcome.known], answered)
    with record_runs(runtime, command="repair") as runs:
        if set(lost) - outcome.copied.keys():
            with Bars("day") as bars:
                runtime.progress = bars
                runs.mend(repair.list_days_to_make(lost, outcome, answered))
        repair.make_vendor_tables(runtime, lost)
        say_all(runs.publish())
    repair.judge(runtime, outcome, lost, answered)
    LostParts(runtime.settings.home).write(outcome.waiting)
    return outcome


def _ask(runtime: Runtime, outcome: Outcome, lost: Sequence[Lost], *, yes: bool) -> None:
    """Ask SMA for lost answers, once their cost was told and agreed to."""
    try:
        found = plan_requests_again(runtime, lost)
    except SunledgerError as fault:
        outcome.waiting |= {one: str(fault) for one in lost if one.model in LISTS_ASKED}
        return
    for again in found:
        try:
            if again.plants:
                say(_cost(runtime, again))
                agree(runtime, sorted(again.plants), yes=yes)
        except CostNotAllowedError as fault:
            outcome.waiting |= dict.fromkeys(again.lost, f"to be asked for again. {fault}")
            continue
        with Bars() as bars:
            runtime.progress = bars
            send(runtime, again, outcome)


def _cost(runtime: Runtime, again: AskedAgain) -> str:
    places = ", ".join(one.place for one in again.lost[:SHOWN]) + (", …" if len(again.lost) > SHOWN else "")
    text = f"Lost answers ({places}) take {pluralize(len(again.requests), 'request')} to SMA."
    units = find_new_units(runtime, again.plants)
    return f"{text} {units.sentence()}" if units.plants.height else f"{text} They add no PU to this month."


def _show(steps: Sequence[Step], outcome: Outcome, published: Sequence[Damage], heading: str) -> None:
    rows = [(step.place, step.found, step.done) for step in steps]
    for said in (outcome.copied, outcome.healed, outcome.gone, outcome.waiting):
        rows += [(one.place, "its rows are lost", text) for one, text in said.items()]
    rows += [(damage.place, damage.fault, "published anew") for damage in published]
    show_table("", [("where", False), ("what was found", False), (heading, False)], rows)


def _tell_rest(left: Sequence[Damage], outcome: Outcome) -> None:
    for damage in left:
        out.print(str(damage), soft_wrap=True, markup=False)
    if left:
        raise SunledgerError(
            f"{pluralize(len(left), 'fault')} can't be mended: restore these parts from a backup."
        )
    if outcome.gone or outcome.waiting:
        gone, waiting = (
            "; ".join(f"{one.place}: {text.rstrip('.')}" for one, text in said.items())
            for said in (outcome.gone, outcome.waiting)
        )
        n_later = pluralize(len(outcome.waiting), "part")
        later = f" {n_later} can't be made again yet, and 'sunledger repair' tries it again: {waiting}."
        raise SunledgerError(
            f"Everything can be read again, but not all could be made again.{f' {gone}.' if gone else ''}"
            f"{later if waiting else ''}"
        )
