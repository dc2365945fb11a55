"""Standard input, output and error for a program that was started without one of them, as `>&-` does in a script.

The system gives a closed number to the next file that is opened. What is written to standard output or error would
then go into that file, be it of the lake or of Dagster's records. Imports little, since nothing may be opened before.
"""

import os
import sys


def open_missing_streams() -> None:
    """Let each of the three lead to the null device where it is closed, for this process and those that it starts."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == number:
                os.set_inheritable(opened, True)
            else:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
