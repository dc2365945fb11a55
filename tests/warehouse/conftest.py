"""What tests of the warehouse share."""

from collections.abc import Iterator

import pytest

from bench.store import serve_look_alike


@pytest.fixture(scope="session")
def look_alike() -> Iterator[str]:
    """The address of a server that speaks S3, for tests that make a bucket of their own: it takes seconds to start."""
    with serve_look_alike() as address:
        yield address
