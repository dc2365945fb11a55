"""Programs that write into one lake at once, each in a home of its own, beside a machine that did it all alone."""

import datetime as dt
import time
from contextlib import AbstractContextManager
from pathlib import Path

from sandbox.launch import run_sandbox
from tests.cluster.alone import do_alone
from tests.cluster.lost_worker import Report, compare_with
from tests.cluster.stage import Servers, run_at_once, serve
from tests.programs import run


def race_writers(
    folder: Path, plants: int, days: list[dt.date], serving: AbstractContextManager[dict[str, str]]
) -> Report:
    """Let one writer begin for each of the days at once; a day that stands twice has two. Raises AssertionError.

    `serving` is the object store, as its settings.
    """
    with serving as store, run_sandbox("--plants", str(plants)) as sandbox:
        servers = Servers({**sandbox.settings(), **store}, sandbox)
        report = Report()
        began = time.monotonic()
        (folder / "doctor").mkdir()
        _, said = run(folder / "doctor", "doctor", **servers.settings)
        for line in said.splitlines():
            if "object store" in line.lower():
                report.note(f"The doctor: {line.strip()}", began)
        homes = _write_at_once(folder, servers, days)
        report.note(f"{len(days)} writers of {len(set(days))} days of {plants} plants have ended", began)
        _compare_with_one(report, servers, folder, plants, homes[0], days)
    return report


def begin_at_once(folder: Path, plants: int, days: list[dt.date]) -> Report:
    """Set up and run the first machines of a cluster at once on a PostgreSQL that is empty. Raises AssertionError."""
    with serve(folder, plants, "celery") as servers:
        report = Report()
        began = time.monotonic()
        folders = [folder / f"writer-{number}" for number in range(len(days))]
        run_at_once([(one, ["cluster", "init"], servers.machine(one)) for one in folders])
        report.note(f"{len(days)} machines have set up the cluster", began)
        homes = _write_at_once(folder, servers, days)
        report.note(f"{len(days)} first runs of {plants} plants have ended", began)
        _compare_with_one(report, servers, folder, plants, homes[0], days)
    return report


def _write_at_once(folder: Path, servers: Servers, days: list[dt.date]) -> list[Path]:
    folders = [folder / f"writer-{number}" for number in range(len(days))]
    run_at_once(
        [
            (one, ["backfill", *_name_day(day)], servers.machine(one))
            for one, day in zip(folders, days, strict=True)
        ]
    )
    return folders


def _compare_with_one(
    report: Report, servers: Servers, folder: Path, plants: int, writer: Path, days: list[dt.date]
) -> None:
    code, said = run(writer, "publish", **servers.settings)
    assert code == 0, said
    alone = do_alone(folder.parent, plants, [(day, day) for day in sorted(set(days))], servers.sandbox)
    code, said = run(writer, "verify", **servers.settings)
    assert code == 0, said
    compare_with(report, servers, folder, writer / "home", alone)


def _name_day(day: dt.date) -> tuple[str, ...]:
    return "--from", f"{day}", "--to", f"{day}", "--yes"
