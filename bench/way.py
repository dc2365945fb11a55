"""How often a reader changes the file who follows a week of answers: `python -m bench.way`, with `--way` each file.

A week of a small fleet is fetched from a sandbox, made into tables and published, by the same steps as a backfill. The
answers for the week are truncated, so that some days are asked for alone.
The calls of our own functions are noted on the way, in every thread. Two readers follow them:

* One reads each function once, when it is first called.
* The other follows each place of a call once, into the function and back out of it.

What is counted is the files, the changes from one file to another, and the returns: changes to a file that the reader
had left before.
"""

import datetime as dt
import json
import os
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType

from bench.lists import refresh_lists
from pipeline.common.settings import load_settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.tables.energy_tables import write_energy_daily, write_energy_monthly
from pipeline.tables.hourly_tables import write_energy_hourly, write_profile_monthly, write_quarter_energies
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from sandbox.address import SandboxAddress
from sandbox.launch import run_sandbox
from warehouse.published_file.publish import publish

ROOT = Path(__file__).parents[1]
ROOMS = tuple(f"{ROOT / room}{os.sep}" for room in ("assets", "pipeline", "schemas", "warehouse"))
MONDAY = dt.date(2025, 5, 5)
WEEK = [MONDAY + dt.timedelta(days=i) for i in range(7)]


def main() -> None:
    """Follow the week, and print the counts."""
    follower = Follower()
    with run_sandbox("--plants", "2") as address, tempfile.TemporaryDirectory() as home:
        given = {name.lower(): value for name, value in address.settings().items()}
        settings = load_settings(env_file=None, home=Path(home), **given)
        with RunContext(settings) as runtime, follower.following():
            refresh_lists(runtime)
            _cut_weeks(address)
            follower.begin()
            for _ in SetFetch(BALANCE)(runtime, WEEK):
                pass
            follower.report("from request to raw table")
            follower.begin()
            _make(runtime)
            follower.report("from raw table to published file")


def _cut_weeks(address: SandboxAddress) -> None:
    fault = json.dumps({"faults": ["first_rows_only,path=Week"]}).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{address.url}/_control/faults", fault, {"Content-Type": "application/json"}, method="PUT"
    )
    urllib.request.urlopen(request).close()  # noqa: S310 - loopback


def _make(runtime: RunContext) -> None:
    for day in WEEK:
        write_intervals(runtime, BALANCE, day)
        write_energy_daily(runtime, day)
        write_quarter_energies(runtime, day)
        write_energy_hourly(runtime, day)
        write_kpi_daily(runtime, day)
    for write in (write_energy_monthly, write_profile_monthly, write_kpi_monthly):
        write(runtime)
    publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version="bench")


class Follower:
    """Notes which file a reader is in, one after the other."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was read."""
        self._functions: dict[CodeType, str] = {}
        self._places: set[tuple[object, ...]] = set()
        self._visits: list[str] = []

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow every call of the block, in this thread and in those that begin in it."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def report(self, title: str) -> None:
        """Print the counts of both readers."""
        print(f"{title}:")
        for what, visits in (
            ("each function once", list(self._functions.values())),
            ("each call, and back", self._visits),
        ):
            way = [file for file, _ in groupby(visits)]
            returns = len(way) - len(set(way))
            print(f"  {what}: {len(set(way))} files, {len(way) - 1} changes of the file, {returns} returns")
            if "--way" in sys.argv[1:]:
                print("    " + "\n    ".join(way))

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event not in {"call", "return"} or not _is_ours(frame):
            return
        caller = frame.f_back
        place = (event, frame.f_code, caller and (caller.f_code, caller.f_lineno))
        if place in self._places:
            return
        self._places.add(place)
        if event == "call":
            self._functions.setdefault(frame.f_code, _file(frame))
            self._visits.append(_file(frame))
            return
        while caller is not None and not _is_ours(caller):
            caller = caller.f_back
        if caller is not None:
            self._visits.append(_file(caller))


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(ROOMS)


def _file(frame: FrameType) -> str:
    return str(Path(frame.f_code.co_filename).relative_to(ROOT))


if __name__ == "__main__":
    main()
