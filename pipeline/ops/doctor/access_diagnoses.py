"""What the credentials give: owners, plants, and how fast they may be asked for."""

import datetime as dt
import math
from collections.abc import Collection, Sequence
from decimal import Decimal

from pipeline.billing.spending import LIMIT, NewUnits
from pipeline.common.text import pluralize
from pipeline.ops.doctor.result import Diagnosis, fail, pass_check, warn
from pipeline.run.shards import LEAST_PLANTS
from pipeline.run.supplied_files.fleet_membership import EXCLUDE, INCLUDE, TODAY
from pipeline.run.today_turn import TodayTurn, TurnOf
from pipeline.sma.budget.file_store import BudgetState
from pipeline.sma.budget.shared_budget import Budget
from pipeline.sma.consents import access_problems
from pipeline.sma.consents.consent_api import ConsentState
from pipeline.sma.consents.consent_book import Owner

SHOWN_BY = "'sunledger consent list' shows them"
# A person waits this long for the doctor; a longer pause is reported instead.
PATIENCE_S = 20.0


def judge_consents(owners: Collection[Owner]) -> list[Diagnosis]:
    """The states of the owners' consents."""
    account = access_problems.count_owners_by_state(owners)
    if not owners:
        return [
            pass_check(
                "consent",
                f"{account}; consents that were given elsewhere are visible only by the plants that SMA lists",
            )
        ]
    open_ones = [owner for owner in owners if owner.state is not ConsentState.ACCEPTED]
    if open_ones:
        return [warn("consent", f"{account}: {access_problems.suggest_cures(open_ones)}; {SHOWN_BY}.")]
    return [pass_check("consent", f"{account}; {SHOWN_BY}")]


def judge_plants(
    flow: str, owners: Collection[Owner], listed: int, gone: Collection[dt.date], today: dt.date, url: str
) -> list[Diagnosis]:
    """The list of plants: empty, shorter than before, or well. `gone` as in `access.concern`."""
    if not listed:
        return [fail("plants", access_problems.explain_empty_list(flow, owners))]
    concern = access_problems.explain_concern(flow, owners, listed, gone, today) if gone else None
    if concern:
        return [warn("plants", concern)]
    return [pass_check("plants", f"{pluralize(listed, 'plant')} listed by {url}")]


def judge_own_plants(listed: int, left_out: int, unknown: Sequence[str]) -> list[Diagnosis]:
    """How many of the listed plants the settings leave out, and entries that fit no plant."""
    settings = f"{INCLUDE} and {EXCLUDE}"
    if not listed:
        return []
    if left_out == listed:
        return [
            fail("plants", f"{settings} exclude all {pluralize(listed, 'plant')}: change these settings.")
        ]
    found = [pass_check("plants", f"{left_out} of these are excluded by {settings}")] if left_out else []
    if unknown:
        words = ", ".join(unknown)
        text = (
            f"some entries of {settings} match no plant: {words}. Compare them with the ids and names of the table "
            "plants."
        )
        found.append(warn("plants", text))
    return found


def judge_costs(bill: NewUnits, limit: Decimal | None, *, schedules: bool) -> list[Diagnosis]:
    """What the PU of the month cost, and what they may cost: `bill` as of now."""
    spent = f"{bill.spent_eur} {bill.currency} of PU in {bill.month:%Y-%m} so far"
    if limit is not None:
        return [pass_check("costs", f"{spent}, of {limit} that {LIMIT} allows a month")]
    if schedules:
        text = (
            f"{spent}, and no limit is set, so schedules skip every plant until somebody accepts its PU of the month: "
            f"set {LIMIT} to what a month may cost."
        )
        return [warn("costs", text)]
    return [pass_check("costs", f"{spent}; every new PU needs consent, because {LIMIT} is not set")]


def describe_lists(lists: int, cycle: int, rules: Budget) -> Diagnosis:
    """What the lists of devices and sets take of the budget each day, and when changes are found."""
    each_day = math.ceil(lists / cycle)
    minutes = "" if rules.requests is None else f", {each_day / rules.rate / 60:,.1f} minutes of the budget"
    return pass_check(
        "budget",
        f"lists of devices and sets take about {pluralize(each_day, 'request')} a day{minutes}; what SMA's list of "
        f"plants does not show, such as a new meter, is found within {pluralize(cycle, 'day')}, or by 'sunledger "
        "refresh --all'",
    )


def judge_turn(turn: TodayTurn | None, unknown: Sequence[str]) -> list[Diagnosis]:
    """Which plants' current day the budget leaves out, and entries of SUNLEDGER_TODAY_PLANTS that no plant fits."""
    found = []
    if turn is not None and turn.turn_of is not TurnOf.NOBODY:
        text = f"schedule today: {turn.describe()}"
        if turn.turn_of is TurnOf.OTHERS and turn.chosen:
            found.append(pass_check("budget", text))
        else:
            cure = "name fewer plants in" if turn.chosen else "name the plants that matter most in"
            found.append(warn("budget", f"{text} To change that, {cure} {TODAY}."))
    if unknown:
        named = ", ".join(unknown)
        found.append(
            warn(
                "budget",
                f"no plant fits {named} of {TODAY}: compare it with the ids and names of the table plants.",
            )
        )
    return found


def judge_shards(shards: int, plants: int) -> list[Diagnosis]:
    """Whether the shards of SUNLEDGER_SHARDS are large enough to be worth a run each."""
    if shards == 1 or plants >= shards * LEAST_PLANTS:
        return []
    fitting = max(1, plants // LEAST_PLANTS)
    return [
        warn(
            "budget",
            f"SUNLEDGER_SHARDS={shards} makes shards of about {pluralize(plants // shards, 'plant')}, and each "
            f"rewrites the day's part of the lake: set it to {fitting}, so that a shard has {LEAST_PLANTS:,} plants.",
        )
    ]


def judge_budget_state(rules: Budget, state: BudgetState, where: str, refused: int) -> list[Diagnosis]:
    """The request budget: set or not, refused, how full. `refused` requests were so today and yesterday (UTC)."""
    if state.pause_s > 0:
        text = (
            f"SMA refused a request because of its rate, so all requests pause for another {state.pause_s:.0f} s: "
            "wait, and if it happens again, lower SMA_REQUESTS_PER_5_MIN or let no other program use these "
            "credentials."
        )
        return [fail("budget", text) if state.pause_s > PATIENCE_S else warn("budget", text)]
    if rules.requests is None:
        text = (
            "no budget is set, so only refusals slow a run down: set SMA_REQUESTS_PER_5_MIN to the number in your "
            "contract"
        )
        lately = f" ({refused} were refused today and yesterday)" if refused else ""
        return [warn("budget", f"{text}{lately}.")]
    what = f"{rules.requests} requests in 5 minutes, shared by {where}"
    if state.pace < 1 or refused:
        slowed = f", so requests are sent at {state.pace:.0%} of the rate" if state.pace < 1 else ""
        text = (
            f"{what}: {refused or 'some'} were refused today and yesterday{slowed}: lower "
            "SMA_REQUESTS_PER_5_MIN, or let no other program use these credentials."
        )
        return [warn("budget", text)]
    ready = max(0.0, min(state.level, rules.capacity))
    return [pass_check("budget", f"{what}; its bucket is {ready / rules.capacity:.0%} full")]
