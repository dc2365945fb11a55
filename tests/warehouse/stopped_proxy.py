"""A proxy before an object store that is stopped: requests reach it and are not answered, as in an outage."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.programs import PATIENCE_S

# What a run says of an outage that the clients' own tries don't outlast.
SAID_OF_OUTAGE = "is gone. The run waits for it"
# One that they do outlast.
SHORT_OUTAGE_S = 3.0
ROOT = Path(__file__).parents[2]


@contextmanager
def open_proxy(store: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of a proxy before that store, and its process; ended with the block."""
    command = [sys.executable, "-m", "tests.warehouse.store_proxy", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as proxy:
        assert proxy.stdout is not None
        try:
            yield f"http://127.0.0.1:{proxy.stdout.readline().strip()}", proxy
        finally:
            proxy.kill()


@contextmanager
def stopped(proxy: "subprocess.Popen[str]") -> Iterator[None]:
    """Within the block it answers nothing."""
    proxy.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        proxy.send_signal(signal.SIGCONT)


def wait_for_words(words: str, log: Path, is_over: Callable[[], bool]) -> None:
    """Wait until a program's log holds them. Raises AssertionError if it ends before, or after a long time."""
    deadline = time.monotonic() + PATIENCE_S
    while words not in log.read_text():
        assert not is_over(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
