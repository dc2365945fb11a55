"""The real program on a machine whose clock is ahead of SMA's."""

from pathlib import Path

import httpx
import pytest

from sandbox.launch import run_sandbox
from schemas import RawPlants
from tests.programs import PATIENCE_S, start
from warehouse.lake import Lake

pytestmark = pytest.mark.long

# The sandbox is on this machine, and its Date is simulated; the program takes it for a server elsewhere.
ELSEWHERE = """
import pipeline.sma.http.server_time as server_time
server_time.is_loopback = lambda url: False
"""


def run_alone(folder: Path, *words: str, **settings: str) -> tuple[int, str]:
    """The exit code of a Python of its own, which reads `sitecustomize.py`, and what it said."""
    with start(folder, *words, **settings) as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


@pytest.mark.parametrize(
    "words", [("refresh", "--yes"), ("backfill", "--from", "2025-06-02", "--to", "2025-06-02", "--yes")]
)
def test_nothing_is_stored_until_the_clock_is_right(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ELSEWHERE)
    with run_sandbox("--plants", "2") as address, httpx.Client(base_url=address.url) as http:
        http.post("/_control/clock", json={"advance_s": -26 * 3600}).raise_for_status()
        there = address.settings() | {"PYTHONPATH": str(tmp_path)}
        code, said = run_alone(tmp_path, *words, **there)
        assert (code, said.count("clock is 26.0 h ahead of SMA's")) == (2, 1), said
        assert "Traceback" not in said
        assert "never retrieved" not in said
        lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp")
        assert lake.list_parts(RawPlants) == []
        http.post("/_control/clock", json={"reset": True}).raise_for_status()
        code, said = run_alone(tmp_path, *words, **there)
        assert code == 0, said
