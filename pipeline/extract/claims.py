"""Claims of days of plants, so that two runs never ask SMA for the same at once.

In a cluster a claim is a row in PostgreSQL with the number of its process (`pipeline.common.shared_session`), on one
machine a locked file of the home (`claim_files`). It counts while that process lives.
"""

import datetime as dt
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipeline.common.errors import SunledgerError
from pipeline.common.shared_session import NAMED, SharedSession, open_shared_session
from pipeline.common.text import pluralize
from pipeline.extract.claim_files import ClaimFiles
from pipeline.extract.missing_answers import name_stored_answers
from pipeline.extract.request_plan import FetchPlan
from pipeline.run.context import RunContext
from schemas import storage

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 60.0

_OTHERS = """
SELECT claims.holder, claims.process
FROM claims JOIN unnest(%s::date[], %s::text[]) AS wanted(local_date, plant_id) USING (local_date, plant_id)
WHERE dataset = %s AND holder <> %s GROUP BY claims.holder, claims.process
"""
_INSERT = """
INSERT INTO claims SELECT %s, local_date, plant_id, %s, %s
FROM unnest(%s::date[], %s::text[]) AS wanted(local_date, plant_id) ON CONFLICT DO NOTHING
"""


class ClaimedDaysError(SunledgerError):
    """Another run fetches the same days for too long."""


class Claims(NamedTuple):
    """Days of plants of one table and set; the plant is empty for a list of plants."""

    dataset: str
    plant_days: frozenset[tuple[dt.date, str]]

    @classmethod
    def of(cls, plan: FetchPlan) -> "Claims":
        """What the requests of a plan are about."""
        return cls(
            "-".join(filter(None, (storage(plan.model).table, plan.set_type))),
            frozenset((day, planned.request.plant_id) for planned in plan.requests for day in planned.days),
        )

    def group_by_day(self) -> dict[str, list[str]]:
        """The ids of plants by day."""
        found: dict[str, list[str]] = {}
        for day, plant in sorted(self.plant_days):
            found.setdefault(str(day), []).append(plant)
        return found


@contextmanager
def claim_plan(
    runtime: RunContext, plan_requests: Callable[[RunContext], FetchPlan], *, wait: bool = True
) -> Iterator[FetchPlan]:
    """The plan, whose days nobody else who shares the home or the cluster fetches during the block.

    Waits while others fetch some of them, and plans again then: they may have stored what was missing. Raises
    ClaimedDaysError after SUNLEDGER_POOL_WAIT_MINUTES, or at once without `wait`. Whoever has claimed days already must
    not wait for more: two runs would wait for each other.
    """
    plan = plan_requests(runtime)
    if not plan.requests:
        yield plan
        return
    session = open_shared_session(runtime.settings)
    store = ClaimFiles(runtime.settings.home / "claims") if session is None else session
    while True:
        claimed = plan
        # The claims are not kept while this waits, because there is one for each plant and day.
        _wait_for_claims(
            runtime, store, Claims.of(claimed), runtime.settings.pool_wait_minutes * 60 if wait else 0.0
        )
        try:
            # Between the plan and the claim somebody may have stored the days.
            if plan.seen != name_stored_answers(runtime, plan.model):
                plan = plan_requests(runtime)
            if plan is claimed or Claims.of(plan).plant_days <= Claims.of(claimed).plant_days:
                yield plan
                return
        finally:
            _release(store, claimed)


def _wait_for_claims(
    runtime: RunContext, store: SharedSession | ClaimFiles, claims: Claims, patience_s: float
) -> None:
    began, told = time.monotonic(), None
    while others := _take(store, claims):
        now = time.monotonic()
        who = f"process {' and '.join(sorted(others))}"
        what = f"{pluralize(len({day for day, _ in claims.plant_days}), 'day')} of {claims.dataset}"
        if now - began >= patience_s:
            raise ClaimedDaysError(
                f"{who} has been fetching plants of the same {what} for {patience_s / 60:g} minutes "
                "(SUNLEDGER_POOL_WAIT_MINUTES): wait until it is done, or end it, then run this again."
            )
        if told is None or now - told >= TELL_EVERY_S:
            told = now
            runtime.tell(
                f"{who} is fetching plants of the same {what}. This run waits for at most {patience_s / 60:g} minutes."
            )
        time.sleep(LOOK_EVERY_S)


def _take(store: SharedSession | ClaimFiles, claims: Claims) -> set[str]:
    return (
        store.take(claims.dataset, claims.group_by_day())
        if isinstance(store, ClaimFiles)
        else take_claims(store, claims)
    )


def take_claims(session: SharedSession, claims: Claims) -> set[str]:
    """Claim all of it, or nothing: then the living processes that have claimed some of it. Claims of dead ones end."""
    me, process = session.holder, f"{os.getpid()} on {platform.node()}"
    days, plants = [day for day, _ in claims.plant_days], [plant for _, plant in claims.plant_days]

    def list_others(cursor: Any) -> list[tuple[int, str]]:
        cursor.execute(_OTHERS, [days, plants, claims.dataset, me])
        found: list[tuple[int, str]] = cursor.fetchall()
        return found

    # Before anything is locked, because it may take seconds.
    gone = session.find_gone([holder for holder, _ in session.transact(list_others)])

    def take(cursor: Any) -> set[str]:
        # One at a time, so that nobody gets half of it.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('claims'))", [NAMED])
        found = list_others(cursor)
        if others := {name for holder, name in found if holder not in gone}:
            return others
        if found:
            cursor.execute("DELETE FROM claims WHERE holder = ANY(%s)", [list(gone)])
        cursor.execute(_INSERT, [claims.dataset, me, process, days, plants])
        return set()

    return session.transact(take)


def _release(store: SharedSession | ClaimFiles, plan: FetchPlan) -> None:
    if isinstance(store, ClaimFiles):
        store.release()
        return
    me, claims = store.holder, Claims.of(plan)

    def release(cursor: Any) -> None:
        cursor.execute(
            "DELETE FROM claims USING unnest(%s::date[], %s::text[]) AS wanted(local_date, plant_id) "
            "WHERE claims.local_date = wanted.local_date AND claims.plant_id = wanted.plant_id "
            "AND dataset = %s AND holder = %s",
            [
                [day for day, _ in claims.plant_days],
                [plant for _, plant in claims.plant_days],
                claims.dataset,
                me,
            ],
        )

    store.transact(release)
