"""The control room as a person has it: a sandbox, `sunledger ui`, and a real Chromium. Each process ends by its id."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.launch import run_sandbox
from tests.chromium import CHROMIUM, OPTIONS
from tests.control_room import ControlRoom
from tests.control_room import control_room as serving

# Small enough to hold the lists and three runs of so few plants back.
PLANTS = 2
BUDGET = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The tests of all rooms pass here, and a path's parents are made anew each time one asks for them.
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.ui)


@pytest.fixture(scope="session")
def control_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlRoom]:
    """It knows its plants."""
    home = tmp_path_factory.mktemp("control-room")
    with run_sandbox("--plants", str(PLANTS), "--seed", "7", "--time-basis", "plant_local") as box:
        environment = {
            **os.environ,
            **box.settings(),
            "SUNLEDGER_HOME": str(home),
            "SMA_REQUESTS_PER_5_MIN": str(BUDGET),
        }
        with serving(home, environment, box, home / "ui.log") as room:
            done = room.sunledger("refresh")
            assert done.returncode == 0, done.stderr
            yield room


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
            args=["--headless", *OPTIONS],
            viewport={"width": 1440, "height": 900},
        )
        try:
            yield browser.pages[0]
        finally:
            browser.close()
