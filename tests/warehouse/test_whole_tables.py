"""Tables that are replaced whole are read once a version, as long as they are small."""

from pathlib import Path

import polars as pl
import pytest

from schemas import Devices, Plants, polars_schema
from tests.report.fleet import plants
from warehouse import whole_tables
from warehouse.lake import Lake


@pytest.mark.parametrize(("kept_bytes", "reads"), [(2**20, 1), (0, 4)])
def test_a_small_table_is_read_once_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_bytes: int, reads: int
) -> None:
    monkeypatch.setattr(whole_tables, "KEPT_BYTES", kept_bytes)
    lake, other = (Lake(str(tmp_path / "lake"), tmp_path / name) for name in ("a", "b"))
    made: list[object] = []
    scan = pl.scan_parquet
    monkeypatch.setattr(pl, "scan_parquet", lambda *files, **how: made.append(files) or scan(*files, **how))
    rows = plants().sort("plant_id")
    other.replace(Plants, {}, [rows])
    assert lake.scan(Plants).collect().equals(rows)
    assert lake.scan(Plants).select(pl.len()).collect().item() == rows.height
    assert lake.read_whole(Plants).equals(rows)
    assert len(made) == reads
    # What another process has changed is read.
    rows = rows.with_columns(name=pl.lit("new"))
    other.replace(Plants, {}, [rows])
    assert lake.scan(Plants).collect().equals(rows)
    # A step that changes what it got changes nothing of what the next one gets.
    lake.scan(Plants).collect()[0, "plant_id"] = "changed"
    lake.read_whole(Plants)[0, "plant_id"] = "changed"
    assert lake.scan(Plants).collect().equals(rows)
    assert lake.read_whole(Devices).schema == polars_schema(Devices)
