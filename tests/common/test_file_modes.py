"""The home is for its owner and group, unless a setting opens it or closes it further."""

import os
from pathlib import Path

import pytest

from pipeline.common.files.file_modes import limit_readers
from tests.programs import sunledger


@pytest.mark.parametrize(
    ("settings", "closed"),
    [({}, 0o027), ({"SUNLEDGER_READABLE_BY": "owner"}, 0o077), ({"SUNLEDGER_READABLE_BY": "all"}, 0o022)],
)
def test_all_that_is_written_is_for_these_readers(
    tmp_path: Path, settings: dict[str, str], closed: int
) -> None:
    home = tmp_path / "home"
    # As an older version left it, under a shell that closes nothing.
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    before = os.umask(0)
    try:
        assert sunledger(tmp_path, "publish", **settings).returncode == 0
    finally:
        os.umask(before)
    written = [home, *(path for path in home.rglob("*") if not path.is_symlink())]
    assert home / "sunledger.duckdb" in written
    assert {path: oct(path.stat().st_mode) for path in written if path.stat().st_mode & closed} == {}
    opened = 0o777 & ~closed
    assert home.stat().st_mode & 0o777 == opened
    assert (home / "sunledger.duckdb").stat().st_mode & 0o777 == opened & 0o666


def test_a_wrong_value_is_told(tmp_path: Path) -> None:
    told = sunledger(tmp_path, "publish", SUNLEDGER_READABLE_BY="everybody")
    assert told.returncode == 2
    assert "SUNLEDGER_READABLE_BY" in told.stderr


@pytest.mark.parametrize("kind", ["file", "folder of temporary files", "folder of others", "root"])
def test_what_is_no_home_stays_open_for_those_who_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """`SUNLEDGER_HOME=/dev/null`, given by root, closed it for the whole machine; `/tmp` and `/` would be alike."""
    place = Path("/") if kind == "root" else tmp_path / "named"
    if kind == "file":
        place.touch(0o777)
    elif kind != "root":
        place.mkdir()
        (place / ("etc" if kind == "folder of others" else "dagster")).touch()
        place.chmod(0o1777 if kind == "folder of temporary files" else 0o777)
    closed: list[Path] = []
    monkeypatch.setattr(Path, "chmod", lambda path, _: closed.append(path))
    before = os.umask(0)
    try:
        limit_readers(place, "owner")
        assert closed == []
    finally:
        os.umask(before)
