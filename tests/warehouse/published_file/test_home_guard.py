"""The file of the lake that all views over its files look for."""

from pathlib import Path

import duckdb
import polars as pl
import pytest

from warehouse.published_file.home_guard import place_guard


def _write_rows(marker: Path) -> None:
    pl.DataFrame({"is_here": [True, True]}).write_parquet(marker)


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_marker_that_a_crash_or_a_person_spoiled_is_written_again(
    tmp_path: Path, content: bytes | None
) -> None:
    """Each publication ended with a bug of the program, and each view with an error of DuckDB."""
    guard = place_guard(str(tmp_path), [tmp_path / "sunledger.duckdb"])
    marker = Path(guard.marker)
    sound, inode = marker.read_bytes(), marker.stat().st_ino
    place_guard(str(tmp_path), [])
    assert marker.stat().st_ino == inode
    if content is None:
        _write_rows(marker)
    else:
        marker.write_bytes(content)
    place_guard(str(tmp_path), [])
    assert marker.read_bytes() == sound
    assert duckdb.execute(f"SELECT count(*) FROM {guard.empty_source}").fetchall() == [(1,)]
