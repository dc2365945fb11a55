"""What it means that the system refuses a file: mostly that another user, such as root, ran a command on this home.

Such a file is whole, so nobody may take it for damage that a repair would put right. The libraries raise OSError for it
as for a bad disk; here it becomes an error of its own, which is no OSError.
"""

import errno
import os
import pwd
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.files.atomic_files import name_target
from pipeline.common.store_faults import find_store_error, list_causes

# What Python, pyarrow, DuckDB and delta-rs say, each in its own words.
_REFUSED = re.compile(r"Permission denied|Operation not permitted", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:file|dir|directory|path) (?:\"(/[^\n\"]+)\"|'(/[^\n']+)'|(/[^\n\"'\x1b]+?)(?= ?: | \(|[\n\"'\x1b]|$))"
)

_SAID_BY_NUMBER = {
    errno.EISDIR: "is a folder where a file should be: move it away",
    errno.ENOTDIR: "can't be reached, because a file has the place of one of its folders: move that file away",
    errno.EFBIG: "can't be written, because this process may not write files of that size: raise the limit, as with "
    "'ulimit -f unlimited'",
}


class FileRefusedError(SunledgerError):
    """This user may not use a file of the home or of the lake."""


def find_refusal(fault: BaseException) -> FileRefusedError | None:
    """The error that a fault of permissions means, itself or by its causes; None where it is about none."""
    if find_store_error(fault):
        return None
    for cause in list_causes(fault):
        if isinstance(cause, FileRefusedError):
            return cause
        if isinstance(cause, PermissionError) or _REFUSED.search(str(cause)):
            place = find_place([cause])
            return _build_error(Path(place) if place else None)
    return None


def find_place(causes: Collection[BaseException]) -> str | None:
    """The file or folder that one of these faults is about, else one that a library names in its message."""
    # A file that can't take the place of another one is named first. Some calls name the number of an open file.
    known = (getattr(cause, name, None) for cause in causes for name in ("filename2", "filename"))
    if place := next((one for one in known if one and isinstance(one, str | bytes)), None):
        return os.fsdecode(place)
    return next(filter(None, map(_find_named_path, causes)), None)


def _find_named_path(cause: BaseException) -> str | None:
    found = _PLACE.search(str(cause))
    return next(filter(None, found.groups())).strip() if found else None


def explain_by_number(fault: BaseException, place: Path | None = None) -> str | None:
    """A sentence for what the number of a fault says exactly, such as a folder in the place of a file; else None.

    `place` is the file, unless the fault names it.
    """
    number = fault.errno if isinstance(fault, OSError) else None
    if "File too large" in str(fault):
        # As DuckDB says it, without a number.
        number = errno.EFBIG
    if number not in _SAID_BY_NUMBER:
        return None
    return f"{place or _name_place(fault)} {_SAID_BY_NUMBER[number]}, then run this again."


def explain_bad_file(fault: OSError, why: str) -> str:
    """A sentence for any other fault of a file: which one it is, and what to look at."""
    if said := explain_by_number(fault):
        return said
    place = _name_place(fault)
    return f"{place} can't be read or written ({why}): check the disk and the permissions there."


def _name_place(fault: BaseException) -> str:
    place = find_place([fault])
    return name_target(place) if place else "A file"


def _build_error(path: Path | None) -> FileRefusedError:
    """The error that says which file or folder this user may not use, whose it is, and how to get it back."""
    me = _name_user(os.geteuid())
    if path is None:
        return FileRefusedError(
            f"The system refuses user {me} a file of this home: check the permissions of SUNLEDGER_HOME and "
            "SUNLEDGER_LAKE ('ls -lR'), then run this again."
        )
    refused, owner = _find_refused(Path(os.path.realpath(path)))
    if owner in {None, os.geteuid()}:
        return FileRefusedError(
            f"{refused} may not be used by user {me}: correct its permissions ('chmod'), then run this again."
        )
    return FileRefusedError(
        f"{refused} belongs to user {_name_user(owner)}, and user {me} may not use it. That is no damage: a command of "
        f"the other user has written it. Run 'sudo chown -R {me} FOLDER' with the folder of SUNLEDGER_HOME, and with "
        "that of SUNLEDGER_LAKE if it is elsewhere, then run this again."
    )


@contextmanager
def translate_refusals() -> Iterator[None]:
    """Raise FileRefusedError for a fault of permissions. Anything else passes as it is."""
    try:
        yield
    except OSError as fault:
        if error := find_refusal(fault):
            raise error from fault
        raise


def _find_refused(path: Path) -> tuple[Path, int | None]:
    """The path itself, or the outermost folder of it that hides it, and the number of its owner if it is known."""
    owner = None
    for place in (*reversed(path.parents), path):
        try:
            owner = place.stat().st_uid
        except OSError:
            return place, None
        if place != path and not os.access(place, os.X_OK):
            return place, owner
    return path, owner


def _name_user(number: int | None) -> str:
    with suppress(KeyError, TypeError):
        return pwd.getpwuid(number).pw_name  # type: ignore[arg-type]
    return str(number)
