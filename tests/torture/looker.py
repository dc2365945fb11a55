"""`verify` and all tables of a damaged home, in a process of its own that damage may kill.

It lives from one look to the next, since most of a look would be the loading of libraries. What it calls for `verify`
is the command itself.
"""

import contextlib
import io
import multiprocessing
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.torture.compare import (
    Tables,
    UnreadableError,
    differences,
    requests_without_record,
    tables_of,
    with_any_period,
)
from warehouse.integrity.damage import DamagedError

# A damaged length must not take the machine's memory.
LIMIT_BYTES = 12 * 2**30
BOUND_S = 300.0


@dataclass(frozen=True, slots=True)
class Look:
    """The exit code of `verify` and what it said; where the tables differ; empty texts and lists: nowhere.

    `unrecorded`: stored answers without a request in api_requests. `died`: the process that looked was ended by what
    it read.
    """

    code: int
    said: str
    differences: list[str]
    unrecorded: int = 0
    died: bool = False


class Looker:
    """Looks at homes; starts its process again where that has died."""

    def __init__(self, home: Path) -> None:
        """All homes that are looked at are at `home`, one after the other."""
        self._home = home
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def look(self, expected: Tables | None = None, *, any_period: bool = False) -> Look:
        """The home as it is now, compared with these tables where they are given; see `with_any_period`."""
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe
        try:
            self._pipe.send((expected, any_period))
            if self._pipe.poll(BOUND_S):
                verified = self._pipe.recv()
                return Look(*verified, *self._receive_comparison(seen=bool(verified[0])))
        except (EOFError, OSError):
            pass
        self.close()
        return Look(-1, "the process ended or hung", [], died=True)

    def _receive_comparison(self, *, seen: bool) -> tuple[list[str], int]:
        """The differences of the tables. Reading a damaged file may end the process: no fault where it was seen."""
        assert self._pipe
        try:
            if self._pipe.poll(BOUND_S):
                found, unrecorded = self._pipe.recv()
                return found, unrecorded
        except (EOFError, OSError):
            pass
        if not seen:
            raise OSError
        self.close()
        return ["the process that compares the tables ended or hung"], 0

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> None:
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._home), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection, home: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    os.environ["SUNLEDGER_HOME"] = str(home)
    os.chdir(home.parent)
    with contextlib.suppress(EOFError):
        while True:
            expected, any_period = pipe.recv()
            pipe.send(_verify())
            pipe.send(
                ([], 0)
                if expected is None
                else _compare(home, expected, with_any_period if any_period else dict)
            )


def _compare(home: Path, expected: Tables, as_read: Callable[[Tables], Tables]) -> tuple[list[str], int]:
    try:
        found = differences(as_read(expected), as_read(tables_of(home)))
        return found, requests_without_record(home)
    except (UnreadableError, DamagedError) as fault:
        return [str(fault)], 0


def _verify() -> tuple[int, str]:
    from pipeline.cli.commands import app  # noqa: PLC0415 - loads the program
    from pipeline.common.errors import SunledgerError  # noqa: PLC0415

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = app(["verify"], standalone_mode=False)
        except SunledgerError as fault:
            code = fault.exit_code
            said.write(f"Error: {fault}")
        except BaseException as fault:
            # What the program itself makes of it is one sentence too: see pipeline/cli/end.py.
            code = 1
            said.write(f"Error: {fault}")
    return code or 0, said.getvalue()
