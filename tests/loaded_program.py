"""The program loaded once, and forked for each command: loading is most of what a short command costs.

What is a matter of how Python starts or how a process dies (loading, limits, signals, kills, races) needs `start`. All
else is the same here: a process of its own with its folder, environment, output and exit code.

`python -m tests.loaded_program PATH` listens on a socket at PATH until its standard input ends.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from typing import Any, NoReturn

# What commands load when they run, and Dagster when it opens its records. Nothing of it may start a thread that works:
# a fork has none of them.
PARTS = (
    "pipeline.cli.commands",
    "assets.runs",
    "alembic.op",
    "alembic.runtime.environment",
    "rich.traceback",
    "typer._adapters",
)


def main(path: str) -> None:
    """Fork for each connection until standard input ends."""
    for part in PARTS:
        importlib.import_module(part)
    _read_ahead()
    _stop_threads()
    # What is loaded stays shared with the forks: their collector doesn't touch it.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("loaded", flush=True)  # noqa: T201 - who started it waits for that
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if listening not in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _serve(connection)
            connection.close()


def _read_ahead() -> None:
    """Read what each opening of Dagster, each building of its definitions and each client of HTTP would read."""
    import httpx  # noqa: PLC0415
    from dagster import DagsterInstance  # noqa: PLC0415

    from assets.definitions import build_definitions  # noqa: PLC0415
    from pipeline.common.settings import load_settings  # noqa: PLC0415
    from tests.read_once import keep_what_is_read  # noqa: PLC0415

    keep_what_is_read()
    httpx.create_ssl_context()
    build_definitions(load_settings(env_file=None))
    with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder):
        pass


def _stop_threads() -> None:
    import duckdb  # noqa: PLC0415

    # Its default connection has as many threads as there are cores, and waits for them at its end.
    duckdb.default_connection().execute("SET threads = 1")


def _serve(connection: socket.socket) -> NoReturn:
    """Run the command that is asked for in a child, and answer with the number of its process and its exit code."""
    wire = connection.makefile("rw")
    asked = json.loads(wire.readline())
    child = os.fork()
    if child == 0:
        wire.close()
        connection.close()
        _become_program(asked)
        _run_program(asked["words"], strict=asked["strict"])
    wire.write(f"{child}\n")
    wire.flush()
    _, status = os.waitpid(child, 0)
    wire.write(f"{os.waitstatus_to_exitcode(status)}\n")
    wire.flush()
    os._exit(0)


def _become_program(asked: dict[str, Any]) -> None:
    """Have the folder, the environment and the files that a process of the program would have."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    os.chdir(asked["folder"])
    for number, name in enumerate((os.devnull, asked["out"], asked["err"])):
        file = os.open(name, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked["strict"]:
        warnings.simplefilter("error", ResourceWarning)


def _run_program(words: list[str], *, strict: bool) -> NoReturn:
    """Run it and end as Python does, but for taking apart what all forks share, which takes longer than the command."""
    from pipeline.cli import main as run_to_end  # noqa: PLC0415

    sys.argv = ["sunledger", *words]
    code: Any = 0
    try:
        run_to_end()
    except SystemExit as end:
        code = end.code
    threading._shutdown()
    atexit._run_exitfuncs()
    if strict:
        # The program skips what it has at its end; here what it forgot to close is looked for.
        gc.unfreeze()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main(sys.argv[1])
