"""The control room as a person has it: a sandbox, `sunledger ui`, and a real Chromium. Each process ends by its id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.launch import SandboxAddress, running

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STARTS_WITHIN_S = 300
# Small enough to hold three runs back.
BUDGET = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ui)


@dataclass
class ControlRoom:
    """A running Dagster: its address, the home it works on, and GraphQL as its page speaks it."""

    url: str
    home: Path
    environment: dict[str, str]
    sandbox_pid: int

    @contextmanager
    def portal_silent(self) -> Iterator[None]:
        """The sandbox takes connections and sends nothing until the block ends, so no run that asks it can end."""
        os.kill(self.sandbox_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.sandbox_pid, signal.SIGCONT)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        ).raise_for_status()
        found: dict[str, Any] = answer.json()
        assert "errors" not in found, found
        return found["data"]  # type: ignore[no-any-return]

    def sunledger(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("sunledger")), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def eventually(look: Callable[[], Any], within_s: float = 300) -> Any:
    """The first result that counts as true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(1)
    raise AssertionError("It did not happen in time.")


@pytest.fixture(scope="session")
def control_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlRoom]:
    home = tmp_path_factory.mktemp("control-room")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running("--plants", "6", "--seed", "7", "--time-basis", "plant_local") as box:
        environment = {
            **os.environ,
            **box.settings(),
            "SUNLEDGER_HOME": str(home),
            "SMA_REQUESTS_PER_5_MIN": str(BUDGET),
        }
        said = (home / "ui.log").open("w")
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("sunledger")), "ui", "--port", str(port)],
            env=environment,
            cwd=home,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        room = ControlRoom(f"http://127.0.0.1:{port}", home, environment, _pid(box))
        try:
            eventually(lambda: _answers(room), STARTS_WITHIN_S)
            yield room
        finally:
            process.terminate()
            process.wait(60)
            said.close()


def _pid(box: SandboxAddress) -> int:
    assert box.pid is not None
    return box.pid


def _answers(room: ControlRoom) -> bool:
    try:
        return bool(room.ask("{ repositoriesOrError { __typename } }"))
    except httpx.HTTPError:
        return False


@pytest.fixture
def page(control_room: ControlRoom, tmp_path: Path) -> Iterator[Any]:
    """A page of a fresh Chromium."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make setup for tests"
    )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            viewport={"width": 1440, "height": 900},
        )
        try:
            yield browser.pages[0]
        finally:
            browser.close()
