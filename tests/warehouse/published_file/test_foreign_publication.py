"""Two homes that name one published file: neither takes the other's place, nor rows of it for its own."""

import shutil
from pathlib import Path

import pytest

from tests.small_lake import NOW, fill, put_rows_of_all
from warehouse.lake import Lake
from warehouse.lake_log import LOG
from warehouse.published_file.foreign_publication import is_of_other_lake
from warehouse.published_file.publication_turn import PublishError
from warehouse.published_file.publish import forget_published, publish
from warehouse.published_file.published_copy import open_published_copy


@pytest.fixture
def lakes(tmp_path: Path) -> tuple[Lake, Lake]:
    """Of two homes, with the same rows and versions."""
    first, second = (Lake(str(tmp_path / name / "lake"), tmp_path / name / "tmp") for name in ("one", "two"))
    fill(first)
    put_rows_of_all(second)
    return first, second


@pytest.mark.long
def test_a_file_of_another_lake_is_neither_replaced_nor_repaired_from(
    lakes: tuple[Lake, Lake], tmp_path: Path
) -> None:
    """A repair took the record of requests, and whole tables, out of the file of another home."""
    (own, other), target = lakes, tmp_path / "shared.duckdb"
    publish(own, target, now=NOW, version="1")
    before = target.read_bytes()
    with pytest.raises(
        PublishError, match=r"published from another lake than .*two/lake, as where two homes"
    ):
        publish(other, target, now=NOW, version="1")
    assert target.read_bytes() == before
    with open_published_copy(target, other) as copy:
        assert copy is None
    with open_published_copy(target, own) as copy:
        assert copy is not None
    # Somebody has thought about it.
    forget_published(target, print)
    assert publish(other, target, now=NOW, version="1").renewed


@pytest.mark.long
def test_what_may_be_needed_for_a_repair_is_no_file_of_another_lake(
    lakes: tuple[Lake, Lake], tmp_path: Path
) -> None:
    (own, other), target = lakes, tmp_path / "sunledger.duckdb"
    assert not is_of_other_lake(target, own)
    publish(own, target, now=NOW, version="1")
    # A home that was moved or restored, and one that nothing is left of.
    shutil.copytree(own.root, tmp_path / "moved")
    assert not is_of_other_lake(target, Lake(str(tmp_path / "moved"), tmp_path / "tmp"))
    assert not is_of_other_lake(target, Lake(str(tmp_path / "empty"), tmp_path / "tmp"))
    # All files of rows are lost, and the logs still name them.
    for file in Path(own.root).rglob("*.parquet"):
        file.unlink()
    assert not is_of_other_lake(target, Lake(own.root, tmp_path / "tmp"))
    assert is_of_other_lake(target, other)
    # A log that can't be read may have named them.
    next((Path(other.root) / "energy_daily" / LOG).glob("*.json")).write_text("{")
    assert not is_of_other_lake(target, Lake(other.root, tmp_path / "tmp"))
