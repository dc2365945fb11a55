"""Schedules and sensors after this machine's clock was set back: what they noted while it was ahead is brought back.

Dagster counts from the newest tick of a schedule and from the last look of a sensor. Where both lie in the future, it
waits for that moment without a word: after a day with the clock a year ahead, nothing would be fetched, published or
reported for a year.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

# A schedule that waits for less is late by less. Machines that take turns as the daemon's may differ by as much.
LIMIT_S = 300.0
# What Dagster notes of schedules, sensors and ticks: named tuples whose types have no public names.
Noted = Any


def bound_ticks(instance: dg.DagsterInstance, now: float) -> list[str]:
    """Give what schedules and sensors noted in the future the moment `now` (seconds since 1970).

    Returns the names of those that had noted something, sorted. Cursors and who is switched off stay as they are.
    """
    found = []
    for state in instance.all_instigator_state():
        place = (state.instigator_origin_id, state.selector_id)
        ticks = instance.get_ticks(*place, after=now + LIMIT_S)
        data = _bound_moments(state.instigator_data, now)
        if not ticks and data == state.instigator_data:
            continue
        for tick in ticks:
            instance.update_tick(tick._replace(tick_data=_bound_moments(tick.tick_data, now)))
        instance.update_instigator_state(state.with_data(data))
        found.append(state.instigator_name)
    return sorted(found)


def _bound_moments(noted: Noted, now: float) -> Noted:
    """The same without moments in the future; None of one that has noted nothing."""
    if noted is None:
        return None
    moments = {name: value for name, value in noted._asdict().items() if name.endswith("timestamp")}
    return noted._replace(**{name: now for name, at in moments.items() if (at or 0.0) > now + LIMIT_S})


def wait_until_set_back(read_lead: Callable[[], float], wait: Callable[[], object]) -> float:
    """Return once the wall clock was set back by `LIMIT_S` or more, in all, with the seconds by which.

    `read_lead` gives the seconds by which the wall clock is ahead of the monotonic one, and `wait` passes the time
    between two looks. A machine that sleeps, or whose clock is set forward, only raises that lead.
    """
    highest = lead = read_lead()
    while highest - lead < LIMIT_S:
        wait()
        lead = read_lead()
        highest = max(highest, lead)
    return highest - lead
