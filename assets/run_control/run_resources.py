"""What Dagster gives each run: its context, and the collection of what a person should know of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg

from assets.run_control.pool_waits import PoolWait, watch_pools
from assets.run_control.run_processes import THIS_PROCESS
from assets.run_control.run_tags import read_limits
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.slow_stores import announce_slow_stores
from pipeline.common.text import escape_line
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.run.plants import count_turn


@dg.resource(description="What a person should know of one run.")
def build_notices(_: dg.InitResourceContext) -> Notices:
    """An empty collection, to which the assets of a run add."""
    return Notices()


def build_context_resource(settings: Settings) -> Any:
    """The resource that opens the context of a run, and closes it when the run ends."""

    @dg.resource(description="Settings, the lake, and the session with SMA of one run.")
    @contextmanager
    def runtime(context: dg.InitResourceContext) -> Iterator[RunContext]:
        # A schedule that looks what is due has no run.
        tags = context.run.tags if context.run else {}
        opened = RunContext(settings, tell=_find_log(context), **read_limits(tags))
        with announce_slow_stores(opened.tell), opened, _attend_run(context, settings):
            _tell_turn(opened)
            yield opened

    return runtime


def _tell_turn(runtime: RunContext) -> None:
    """Say in the run's log how many plants it leaves out, if any."""
    # The first step meets a fault too, and reports it.
    with suppress(SunledgerError):
        if turn := count_turn(runtime):
            runtime.tell(
                f"This run reads {turn['plants_read']} plants and leaves out {turn['plants_left_out_today']}, whose "
                "turn comes in later hours, because the request budget can't hold the current day of all plants."
            )


@contextmanager
def _attend_run(context: dg.InitResourceContext, settings: Settings) -> Iterator[None]:
    """Say on the run which process does it; tell and bound its waits for pools."""
    instance, run = context.instance, context.run
    if instance is None or run is None or instance.is_ephemeral:
        yield
        return
    instance.add_run_tags(run.run_id, THIS_PROCESS.build_tags(instance))

    def say(text: str) -> None:
        instance.report_engine_event(text, run)

    with watch_pools(PoolWait(instance, say, settings.pool_wait_minutes * 60), run.run_id, say_fault=True):
        yield


def _find_log(context: dg.InitResourceContext) -> Callable[[str], None]:
    """Who is informed of waits: the run's own log."""
    log = context.log

    def tell(text: str) -> None:
        if log is not None:
            log.info(escape_line(text))

    return tell
