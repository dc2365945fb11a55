"""docs/doctor.md from the set-ups themselves: `python -m tests.ops.doctor.page` writes it, a test compares it."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.ops.doctor.result import Level
from tests.ops.doctor.ground import Build, Ground, examined, lines
from tests.ops.doctor.setups import SETUPS

DOCUMENT = Path(__file__).parents[3] / "docs" / "doctor.md"
GOOD = "All is well"

_HEAD = """\
# What `sunledger doctor` says

The doctor checks what a run needs, in the order in which a run would fail, and says for each fault what to do. It skips
checks that depend on a failed one (`-`). The exit code is 1 when a line says `FAIL`; somebody should look at a line
that says `warn`.

The doctor sends few requests, records all of them and keeps within the request budget: one without credentials to each
service, one for a token, one for the list of plants, one for each owner whose state is due, and for the time basis a
month and a day of at most three plants. Where these are not conclusive, as in winter one hour from UTC, it fetches the
same of another season, which makes no further PU. SMA bills a plant for each month in which a request names it. So the
doctor only tests plants that are billed for this month already, unless `--ask-plants` says how many plants it may test.
Then it takes the billed plants first and after them the smallest ones; it says what they add to the month's bill, and
somebody has to accept that: on a terminal, with `--yes`, or by `SUNLEDGER_MAX_EUR_PER_MONTH`. Without consent the exit
code is 2. `--ask-plants 0` tests no plant.

This page shows what `sunledger doctor --ask-plants 3` says about {count} broken set-ups of the sandbox, without the
lines that are ok.
`python -m tests.ops.doctor.page` writes this page, and a test compares it with the program.
"""


def blocks(text: str) -> dict[str, list[str]]:
    """The lines of each block by its heading."""
    sections = text.split("\n## ")[1:]
    return {
        section.partition("\n")[0]: section.split("```\n")[1].splitlines() if "```\n" in section else []
        for section in sections
    }


def main() -> None:
    """Write the page."""
    parts = [_HEAD.format(count=len(SETUPS)), _block(GOOD, lambda ground: ground.settings(), whole=True)]
    parts += [_block(setup.title, setup.build, whole=False) for setup in SETUPS]
    DOCUMENT.write_text("\n".join(parts))


def _block(title: str, build: Build, *, whole: bool) -> str:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        ExitStack() as stack,
    ):
        ground = Ground(Path(folder), stack, patch)
        findings = examined(ground, build)
        shown = zip(lines(ground, findings), findings, strict=True)
        wanted = [text for text, finding in shown if whole or finding.level is not Level.OK]
    return f"## {title}\n\n```\n" + "\n".join(wanted) + "\n```\n"


if __name__ == "__main__":
    main()
