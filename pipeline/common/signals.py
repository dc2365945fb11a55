"""The end of the program by a signal: at once where Python can see it, and within seconds where it can't.

SIGINT (Ctrl-C), SIGTERM and SIGHUP raise `Interruption` in the main thread, however the program was started: a shell
starts what it puts into the background with SIGINT ignored. But the main thread sees no signal while it is inside a
call of another language, and an exception can be lost in a callback. So a thread learns of each signal from the
system itself: it sends the signal again, and then ends the process. What is stored is whole at any moment.

Imports little, so that also the loading of the rest can be interrupted.
"""

import atexit
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Final, NoReturn

AGAIN_AFTER_S: Final = 4.0
ENDS_AFTER_S: Final = 10.0
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption(BaseException):
    """A signal wants the program to end. No Exception, so that nothing takes it for a fault and goes on."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """The signals of this process."""

    def __init__(self) -> None:
        self.received: int | None = None
        # The program is leaving: whatever comes now must not interrupt it in saying why.
        self.leaving = False
        self._ending = False

    def install(self) -> None:
        """Handle signals from now on. For the main thread of a program; once."""
        for number in ENDING:
            # Who starts a program with nohup means that it stays.
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            signal.signal(number, _stop)
        # What is registered first is called last.
        atexit.register(_ignore_signals)
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(read,), name="signals", daemon=True).start()
        sys.unraisablehook = self._report_unraisable

    def hand_over(self) -> None:
        """Leave signals to another part of the program, which has handlers and a bound of its own."""
        signal.set_wakeup_fd(-1)

    def exit_code(self, otherwise: int) -> int:
        """What a shell expects of a program that was ended by a signal; `otherwise` for any other."""
        return otherwise if self.received is None else 128 + self.received

    def _watch(self, pipe: int) -> None:
        while True:
            for number in os.read(pipe, 64):
                if number in ENDING and not self._ending:
                    self._ending = True
                    self.received = self.received or number
                    # In this thread: where memory is short, there may be no other.
                    _end(number)

    def _report_unraisable(self, fault: "sys.UnraisableHookArgs") -> None:
        """What is said of an exception that nobody can catch: nothing, where it is our own end."""
        if self.received is None:
            sys.__unraisablehook__(fault)


SIGNALS = Signals()


def _stop(number: int, _frame: FrameType | None) -> None:
    if not SIGNALS.leaving:
        # Also here, since the thread may come later than the end that a library makes of it.
        SIGNALS.received = SIGNALS.received or number
        raise Interruption(number)


def _ignore_signals() -> None:
    """Let no signal change the exit code of finished work: Python takes its handlers away before it has ended."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int) -> None:
    time.sleep(AGAIN_AFTER_S)
    os.kill(os.getpid(), number)
    time.sleep(ENDS_AFTER_S - AGAIN_AFTER_S)
    leave_at_once(number, " A step was still running and had to be stopped in the middle.")


def leave_at_once(number: int, more: str = "") -> NoReturn:
    """End the process by itself: the locks of a console may be held by what does not end, or it is not loaded yet."""
    os.write(2, f"Error: {describe_end(number)}{more}\n".encode())
    os._exit(128 + number)


def describe_end(number: int) -> str:
    """What is said at the end."""
    word = "Interrupted" if number == signal.SIGINT else f"Ended by {signal.Signals(number).name}"
    return f"{word}. All finished work is stored: run it again for the rest."
