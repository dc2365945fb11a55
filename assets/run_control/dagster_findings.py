"""Findings of the doctor on Dagster's home: whether its records can be read, and which runs are in progress."""

from collections.abc import Iterator

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.ops.doctor.result import Diagnosis, fail, pass_check, warn


def examine_runs(settings: Settings) -> Iterator[Diagnosis]:
    """A finding for each run that has not ended, or a single finding if there is none. Creates no home."""
    if not (settings.home / "dagster" / "dagster.yaml").exists():
        yield pass_check("runs", f"there are no runs yet in {settings.home}")
        return
    try:
        yield from _examine(settings)
    except SunledgerError as error:
        yield fail("runs", str(error))
    except OSError as error:
        # A disk that the system has made read-only, for instance; the other checks say more of it.
        place = error.filename or settings.home
        yield fail(
            "runs", f"{place} can't be used ({error.strerror or error}): check the disk and its mount."
        )


def _examine(settings: Settings) -> Iterator[Diagnosis]:
    # Dagster takes a second to load.
    from assets.home_setup.dagster_home import explain_faults, open_dagster, prepare_dagster_home  # noqa: PLC0415
    from assets.run_control.dead_runs import list_going_runs  # noqa: PLC0415
    from assets.run_control.run_processes import Life  # noqa: PLC0415

    with (
        open_dagster(settings) as instance,
        explain_faults(prepare_dagster_home(settings), records_only=True),
    ):
        going = list_going_runs(instance)
    for one in going:
        if one.worker.life is Life.DEAD:
            yield warn(
                "runs",
                f"{one} is still recorded as running, but its process has died: the next command ends the run and "
                "frees its slots.",
            )
        elif one.worker.life is Life.ELSEWHERE:
            host = one.worker.name.rpartition(" on ")[2]
            yield warn(
                "runs",
                f"{one} can't be checked from this machine: if {host} is no longer in use, end its runs with "
                f"'sunledger repair --lost-host {host}'.",
            )
        else:
            yield pass_check("runs", f"{one} is running")
    if not going:
        yield pass_check("runs", "no run is active, and none was left behind")
