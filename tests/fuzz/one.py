"""One check for a while, in this process: `python -m tests.fuzz.one CHECK SECONDS SEED`. See `tests.fuzz`."""

import hashlib
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

try:
    import atheris
except ImportError:
    atheris = None

if atheris is None:
    from tests.fuzz.checks import CHECKS
else:
    with atheris.instrument_imports(include=["pipeline"], enable_loader_override=False):
        from tests.fuzz.checks import CHECKS

from hypothesis import given
from hypothesis import strategies as st

from tests.transform.answers import examples

ROOT = Path(__file__).resolve().parents[2]
SEEDS = Path(__file__).parent / "seeds"
MOST_GROWTH_KIB = 512 * 1024
MOST_SECONDS = 60
LONGEST_BYTES = 8192


class Watch:
    """Runs a check and keeps what breaks it, once for each place."""

    def __init__(self, name: str, seconds: int) -> None:
        self.name, self._end = name, time.monotonic() + seconds
        self._check, self.inputs = CHECKS[name]
        self.runs, self.found = 0, set[str]()

    def __call__(self, data: bytes) -> None:
        self.runs += 1
        before = _peak_kib()
        signal.alarm(MOST_SECONDS)
        try:
            self._check(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:  # panics of native code are no Exception
            self._keep(data, _place(fault), "".join(traceback.format_exception(fault)))
        finally:
            signal.alarm(0)
        if (growth := _peak_kib() - before) > MOST_GROWTH_KIB:
            self._keep(data, "memory", f"It took {growth // 1024} MiB.")

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end

    def end(self) -> int:
        """Say what was done; the exit code."""
        print(f"{self.name}: {self.runs:,} inputs, {len(self.found)} places broken", flush=True)  # noqa: T201
        return 1 if self.found else 0

    def _keep(self, data: bytes, place: str, said: str) -> None:
        if place in self.found:
            return
        self.found.add(place)
        file = SEEDS / self.name / hashlib.sha256(data).hexdigest()[:12]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        print(f"{self.name}: {place}, kept as {file.relative_to(ROOT)}\n{said}", flush=True)  # noqa: T201


def _place(fault: BaseException) -> str:
    """Where in our code it broke, and by what."""
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [
        frame for frame in frames if "site-packages" not in frame.filename and "fuzz" not in frame.filename
    ]
    last = ours[-1] if ours else frames[-1]
    return f"{type(fault).__name__} at {Path(last.filename).name}:{last.lineno}"


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"It took more than {MOST_SECONDS} s.")


def main(name: str, seconds: int, seed: int) -> int:
    watch = Watch(name, seconds)
    signal.signal(signal.SIGALRM, _too_long)

    @examples(1)
    @given(data=st.one_of(watch.inputs, watch.inputs, watch.inputs, st.binary(max_size=1000)))
    def tried(data: bytes) -> None:
        watch(data)

    one: Callable[[bytes], object] = tried.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    if atheris is None:
        choices = random.Random(seed)  # noqa: S311 - no secret
        while not watch.is_over:
            one(choices.randbytes(choices.randrange(64, LONGEST_BYTES)))
        return watch.end()

    def step(data: bytes) -> None:
        if watch.is_over:
            # libFuzzer takes no other end.
            os._exit(watch.end())
        one(data)

    atheris.Setup(
        [
            sys.argv[0],
            f"-seed={seed}",
            f"-max_len={LONGEST_BYTES}",
            "-len_control=0",
            "-verbosity=0",
            f"-artifact_prefix={tempfile.gettempdir()}/",
            "-report_slow_units=3600",
        ],
        step,
    )
    atheris.Fuzz()
    return watch.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
