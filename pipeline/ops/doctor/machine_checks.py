"""The checks of this machine and its store: versions, folders, files, disk, object store, locks, the published file."""

from contextlib import suppress

from pipeline.common.errors import SunledgerError
from pipeline.common.release import find_release
from pipeline.common.store_faults import StoreError
from pipeline.ops.doctor import facts, machine, own_files
from pipeline.ops.doctor.patient import Patient
from pipeline.ops.doctor.result import Diagnosis, Level, fail, pass_check, warn
from pipeline.ops.set_aside import describe_set_aside
from pipeline.ops.upkeep_due import describe_dead_bytes, find_dead_bytes
from warehouse.integrity.store_check import check_store
from warehouse.published_file.foreign_publication import describe_other_lake, is_of_other_lake
from warehouse.published_file.publication_lag import find_lag
from warehouse.published_file.published_object import open_target
from warehouse.verification.known_tables import KnownTables, LakeLostError


def examine_versions(_: Patient) -> list[Diagnosis]:
    """Python and the installed packages, against what sunledger requires and what its lock names."""
    return machine.judge_versions(
        facts.read_python_version(),
        facts.read_required_python(),
        facts.read_installed_packages(),
        facts.read_required_packages(),
        facts.read_locked_packages(),
    )


def examine_disk(patient: Patient) -> list[Diagnosis]:
    """The space on the disks of the home, and what repairs have set aside there."""
    found = machine.judge_disk(facts.list_places(patient.settings))
    aside = describe_set_aside(patient.settings)
    return [*found, pass_check("disk", aside)] if aside else found


def examine_folders(patient: Patient) -> list[Diagnosis]:
    """Whether folders and files can be written, the record of requests in the home can be read, and the lake is there.

    Raises LakeLostError for a lake that is gone: all that reads it would say so again.
    """
    settings = patient.settings
    found = machine.judge_folders(facts.list_places(settings))
    if not any(one.level is Level.FAIL for one in found):
        found += machine.judge_refused(facts.find_refused_files(settings))
        KnownTables(settings.home, settings.warehouse).check_lake(patient.runtime.lake)
    return [*found, *machine.judge_record(facts.find_unreadable_records(settings))]


def examine_files(patient: Patient) -> list[Diagnosis]:
    """The files of the user that settings name."""
    return own_files.judge_own_files(patient.settings)


def examine_locks(patient: Patient) -> list[Diagnosis]:
    """Locks that are held, and what killed programs have left."""
    return machine.judge_locks(
        facts.find_held_locks(patient.settings), facts.find_leftovers(patient.settings)
    )


def examine_store(patient: Patient) -> list[Diagnosis]:
    """Whether the stores of the lake and of what is published can hold them: conditional puts, lists, deletions."""
    settings = patient.settings
    published = (settings.published_object or "").rpartition("/")[0]
    tried = [place for place in (settings.lake, published) if "://" in place]
    # What lies in the lake is in the same store.
    tried = [place for place in tried if place == settings.lake or not place.startswith(f"{settings.lake}/")]
    for place in tried:
        check_store(place)
    found = "can be listed, written and deleted from, and keeps the condition of a put (If-None-Match)"
    return [pass_check("object store", f"{place} {found}") for place in tried]


def examine_upkeep(patient: Patient) -> list[Diagnosis]:
    """Whether files that nothing needs any more have stayed in the lake for too long."""
    try:
        said = describe_dead_bytes(find_dead_bytes(patient.runtime))
    except (OSError, ValueError, SunledgerError) as fault:
        if isinstance(fault, StoreError):
            raise
        return [
            warn(
                "upkeep", f"what can be removed from the lake is not known ({fault}): run 'sunledger verify'."
            )
        ]
    return [
        warn("upkeep", said)
        if said
        else pass_check("upkeep", "nothing is overdue to be removed from the lake")
    ]


def examine_warehouse(patient: Patient) -> list[Diagnosis]:
    """The published file: whether it is there, which version of sunledger wrote it, and what of the lake it lacks."""
    path, target = patient.settings.warehouse, open_target(patient.settings, patient.runtime.tell)
    found: list[Diagnosis] = []
    if target is not None:
        if target.fetch() is None:
            text = f"there is nothing published at {target.address} yet; the first publication puts it there"
            return [pass_check("warehouse", text)]
        found = [pass_check("warehouse", f"{path} is this machine's copy of {target.address}")]
    found += machine.judge_warehouse(path, facts.read_publication(path), find_release())
    # A lake or store that is gone has a line of its own already, and the file can be judged without it.
    with suppress(LakeLostError, StoreError):
        if is_of_other_lake(path, patient.runtime.lake):
            return [*found, fail("warehouse", describe_other_lake(path, patient.runtime.lake))]
        lag = find_lag(patient.runtime.lake, path)
        found += machine.judge_lag(patient.settings.published_place, lag, patient.runtime.now())
    return found
