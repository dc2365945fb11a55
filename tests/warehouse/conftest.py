"""What tests of the warehouse share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.store import serve_look_alike
from tests.home_template import HomeTemplate
from tests.warehouse.object_stores import Store


@pytest.fixture(scope="session")
def look_alike() -> Iterator[str]:
    """The address of a server that speaks S3, for tests that make a bucket of their own: it takes seconds to start."""
    with serve_look_alike() as address:
        yield address


@pytest.fixture(scope="session")
def store(look_alike: str) -> Store:
    return Store(look_alike)


@pytest.fixture
def home(template: HomeTemplate) -> Path:
    """The home of the module's `template`, as it was built."""
    return template.restore()
