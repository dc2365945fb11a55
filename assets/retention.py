"""Finds and deletes old runs that are no longer needed. Dagster itself keeps all runs forever.

The colours of partitions and the metadata of days are made of runs. So a run stays as long as it holds the newest
materialization of anything, however old it is; what later runs have done again can go. The daemon looks for them by a
sensor, and commands by themselves, because many homes have no daemon.
"""

import datetime as dt
from contextlib import suppress
from pathlib import Path

import dagster as dg

from assets.dagster_records.record_files import OPEN_FILES
from assets.run_control.run_processes import is_private, read_home
from pipeline.common.files.atomic_files import write_file
from pipeline.common.local_time import ONE_DAY
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import find_confirmed_time

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# A tick is short, so a long pause is made up for by several.
MOST_AT_ONCE = 200
# The day on which commands have looked last. Of a year's runs a look takes a second or two.
LOOKED_ON = "retention.day"


def purge_daily(instance: dg.DagsterInstance, runtime: RunContext) -> int:
    """Delete the runs that `SUNLEDGER_KEEP_RUNS_DAYS` no longer keeps, if nobody has looked today; how many.

    As old counts what is old by an answer of SMA's too, so that a clock that is ahead deletes nothing. In a cluster
    nothing is deleted, because its daemon does so. Raises SunledgerError where the lists of plants can't be read, and
    OSError.
    """
    if not is_private(instance):
        return 0
    looked = read_home(instance) / LOOKED_ON
    today = str(runtime.find_today())
    with suppress(FileNotFoundError):
        if looked.read_text() == today:
            return 0
    before = find_confirmed_time(runtime.lake, runtime.now()) - runtime.settings.keep_runs_days * ONE_DAY
    # Noted first, so that of commands that end at once one looks.
    write_file(looked, today.encode())
    return purge_runs(instance, before)


def purge_runs(instance: dg.DagsterInstance, before: dt.datetime) -> int:
    """Delete finished runs from before that moment which nothing needs; how many."""
    old = dg.RunsFilter(statuses=FINISHED, created_before=before)
    deleted = 0
    for record in instance.get_run_records(old, ascending=True):
        if deleted == MOST_AT_ONCE:
            break
        run = record.dagster_run
        if not (_holds_newest(instance, run.run_id) or _outlasts_failure(instance, run)):
            _delete(instance, run.run_id)
            deleted += 1
    return deleted


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    # What the run has written goes first: as long as the run is known, a purge that was killed is done by the next.
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.event_log_storage.delete_events(run_id)
    if is_private(instance):
        # Dagster leaves the run's own database behind, empty.
        file = read_home(instance) / "history" / "runs" / f"{run_id}.db"
        OPEN_FILES.close(file)
        for end in ("", "-wal", "-shm"):
            Path(f"{file}{end}").unlink(missing_ok=True)
    instance.run_storage.delete_run(run_id)


def _holds_newest(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run made an asset, or a day of an asset, that no later run has materialized."""
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    for record in events.records:
        event = record.event_log_entry.dagster_event
        if event is None or event.asset_key is None:
            continue
        days = [event.partition] if event.partition else None
        wanted = dg.AssetRecordsFilter(asset_key=event.asset_key, asset_partitions=days)
        newest = instance.fetch_materializations(wanted, limit=1).records
        if newest and newest[0].run_id == run_id:
            return True
    return False


def _outlasts_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run ended its job's failures: without it, one that is kept would be its job's newest, and alerted."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    newest = instance.get_runs(dg.RunsFilter(job_name=run.job_name, statuses=ended), limit=2)
    states = [one.status for one in newest]
    return states == ended and newest[0].run_id == run.run_id
