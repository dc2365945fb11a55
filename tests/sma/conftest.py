"""A scripted HTTP server on loopback, a clock that never waits, and settings that point at both.

The server speaks HTTP by hand, so that it can also misbehave: cut bodies, hang up, stay silent.
"""

import asyncio
import datetime as dt
import os
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.common.settings import Settings, load_settings
from pipeline.sma.clock import Clock

SECRET = "geheim-7f3a"
TOKEN = "tok-9b1c"
TOKEN_PATH = "/oauth2/token"
TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: str


@dataclass
class Step:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None  # close after so many bytes of the body that was announced
    hang_up: bool = False  # close without an answer
    silent: bool = False  # never answer
    raw: bytes | None = None  # send exactly this
    pause_s: float = 0.0
    after: threading.Event | None = None  # answer when it is set


class Script:
    """What one path answers, step by step; the last step stays."""

    def __init__(self) -> None:
        self.steps: deque[Step] = deque()

    def reply(self, status: int = 200, body: bytes | str = b"{}", **how: object) -> "Script":
        data = body.encode() if isinstance(body, str) else body
        self.steps.append(Step(status, data, **how))  # type: ignore[arg-type]
        return self

    def next(self) -> Step:
        return self.steps.popleft() if len(self.steps) > 1 else self.steps[0]


class ScriptedServer:
    """Runs in a thread of its own, on a port chosen by the system."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.scripts: dict[str, Script] = defaultdict(Script)
        self.seen: list[Seen] = []
        self.dead_tokens: set[str] = set()
        self.connections = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.url = ""
        # Kept here, since a task that waits for what nobody holds is collected as garbage.
        self._never = asyncio.Event()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.on(TOKEN_PATH).reply(200, f'{{"access_token":"{TOKEN}","expires_in":300}}')

    def on(self, path: str, *, afresh: bool = False) -> Script:
        """The script of a path (without query). `afresh` forgets what it had."""
        if afresh:
            self.scripts.pop(path, None)
        return self.scripts[path]

    def count(self, path: str) -> int:
        return sum(seen.target.split("?")[0] == path for seen in self.seen)

    def start(self) -> None:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.url = (
            f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        )

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task that is cancelled before its first step closes nothing, so its connection is known from here on.
        self._open[asyncio.create_task(self._serve(reader, writer))] = writer

    async def _end(self) -> None:
        self._server.close()
        for _ in range(3):
            # Those that were accepted a moment ago have their connection some turns of the loop later.
            for _ in range(10):
                await asyncio.sleep(0)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in self._open.values():
                writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        headers["authorization"] = next(
            (line.split(": ", 1)[1] for line in head if line.lower().startswith("authorization")), ""
        )
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        self.seen.append(Seen(method, target, headers, body))
        step = self.scripts[target.split("?")[0]].next()
        if headers["authorization"].removeprefix("Bearer ") in self.dead_tokens:
            step = Step(401)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            return await self._play(step, writer)
        finally:
            self.in_flight -= 1

    async def _play(self, step: Step, writer: asyncio.StreamWriter) -> bool:
        if step.pause_s:
            await asyncio.sleep(step.pause_s)
        while step.after is not None and not step.after.is_set():
            await asyncio.sleep(0.001)
        if step.hang_up:
            return False
        if step.silent:
            await self._never.wait()
        if step.raw is not None:
            writer.write(step.raw)
            await writer.drain()
            return False
        headers = {"Content-Length": str(len(step.body)), **step.headers}
        lines = [f"HTTP/1.1 {step.status} X", *(f"{name}: {value}" for name, value in headers.items())]
        body = step.body if step.cut_at is None else step.body[: step.cut_at]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        return step.cut_at is None


class FakeTime:
    """Time that passes only by sleeping. Chance is fixed, so that every wait is known."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleeps: list[float] = []
        self.clock = Clock(
            monotonic=lambda: self.seconds,
            now=lambda: dt.datetime(2025, 7, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self.seconds - 1000.0),
            sleep=self.sleep,
            chance=lambda: 1.0,
        )

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith(("SMA_", "SUNLEDGER_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def untrusted_server() -> Iterator[ScriptedServer]:
    """Speaks TLS with a certificate that nobody has signed."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parent / "data" / "self-signed.pem")
    running = ScriptedServer(tls)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def settings(server: ScriptedServer, tmp_path: Path) -> Settings:
    return load_settings(
        env_file=None,
        home=tmp_path / "home",
        sma_client_id="client",
        sma_client_secret=SECRET,
        sma_auth_url=server.url,
        sma_monitoring_url=f"{server.url}/monitoring",
        sma_max_connections=4,
    )


@pytest.fixture
def secrets() -> tuple[str, ...]:
    """What no message, log or repr may hold."""
    return SECRET, TOKEN, "Y2xpZW50"  # the last: how `client:...` begins in Base64
