"""A disk that becomes full while it is written to: the file is named, and what was there before stays."""

import errno
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.core import PvIntervals
from tests.warehouse.pv_rows import PART, pv
from warehouse.lake import Lake
from warehouse.results import folder as folder_module
from warehouse.results.folder import replace_folder
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


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_that_can_not_take_its_place_does_not_cost_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    """The former one had made room already, and was removed with what was left."""
    folder, rename = tmp_path / "report", Path.rename
    folder.mkdir()
    (folder / "index.html").write_text("old")

    def fail(path: Path, target: Path) -> Path:
        if path.suffix == ".new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    def fail_to_exchange(_new: Path, _folder: Path) -> bool:
        if can_exchange:
            raise OSError(errno.EIO, "Input/output error")
        return False

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(folder_module, "_exchange", fail_to_exchange)
    with pytest.raises(OSError, match="Input/output error"), replace_folder(folder):
        pass
    assert [path.read_text() for path in tmp_path.rglob("*.html")] == ["old"]
    assert (folder / "index.html").exists()


def write_folder(folder: Path, text: str) -> None:
    with replace_folder(folder) as new:
        (new / "index.html").write_text(text)
        (new / f"{text}.html").write_text(text)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two names")
def test_a_folder_has_its_name_at_each_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between two renames left none, and the next command removed the former one before it wrote its own."""
    folder = tmp_path / "report"
    write_folder(folder, "old")
    monkeypatch.setattr(Path, "rename", lambda path, target: pytest.fail(f"{path} is renamed to {target}"))
    write_folder(folder, "new")
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "new.html"]
    assert list(tmp_path.iterdir()) == [folder]


def test_where_names_can_not_be_exchanged_a_killed_swap_is_undone_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "report", Path.rename
    monkeypatch.setattr(folder_module, "_exchange", lambda *_: False)
    write_folder(folder, "old")
    # As a kill after the first rename leaves it.
    rename(folder, tmp_path / ".report.0123abcd.old")
    with pytest.raises(ValueError, match="no such month"), replace_folder(folder):
        raise ValueError("no such month")
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "old.html"]
    write_folder(folder, "new")
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "new.html"]
    assert list(tmp_path.iterdir()) == [folder]
