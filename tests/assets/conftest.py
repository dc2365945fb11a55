"""What tests of the graph share: runs of a home, and Dagster's records of it."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from assets.home_setup.dagster_home import open_dagster
from assets.runs import Runs, record_runs
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from tests.whole_days import refresh


@pytest.fixture
def runs(new_runtime: Callable[..., RunContext]) -> Iterator[Runs]:
    """Of a home whose lists are there; no run has recorded them."""
    refresh(new_runtime())
    with new_runtime() as runtime, record_runs(runtime) as found:
        yield found


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_dagster(settings) as found:
        yield found
