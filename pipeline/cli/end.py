"""The end of the program: one sentence and an exit code, whatever happens."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from pipeline.cli.exit_codes import FAILED
from pipeline.common.garbage import skip_all_objects
from pipeline.common.signals import SIGNALS, Interruption, describe_end

if TYPE_CHECKING:
    from logging import LogRecord


def run_to_end() -> NoReturn:
    """Run the command of the command line and exit with its exit code."""
    try:
        import logging  # Loading it can be interrupted as well.

        if logging.lastResort:
            logging.lastResort.addFilter(_is_no_end_of_ours)
        code = _run()
        SIGNALS.leaving = True
    except BaseException as fault:
        SIGNALS.leaving = True
        code = _explain(fault)
    _leave(code)


def _is_no_end_of_ours(record: "LogRecord") -> bool:
    """Libraries log what interrupts them, with its trace, before they let it through."""
    return not (record.exc_info and isinstance(record.exc_info[1], Interruption))


def _run() -> int:
    from pipeline.cli.limits import check_limits  # A fault while loading is reported like any other.

    check_limits()
    from pipeline.cli.commands import app
    from pipeline.common.slow_stores import announce_slow_stores

    try:
        with announce_slow_stores(_tell):
            app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _tell(text: str) -> None:
    from pipeline.cli.console import say  # Few commands have anything to say of a store.

    say(text)


def _explain(fault: BaseException) -> int:
    """Print what happened and return the exit code."""
    try:
        return _say(fault)
    except BaseException as another:
        if SIGNALS.received is None and not isinstance(another, Interruption):
            # Explaining a fault needs memory and files too.
            _write(
                f"Error: {type(fault).__name__} ended the program; explaining it failed too ({type(another).__name__})."
            )
        return SIGNALS.exit_code(FAILED)


def _say(fault: BaseException) -> int:
    from pipeline.common.errors import SunledgerError

    if isinstance(fault, BrokenPipeError):
        # The reader of our output is gone, so a message would reach nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(fault, SunledgerError):
        _write(f"Error: {fault}")
        return SIGNALS.exit_code(fault.exit_code)
    number = fault.number if isinstance(fault, Interruption) else SIGNALS.received
    if number is not None or isinstance(fault, KeyboardInterrupt):
        # Libraries turn an interrupt into errors of their own, which are no explanation.
        number = number or 2
        _write(f"Error: {describe_end(number)}")
        return 128 + number
    from pipeline.common.store_faults import find_store_error

    if store_error := find_store_error(fault):
        _write(f"Error: {store_error}")
        return store_error.exit_code
    from pipeline.cli.fault_report import explain_fault

    _write(f"Error: {explain_fault(fault)}")
    return FAILED


def _write(text: str) -> None:
    """Print a line as `complain` does, or without it where it can't be loaded."""
    try:
        from pipeline.cli.console import complain

        complain(text.removeprefix("Error: "))
    except Exception:
        os.write(2, f"{text}\n".encode(errors="replace"))


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError as fault:
        # Python would flush again at its exit and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(fault, BrokenPipeError):
            _write(
                f"Error: The output could not be written ({fault.strerror}), so it is not complete: run it again."
            )
        code = code or FAILED
    skip_all_objects()
    sys.exit(code)
