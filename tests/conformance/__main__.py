"""How far the pipeline and each oracle are from the exact fractions: `python -m tests.conformance`."""

import sys
from collections.abc import Mapping
from fractions import Fraction

from tests.conformance import check, files


def main() -> None:
    """Print the largest relative error of each."""
    days = list(files.days())
    rows, daily = check.pipeline_rows(days)
    wanted = check.expected(days)
    theirs, ours = check.rdtools(), check.without_rows_behind_gaps(rows)
    intervals = sum(len(day["expected"]["intervals"]) for day in days)
    sys.stdout.write(f"{len(days)} days, {intervals} intervals, {len(wanted.kwh)} energies\n")
    _line("pipeline against exact fractions", wanted.kwh, check.pipeline(daily).worst_error(wanted))
    _line("DuckDB window query against exact fractions", wanted.kwh, check.sql(days).worst_error(wanted))
    _line("pipeline against rdtools", theirs, check.worst_error({key: ours[key] for key in theirs}, theirs))


def _line(what: str, compared: Mapping[check.Key, float | Fraction], error: float) -> None:
    days = len({day for day, _ in compared})
    sys.stdout.write(f"{what}: {len(compared)} energies of {days} days, largest relative error {error:.1e}\n")


if __name__ == "__main__":
    main()
