"""What one machine makes of the same days, which several machines are compared with."""

import datetime as dt
import shutil
from collections.abc import Sequence
from pathlib import Path

from sandbox.launch import SandboxAddress
from tests.programs import run

Range = tuple[dt.date, dt.date]


def do_alone(place: Path, plants: int, ranges: Sequence[Range], sandbox: SandboxAddress) -> Path:
    """The home of one machine that has done the ranges of days one after another. Raises AssertionError.

    It is made once below `place`, for all parts with as many plants: any sandbox has the same days of them.
    """
    names = "-".join(f"{begin:%m%d}to{end:%m%d}" for begin, end in ranges)
    folder = place / f"alone-{plants}-{names}"
    whole = folder / "whole"
    if whole.exists():
        return folder / "home"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    *before, (begin, end) = ranges
    if before:
        copy_home(do_alone(place, plants, before, sandbox), folder)
    words = ("backfill", "--from", f"{begin}", "--to", f"{end}", "--yes")
    code, said = run(folder, *words, **sandbox.settings())
    assert code == 0, said
    whole.touch()
    return folder / "home"


def copy_home(home: Path, folder: Path) -> None:
    """Copy a home into a folder, as its `home`."""
    shutil.copytree(home, folder / "home", symlinks=True)
