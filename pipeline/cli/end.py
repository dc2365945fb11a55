"""How the program ends: one sentence and an exit code, whatever happens."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from pipeline.common.signals import SIGNALS, Stopped, sentence

if TYPE_CHECKING:
    from logging import LogRecord

FAILED = 1


def run_to_end() -> NoReturn:
    """Run the command of the command line, and leave."""
    try:
        import logging  # noqa: PLC0415 - loading it can be interrupted as well

        if logging.lastResort:
            logging.lastResort.addFilter(_is_no_end_of_ours)
        code = _run()
    except BaseException as fault:
        SIGNALS.leaving = True
        code = _explain(fault)
    SIGNALS.leaving = True
    _leave(code)


def _is_no_end_of_ours(record: "LogRecord") -> bool:
    """Libraries log what interrupts them, with its trace, before they let it through."""
    return not (record.exc_info and isinstance(record.exc_info[1], Stopped))


def _run() -> int:
    from pipeline.cli.limits import check_limits  # noqa: PLC0415 - a fault while loading is told like any other

    check_limits()
    from pipeline.cli.commands import app  # noqa: PLC0415

    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _explain(fault: BaseException) -> int:
    """Say what happened; the exit code."""
    try:
        return _say(fault)
    except BaseException as another:
        if SIGNALS.received is None and not isinstance(another, Stopped):
            # Also what explains it needs memory and files.
            _write(f"Error: {type(fault).__name__}, and it can't be explained ({type(another).__name__}).")
        return SIGNALS.exit_code(FAILED)


def _say(fault: BaseException) -> int:
    from pipeline.common.errors import SunledgerError  # noqa: PLC0415

    if isinstance(fault, BrokenPipeError):
        # The reader of our output has left; nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(fault, SunledgerError):
        _write(f"Error: {fault}")
        return SIGNALS.exit_code(fault.exit_code)
    number = fault.number if isinstance(fault, Stopped) else SIGNALS.received
    if number is not None or isinstance(fault, KeyboardInterrupt):
        # Whatever a library makes of being interrupted.
        number = number or 2
        _write(f"Error: {sentence(number)}")
        return 128 + number
    from pipeline.cli.faults import explain_fault  # noqa: PLC0415

    _write(f"Error: {explain_fault(fault)}")
    return FAILED


def _write(text: str) -> None:
    """A line as `complain` prints it, where that can be loaded."""
    try:
        from pipeline.cli.console import complain  # noqa: PLC0415

        complain(text.removeprefix("Error: "))
    except Exception:
        os.write(2, f"{text}\n".encode(errors="replace"))


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError as fault:
        # Python would try again, and say so in its own way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(fault, BrokenPipeError):
            _write(
                f"Error: The output can't be written ({fault.strerror}): what was printed is not complete."
            )
        code = code or FAILED
    sys.exit(code)
