"""A look-alike of an object store to measure with: moto's server, in a process of its own whose CPU is not counted."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from obstore.store import from_url

from warehouse.lake import Lake

BUCKET = "bench"


@contextmanager
def open_look_alike() -> Iterator[None]:
    """Start the server, make its bucket, and let the environment name it."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with (
        tempfile.NamedTemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=said) as server,
    ):
        try:
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", Path(said.name).read_text())):
                if server.poll() is not None:
                    raise SystemExit(f"moto's server did not start: {Path(said.name).read_text()}")
            httpx.put(f"{found[0]}/{BUCKET}", timeout=60).raise_for_status()
            os.environ |= {
                "AWS_ENDPOINT_URL": found[0],
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_REGION": "us-east-1",
            }
            yield
        finally:
            server.kill()


def copy_lake(lake: Lake) -> Lake:
    """The lake of a folder, copied file by file into the bucket."""
    root = f"s3://{BUCKET}/lake"
    store = from_url(root)

    def copy(file: Path) -> None:
        store.put(file.relative_to(lake.root).as_posix(), file.read_bytes())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(copy, [path for path in Path(lake.root).rglob("*") if path.is_file()]))
    return Lake(root, lake.scratch)
