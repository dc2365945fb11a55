"""Can an object store hold a lake? It is tried before anything is asked of SMA, by what the lake does with it.

Two runs that commit at once are kept apart by the store alone: it must refuse to put an object that is there already
(`If-None-Match`). delta-rs looks for a version before it puts it, so a test that goes through it proves nothing of the
store. obstore is the same client as that of delta-rs, with the same credentials and settings, without the look.
"""

import secrets
from contextlib import suppress
from typing import Any

from obstore.exceptions import AlreadyExistsError, BaseError

from pipeline.common.store_faults import StoreError, StoreRefusedError, find_store_error
from warehouse.object_store import open_store

# The prefix in the lake below which a store is tried.
CHECKS = "_checks"
FIRST, SECOND = b"first", b"second"


def check_store(root: str) -> None:
    """Put an object twice, both times only if it is not there, read, list and delete it, below a prefix of a store.

    Raises StoreRefusedError for a store that puts it twice, does not list or return what it was given, or keeps what
    was deleted, and StoreError for any other fault of it.
    """
    name = f"{CHECKS}/{secrets.token_hex(8)}"
    try:
        _try_store(root, name)
    except StoreError:
        raise
    except (BaseError, OSError, ValueError) as fault:
        raise find_store_error(fault) or StoreError(
            f"The object store of {root} can't be tried ({str(fault).partition(chr(10))[0]}): check SUNLEDGER_LAKE and "
            "the settings of its store."
        ) from fault


def _try_store(root: str, name: str) -> None:
    store = open_store(root, {})
    put_first = _put_if_absent(store, name, FIRST)
    try:
        if _put_if_absent(store, name, SECOND):
            raise _build_refusal(
                root,
                "puts an object that is there already, though it is asked not to (If-None-Match: *), so of two runs "
                "that write at once one would lose its rows: use a store that keeps this condition, as S3, MinIO and "
                "Ceph do in their present versions",
            )
        if put_first and bytes(store.get(name).bytes()) != FIRST:
            raise _build_refusal(
                root, "does not return what was put there: check its log and AWS_ENDPOINT_URL"
            )
        if not _is_listed(store, name):
            raise _build_refusal(
                root,
                "does not list an object that was just put there, so a run would not see what another one has "
                "committed: use a store whose lists are always up to date, or its address that is",
            )
    except StoreError:
        _remove_quietly(store, name)
        raise
    store.delete(name)
    if _is_listed(store, name):
        raise _build_refusal(
            root,
            "still lists an object that was just deleted: give the key the right to delete (s3:DeleteObject), or use "
            "a store whose lists are always up to date",
        )


def _put_if_absent(store: Any, name: str, content: bytes) -> bool:
    """Whether the store took it."""
    try:
        store.put(name, content, mode="create")
    except AlreadyExistsError:
        return False
    return True


def _is_listed(store: Any, name: str) -> bool:
    return any(one["path"] == name for one in store.list(f"{name.rpartition('/')[0]}/").collect())


def _remove_quietly(store: Any, name: str) -> None:
    """Remove what is left of a try that has failed already, where that is possible."""
    with suppress(BaseError, OSError):
        store.delete(name)


def _build_refusal(root: str, clause: str) -> StoreRefusedError:
    return StoreRefusedError(f"The object store of {root} {clause}. What was stored before is unchanged.")
