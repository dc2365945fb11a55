"""The limits of this process: raised where that is allowed, and a start refused where they can't suffice.

Native libraries abort the process with pages of output when they get no file or no memory.
"""

import resource
import sys

from pipeline.common.errors import SunledgerError, UsageError

# A run holds the lake's files, the records of runs and its connections open: a rebuild some 50, a backfill some 90.
FILES_WANTED, FILES_NEEDED = 4096, 128
# Bytes of address space, most of which is reserved and never used. With 2 GB a publish made no progress.
SPACE_NEEDED = 3 * 10**9
# Bytes of memory of its own. With 500 MB a backfill ended without a sentence, and with 300 MB libraries aborted it.
DATA_NEEDED = 600 * 10**6
# The level of PYTHONOPTIMIZE, or of -O, from which on nothing has a docstring.
_WITHOUT_DESCRIPTIONS = 2


def check_limits() -> None:
    """Raise SunledgerError where this process has too few files or too little memory, or Python drops descriptions."""
    if sys.flags.optimize >= _WITHOUT_DESCRIPTIONS:
        raise UsageError(
            "Python leaves out all descriptions of tables here, which are published and tell versions of tables apart: "
            "unset PYTHONOPTIMIZE, or set it to 1, then run it again."
        )
    files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_below(files, FILES_WANTED):
        files = FILES_WANTED if most_files == resource.RLIM_INFINITY else min(FILES_WANTED, most_files)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most_files))
    if _is_below(files, FILES_NEEDED):
        raise SunledgerError(
            f"This process may open only {files} files but needs {FILES_NEEDED}: raise the limit with 'ulimit -n "
            "4096', then run it again."
        )
    for kind, name, needed, option in (
        (resource.RLIMIT_AS, "of address space", SPACE_NEEDED, "-v"),
        (resource.RLIMIT_DATA, "of memory", DATA_NEEDED, "-d"),
    ):
        limit, _ = resource.getrlimit(kind)
        if _is_below(limit, needed):
            raise SunledgerError(
                f"This process may use only {limit / 1e9:.1f} GB {name} but needs {needed / 1e9:.1g} GB: raise the "
                f"limit with 'ulimit {option}', then run it again."
            )


def _is_below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted
