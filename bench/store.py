"""A look-alike of an object store to measure with: moto's server, in a process of its own whose CPU is not counted."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from obstore.store import from_url

from warehouse.lake import Lake

BUCKET = "bench"
# However slow the machine is, a server listens by then.
STARTS_WITHIN_S, LOOK_EVERY_S = 600.0, 0.05
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)|^(\d+)$", re.MULTILINE)


@contextmanager
def serve_look_alike() -> Iterator[str]:
    """The address of moto's server, which has no bucket yet; ended with the block."""
    with serve_module("moto.server", "-H", "127.0.0.1", "-p", "0") as address:
        yield address


@contextmanager
def serve_module(*words: str) -> Iterator[str]:
    """The address of a server that is a module of Python, with its arguments, and says its port or its address.

    Raises RuntimeError with what it said where it ends before or does not begin.
    """
    # Its output goes into a file: a pipe that nobody reads would stop it.
    with (
        tempfile.NamedTemporaryFile("w+") as said,
        subprocess.Popen([sys.executable, "-m", *words], stdout=said, stderr=said) as server,
    ):
        log, latest = Path(said.name), time.monotonic() + STARTS_WITHIN_S
        try:
            while not (found := _ADDRESS.search(log.read_text())):
                if server.poll() is not None or time.monotonic() > latest:
                    raise RuntimeError(f"{words[0]} did not start: {log.read_text()}")
                time.sleep(LOOK_EVERY_S)
            yield f"http://127.0.0.1:{found[1] or found[2]}"
        finally:
            server.kill()


@contextmanager
def open_look_alike() -> Iterator[None]:
    """Start moto's server, make its bucket, and let the environment name it."""
    with serve_look_alike() as address:
        httpx.put(f"{address}/{BUCKET}", timeout=60).raise_for_status()
        os.environ |= {
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
        }
        yield


def copy_lake(lake: Lake) -> Lake:
    """The lake of a folder, copied file by file into the bucket."""
    root = f"s3://{BUCKET}/lake"
    store = from_url(root)

    def copy(file: Path) -> None:
        store.put(file.relative_to(lake.root).as_posix(), file.read_bytes())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(copy, [path for path in Path(lake.root).rglob("*") if path.is_file()]))
    return Lake(root, lake.scratch)
