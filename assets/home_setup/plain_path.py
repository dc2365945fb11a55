"""A path to Dagster's home that Dagster can read.

Dagster takes the place of its configuration for a pattern (`glob`), and that of its databases for an address. A home
whose path has brackets, stars, question marks or per cent signs in it would lose its dagster.yaml without a word: all
settings in it, such as no telemetry and the limits of pools. So Dagster gets such a home by a link without these signs.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.common.errors import SunledgerError

SPECIAL = re.compile(r"[\[\]*?%#]")
OWN = "sunledger-homes"


def find_plain_path(folder: Path) -> Path:
    """The folder itself, or a link to it, made where it is not there. Raises SunledgerError where none can be made."""
    if not SPECIAL.search(str(folder)):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    for place in _list_places():
        with suppress(OSError):
            return _link(place, name, folder)
    raise SunledgerError(
        f"The path {folder} has characters that Dagster reads as a pattern, and no link to it could be created: set "
        "SUNLEDGER_HOME to a path without [ ] * ? % and #."
    )


def _list_places() -> Iterator[Path]:
    """Folders of this user, the lasting ones first."""
    state = os.environ.get("XDG_STATE_HOME", "")
    home = os.environ.get("HOME", "")
    found = [state, f"{home}/.local/state" if home else "", tempfile.gettempdir()]
    for number, text in enumerate(found):
        if text.startswith("/") and not SPECIAL.search(text):
            shared = number == len(found) - 1
            yield Path(text) / (f"{OWN}-{os.getuid()}" if shared else OWN)


def _link(place: Path, name: str, folder: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = place.lstat()
    if facts.st_uid != os.getuid() or place.is_symlink() or facts.st_mode & 0o022:
        # In a folder that all users share somebody else could have put it there.
        raise PermissionError(place)
    link = place / name
    if not (link.is_symlink() and link.readlink() == folder):
        new = place / f".{name}.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(folder)
        new.replace(link)
    return link
