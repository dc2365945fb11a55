"""Files that the system refuses to this user are no damage, and the message says whose they are."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.cli.fault_report import explain_fault
from pipeline.common.files import refused_files
from pipeline.common.files.refused_files import (
    FileRefusedError,
    explain_by_number,
    find_refusal,
    translate_refusals,
)
from pipeline.sma.auth.secret_files import SecretFileError, read_private

ARROW = "\x1b[31m↳\x1b[0m"


def test_each_library_says_it_in_its_own_words(tmp_path: Path) -> None:
    file = tmp_path / "00000000000000000004.json"
    file.touch()
    delta = f"Kernel error -> Generic\n {ARROW} Unable to open file {file}\n {ARROW} Permission denied (os error 13)\n"
    arrow = f"Failed to open local file '{file}'. Detail: [errno 13] Permission denied"
    for fault in (
        OSError(delta),
        PermissionError(errno.EACCES, arrow),
        PermissionError(13, "Permission denied", str(file)),
    ):
        assert str(find_refusal(fault)).startswith(f"{file} may not be used by user ")
        assert explain_fault(fault) == str(find_refusal(fault))
    assert find_refusal(OSError(errno.EIO, "Input/output error", str(file))) is None
    assert find_refusal(OSError("Generic S3 error: PermissionDenied: Permission denied")) is None


def test_a_file_of_another_user_is_named_with_its_owner_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = os.geteuid()
    monkeypatch.setattr(refused_files.os, "geteuid", lambda: 4_000_000)
    with pytest.raises(FileRefusedError) as told, translate_refusals():
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    owner = refused_files._name_user(mine)
    assert str(told.value).startswith(f"{tmp_path} belongs to user {owner}, and user 4000000 may not use it.")
    assert "sudo chown -R 4000000" in str(told.value)


def test_a_fault_without_a_name_of_a_file_is_no_bug_of_the_program() -> None:
    said = explain_fault(OSError(f"Kernel error -> Generic\n {ARROW} Unable to walk dir\n"))
    assert said == (
        "A file can't be read or written (Kernel error -> Generic : Unable to walk dir): check the disk and the "
        "permissions there."
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EISDIR, "is a folder where a file should be: move it away, then run this again."),
        (
            errno.EFBIG,
            "raise the limit, as with 'ulimit -f unlimited', then run",
        ),
    ],
)
def test_a_folder_in_the_place_of_a_file_and_a_limit_of_sizes_are_no_fault_of_the_disk(
    tmp_path: Path, number: int, said: str
) -> None:
    fault = OSError(number, os.strerror(number), str(tmp_path / "known-tables.json"))
    explained = explain_fault(fault)
    assert (said in explained, "disk" in explained) == (True, False)
    by_duckdb = explain_by_number(
        RuntimeError('Could not write file "/x.new": File too large'), tmp_path / "x"
    )
    assert str(by_duckdb).startswith(
        f"{tmp_path / 'x'} can't be written, because this process may not write files of"
    )
    with pytest.raises(SecretFileError, match="is a folder where a file should be"):
        read_private(tmp_path)
