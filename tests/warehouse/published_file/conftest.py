"""An empty lake to fill and publish, and what was published of one without a table."""

from pathlib import Path

import pytest

from tests.small_lake import NOW, Frame, make_frame
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
def empty(tmp_path_factory: pytest.TempPathFactory) -> PublishedFile:
    """A lake without a table, published once for tests that only read."""
    root = tmp_path_factory.mktemp("empty")
    return publish(
        Lake(str(root / "lake"), root / "scratch"), root / "sunledger.duckdb", now=NOW, version="1"
    )
