"""Claims of one home: whole or not at all, only against living processes, and gone with them."""

import os
from pathlib import Path

import pytest

from pipeline.extract import claim_files
from pipeline.extract.claim_files import ClaimFiles

DAY, NEXT = "2026-10-05", "2026-10-06"


def test_a_claim_keeps_others_away_until_its_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ClaimFiles(tmp_path), ClaimFiles(tmp_path)
    assert one.take("raw", {DAY: ["1", "2"], NEXT: ["1"]}) == set()
    # The same process is in nobody's way: a run that tries its own day again does not wait for itself.
    assert other.take("raw", {DAY: ["2"]}) == set()
    other.release()
    monkeypatch.setattr(claim_files, "HOLDER", "of another process")
    assert other.take("raw", {DAY: ["2", "3"]}) == {str(os.getpid())}
    # All or nothing: 3 is still free, as are other days and other tables.
    assert other.take("raw", {DAY: ["3"], NEXT: ["2"]}) == set()
    assert other.take("raw_logs", {DAY: ["1", "2"]}) == set()
    # The system lets go of the lock of a process that is killed, and its file is left.
    for file in one.own.values():
        os.close(file)
    assert other.take("raw", {DAY: ["1", "2"]}) == set()
    assert not [path for path in one.own if path.exists()]
    other.release()
    assert [path.name for path in tmp_path.iterdir()] == ["turn.lock"]
