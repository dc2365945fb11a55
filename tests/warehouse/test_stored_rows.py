"""A stored file's rows are the same in the same frames, whoever reads it: polars from a folder, Arrow elsewhere."""

import datetime as dt
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse.stored_rows import LARGE_BYTES, read_row_groups

ROWS, GROUP = 10_000, 3_000
DAY = dt.date(2021, 10, 5)
TYPES = pl.Schema(
    {
        "plant_id": pl.String(),
        "local_date": pl.Date(),
        "at": pl.Datetime("us", "UTC"),
        "watts": pl.Float64(),
        "attempts": pl.Int32(),
        "body": pl.Binary(),
        "younger": pl.String(),
    }
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of a folder with an odd name, without the part's column and without one that came later."""
    place = tmp_path / "a [b]*" / "local_date=2020-01-01" / "part.parquet"
    place.parent.mkdir(parents=True)
    begin = dt.datetime(2021, 10, 5, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "plant_id": [str(number // 7) for number in range(ROWS)],
            "at": [begin + dt.timedelta(seconds=number) for number in range(ROWS)],
            "watts": [None if number % 5 else number / 3 for number in range(ROWS)],
            "attempts": [number % 4 for number in range(ROWS)],
            "body": [b"\xff%d" % number for number in range(ROWS)],
        },
        schema={name: TYPES[name] for name in ("plant_id", "at", "watts", "attempts", "body")},
    )
    pq.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), place, row_group_size=GROUP)
    assert place.stat().st_size > LARGE_BYTES
    return place


@pytest.mark.parametrize("names", [list(TYPES), ["watts", "younger"], ["local_date", "younger"]])
def test_polars_and_arrow_read_the_same_frames(file: Path, names: list[str]) -> None:
    types, part = pl.Schema({name: TYPES[name] for name in names}), {"local_date": DAY}
    found = []
    for local, checked in ((file, False), (None, False), (file, True)):
        with pa.OSFile(str(file)) as source:
            found.append(list(read_row_groups(source, types, part, GROUP, local=local, checked=checked)))
    ours, of_store, of_pages = found
    assert [frame.height for frame in ours] == [3000, 3000, 3000, 1000]
    assert all(frame.schema == types for frame in ours)
    for others in (of_store, of_pages):
        assert all(one.equals(other) for one, other in zip(ours, others, strict=True))


def test_a_large_local_file_is_read_by_polars(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pq.ParquetFile, "iter_batches")
    with pa.OSFile(str(file)) as source:
        frames = list(read_row_groups(source, TYPES, {}, GROUP, local=file, checked=False))
    assert sum(frame.height for frame in frames) == ROWS
