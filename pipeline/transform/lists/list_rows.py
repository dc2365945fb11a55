"""The rows of SMA's lists by queries of the JSON engine, kept while a run asks for the same ones.

A run reads the list of plants in a dozen places, which may not know of each other: the table of plants, the facts that
can't be read, the fee of each system, the ids that a plan asks for. A query of a list of a few plants takes the engine
5 ms, and one of 10,000 plants a third of a second. The same texts give the same rows, whenever they are asked for.
"""

import hashlib
import threading
from collections import OrderedDict

import polars as pl

from pipeline.transform.json_engine import run_on
from pipeline.transform.lists.broken_lists import decode_lists

# At most this much is kept: the rows of the list of 10,000 plants take 2 MB.
KEPT_BYTES = 2**23
# What a frame takes beside its values.
EMPTY_BYTES = 2**12
# Lists of more owners are of a large fleet's devices and sets, which are read once.
MOST_ANSWERS = 100


class _KeptRows:
    """Frames by what they were made from; those that were not asked for longest go first."""

    def __init__(self) -> None:
        self._frames: OrderedDict[bytes, tuple[pl.DataFrame, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, key: bytes) -> pl.DataFrame | None:
        with self._lock:
            if key not in self._frames:
                return None
            self._frames.move_to_end(key)
            return self._frames[key][0]

    def add(self, key: bytes, frame: pl.DataFrame) -> None:
        size = int(frame.estimated_size()) + EMPTY_BYTES
        with self._lock:
            # A frame that has no room even by itself must not push out all others.
            if key not in self._frames and size <= KEPT_BYTES:
                self._frames[key] = frame, size
                self._bytes += size
            while self._bytes > KEPT_BYTES:
                self._bytes -= self._frames.popitem(last=False)[1][1]


_kept = _KeptRows()


def read_list_rows(query: str, answers: pl.DataFrame, envelope: str) -> pl.DataFrame:
    """The query's rows over answers (plant_id, device_id and body, Binary) whose list stands in `envelope`.

    The query names them `batch`, with the bodies as text. Nobody changes the frame, which the next caller gets too.
    """
    batch = answers.select("plant_id", "device_id", "body")
    key = _name_work(query, batch, envelope) if batch.height <= MOST_ANSWERS else None
    found = _kept.find(key) if key else None
    if found is None:
        found = run_on(query, batch.with_columns(decode_lists(batch["body"], envelope)))
        if key:
            _kept.add(key, found)
    return found


def _name_work(query: str, batch: pl.DataFrame, envelope: str) -> bytes:
    """A digest of all that the rows come from."""
    digest = hashlib.blake2b(repr((query, envelope)).encode())
    for plant, device, body in batch.iter_rows():
        # The length says where a body ends.
        digest.update(repr((plant, device, len(body))).encode())
        digest.update(body)
    return digest.digest()
