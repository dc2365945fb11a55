"""Files that are whole, whatever is killed or full, and locks that end with their holder."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.common.files import atomic_files
from pipeline.common.files.atomic_files import replace_file, write_file
from pipeline.common.files.file_locks import hold_lock, open_lock, take_lock

BLOCK = 200_000
OPEN_FILES = Path("/proc/self/fd")
WRITER = f"""
import sys
from pathlib import Path
from pipeline.common.files.atomic_files import write_file
print("begun", flush=True)
while True:
    for sign in (b"a", b"b"):
        write_file(Path(sys.argv[1]), sign * {BLOCK})
"""
HOLDER = """
import sys, time
from pathlib import Path
from pipeline.common.files.file_locks import open_lock, take_lock
assert take_lock(open_lock(Path(sys.argv[1])))
print("held", flush=True)
time.sleep(600)
"""


def begun(program: str, path: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def killed(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("_round", range(5))
def test_a_kill_leaves_the_old_content_or_the_new(tmp_path: Path, _round: int) -> None:
    path = tmp_path / "file"
    write_file(path, b"b" * BLOCK)
    process = begun(WRITER, path)
    try:
        for _ in range(50 + 40 * _round):
            content = path.read_bytes()
            assert content in (b"a" * BLOCK, b"b" * BLOCK)
    finally:
        killed(process)
    assert path.read_bytes() in (b"a" * BLOCK, b"b" * BLOCK)
    # Who comes next is not disturbed by what the kill left.
    write_file(path, b"c")
    assert path.read_bytes() == b"c"


def fail_within(path: Path, mode: int | None, fault: BaseException) -> None:
    with replace_file(path, mode) as new:
        new.write_bytes(b"half")
        raise fault


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("mode", [None, 0o600])
def test_after_any_failure_the_old_file_stays_and_nothing_else(
    tmp_path: Path, fault: BaseException, mode: int | None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(fault)):
        fail_within(path, mode, fault)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_content_that_does_not_reach_the_disk_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic_files.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_file(path, b"new")
    # The system names no file of which it has a descriptor, and a home may lie on several disks.
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_that_cannot_sync_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_descriptor: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(atomic_files.os, "fsync", none)
    write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_secret_has_its_mode_from_the_first_byte_and_another_file_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replace_file(path, 0o600) as new:
        assert stat.S_IMODE(new.stat().st_mode) == 0o600
        new.write_bytes(b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    write_file(path, b"for the group")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_killed_holder_frees_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(5):
        process = begun(HOLDER, path)
        descriptor = open_lock(path)
        try:
            assert not take_lock(descriptor)
            killed(process)
            assert take_lock(descriptor)
        finally:
            os.close(descriptor)


def test_a_child_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold_lock(open_lock(path), 0, RuntimeError, path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        with hold_lock(open_lock(path), 0, RuntimeError, path):
            pass
    finally:
        child.communicate(b"\n")


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="the system does not list open files")
def test_who_waits_too_long_is_told_and_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    before = len(list(OPEN_FILES.iterdir()))
    held = hold_lock(open_lock(path), 0, RuntimeError, path)
    refused = hold_lock(open_lock(path), 0, lambda: RuntimeError("busy"), path)
    with held, pytest.raises(RuntimeError, match="busy"):
        refused.__enter__()
    assert len(list(OPEN_FILES.iterdir())) == before


def test_a_lock_is_not_made_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


RESERVER = """
import sys, time
from pathlib import Path
from pipeline.common.files.atomic_files import reserve_beside
with reserve_beside(Path(sys.argv[1])) as new:
    new.write_bytes(b"half")
    Path(f"{new}-rows").mkdir()
    Path(f"{new}-rows", "more").touch()
    print("reserved", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_beside_a_file_is_removed_and_of_a_living_one_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "days.xlsx"
    living, dead = begun(RESERVER, path), begun(RESERVER, path)
    try:
        killed(dead)
        # Of a version that held no locks, and names that only look like ours.
        (tmp_path / ".days.xlsx.0123abcd.new").touch()
        others = [
            tmp_path / name
            for name in (".days.xlsx.new", ".days.xlsx.0123abcd.0123abcd.new", "days.xlsx.new")
        ]
        for other in others:
            other.touch()
        assert len(list(tmp_path.iterdir())) == 10
        write_file(path, b"whole")
        left = {file for file in tmp_path.iterdir() if file not in {path, *others}}
        assert sorted(file.suffix for file in left) == [".held", ".new", ".new-rows"]
        (half,) = (file for file in left if file.suffix == ".new")
        assert half.read_bytes() == b"half"
    finally:
        killed(living)
    with replace_file(path) as new:
        new.write_bytes(b"again")
        (tmp_path / f"{new.name}.marked").touch()
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_a_file_is_replaced_where_locks_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic_files, "take_lock", refuse)
    left = tmp_path / ".file.0123abcd.new"
    left.touch()
    write_file(tmp_path / "file", b"whole")
    # Nobody knows whether its process lives.
    assert sorted(tmp_path.iterdir()) == [left, tmp_path / "file"]
