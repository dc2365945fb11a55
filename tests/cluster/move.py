"""The way from one machine to several, step by step as docs/scale.md tells it, with a home that is at work already."""

import datetime as dt
import time
from pathlib import Path

from assets.run_control.run_tags import RANGE_END, RANGE_START
from tests.cluster.alone import copy_home, do_alone
from tests.cluster.lost_worker import Report, compare_with
from tests.cluster.stage import LOOK_AT_RUNS_S, copy_lake, serve, start_machine, wait_for
from tests.control_room import control_room
from tests.programs import run

ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def move_home(folder: Path, plants: int, first: dt.date, before: int, after: int) -> Report:
    """Do days on one machine, move its home, do more days by a worker, and compare with a home that stayed.

    Raises AssertionError where a step fails.
    """
    report, began = Report(), time.monotonic()
    last = first + dt.timedelta(days=before + after - 1)
    middle = first + dt.timedelta(days=before)
    ranges = [(first, middle - dt.timedelta(days=1)), (middle, last)]
    with serve(folder, plants, "celery") as servers:
        (folder / "moved").mkdir()
        copy_home(do_alone(folder.parent, plants, ranges[:1], servers.sandbox), folder / "moved")
        report.note(f"{before} days of {plants} plants are on one machine", began)
        copy_lake(folder / "moved" / "home" / "lake", servers)
        report.note("its lake is copied to the bucket", began)
        for line in _do(folder / "moved", servers.settings, "cluster", "init").splitlines():
            report.note(line, began)
        report.note(_do(folder / "moved", servers.settings, "verify").splitlines()[-1], began)
        env = servers.machine(folder / "moved")
        with (
            start_machine(["worker"], servers.machine(folder / "worker"), folder / "worker.log"),
            control_room(folder / "moved" / "home", env, servers.sandbox, folder / "ui.log") as room,
        ):
            room.launch_days({RANGE_START: middle.isoformat(), RANGE_END: last.isoformat()})
            report.note(f"{after} more days are launched", began)
            wait_for(
                lambda: any(
                    "sunledger/days" not in one["tags"] and one["status"] in ENDED for one in room.runs()
                ),
                "The end of the run",
                look_every_s=LOOK_AT_RUNS_S,
            )
            (launched,) = [one for one in room.runs() if RANGE_START in one["tags"]]
            assert launched["status"] == "SUCCESS", launched
            report.note("the worker has done them", began)
        _do(folder / "moved", servers.settings, "publish")
        stayed = do_alone(folder.parent, plants, ranges, servers.sandbox)
        compare_with(report, servers, folder, folder / "moved" / "home", stayed)
    return report


def _do(folder: Path, settings: object, *words: str) -> str:
    code, said = run(folder, *words, **settings)
    assert code == 0, said
    return said
