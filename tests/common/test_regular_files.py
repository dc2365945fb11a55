"""What other programs leave in a folder of ours is none of our files, and nothing waits for it or ends by it."""

import datetime as dt
import os
import socket
from pathlib import Path

import pytest

from assets.run_control.dead_runs import _forget_processes
from pipeline.common.files.owned_files import create_owned
from pipeline.common.files.regular_files import (
    is_regular,
    list_regular_files,
    list_regular_names,
    walk_regular_files,
)
from pipeline.extract.claim_files import ClaimFiles
from pipeline.run.request_log import RequestLog
from pipeline.run.unfinished_days import has_unfinished_days, take_over_days
from warehouse.lake import Lake


def lay_strays(folder: Path, suffix: str) -> None:
    """All kinds of things that are no files, with names that ours could have, and a file whose name is no text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"folder{suffix}").mkdir()
    os.mkfifo(folder / f"pipe{suffix}")
    (folder / f"gone{suffix}").symlink_to("/nowhere/at/all")
    (folder / f"loop{suffix}").symlink_to(f"loop{suffix}")
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket may have 108 bytes.
        place = os.open(folder, os.O_PATH)
        listener.bind(f"/proc/self/fd/{place}/socket{suffix}")
        os.close(place)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9" + suffix.encode())).touch()


def test_only_regular_files_with_readable_names_are_listed(tmp_path: Path) -> None:
    lay_strays(tmp_path, ".json")
    (tmp_path / "b.json").touch()
    (tmp_path / "a é.json").symlink_to(tmp_path / "b.json")
    (tmp_path / "folder.json" / "c.json").touch()
    assert list_regular_names(tmp_path) == ["a é.json", "b.json"]
    assert list_regular_files(tmp_path, "b.json") == [tmp_path / "b.json"]
    assert list_regular_names(tmp_path / "b.json") == list_regular_names(tmp_path / "none") == []
    assert [path.name for path in walk_regular_files(tmp_path)] == ["a é.json", "b.json", "c.json"]
    assert [is_regular(tmp_path / f"{name}.json") for name in ("b", "pipe", "loop", "gone")] == [
        True,
        *[False] * 3,
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".days", ".claims", ".lock"])
def test_a_folder_of_a_home_takes_anything(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / {".jsonl": "requests", ".days": "unfinished"}.get(suffix, "folder")
    lay_strays(folder, suffix)
    before = sorted(folder.iterdir())
    # Of a process that is gone.
    os.close(create_owned(folder, suffix, b"2026-10-01\n" if suffix == ".days" else b"")[0])
    if suffix == ".jsonl":
        assert RequestLog(folder).store(Lake(str(tmp_path / "lake"), tmp_path / "tmp")).unreadable == 0
    elif suffix == ".days":
        with take_over_days(folder) as days:
            assert days == {dt.date(2026, 10, 1)}
        assert not has_unfinished_days(tmp_path)
    elif suffix == ".claims":
        claims = ClaimFiles(folder)
        assert claims.take("raw_pv", {"2026-10-01": ["a"]}) == set()
        claims.release()
        (folder / "turn.lock").unlink()
    else:
        _forget_processes(folder, set())
    assert sorted(folder.iterdir()) == before
