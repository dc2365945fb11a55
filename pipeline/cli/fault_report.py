"""Explains unexpected faults in one sentence: what the machine lacks, or which file holds the details."""

import os
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

from pipeline.common.files.machine_faults import explain_machine_fault
from pipeline.common.files.refused_files import explain_bad_file, find_refusal
from pipeline.common.store_faults import list_causes
from pipeline.common.text import join_lines
from pipeline.sma.http.redact import redact_text


def explain_fault(fault: BaseException) -> str:
    """Explain a fault in one sentence. The details of an unknown fault go into a file that the sentence names."""
    causes = list(list_causes(fault))
    if lacking := explain_machine_fault(fault):
        return lacking
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
