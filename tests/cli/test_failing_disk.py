"""What a disk that fails and a store that lies make libraries say, and what a person reads of it."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from assets.dagster_records.start_lock import LOCK_FILE, start_lock
from pipeline.cli.fault_report import explain_fault
from pipeline.common.files.atomic_files import reserve_beside
from pipeline.common.files.file_locks import take_lock

DUCKDB = (
    'TransactionContext Error: Failed to commit: Could not write file "/srv/home/.sunledger.duckdb.new.wal": '
)
STEP = (
    'Error occurred while executing op "warehouse":: File "/usr/lib/python3/utils.py", line 57, in boundary\n'
)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            f"{DUCKDB}Input/output error",
            "The disk at /srv/home/.sunledger.duckdb.new.wal fails: it could not read or",
        ),
        (
            f"{STEP}{DUCKDB}No space left on device",
            "The disk at /srv/home/.sunledger.duckdb.new.wal is full or fails.",
        ),
        (
            (
                "Generic LocalFileSystem error : Unable to open file /srv/home/lake/devices/_delta_log/0.json#1 : No "
                "space left on device (os error 28)"
            ),
            "The disk at /srv/home/lake/devices/_delta_log/0.json#1 is full or fails.",
        ),
        (
            "Failed to open local file '/srv/my home/part-1.parquet'. Detail: [errno 5] Input/output error",
            "The disk at /srv/my home/part-1.parquet fails: it could not read or",
        ),
        (
            "parquet: File out of specification: underlying IO error: Input/output error",
            "The disk fails: it ",
        ),
        (
            "parquet: File out of specification: The file must end with PAR1",
            "What was read of the lake is not what was",
        ),
        (
            "Kernel error: Json error: Encountered unexpected '<' whilst",
            "What was read of the lake is not what was",
        ),
        ("Generic delta kernel error: No files in log segment", "What was read of the lake is not what was"),
        (
            "Kernel error: File not found: lake/quarantine/_delta_log/00000000000000000000.json",
            "What was read of the lake is not what was written. Run 'sunledger verify'",
        ),
    ],
)
def test_a_fault_of_a_disk_or_a_store_is_no_bug_of_the_program(said: str, read: str) -> None:
    assert explain_fault(RuntimeError(said)).startswith(read)


def test_a_disk_that_fails_is_named_by_the_file() -> None:
    fault = OSError(errno.EIO, "Input/output error", "/srv/home/known-tables.json")
    assert explain_fault(fault).startswith("The disk at /srv/home/known-tables.json fails: ")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_without_locks_is_named_by_the_file_that_could_not_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As a network disk that is mounted without them: the system names no file, and some name another fault."""

    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / LOCK_FILE
    with path.open("w") as file, pytest.raises(OSError, match="No locks available") as caught:
        take_lock(file.fileno())
    # This one is a lock of filelock's.
    with pytest.raises(OSError, match="No locks available") as another, start_lock(tmp_path):
        pass
    for fault in (caught.value, another.value):
        said = explain_fault(fault)
        assert said.startswith(f"The disk at {path} can't lock files")
        assert "SUNLEDGER_HOME" in said


@pytest.mark.parametrize("end", ["new", "held", "new-6o5ql5mi"])
def test_a_hidden_name_is_said_as_the_file_that_a_person_named(tmp_path: Path, end: str) -> None:
    with reserve_beside(tmp_path / "month.xlsx") as new:
        hidden = str(new.with_suffix(f".{end}"))
    fault = OSError(errno.EROFS, "Read-only file system", hidden)
    assert explain_fault(fault).startswith(f"A disk at {tmp_path / 'month.xlsx'} is read-only")
