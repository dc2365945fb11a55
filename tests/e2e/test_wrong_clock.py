"""The real program on a machine whose clock is ahead of SMA's."""

from pathlib import Path

import httpx
import pytest

from sandbox.launch import run_sandbox
from schemas import RawPlants
from tests.programs import run
from warehouse.lake import Lake

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    "words", [("refresh", "--yes"), ("backfill", "--from", "2025-06-02", "--to", "2025-06-02", "--yes")]
)
def test_nothing_is_stored_until_the_clock_is_right(words: tuple[str, ...], tmp_path: Path) -> None:
    with run_sandbox("--plants", "2") as address, httpx.Client(base_url=address.url) as http:
        http.post("/_control/clock", json={"advance_s": -26 * 3600}).raise_for_status()
        code, said = run(tmp_path, *words, **address.settings())
        assert (code, said.count("clock is 26.0 h ahead of SMA's")) == (2, 1), said
        assert "Traceback" not in said
        assert "never retrieved" not in said
        lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp")
        assert lake.list_parts(RawPlants) == []
        http.post("/_control/clock", json={"reset": True}).raise_for_status()
        code, said = run(tmp_path, *words, **address.settings())
        assert code == 0, said
