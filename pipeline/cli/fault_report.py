"""Explains unexpected faults in one sentence: what the machine lacks, or which file holds the details."""

import os
import re
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

from pipeline.common.files.atomic_files import name_target
from pipeline.common.files.refused_files import explain_bad_file, find_refusal
from pipeline.common.store_faults import list_causes
from pipeline.common.text import join_lines
from pipeline.sma.http.redact import redact_text

# The messages that systems and libraries give for the same cause, and what to do about it.
CAUSES = (
    (
        re.compile(
            r"No space left on device|os error 28|Disk quota exceeded|os error 122|database or disk is full|not enough"
            r" space|disk is full|disk I/O error",
            re.IGNORECASE,
        ),
        "The disk{at} is full or fails. What was stored before is intact: free some space, then run it again.",
    ),
    (
        re.compile(r"File too large|os error 27\b"),
        (
            "This process may not write files of the size that is needed{at}: raise the limit, as with 'ulimit -f "
            "unlimited', then run it again."
        ),
    ),
    (
        re.compile(r"Too many open files|os error 24\b", re.IGNORECASE),
        (
            "This process may not open enough files{at}: raise the limit, as with 'ulimit -n 4096', then run it again."
        ),
    ),
    (
        re.compile(
            r"MemoryError|Cannot allocate memory|os error 12\b|out of memory|could not allocate|failed to allocate"
            r"|bad_alloc|can't start new thread|failed to spawn thread|memory allocation of|failed to map segment",
            re.IGNORECASE,
        ),
        (
            "This process may not use enough memory{at}. What was stored is intact: allow more, or run fewer days at a "
            "time."
        ),
    ),
    (
        re.compile(r"Read-only file system|os error 30\b|readonly database", re.IGNORECASE),
        "A disk{at} is read-only: make it writable ('sunledger doctor' names the folders), then run it again.",
    ),
    (
        re.compile(r"No locks available|os error 37\b"),
        (
            "The disk{at} can't lock files, so nothing would keep two processes apart: mount it with locks, or set "
            "SUNLEDGER_HOME to a folder on a disk that has them, such as a local one, then run it again."
        ),
    ),
    (
        re.compile(r"Input/output error|os error 5\b"),
        (
            "The disk{at} fails: it could not read or write there. Look at the disk and at the system's log, run "
            "'sunledger verify', which finds what is damaged, then run this again."
        ),
    ),
    (
        re.compile(
            r"File out of specification|Kernel error: (?:Json error|File not found)|No files in log segment"
        ),
        (
            "What was read of the lake is not what was written. Run 'sunledger verify', which names what is damaged; "
            "where it finds nothing, something between this machine and the object store, such as a balancer, has "
            "answered in the place of the store."
        ),
    ),
)
# How DuckDB names a file; Python writes it with a capital.
_NAMED_FILE = re.compile(r'\bfile "(/[^"]+)"')


def explain_fault(fault: BaseException) -> str:
    """Explain a fault in one sentence. The details of an unknown fault go into a file that the sentence names."""
    causes = list(list_causes(fault))
    said = " | ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
    for pattern, text in CAUSES:
        if pattern.search(said):
            return text.format(at=_find_place(causes))
    if elsewhere := _explain_copy(causes):
        return elsewhere
    if refusal := find_refusal(fault):
        return str(refusal)
    failed = sorted(
        (cause for cause in causes if isinstance(cause, OSError)), key=lambda cause: not cause.strerror
    )
    if failed:
        # Libraries of other languages raise it without a number or a name of a file.
        said = failed[0].strerror or redact_text(join_lines(str(failed[0]))).rstrip(" .")
        return explain_bad_file(failed[0], said)
    kind = type(fault).__name__
    return (
        f"The program has a bug ({kind}: {redact_text(str(fault)) or 'no message'}){_write_details(fault)}."
    )


def _explain_copy(causes: list[BaseException]) -> str:
    """What a reader of a copied file was refused, and the cure; empty for other faults."""
    import duckdb  # It is here already where one of its errors is to be explained.

    from warehouse.published_file.home_guard import is_refusal
    from warehouse.published_file.open_published import build_query_error

    refused = (cause for cause in causes if isinstance(cause, duckdb.Error) and is_refusal(str(cause)))
    return next((str(build_query_error(cause)) for cause in refused), "")


def _find_place(causes: list[BaseException]) -> str:
    names = [cause.filename for cause in causes if isinstance(cause, OSError) and cause.filename]
    names += (found[1] for cause in causes if (found := _NAMED_FILE.search(str(cause))))
    return f" at {name_target(str(names[0]))}" if names else ""


def _write_details(fault: BaseException) -> str:
    """Write the traceback into a file of this user. Returns the end of the sentence, which names the file."""
    text = "".join(traceback.format_exception(fault))
    with suppress(OSError):
        descriptor, name = tempfile.mkstemp(
            prefix=f"sunledger-fault-{time.strftime('%Y%m%d')}-", suffix=".txt"
        )
        with os.fdopen(descriptor, "w") as file:
            file.write(redact_text(text, limit=10**6) if "@" in text else text)
        return f": report it with the details in {Path(name)}"
    return ": report it (its details could not be written to a file)"
