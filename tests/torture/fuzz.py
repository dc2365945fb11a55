"""What fuzzing has found, tried again: see `tests.fuzz`."""

from collections.abc import Iterator
from pathlib import Path

from tests.torture.cases import Case

SEEDS = Path(__file__).parents[1] / "fuzz" / "seeds"


def fuzz_seeds() -> Iterator[Case]:
    """A case for each check that has seeds."""
    from tests.fuzz.checks import CHECKS  # noqa: PLC0415 - loads most of the program

    for folder in sorted(path for path in SEEDS.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if path.is_file())
        case = Case("fuzz", folder.name, "kept", cuts=1, moment=f"{len(files)} inputs", outcome="read")
        check, _ = CHECKS[folder.name]
        for file in files:
            try:
                check(file.read_bytes())
            except BaseException as fault:  # panics of native code are no Exception
                if isinstance(fault, KeyboardInterrupt):
                    raise
                case.faults.append(f"{file.name}: {fault!r}")
        yield case
