"""A plan whose days are claimed holds, unless somebody stored answers before the claim."""

import datetime as dt
from collections.abc import Callable

from pipeline.extract.claims import claim_plan
from pipeline.extract.fetch import SetFetch
from pipeline.extract.missing_answers import plan_set
from pipeline.extract.request_plan import FetchPlan
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from tests.whole_days import MONDAY, refresh

New = Callable[..., RunContext]


def test_a_claimed_plan_is_made_again_only_if_answers_were_stored_before_the_claim(new_runtime: New) -> None:
    mine, other = new_runtime(again=False), new_runtime(again=False)
    refresh(mine)
    made: list[FetchPlan] = []

    def plan(run: RunContext) -> FetchPlan:
        made.append(plan_set(run, BALANCE, [MONDAY]))
        return made[-1]

    def plan_before_another_stores(run: RunContext) -> FetchPlan:
        found = plan(run)
        if len(made) == 1:
            list(SetFetch(BALANCE)(other, [MONDAY]))
        return found

    with claim_plan(mine, plan) as claimed:
        assert claimed is made[0]
    assert len(made) == 1
    assert claimed.requests
    made.clear()
    with claim_plan(mine, plan_before_another_stores) as claimed:
        assert not claimed.requests
    assert len(made) == 2


def test_the_days_of_a_plan_share_the_ids_and_moments_of_plants(new_runtime: New) -> None:
    """One of each for each plant and day would be most of what a fleet's week holds before its answers come."""
    mine = new_runtime(again=False)
    refresh(mine)
    plan = plan_set(mine, BALANCE, [MONDAY, MONDAY + dt.timedelta(days=1)])
    first, second = plan.days.values()
    ids = {id(planned.request.plant_id) for planned in plan.requests}
    for known in (first, second):
        for told in (known.zones, known.final_after):
            assert ids <= set(map(id, told))
            assert len(set(map(id, told.values()))) == len(set(told.values())) < len(told)
