"""Look for bytes that break a promise, for as long as you like: `python -m tests.fuzz [CHECK ...] [--seconds N]`.

Each check runs in a process of its own: by coverage where atheris is installed, by random choices elsewhere. What
breaks is written to `seeds/CHECK/`, once for each place in the code, where the default tests find it from then on.
"""

import argparse
import subprocess
import sys

from tests.fuzz.checks import CHECKS

FOUND = 1


def main() -> int:
    """Run the checks one after the other; exit code 1 where one found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", choices=[[], *CHECKS], help=", ".join(CHECKS))
    parser.add_argument("--seconds", type=int, default=60, help="for each check")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices")
    given = parser.parse_args()
    broken = []
    for name in given.checks or CHECKS:
        words = [sys.executable, "-m", "tests.fuzz.one", name, str(given.seconds), str(given.seed)]
        if subprocess.run(words, check=False).returncode:
            broken.append(name)
    print(f"Broken: {', '.join(broken)}" if broken else f"{len(given.checks or CHECKS)} checks hold.")  # noqa: T201
    return FOUND if broken else 0


if __name__ == "__main__":
    sys.exit(main())
