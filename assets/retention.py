"""Finds and deletes old runs that are no longer needed. Dagster itself keeps all runs forever.

The colours of partitions and the metadata of days are made of runs. So a run stays as long as it holds the newest
materialization of anything, however old it is; what later runs have done again can go.
"""

import datetime as dt
from pathlib import Path

import dagster as dg

from assets.dagster_records.record_files import OPEN_FILES
from assets.run_control.run_processes import is_private, read_home

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# A tick is short, so a long pause is made up for by several.
MOST_AT_ONCE = 200


def purge_runs(instance: dg.DagsterInstance, before: dt.datetime) -> int:
    """Delete finished runs from before that moment which hold nothing newest; how many."""
    old = dg.RunsFilter(statuses=FINISHED, created_before=before)
    deleted = 0
    for record in instance.get_run_records(old, ascending=True):
        if deleted == MOST_AT_ONCE:
            break
        if not _holds_newest(instance, record.dagster_run.run_id):
            _delete(instance, record.dagster_run.run_id)
            deleted += 1
    return deleted


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    if is_private(instance):
        # Dagster leaves the run's own database behind, empty.
        file = read_home(instance) / "history" / "runs" / f"{run_id}.db"
        OPEN_FILES.close(file)
        for end in ("", "-wal", "-shm"):
            Path(f"{file}{end}").unlink(missing_ok=True)


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
