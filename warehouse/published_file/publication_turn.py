"""One publication of a file at a time, and the hidden name under which it builds the new one."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.files.lock_waits import LockBusyError, LockWait, hold_awaited_lock

# Publishing takes seconds, so a longer wait means that another process hangs.
LOCK_WAIT_S = 600.0


class PublishError(SunledgerError):
    """The new file could not be built or put in place; what was published before is as it was."""


@contextmanager
def hold_turn(target: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Be the only publisher of `target`. The lock ends with its process, however that ends.

    `tell` gets who publishes it while this waits. Raises PublishError at last.
    """
    path = target.with_name(f".{target.name}.lock")
    wait = LockWait(path, "A publication has to wait for another one", LOCK_WAIT_S, tell)
    with ExitStack() as held:
        try:
            held.enter_context(hold_awaited_lock(wait, 0o644))
        except LockBusyError as fault:
            raise PublishError(f"{target} was not published. {fault}") from None
        yield


@contextmanager
def reserve_name(target: Path) -> Iterator[Path]:
    """Reserve a hidden name beside `target` for the new file, gone at the end with all that DuckDB put beside it.

    Called by the only publisher, so whatever else has such a name was left by one that was killed.
    """
    prefix = f".{target.name}.new-"
    delete_hidden(target.parent, prefix)
    try:
        yield target.with_name(f"{prefix}{os.getpid()}-{secrets.token_hex(4)}")
    finally:
        delete_hidden(target.parent, prefix)


def delete_hidden(folder: Path, prefix: str) -> None:
    """Delete every file and folder whose name begins with `prefix`."""
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if entry.name.startswith(prefix)]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
