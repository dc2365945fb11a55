"""What tests of the warehouse share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.store import serve_look_alike
from tests.home_template import HomeTemplate
from tests.small_lake import NOW, fill
from tests.warehouse.object_stores import Store
from warehouse.lake import Lake
from warehouse.published_file.publish import PublishedFile, publish


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


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A small lake for tests that only read it: three plants, two days, and all that the curated views look at."""
    root = tmp_path_factory.mktemp("filled")
    lake = Lake(str(root / "o'lake"), root / "scratch")
    fill(lake)
    return lake


@pytest.fixture(scope="session")
def published(filled: Lake, tmp_path_factory: pytest.TempPathFactory) -> PublishedFile:
    """That small lake, published once for tests that only read."""
    target = tmp_path_factory.mktemp("published") / "it's" / "sunledger.duckdb"
    return publish(filled, target, now=NOW, version="1.2.3")
