"""Whether a table on an object store may have a newer version than the one that is held: one call that lists nothing.

delta-rs looks for a newer version by listing the log. But the entry that follows a version has a name that is known
before, so it is enough to ask for that one object. Entries are removed when they are 30 days old, so a version that was
the newest one a while ago has no successor that is gone already. A table that was lost and rebuilt begins at
version 0 again, which that name does not tell. So the log is listed again now and then.
"""

import threading
import time
from collections.abc import Callable

import pyarrow.fs as pafs

# This is far below the age at which entries are removed, and far above the pauses between the reads of a run.
LIST_AGAIN_S = 600.0


class VersionLooks:
    """What each thread knows of the tables of one lake, by the addresses of the tables."""

    def __init__(self, root: str, open_files: Callable[[str], pafs.FileSystem]) -> None:
        """`open_files` gives the file system below an address, that of the lake (`root`) or of a table."""
        self._root, self._open_files = root, open_files
        self._known = threading.local()
        self._names: frozenset[str] = frozenset()
        self._named_at: float | None = None

    def may_have_changed(self, uri: str, version: int) -> bool:
        """Whether the table may have a later version than this one (-1: no table was found). Raises StoreError."""
        listed = self._known.__dict__.get(uri)
        if _is_old(listed) and (version >= 0 or uri.rpartition("/")[2] in self._list_names()):
            return True
        try:
            self._open_files(uri).open_input_file(f"_delta_log/{version + 1:020d}.json").close()
        except FileNotFoundError:
            return False
        return True

    def _list_names(self) -> frozenset[str]:
        """What there is directly below the lake: one listing tells of all tables that are not there."""
        if _is_old(self._named_at):
            found = self._open_files(self._root).get_file_info(pafs.FileSelector("/", allow_not_found=True))
            self._names = frozenset(info.path.strip("/") for info in found)
            self._named_at = time.monotonic()
        return self._names

    def note_listing(self, uri: str) -> None:
        """Keep that this thread has just listed the table's log, and holds its newest version."""
        self._known.__dict__[uri] = time.monotonic()


def _is_old(moment: float | None) -> bool:
    return moment is None or time.monotonic() - moment > LIST_AGAIN_S
