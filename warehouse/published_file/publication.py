"""Records publications and checks that the file is unchanged, by digests beside it and by logs of other programs.

DuckDB applies a log `FILE.wal` to whatever file has the name, also to one that took the place of the file that the log
was written for. A program that opened an earlier publication for writing could so change every later one. Therefore:

* The name of the log leads nowhere. Whoever opens the file to read finds no log, and whoever writes can't make one, so
  no transaction commits.
* The record beside the file holds the digests of the last publications. DuckDB renews a header of the file with every
  change, so that the digest of the headers, which costs nothing, tells a file that another program wrote to.

The record keeps several publications, because the file and the record are two files: a reader between both renames, and
a publisher that was killed there, find a file that is in the record.
"""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.common.files.atomic_files import write_file

# One header of the file and two of the database, of which each change renews one.
HEADERS_BYTES = 3 * 4096
# This is more than can be published while a reader opens the file.
PUBLICATIONS_KEPT = 5
# The log, and where DuckDB 1.5 writes while it empties the log; that file then takes the log's name.
LOG_ENDINGS = (".wal", ".wal.checkpoint")
# This folder does not exist, so a file in it can be neither read nor created.
NOWHERE = Path("/nonexistent/this-file-is-published-to-be-read")
# What a file system says that has no links.
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class PublicationDigest:
    """A publication: SHA-256 of its headers and of the whole file as hex digits, and its size."""

    headers: str
    content: str
    bytes: int


def digest_file(file: Path) -> PublicationDigest:
    """The digests of a closed file. Raises OSError."""
    with file.open("rb") as handle:
        headers = hashlib.sha256(handle.read(HEADERS_BYTES)).hexdigest()
        handle.seek(0)
        content = hashlib.file_digest(handle, "sha256").hexdigest()
        return PublicationDigest(headers, content, os.fstat(handle.fileno()).st_size)


def record_publication(published: PublicationDigest, target: Path) -> None:
    """Write that this is the newest publication of `target`. Raises OSError."""
    kept = [published, *read_publications(target)][:PUBLICATIONS_KEPT]
    place = _record_of(target)
    write_file(place, json.dumps([asdict(one) for one in kept], indent=1).encode())


def forbid_log(target: Path) -> bool:
    """Turn the name of the log into a link without target, and return whether there was a log of another program.

    A file system without links leaves nothing but to remove the log. Beside a link to `target` it is done where this
    user may write. Raises OSError.
    """
    found = False
    folder = target.resolve().parent
    for name in _name_logs(target):
        if name.is_symlink() and name.readlink() == NOWHERE:
            continue
        found |= name.exists()
        with nullcontext() if name.parent == folder else suppress(OSError):
            _lead_nowhere(name)
    return found


def find_change(target: Path) -> str | None:
    """Why readers see something else than the publication, as a clause; None where they see the publication.

    A file without a record is taken as it is. This reads the headers alone. POSIX drops the locks that a process has on
    a file with the first handle that it closes: call this before the file is opened as a database, and not while it is.
    Raises OSError.
    """
    return find_log(target) or _find_change(target)


def find_log(target: Path) -> str | None:
    """As `find_change`, by the log alone, without reading the file."""
    logs = [str(name) for name in _name_logs(target) if name.exists()]
    if not logs:
        return None
    return (
        f"another program opened it for writing and left {' and '.join(logs)}, whose changes DuckDB would add"
    )


def find_content_damage(target: Path) -> str | None:
    """As `find_change`, and reads the whole file. Raises OSError."""
    known = read_publications(target)
    changed = find_change(target)
    if changed or not known:
        return changed
    if digest_file(target) not in known:
        return "its content was changed after it was published, by the disk or another program"
    return None


def is_recorded(target: Path) -> bool:
    """Whether there is a record to compare the file with. Older versions wrote none."""
    return bool(read_publications(target))


def _find_change(target: Path) -> str | None:
    known = read_publications(target)
    if not known:
        return None
    with target.open("rb") as handle:
        headers = hashlib.sha256(handle.read(HEADERS_BYTES)).hexdigest()
    if headers in {one.headers for one in known}:
        return None
    return "another program wrote to it or replaced it"


def _record_of(target: Path) -> Path:
    place = target.resolve()
    return place.with_name(f".{place.name}.published")


def read_publications(target: Path) -> list[PublicationDigest]:
    """The last publications; none where there is no record or it can't be understood."""
    with suppress(OSError, ValueError, TypeError):
        return [PublicationDigest(**one) for one in json.loads(_record_of(target).read_text())]
    return []


def _name_logs(target: Path) -> Iterator[Path]:
    """Where clients look for a log: DuckDB 1.2 beside a link that it was given, 1.5 beside what the link leads to."""
    for place in dict.fromkeys((target.resolve(), target.absolute())):
        for ending in LOG_ENDINGS:
            yield place.with_name(f"{place.name}{ending}")


def _lead_nowhere(name: Path) -> None:
    link = name.with_name(f".{name.name}.{secrets.token_hex(4)}.new")
    try:
        link.symlink_to(NOWHERE)
    except OSError as fault:
        if fault.errno not in NO_LINKS:
            raise
        name.unlink(missing_ok=True)
        return
    try:
        link.replace(name)
    finally:
        link.unlink(missing_ok=True)
