"""What a fault says about this machine: a full disk, too little memory, too few files; each with its cure."""

import re

from pipeline.common.files.atomic_files import name_target
from pipeline.common.files.refused_files import find_place
from pipeline.common.store_faults import list_causes

# The messages that systems and libraries give for the same cause, and what to do about it.
_CAUSES = (
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


def explain_machine_fault(fault: BaseException) -> str | None:
    """What the machine lacks or denies, by a fault and its causes, with the cure; None where it is about neither."""
    causes = list(list_causes(fault))
    said = " | ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
    text = next((text for pattern, text in _CAUSES if pattern.search(said)), None)
    place = find_place(causes)
    return text and text.format(at=f" at {name_target(place)}" if place else "")
