"""Runs the application on uvicorn until it is asked to stop."""

import ctypes
import gc
import json
import os
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from sandbox.address import SandboxAddress
from sandbox.faults.wire import ConnectedProtocol
from sandbox.options import LOOPBACK, Options

BACKLOG = 2048
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class CannotListenError(OSError):
    """The address is taken or not ours: the message names it and the cure."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on `host`; port 0 lets the system choose."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListenError(
            f"The sandbox can't listen on {host} port {port} ({error.strerror}): choose another --port, or --port 0."
        ) from error


def build_address(options: Options, listener: socket.socket) -> SandboxAddress:
    """How a client on this machine reaches the listener."""
    port = listener.getsockname()[1]
    host = LOOPBACK if options.host in ("0.0.0.0", "::") else options.host  # noqa: S104 - read, not bound
    return SandboxAddress(
        url=f"http://{f'[{host}]' if ':' in host else host}:{port}",
        client_id=options.client_id,
        client_secret=options.client_secret,
        time_basis=options.rules.basis,
        pid=os.getpid(),
    )


def configure_uvicorn(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves `app`: fast, silent, and with connections that faults can reach."""
    return uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        http=ConnectedProtocol,
        loop="uvloop",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        backlog=BACKLOG,
    )


class Server(uvicorn.Server):
    """uvicorn, which also says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        """`on_ready` is called once, when connections are answered."""
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        self._on_ready()


def serve_app(
    app: ASGIApp, listener: socket.socket, *, on_ready: Callable[[], None], until_stdin_closes: bool
) -> None:
    """Serve `app` until SIGINT, SIGTERM or, if asked for, the end of standard input."""
    _keep_freed_memory()
    gc.freeze()  # the fleet is here to stay: the collector need not look through it again and again
    server = Server(configure_uvicorn(app), on_ready)
    if until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def stay_on_one_core() -> None:
    """Have polars and OpenBLAS (of numpy) start no threads, which cost more than they save here.

    To be called before they are used.
    """
    for setting in ("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(setting, "1")


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed: to take a large array from the system again costs as much as to compute it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other systems have none, and are only slower
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def _stop_at_end_of_stdin(server: uvicorn.Server) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.should_exit = True


def format_ready_line(address: SandboxAddress) -> str:
    """One line of JSON for a parent process; it holds no secret."""
    ready = {
        "url": address.url,
        "pid": address.pid,
        "time_basis": address.time_basis,
        "client_id": address.client_id,
    }
    return json.dumps(
        {**ready, **{key.lower(): value for key, value in address.settings().items() if "URL" in key}}
    )
