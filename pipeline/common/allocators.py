"""Keeps what the libraries' allocators hold on to close to what is in use.

Polars, DuckDB, delta-rs and Arrow each work on threads of their own. The C library gives a thread its own arena, which
keeps what the thread has freed; a run that passes gigabytes through in batches then holds a batch or more for each of
them. Two arenas that give free memory back, shared with Arrow, took 541 MB in place of 646 for two days of 1,000
plants, and less CPU time, because memory that was just freed is still in a core's cache (docs/performance.md).
"""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

# Parameters of mallopt(3), and the variables by which a person sets the same; theirs win.
ARENAS: Final = (-8, 2, "MALLOC_ARENA_MAX")
# Free bytes at an arena's end from which they are given back, and the size from which a block has a mapping of its own.
FREE_BYTES: Final = (-1, 2**20, "MALLOC_TRIM_THRESHOLD_")
MAPPED_BYTES: Final = (-3, 2**20, "MALLOC_MMAP_THRESHOLD_")
ARROW_POOL: Final = "ARROW_DEFAULT_MEMORY_POOL"
# Polars and DuckDB each have an allocator of their own, jemalloc. It too has two arenas (DuckDB's by itself), and gives
# back what is free for 0.2 s: by itself that of polars keeps it for ten seconds, in which a step and the next one hold
# their batches side by side. DuckDB's gives back only where a database says so (`allocator_background_threads`).
OWN_ALLOCATORS: Final = {
    "_RJEM_MALLOC_CONF": "narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0",
    "DUCKDB_JE_MALLOC_CONF": "dirty_decay_ms:200,muzzy_decay_ms:0",
}
# A process that holds more than the run of a small fleet lets go of the libraries' code between steps.
LARGE_PROCESS_BYTES: Final = 380 * 2**20
# A mapping of code in `/proc/self/smaps` of which all pages are still those of its file.
_CODE: Final = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +/.*\n(?:\w+: .*\n)*?Anonymous: +0 kB$", re.MULTILINE
)
_DONTNEED: Final = 4


def limit_allocators() -> None:
    """Set the bounds for this process; before a library starts threads. Without glibc those of libraries are set."""
    os.environ.setdefault(ARROW_POOL, "system")
    for variable, bounds in OWN_ALLOCATORS.items():
        os.environ.setdefault(variable, bounds)
    if sys.platform != "linux":
        return
    # Another C library than glibc has no such function, and its own ways.
    with suppress(AttributeError, OSError):
        set_parameter = ctypes.CDLL(None).mallopt
        for parameter, value, variable in (ARENAS, FREE_BYTES, MAPPED_BYTES):
            if variable not in os.environ:
                set_parameter(parameter, value)


def free_kept_memory() -> None:
    """Give back what the C library keeps of what was freed between blocks in use.

    A step's memory is no use to the next step's libraries, of which some have allocators of their own. Takes
    milliseconds; without glibc nothing happens.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)


def free_code_pages() -> None:
    """Take the libraries' code out of a large process.

    A step needs a part of it, and gets that back from the machine's cache of files. The code stays in that cache, from
    which the machine takes it when it is short of memory; what is counted of the process is less, 50 to 80 MB at the
    peak of a step. Takes some milliseconds; on Linux alone.
    """
    with suppress(AttributeError, OSError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") < LARGE_PROCESS_BYTES:
            return
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for begin, end in _list_code():
            advise(begin, end - begin, _DONTNEED)


def _list_code() -> Iterator[tuple[int, int]]:
    """The addresses of code that is as it is in its file; a debugger's is not, and would be lost."""
    for found in _CODE.finditer(Path("/proc/self/smaps").read_text("utf-8", "surrogateescape")):
        yield int(found[1], 16), int(found[2], 16)
