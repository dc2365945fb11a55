"""The check between the lake and its readers: nothing is published that `verify` would find damaged.

Every table is looked at, also those that are not published: figures were made from them. Of each the log must name the
files that were committed, and each file must be what was written.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from schemas import Table, storage
from warehouse.integrity.damage import Damage, DamagedError, report_unreadable_log
from warehouse.integrity.digest_chain import Chain
from warehouse.integrity.digests import list_record_versions
from warehouse.integrity.file_check import CheckedFiles
from warehouse.integrity.unreadable_log import UnreadableLogError
from warehouse.lake_reader import LakeReader, Snapshot
from warehouse.part_folders import cut_table_path


def take_snapshots(lake: LakeReader, models: Iterable[type[Table]]) -> dict[type[Table], Snapshot]:
    """The newest snapshot of each table, all taken before anything else is read. Raises DamagedError."""
    snapshots = {}
    for model in models:
        try:
            snapshots[model] = lake.take_snapshot(model)
        except UnreadableLogError as fault:
            raise DamagedError(report_unreadable_log(model, fault)) from fault
    return snapshots


def find_damage(lake: LakeReader, snapshots: Mapping[type[Table], Snapshot]) -> list[Damage]:
    """The damage in snapshots of the lake's tables.

    Files that are copied at each publication are read each time; of the others those that the file system says are
    new or changed.
    """
    damages: list[Damage] = []
    never_written = [model for model, snapshot in snapshots.items() if snapshot.version < 0]
    recorded = _find_recorded(lake, never_written)
    with CheckedFiles(lake) as checked:
        for model, snapshot in snapshots.items():
            if snapshot.version < 0 and model not in recorded:
                continue
            try:
                damages += _find_damage(lake, model, snapshot, checked)
            except DamagedError as fault:
                damages.append(fault.damage)
    return damages


def _find_recorded(lake: LakeReader, models: Collection[type[Table]]) -> set[type[Table]]:
    """Those of the models that have records of digests. In an object store one listing tells of all of them."""
    if not lake.remote:
        return {model for model in models if lake.open_records(model).list_versions()}
    listed = list_record_versions(lake.open_root()) if models else {}
    return {model for model in models if storage(model).table in listed}


def _find_damage(
    lake: LakeReader, model: type[Table], snapshot: Snapshot, checked: CheckedFiles
) -> Iterator[Damage]:
    chain = Chain(lake, model)
    if snapshot.version < 0:
        if lake.open(model) is None:
            yield chain.report_lost_log()
        return
    if chain.store.has(snapshot.version + 1):
        table = lake.open(model)
        if table is None or table.version() <= snapshot.version:
            yield chain.report_missing_entry(snapshot.version + 1)
    known = chain.list_active_files(chain.read_head(snapshot.version))
    paths = {cut_table_path(model, uri) for uri in snapshot.files}
    for path in sorted(paths ^ known.keys()):
        yield chain.report_other_file(path)
    copied = storage(model).published == "native" and not lake.remote
    yield from checked.find_damage(
        model, {path: known[path] for path in sorted(paths & known.keys())}, again=copied
    )
