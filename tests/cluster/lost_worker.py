"""Days on two workers in homes of their own, one of which is killed by SIGKILL with all its processes in the midst."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import yaml

from assets.run_control.run_processes import PROCESS
from assets.run_control.run_tags import RANGE_END, RANGE_START
from assets.runs import split_days
from schemas import TABLES, ApiRequests, storage
from tests.cluster.alone import copy_home, do_alone
from tests.cluster.api_server import serve_api
from tests.cluster.stage import (
    LOCATION,
    LOOK_AT_RUNS_S,
    Servers,
    copy_lake,
    kill_machine,
    serve,
    start_machine,
    wait_for,
)
from tests.control_room import ControlRoom, control_room
from tests.programs import list_below, run
from tests.torture.compare import (
    SHOWN_OF_A_ROW,
    TABLES_THAT_MAY_DIFFER,
    drop_what_may_differ,
    round_last_digits,
    with_any_period,
)
from warehouse.lake import Lake

# What a request asked for; requests that were sent a second time after a kill are one.
ASKED = ["plant_id", "device_id", "endpoint", "set_type"]
TWO_WORKERS = 2
# A run begins within some seconds, and one that has failed is tried again a minute after its worker died; on a machine
# with other work these take several times as long. What takes longer never comes.
BEGINS_WITHIN_S, AGAIN_WITHIN_S, EACH_ENDS_WITHIN_S = 300.0, 180.0, 450.0
# What is shown of the control room's log where something did not happen.
SHOWN_LINES = 40
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass
class Report:
    """What was seen: lines with seconds since the kill, and how the tables differ from those of one machine."""

    lines: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    tables: int = 0

    def note(self, text: str, since: float) -> None:
        """Add a line."""
        self.lines.append(f"{time.monotonic() - since:7.1f} s  {text}")


def lose_worker(
    folder: Path,
    kind: str,
    plants: int,
    first: dt.date,
    days: int,
    runs: int,
    at_once: int = 2,
    before: int = 0,
) -> Report:
    """Do the days in so many runs, lose the worker of one, and compare with one machine. Raises AssertionError.

    So many runs are launched at once: more than the two workers hold wait for one of them. With `before`, so many more
    days were done by one machine, and its home moved to the several as docs/scale.md tells it.
    """
    report = Report()
    rest = first + dt.timedelta(days=before)
    ranges = list(split_days(rest, rest + dt.timedelta(days=days - 1), -(-days // runs)))
    moved = [(first, rest - dt.timedelta(days=1))] if before else []
    with serve(folder, plants, kind, at_once) as servers:
        env = servers.machine(folder / "control")
        home = folder / "control" / "home"
        if moved:
            copy_home(do_alone(folder.parent, plants, moved, servers.sandbox), folder / "control")
            copy_lake(home / "lake", servers)
        # Who has been at work knows the plants.
        for words in (("cluster", "init"), ("verify",) if moved else ("refresh",)):
            code, said = run(folder / "control", *words, **servers.settings)
            assert code == 0, said
            if moved:
                report.lines += [f"  {line}" for line in said.splitlines()[-2:]]
        with (
            WORKERS[kind](servers, folder) as pids,
            control_room(home, env, servers.sandbox, folder / "ui.log") as room,
        ):
            began = time.monotonic()
            for begin, end in ranges:
                room.launch_days({RANGE_START: begin.isoformat(), RANGE_END: end.isoformat()})
            report.note(f"{runs} runs of {days} days of {plants} plants are launched", began)
            victim = wait_for(lambda: _find_busy(room), "The begin of a run", BEGINS_WITHIN_S)
            # Until it is in the midst of asking.
            wait_for(lambda: _count_waiting(servers) > plants, "The first requests", BEGINS_WITHIN_S)
            pid = next(
                pid for pid in pids() if int(victim["tags"][PROCESS].split()[0]) in {pid, *list_below(pid)}
            )
            count = kill_machine(pid)
            killed = time.monotonic()
            report.note(f"{count} processes of the worker of run {victim['runId'][:8]} are killed", began)
            found = room.runs()
            states = Counter(one["status"] for one in found)
            report.note(f"states of the runs then: {dict(sorted(states.items()))}", began)
            if at_once > TWO_WORKERS:
                assert states["STARTING"], f"No run waits for a worker: {states}"
            report.lines.append("  since the kill:")
            try:
                wait_for_runs(room, report, runs, killed, {(one["runId"], one["status"]) for one in found})
            except AssertionError as fault:
                said = (folder / "ui.log").read_text(errors="replace").splitlines()[-SHOWN_LINES:]
                raise AssertionError("\n  ".join([str(fault), *report.lines, *said])) from None
        code, said = run(folder / "control", "publish", **servers.settings)
        assert code == 0, said
        report.note("the warehouse is published", killed)
        # The same days at a time: what a log is asked for is the range of its run's week.
        alone = do_alone(folder.parent, plants, [*moved, *ranges], servers.sandbox)
        compare_with(report, servers, folder, home, alone)
    return report


def compare_with(report: Report, servers: Servers, folder: Path, home: Path, alone: Path) -> None:
    """Note how the lake in the object store and `home`'s published file differ from those of the home `alone`."""
    options = {name.lower(): value for name, value in LOCATION.items()}
    options["aws_endpoint_url"] = servers.settings["AWS_ENDPOINT_URL"]
    here = Lake(servers.settings["SUNLEDGER_LAKE"], folder / "tmp", options)
    there = Lake(str(alone / "lake"), folder / "tmp")
    for name, one, other in _read_both(here, there, home, alone):
        report.tables += 1
        if not one.equals(other, null_equal=True):
            lost = other.join(one, on=one.columns, how="anti", nulls_equal=True)
            new = one.join(other, on=one.columns, how="anti", nulls_equal=True)
            example = str((new if new.height else lost).head(1).to_dicts())[:SHOWN_OF_A_ROW]
            report.differences.append(
                f"{name}: {other.height} rows, {lost.height} lost, {new.height} new {example}"
            )


