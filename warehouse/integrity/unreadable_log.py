"""What delta-rs finds in a damaged log, as an error of ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import TableNotFoundError

from pipeline.common.errors import SunledgerError
from pipeline.common.files.refused_files import find_refusal
from pipeline.common.store_faults import find_store_error
from pipeline.common.text import quote_fault
from schemas import Table, storage

_VERSION = re.compile(r"\bversion: (\d+)")


class UnreadableLogError(SunledgerError):
    """The log of a table says nothing that can be understood."""

    def __init__(self, model: type[Table], fault: BaseException) -> None:
        self.clause = _describe_unreadable_log(fault)
        super().__init__(f"{storage(model).table}: {self.clause}. Run 'sunledger repair'.")


def _describe_unreadable_log(fault: BaseException) -> str:
    """A clause. For a missing entry the library prints its own structures, a thousand characters of them."""
    if "but found gap" in str(fault) and len(found := _VERSION.findall(str(fault))) > 1:
        return f"the log of the table lacks entries between those of versions {found[0]} and {found[1]}"
    return f"the log of the table can't be read ({quote_fault(fault)})"


@contextmanager
def translate_log_errors(model: type[Table]) -> Iterator[None]:
    """Say what delta-rs finds in a damaged log in a sentence; it panics on some, and a panic is no Exception.

    Raises StoreError for an object store that can't be used, FileRefusedError for another user's file: no damage.
    """
    try:
        yield
    except TableNotFoundError:
        raise
    except BaseException as fault:
        if error := find_store_error(fault) or find_refusal(fault):
            raise error from fault
        if isinstance(fault, OSError):
            raise
        if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
            raise
        raise UnreadableLogError(model, fault) from fault
