"""A small lake to publish: three plants, two days, and everything that the curated views look at."""

from pathlib import Path

import pytest

from tests.small_lake import NOW, Frame, fill, make_frame
from warehouse.lake import Lake
from warehouse.published_file.publish import PublishedFile, publish


@pytest.fixture(scope="session")
def frame() -> Frame:
    return make_frame


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a folder whose name needs quoting."""
    return Lake(str(tmp_path / "o'lake"), tmp_path / "scratch")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake above, for tests that only read it."""
    root = tmp_path_factory.mktemp("filled")
    lake = Lake(str(root / "o'lake"), root / "scratch")
    fill(lake)
    return lake


@pytest.fixture(scope="session")
def published(filled: Lake, tmp_path_factory: pytest.TempPathFactory) -> PublishedFile:
    """The lake above, published once for tests that only read."""
    target = tmp_path_factory.mktemp("published") / "it's" / "sunledger.duckdb"
    return publish(filled, target, now=NOW, version="1.2.3")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> PublishedFile:
    """A lake without a table, published once for tests that only read."""
    root = tmp_path_factory.mktemp("empty")
    return publish(
        Lake(str(root / "lake"), root / "scratch"), root / "sunledger.duckdb", now=NOW, version="1"
    )
