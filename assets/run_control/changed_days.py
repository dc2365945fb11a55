"""Which days of a run need nothing. That is found without Dagster, so that a run of such days alone does without it."""

import datetime as dt
from collections.abc import Sequence

from assets.whole_steps import list_day_steps
from pipeline.extract.missing_answers import find_lacking_days
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import find_odd_sets
from pipeline.run.notices import Notices
from pipeline.run.unchanged_steps import UnchangedSteps


def find_unchanged_days(runtime: RunContext, days: Sequence[dt.date]) -> dict[dt.date, Notices]:
    """The days that lack no answer and of which nothing has changed, with what a person should know of each."""
    if runtime.again or find_odd_sets(runtime):
        return {}
    unchanged = UnchangedSteps.of(runtime)
    states, steps = unchanged.find_states(), list_day_steps(runtime.settings)
    notices: dict[dt.date, Notices] = {}
    for day in days:
        results = [found for step in steps if (found := unchanged.find(step, day, states))]
        if len(results) == len(steps):
            notices[day] = Notices()
            for result in results:
                notices[day].add(result.notices)
    lacking = find_lacking_days(runtime, [*notices])
    return {day: of_day for day, of_day in notices.items() if day not in lacking}
