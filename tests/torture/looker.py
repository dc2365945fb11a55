"""`verify` and all tables of a damaged home, in a process of its own that damage may kill.

It lives from one look to the next, since most of a look would be the loading of libraries. What it calls for `verify`
is the command itself.
"""

import contextlib
import io
import multiprocessing
import os
import resource
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.torture.compare import Tables, UnreadableError, differences, tables_of

# A damaged length must not take the machine's memory.
LIMIT_BYTES = 12 * 2**30
BOUND_S = 300.0


@dataclass(frozen=True, slots=True)
class Look:
    """The exit code of `verify` and what it said; where the tables differ; empty texts and lists: nowhere.

    `died`: the process that looked was ended by what it read.
    """

    code: int
    said: str
    differences: list[str]
    died: bool = False


class Looker:
    """Looks at homes; starts its process again where that has died."""

    def __init__(self, home: Path, expected: Tables) -> None:
        """Homes are compared with `expected`, and are all at `home`."""
        self._home, self._expected = home, expected
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def look(self) -> Look:
        """The home as it is now."""
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe
        try:
            self._pipe.send("look")
            if self._pipe.poll(BOUND_S):
                code, said, found = self._pipe.recv()
                return Look(code, said, found)
        except (EOFError, OSError):
            pass
        self.close()
        return Look(-1, "the process ended or hung", [], died=True)

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
        self._process = context.Process(target=_serve, args=(theirs, self._home, self._expected), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection, home: Path, expected: Tables) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    os.environ["SUNLEDGER_HOME"] = str(home)
    os.chdir(home.parent)
    with contextlib.suppress(EOFError):
        while pipe.recv() == "look":
            code, said = _verify()
            try:
                found = differences(expected, tables_of(home))
            except UnreadableError as fault:
                found = [str(fault)]
            pipe.send((code, said, found))


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
