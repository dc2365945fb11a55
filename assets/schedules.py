"""Schedules: when Dagster asks what is due, and how the answer becomes a run. The decisions are made in `due`.

Ticks are in UTC and know nothing of days: each looks at the clocks of all zones and at what the lake holds. So a change
of clocks moves no tick, and what a machine missed while it was off is found by its first tick.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence

import dagster as dg
import polars as pl

from assets.asset_builders import DAYS_PER_RUN
from assets.prefix import build_name
from assets.run_control.run_tags import (
    ALL,
    ASK,
    BACKENDS,
    DUE_AT,
    RANGE_END,
    RANGE_START,
    SCHEDULE,
    SHARD,
    TURN,
    UNFINISHED,
)
from pipeline.billing.spending import build_refusal, look_ahead
from pipeline.common import day_availability
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.extract.today_plan import plan_turn
from pipeline.run.context import RunContext
from pipeline.run.plants import list_own_plants
from pipeline.run.shards import list_shards
from pipeline.run.today_turn import TurnOf, read_last_id
from pipeline.tables.incomplete_days import ASK_AGAIN, find_incomplete_days, list_stored_days

HALF_HOUR, HOUR, DAY = dt.timedelta(minutes=30), dt.timedelta(hours=1), dt.timedelta(days=1)
# The day's runs are started at most so often, so older ones say nothing about tries that are left.
ATTEMPTS_REMEMBERED = dt.timedelta(days=day_availability.LONGEST_PAUSE_DAYS + 2)
NO_PLANTS = "No plants are stored yet: run the job refresh_lists, or wait for its schedule."

Tick = Callable[[dg.ScheduleEvaluationContext, RunContext], Sequence[dg.RunRequest] | dg.SkipReason]


def build_day_schedules(settings: Settings, job: str) -> list[dg.ScheduleDefinition]:
    """The schedules that fetch days with the job of that name."""
    return [
        _build_schedule(
            settings,
            name="today",
            # ennexOS answers five minutes late, and most other clients send requests at full hours.
            cron="20 * * * *",
            every=HOUR,
            job=job,
            tick=_choose_live_days,
            description="Hourly: fetches the current days of ennexOS plants, as many as the request budget holds: "
            "those of SUNLEDGER_TODAY_PLANTS first, the others in turn. Days of Classic plants are fetched after they "
            "have ended.",
        ),
        _build_schedule(
            settings,
            name="closing",
            cron="5,35 * * * *",
            every=HALF_HOUR,
            job=job,
            tick=_choose_closing_days,
            description="Half-hourly: fetches what is missing of closed days (up to 31 days back), such as the day "
            "that has just closed, and days that were missed while the machine was off. Each day is tried up to five "
            "times.",
        ),
        _build_schedule(
            settings,
            name="window",
            cron="45 4 * * *",
            every=DAY,
            job=job,
            tick=lambda context, runtime: _choose_window(settings.window_days, context, runtime),
            description=f"Daily: fetches the newest {settings.window_days} closed days again, because SMA corrects "
            "figures.",
        ),
    ]


def build_job_schedule(
    settings: Settings, *, name: str, cron: str, every: dt.timedelta, job: str, description: str
) -> dg.ScheduleDefinition:
    """A schedule that starts the job as a whole."""
    return _build_schedule(
        settings,
        name=name,
        cron=cron,
        every=every,
        job=job,
        tick=lambda _context, _runtime: [dg.RunRequest()],
        description=description,
    )


def _build_schedule(
    settings: Settings, *, name: str, cron: str, every: dt.timedelta, job: str, tick: Tick, description: str
) -> dg.ScheduleDefinition:
    name = build_name(settings, name)
    on = dg.DefaultScheduleStatus.RUNNING if settings.schedules == "on" else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=name,
        cron_schedule=cron,
        job_name=job,
        execution_timezone="UTC",
        default_status=on,
        description=description,
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, sunledger_runtime: dg.ResourceParam[RunContext]
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        if day_availability.is_overtaken(context.scheduled_execution_time, sunledger_runtime.now(), every):
            return dg.SkipReason("Skipped, because a later tick is due already and does the same.")
        if _list_unfinished_days(context.instance, name):
            return dg.SkipReason(f"Skipped, because the previous run of {name} is still running.")
        return tick(context, sunledger_runtime)

    return schedule


def _choose_live_days(
    context: dg.ScheduleEvaluationContext, runtime: RunContext
) -> Sequence[dg.RunRequest] | dg.SkipReason:
    groups = [group for group in _read_groups(runtime) if group.backend == "ennexos"]
    if not groups:
        return dg.SkipReason(
            "Skipped, because there is no ennexOS plant; Classic plants are fetched when their day is over."
        )
    if refusal := _find_refusal(runtime, "ennexos"):
        return refusal
    now, name = context.scheduled_execution_time, build_name(runtime.settings, "today")
    try:
        turn = plan_turn(runtime, now, _read_last_turn(context.instance, name))
    except SunledgerError as fault:
        return dg.SkipReason(str(fault))
    days, tags = day_availability.find_live_days(now, groups), {BACKENDS: "ennexos"}
    if turn is None or turn.turn_of is TurnOf.NOBODY:
        return list(_build_requests(runtime, days, tags))
    context.log.info(turn.describe())
    if not turn.read:
        return dg.SkipReason(f"Skipped, because nothing fits. {turn.describe()}")
    return list(_build_requests(runtime, days, {**tags, TURN: turn.build_tag()}))


def _choose_closing_days(
    context: dg.ScheduleEvaluationContext, runtime: RunContext
) -> Sequence[dg.RunRequest] | dg.SkipReason:
    groups = _read_groups(runtime)
    if not groups:
        return dg.SkipReason(NO_PLANTS)
    now = context.scheduled_execution_time
    first, last = day_availability.catch_up_window(
        now, groups, runtime.settings.window_days, list_stored_days(runtime)
    )
    lacking = find_incomplete_days(runtime, max(first, runtime.settings.first_day), last)
    days = set(lacking.filter(lacking["reason"].is_in(ASK_AGAIN))["local_date"])
    if not days:
        return dg.SkipReason(f"Skipped, because all days up to {last} were fetched after they had ended.")
    ready = day_availability.find_days_to_retry(
        now, days, set(_read_attempts(context.instance, build_name(runtime.settings, "closing"), now))
    )
    if ready and (refusal := _find_refusal(runtime)):
        return refusal
    if not ready:
        return dg.SkipReason(
            f"Skipped, because all {len(days)} incomplete days (the newest is {max(days)}) were tried recently: look "
            "at the check 'standing' of energy_daily."
        )
    return list(_build_requests(runtime, ready, {DUE_AT: now.isoformat()}))


def _choose_window(
    days: int, context: dg.ScheduleEvaluationContext, runtime: RunContext
) -> Sequence[dg.RunRequest] | dg.SkipReason:
    groups = _read_groups(runtime)
    if not groups:
        return dg.SkipReason(NO_PLANTS)
    if refusal := _find_refusal(runtime):
        return refusal
    first, last = day_availability.find_sliding_window(context.scheduled_execution_time, groups, days)
    first = max(first, runtime.settings.first_day)
    return list(
        _build_requests(runtime, [first + i * DAY for i in range((last - first).days + 1)], {ASK: ALL})
    )


def _read_groups(runtime: RunContext) -> frozenset[day_availability.Group]:
    try:
        return day_availability.build_groups(list_own_plants(runtime))
    except SunledgerError:
        return frozenset()


def _find_refusal(runtime: RunContext, backend: str | None = None) -> dg.SkipReason | None:
    """Why no plant at all may be asked for: each would add a PU that nobody has agreed to. A run would only fail."""
    plants = list_own_plants(runtime)
    if backend is not None:
        plants = plants.filter(pl.col("backend") == backend)
    try:
        admission = look_ahead(runtime, plants["plant_id"])
    except SunledgerError as fault:
        return dg.SkipReason(str(fault))
    if admission.refused is None or admission.plants:
        return None
    return dg.SkipReason(str(build_refusal(runtime, admission.refused)))


def _build_requests(
    runtime: RunContext, days: Iterable[dt.date], tags: dict[str, str]
) -> Iterator[dg.RunRequest]:
    """A run for each range of days, or one for each of its shards."""
    count = runtime.settings.shards
    shards = [None] if count == 1 else list_shards(count)
    for first, last in day_availability.join_days(days, DAYS_PER_RUN):
        of_days = {**tags, RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
        for shard in shards:
            if shard is None:
                yield dg.RunRequest(run_key=f"{first}", tags=of_days)
            else:
                yield dg.RunRequest(run_key=f"{first} {shard}", tags={**of_days, SHARD: str(shard)})


def _list_unfinished_days(instance: dg.DagsterInstance, name: str) -> bool:
    found = dg.RunsFilter(tags={SCHEDULE: name}, statuses=UNFINISHED)
    return instance.get_runs_count(found) > 0


def _read_last_turn(instance: dg.DagsterInstance, name: str) -> str:
    """The plant with which the schedule's last turn ended; empty where it never gave one."""
    runs = instance.get_runs(dg.RunsFilter(tags={SCHEDULE: name}), limit=1)
    return read_last_id(runs[0].tags, TURN) if runs else ""


def _read_attempts(
    instance: dg.DagsterInstance, name: str, now: dt.datetime
) -> Iterator[day_availability.Attempt]:
    """The runs that the schedule has started, with their days; the shards of a range are equal."""
    found = dg.RunsFilter(tags={SCHEDULE: name}, created_after=now - ATTEMPTS_REMEMBERED)
    for record in instance.get_run_records(found):
        tags = record.dagster_run.tags
        # A try again of the same run is the same attempt.
        if DUE_AT in tags and record.dagster_run.parent_run_id is None:
            first, last = (dt.date.fromisoformat(tags[end]) for end in (RANGE_START, RANGE_END))
            yield day_availability.Attempt(first, last, dt.datetime.fromisoformat(tags[DUE_AT]))
