"""What the lake relies on in deltalake: which commits it refuses behind another that was made meanwhile."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

SCHEMA = pa.schema([("day", pa.string()), ("x", pa.int64())])
AT_ONCE = CommitProperties(max_commit_retries=0)


def commit_transaction(table: DeltaTable, root: Path, day: str, x: int, **properties: Any) -> None:
    """Replace the day as `warehouse.lake_writer` does."""
    path = f"day={day}/part-{uuid.uuid4()}.parquet"
    (root / path).parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"x": [x]}), root / path)
    size = (root / path).stat().st_size
    table.create_write_transaction(
        [AddAction(path, size, {"day": day}, 0, True, json.dumps({"numRecords": 1}))],
        mode="overwrite",
        schema=SCHEMA,
        partition_by=["day"],
        partition_filters=[("day", "=", day)],
        **properties,
    )


def write_by_predicate(table: DeltaTable, _: Path, day: str, x: int) -> None:
    """Replace the day by deltalake's own writer."""
    write_deltalake(table, pa.table({"day": [day], "x": [x]}), mode="overwrite", predicate=f"day = '{day}'")


def write_both(root: Path, write: Callable[..., None], second: str, **properties: Any) -> list[int]:
    """The values that the table holds once two handles of one version wrote the day b and the day `second`."""
    DeltaTable.create(str(root), SCHEMA, partition_by=["day"])
    write(DeltaTable(str(root)), root, "a", 0)
    first, stale = DeltaTable(str(root)), DeltaTable(str(root))
    write(first, root, "b", 1, **properties)
    write(stale, root, second, 2, **properties)
    return sorted(DeltaTable(str(root)).to_pyarrow_table()["x"].to_pylist())


def test_a_transaction_that_may_be_moved_accepts_two_first_writes_of_a_day(tmp_path: Path) -> None:
    """Why the lake forbids it: the day would have two files, and all its rows twice."""
    assert write_both(tmp_path, commit_transaction, "b") == [0, 1, 2]


@pytest.mark.parametrize("second", ["b", "c"])
def test_a_transaction_without_retries_is_a_compare_and_swap(tmp_path: Path, second: str) -> None:
    with pytest.raises(CommitFailedError):
        write_both(tmp_path, commit_transaction, second, commit_properties=AT_ONCE)


def test_deltalakes_own_writer_refuses_two_first_writes_of_a_day(tmp_path: Path) -> None:
    with pytest.raises(CommitFailedError):
        write_both(tmp_path, write_by_predicate, "b")


def test_deltalakes_own_writer_accepts_another_day(tmp_path: Path) -> None:
    assert write_both(tmp_path, write_by_predicate, "c") == [0, 1, 2]
