"""A Redis of a test's own: a process on a free port, ended by its id."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.ports import find_free_port

BINARY = shutil.which("redis-server")
WHY_NOT = "redis-server is not installed: on Debian, apt-get install redis-server"
needs_redis = pytest.mark.skipif(BINARY is None, reason=WHY_NOT)


@dataclass
class RedisServer:
    """Where it listens. `stop` and `start` play an outage; nothing is kept over one."""

    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Listen, at first on a free port, later on the same one."""
        assert BINARY
        for _ in range(5):
            port = self.port or find_free_port()
            command = [BINARY, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            self._process = subprocess.Popen(
                [*command, "--dir", str(self.folder), *self.options], stdout=subprocess.DEVNULL
            )
            if self._listens(port):
                self.port = port
                return
        raise AssertionError("redis-server does not start")

    def stop(self) -> None:
        """End it, and forget everything."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _listens(self, port: int) -> bool:
        """Whether it answers; False when it has ended, for instance since somebody else has the port."""
        assert self._process
        while self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), 60) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64):
                        return True
            except OSError:
                time.sleep(0.02)
        return False


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A running server, ended with the block."""
    server = RedisServer(folder, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
