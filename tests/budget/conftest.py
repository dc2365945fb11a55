"""Time that passes only by sleeping, and the sandbox with a shorter window that counts what it is asked."""

import asyncio
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.common.settings import Settings, load_settings
from pipeline.sma.budget.file_store import Moment
from pipeline.sma.clock import Clock
from sandbox.options import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET
from tests.sma.conftest import bare_environment, server

# The same fixtures as in the tests of the client.
__all__ = ["bare_environment", "server"]

ROOT = Path(__file__).parent.parent.parent
BOOT = b"boot-one--------"


@dataclass
class FakeTime:
    """A machine's clocks. `jump` moves the wall clock alone, `restart` begins the monotonic one again."""

    monotonic: float = 1000.0
    wall: float = 1.7e9
    boot: bytes = BOOT
    sleeps: list[float] = field(default_factory=list)

    def moment(self) -> Moment:
        return Moment(self.boot, self.monotonic, self.wall)

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def restart(self, down_s: float) -> None:
        self.boot, self.monotonic, self.wall = b"boot-two--------", 3.0, self.wall + down_s

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.pass_by(seconds)
        await asyncio.sleep(0)

    @property
    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.monotonic,
            now=lambda: dt.datetime.fromtimestamp(self.wall, dt.UTC),
            sleep=self.sleep,
            chance=lambda: 1.0,
        )


@dataclass(frozen=True)
class Sandbox:
    """The sandbox as a process, with `window_s` in the place of five minutes."""

    url: str

    def counts(self) -> dict[str, Any]:
        """Requests by path and by status, and the times of those for data, as the server saw them."""
        found: dict[str, Any] = httpx.get(f"{self.url}/_counts", trust_env=False).json()
        return found


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """`indirect` parameter: (requests in a window or None, window_s, whether the bucket begins empty)."""
    arguments = [json.dumps(part) for part in request.param]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.budget.counting_sandbox", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield Sandbox(process.stdout.readline().strip())
        finally:
            process.terminate()


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return settings_for(sandbox.url, tmp_path / "home")


def settings_for(url: str, home: Path, **others: Any) -> Settings:
    """Settings for the sandbox at `url`."""
    return load_settings(
        env_file=None,
        home=home,
        sma_client_id=DEFAULT_CLIENT_ID,
        sma_client_secret=DEFAULT_CLIENT_SECRET,
        sma_auth_url=url,
        sma_consent_url=url,
        sma_monitoring_url=f"{url}/monitoring",
        sma_time_basis="plant_local",
        max_eur_per_month=1_000_000,
        **others,
    )
