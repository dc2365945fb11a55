"""The bounds of the allocators hold in a process that imports the product, and a person's own settings win."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from pipeline.common import allocators
from pipeline.common.allocators import free_code_pages, free_kept_memory

# Sixteen threads that allocate at the same time each have an arena of their own, up to the bound.
PROGRAM = """
import pipeline
import ctypes, threading
import pyarrow

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
together = threading.Barrier(16)

def allocate():
    together.wait()
    libc.free(libc.malloc(4096))
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(pyarrow.default_memory_pool().backend_name, flush=True)
libc.malloc_stats()
"""
OWN_VARIABLES = (
    "MALLOC_ARENA_MAX",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "ARROW_DEFAULT_MEMORY_POOL",
    "_RJEM_MALLOC_CONF",
    "DUCKDB_JE_MALLOC_CONF",
)
# Polars' allocator tells at the end of the process how many arenas it has, and how long it keeps free pages.
POLARS_PROGRAM = """
import pipeline
import os

os.environ["_RJEM_MALLOC_CONF"] += ",stats_print:true,stats_print_opts:mdablxe"
import polars as pl

pl.DataFrame({"a": range(100_000)}).group_by(pl.col("a") % 7).len()
"""
# Reads an answer of 12 MB as JSON, and waits until as much as before is in use again.
ENGINE_PROGRAM = """
import os, time
import polars as pl
from pipeline.transform.json_engine import run_on

def measure_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def read(plants):
    body = "[" + ",".join(['{"name":"a plant with a name","number":1234}'] * plants) + "]"
    run_on("SELECT len(json_extract(body, '$[*]')) AS n FROM batch", pl.DataFrame({"body": [body]}))

read(1)
before = measure_mb()
read(250_000)
after, until = measure_mb(), time.monotonic() + 10
while measure_mb() > before + 40 and time.monotonic() < until:
    time.sleep(0.05)
print(round(after - before), round(measure_mb() - before))
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="only glibc is bounded"
)


def _run_program(**variables: str) -> tuple[str, int]:
    """The name of Arrow's pool, and the number of arenas after sixteen threads."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip(), sum(line.startswith("Arena ") for line in ran.stderr.splitlines())


def test_a_process_has_two_arenas_and_arrow_shares_them() -> None:
    pool, arenas = _run_program()
    assert pool == "system"
    assert arenas <= 2


def test_what_a_person_has_set_stays() -> None:
    pool, arenas = _run_program(MALLOC_ARENA_MAX="5", ARROW_DEFAULT_MEMORY_POOL="mimalloc")
    assert pool == "mimalloc"
    assert arenas == 5


def test_what_was_freed_below_a_block_in_use_is_given_back() -> None:
    def measure_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    blocks = [bytearray(100_000) for _ in range(1_000)]
    last = blocks.pop()
    blocks.clear()
    before = measure_mb()
    free_kept_memory()
    assert measure_mb() < before - 50
    assert not any(last)


def test_the_allocator_of_polars_has_two_arenas_and_gives_free_pages_back_soon() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    ran = subprocess.run(
        [sys.executable, "-c", POLARS_PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    told = ran.stderr.splitlines()
    assert any("opt.narenas: 2" in line for line in told)
    assert any("opt.dirty_decay_ms: 200 " in line for line in told)
    assert any("opt.muzzy_decay_ms: 0 " in line for line in told)


@pytest.mark.long
def test_the_json_engine_gives_back_what_a_long_answer_took() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    ran = subprocess.run(
        [sys.executable, "-c", ENGINE_PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    at_once, later = map(int, ran.stdout.split())
    assert at_once > 80
    assert later <= 40


def test_a_large_process_lets_go_of_code_and_works_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure_code_mb() -> float:
        found = Path("/proc/self/status").read_text().partition("RssFile:")[2]
        return int(found.split()[0]) / 1024

    def count() -> int:
        return pl.DataFrame({"a": range(1_000)}).group_by(pl.col("a") % 7).len().height

    assert count() == 7
    before = measure_code_mb()
    monkeypatch.setattr(allocators, "LARGE_PROCESS_BYTES", sys.maxsize)
    free_code_pages()
    assert measure_code_mb() > before - 5
    monkeypatch.setattr(allocators, "LARGE_PROCESS_BYTES", 0)
    free_code_pages()
    assert measure_code_mb() < before - 15
    assert count() == 7
