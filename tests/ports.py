"""Ports for servers that can't be told to choose their own."""

import secrets
import socket
from pathlib import Path

# Below it are ports of services that a machine may run.
FIRST = 12_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def find_free_port() -> int:
    """A port of 127.0.0.1 where nothing listens, and which the system gives nobody by itself.

    Its own choice it gives away again as soon as it is free: to a connection of any test, before the server binds it.
    """
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    while True:
        port = FIRST + secrets.randbelow(end - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
