"""A sandbox inside the test's own process, on a port chosen by the system, with its world in reach."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest

from sandbox.options import Options
from tests.sandbox.served_sandbox import NOW, Serve, Served, served


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Served]:
    """Twelve plants and the recordings: see `sandbox`."""
    with served(Options(recordings=True)) as it:
        yield it


@pytest.fixture
def sandbox(shared_sandbox: Served) -> Served:
    """Twelve plants and the recordings, for tests that only read, with a token that no earlier test has used up."""
    shared_sandbox.login()
    return shared_sandbox


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers of a test's own: `serve(plants=3, seed=1)`."""
    with ExitStack() as stack:

        def start(now: datetime = NOW, **options: Any) -> Served:
            return stack.enter_context(served(Options(**options), now))

        yield start
