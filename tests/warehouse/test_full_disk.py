"""A disk that becomes full while it is written to: the file is named, and what was there before stays."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.core import PvIntervals
from tests.warehouse.test_lake import PART, pv
from warehouse.folder import replace_folder
from warehouse.lake import Lake
from warehouse.spool import SharedMemory, Spool


@contextmanager
def be_full() -> Iterator[None]:
    """No file may grow beyond some hundred bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_part_of_the_lake_is_named(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    lake.replace(PvIntervals, PART, [pv()])
    with be_full(), pytest.raises(OSError, match="File too large") as caught:
        lake.replace(PvIntervals, PART, [pv(watts=1.0)])
    assert str(caught.value.filename).startswith(f"{tmp_path}/lake/pv_intervals/local_date=2021-10-05/part-")
    assert lake.scan(PvIntervals).collect().equals(pv())


def test_the_folder_of_rows_on_their_way_is_named(tmp_path: Path) -> None:
    table = pa.table({"n": range(10_000)})
    with (
        Spool(table.schema, tmp_path, SharedMemory(0)) as spool,
        be_full(),
        pytest.raises(OSError, match="File too large") as caught,
    ):
        spool.add(table)
    assert caught.value.filename == str(tmp_path)


def test_a_folder_that_was_to_be_replaced_stays_and_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "index.html").write_text("old")
    with be_full(), pytest.raises(OSError, match="File too large") as caught, replace_folder(folder) as new:
        (new / "index.html").write_bytes(bytes(1000))
    assert caught.value.filename == str(folder)
    assert [path.read_text() for path in tmp_path.rglob("*.html")] == ["old"]


def test_a_folder_that_can_not_take_its_place_does_not_cost_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former one had made room already, and was removed with what was left."""
    folder, rename = tmp_path / "report", Path.rename
    folder.mkdir()
    (folder / "index.html").write_text("old")

    def fail(path: Path, target: Path) -> Path:
        if path.suffix == ".new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output error"), replace_folder(folder):
        pass
    assert [path.read_text() for path in tmp_path.rglob("*.html")] == ["old"]
    assert (folder / "index.html").exists()