def wait_for_runs(
    room: ControlRoom, report: Report, runs: int, killed: float, seen: set[tuple[str, str]]
) -> None:
    """Wait until so many runs have ended well, and note each new state. Raises AssertionError where none goes on."""
    going_at = time.monotonic()

    def look() -> bool:
        nonlocal going_at
        launched = _watch(room, report, seen, killed)
        if not all(one["status"] in ENDED for one in launched):
            going_at = time.monotonic()
            return False
        done = sum(one["status"] == "SUCCESS" for one in launched)
        waited_s = time.monotonic() - going_at
        assert done >= runs or waited_s < AGAIN_WITHIN_S, (
            f"{done} of {runs} runs have ended well, and the others were not tried again within {waited_s:.0f} s."
        )
        return done >= runs

    wait_for(look, "The end of all runs", runs * EACH_ENDS_WITHIN_S, LOOK_AT_RUNS_S)


def _watch(room: ControlRoom, report: Report, seen: set[tuple[str, str]], killed: float) -> list[Any]:
    """Note the states that are new; the runs that were launched, and what tries them again."""
    found = room.runs()
    for one in reversed(found):
        if (one["runId"], one["status"]) not in seen:
            seen.add((one["runId"], one["status"]))
            again = one["tags"].get("dagster/parent_run_id", "")[:8]
            text = (
                f"run {one['runId'][:8]}{f', which tries {again} again,' if again else ''} is {one['status']}"
            )
            report.note(text, killed)
    return [one for one in found if "sunledger/days" not in one["tags"] and RANGE_START in one["tags"]]


def _find_busy(room: ControlRoom) -> Any:
    return next((one for one in room.runs() if one["status"] == "STARTED" and PROCESS in one["tags"]), None)


def _count_waiting(servers: Servers) -> int:
    """Requests that are in PostgreSQL, on their way to the lake."""
    import psycopg2  # noqa: PLC0415 - an extra

    with (
        psycopg2.connect(servers.settings["SUNLEDGER_CLUSTER_POSTGRES_URL"]) as database,
        database.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM sunledger_cluster.requests")
        return int(cursor.fetchone()[0])


def _read_both(
    here: Lake, there: Lake, home: Path, alone: Path
) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    for model in TABLES:
        name = storage(model).table
        one, other = (lake.scan(model).collect() for lake in (here, there))
        if model is ApiRequests:
            yield (
                name,
                *(frame.filter(status=200).select(ASKED).unique().sort(ASKED) for frame in (one, other)),
            )
        elif name not in TABLES_THAT_MAY_DIFFER:
            # After a kill in the midst of a week's days, the rest of them is asked for day by day.
            yield (
                name,
                *(with_any_period({name: drop_what_may_differ(frame)})[name] for frame in (one, other)),
            )
    with ExitStack() as opened:
        files = [
            opened.enter_context(
                duckdb.connect(str(folder / "sunledger.duckdb"), read_only=True, config={"threads": 1})
            )
            for folder in (home, alone)
        ]
        names = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND view_name LIKE 'v_kpi%'"
        for (name,) in files[1].execute(names).fetchall():
            yield (
                name,
                *(
                    drop_what_may_differ(round_last_digits(file.execute(f'SELECT * FROM "{name}"').pl()))
                    for file in files
                ),
            )


@contextmanager
def _start_celery(servers: Servers, folder: Path) -> Iterator[Callable[[], list[int]]]:
    with ExitStack() as opened:
        started = [
            opened.enter_context(
                start_machine(["worker"], servers.machine(folder / name), folder / f"{name}.log")
            )
            for name in ("worker-1", "worker-2")
        ]
        yield lambda: [process.pid for process in started]


@contextmanager
def _start_kubernetes(servers: Servers, folder: Path) -> Iterator[Callable[[], list[int]]]:
    file = folder / "control" / "home" / "dagster" / "dagster.yaml"
    with serve_api(folder / "jobs", servers.machine(folder / "jobs-environment"), file) as (api, kubeconfig):
        found = yaml.safe_load(file.read_text())
        # Outside of Kubernetes a file says where its API server is.
        found["run_launcher"]["config"] |= {
            "load_incluster_config": False,
            "kubeconfig_file": str(kubeconfig),
        }
        file.write_text(yaml.safe_dump(found))
        yield lambda: [job.pid for job in api.jobs.values() if job.poll() is None]


WORKERS = {"celery": _start_celery, "kubernetes": _start_kubernetes}
