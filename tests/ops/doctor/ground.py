"""Where broken set-ups are built: a sandbox, a home, an environment, and clocks that all show the same time."""

import datetime as dt
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.health.doctor_output import format_finding
from pipeline.common.settings import Settings, load_settings
from pipeline.ops.doctor.examination import examine
from pipeline.ops.doctor.result import Diagnosis
from pipeline.sma.clock import Clock
from sandbox.options import (
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_CODE_CLIENT_ID,
    DEFAULT_CODE_CLIENT_SECRET,
    Options,
)
from tests.sandbox.served_sandbox import NOW, Served, served

# What differs from machine to machine, and what is shown in its place.
MACHINE = (
    (re.compile(r"Python [0-9.]+, \d+ packages"), "Python 3.12.11, 116 packages"),
    (re.compile(r"\d+ authorities"), "144 authorities"),
    (re.compile(r"tzdata [0-9.]+\d"), "tzdata 2026.6"),
)
CODE_CLIENT = {
    "sma_flow": "code",
    "sma_client_id": DEFAULT_CODE_CLIENT_ID,
    "sma_client_secret": DEFAULT_CODE_CLIENT_SECRET,
}


@dataclass
class Ground:
    """One set-up. What it starts ends with `stack`; what it changes in this process goes back with `patch`."""

    folder: Path
    stack: ExitStack
    patch: pytest.MonkeyPatch
    clock_ahead: dt.timedelta = dt.timedelta()
    free_bytes: int = 500 * 10**9
    box: Served | None = None
    plants_asked: int | None = 3
    words: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The sandbox's address."""
        return self.sandbox().url

    def sandbox(self, **options: Any) -> Served:
        """The sandbox, started at first use: twelve plants unless told otherwise."""
        if self.box is None:
            self.box = self.stack.enter_context(served(Options(**options)))
        return self.box

    def settings(self, **more: Any) -> Settings:
        """Settings of a good set-up, and these."""
        facts: dict[str, Any] = {
            "home": self.folder / "home",
            "sma_client_id": DEFAULT_CLIENT_ID,
            "sma_client_secret": DEFAULT_CLIENT_SECRET,
            "sma_auth_url": self.url,
            "sma_consent_url": self.url,
            "sma_monitoring_url": f"{self.url}/monitoring",
            "sma_time_basis": "plant_local",
            "sma_requests_per_5_min": 3000,
            "max_eur_per_month": Decimal(1000),
        }
        return load_settings(env_file=None, **{**facts, **more})

    @property
    def clock(self) -> Clock:
        """This machine's clock: that of the sandbox, and `clock_ahead` more."""
        return Clock(now=lambda: NOW + self.clock_ahead)

    def hide(self, text: str, shown: str) -> None:
        """Show `shown` in the place of a text that differs from run to run."""
        self.words.append((text, shown))


Build = Callable[[Ground], Settings]


def examined(ground: Ground, build: Build) -> list[Diagnosis]:
    """What the doctor finds in a set-up."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        ground.patch.delenv(name, raising=False)
    ground.patch.setattr("pipeline.ops.doctor.facts.shutil.disk_usage", lambda _: _Usage(ground.free_bytes))
    return list(examine(build(ground), clock=ground.clock, plants_asked=ground.plants_asked))


def lines(ground: Ground, findings: list[Diagnosis]) -> list[str]:
    """The findings as a user sees them, without what differs from machine to machine."""
    shown = [format_finding(finding) for finding in findings]
    words = [*ground.words, (str(ground.folder), "/srv/sunledger")]
    if ground.box is not None:
        words.append((ground.box.url, "http://127.0.0.1:8400"))
        words.append((ground.box.url.removeprefix("http://"), "127.0.0.1:8400"))
    for text, instead in words:
        shown = [one.replace(text, instead) for one in shown]
    for pattern, instead in MACHINE:
        shown = [pattern.sub(instead, one) for one in shown]
    return shown


@dataclass(frozen=True)
class _Usage:
    free: int
