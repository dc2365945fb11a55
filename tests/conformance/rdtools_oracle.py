"""The suite again by `rdtools.energy_from_power`; run by an environment of its own (`make conformance`).

It reads the suite's files and compares with the figures in rdtools.csv, or writes those with `--write`, and with them
the digests of all that they come from. It shares nothing with the pipeline but the files.
"""

import csv
import gzip
import hashlib
import json
import sys
import types
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

# rdtools imports it for a filter for clipping, and it comes with 300 MB of CUDA.
sys.modules["xgboost"] = types.ModuleType("xgboost")

import pandas as pd  # noqa: E402
import rdtools  # noqa: E402

HERE = Path(__file__).parent
FIGURES = HERE / "rdtools.csv"
# While none of these files is another one, neither are the figures: test_suite.py looks at them.
DIGESTS = HERE / "rdtools.sha256"
SOURCES = (
    Path(__file__),
    HERE.parents[1] / "requirements-oracle.lock.txt",
    FIGURES,
    HERE / "worked.json",
    *sorted((HERE / "suite").glob("*.jsonl.gz")),
)
MAX_STEPS = 3
STEP_S = {
    "OneMinute": 60,
    "FiveMinutes": 300,
    "TenMinutes": 600,
    "FifteenMinutes": 900,
    "ThirtyMinutes": 1800,
    "OneHour": 3600,
}
FIELDS = {
    "pvGeneration": "pv_generation",
    "gridFeedIn": "grid_feed_in",
    "totalConsumption": "total_consumption",
}
MAX_ERROR = 1e-9


def days() -> Iterator[dict[str, Any]]:
    """Every day of the suite."""
    yield from json.loads((HERE / "worked.json").read_text())
    for path in sorted((HERE / "suite").glob("*.jsonl.gz")):
        yield from map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())


def energy_kwh(day: dict[str, Any], field: str) -> float | None:
    """rdtools' energy of the day; None where it gives none.

    It gets the row before the first one, as it would lose that interval else. What was absent, or was the second pass
    of a merged hour, is given as 0 W: left out, rdtools would fill the time with the next row's power.
    """
    rows = [row for answer in day["answers"] for row in answer["set"]]
    start = pd.Timestamp(day["expected"]["day_start"])
    intervals = day["expected"]["intervals"]
    points = {intervals[0][0]: 0.0}
    for begin, end, basis, row in intervals:
        if basis == "previous_row":
            points.setdefault(begin, 0.0)
        points[end] = rows[row].get(field, 0.0)
    index = start + pd.to_timedelta(list(points), unit="s")
    limit = pd.Timedelta(seconds=MAX_STEPS * STEP_S[day["plant"]["resolution"]])
    power = pd.Series(list(points.values()), index=index)
    energy = rdtools.energy_from_power(power, "24h", max_timedelta=limit, power_type="right_labeled")
    return None if energy.isna().any() else float(energy.sum()) / 1000


def comparable_kwh(day: dict[str, Any], field: str) -> Fraction:
    """What rdtools should say: the expected energy without rows behind a gap, of which it counts nothing."""
    rows = [row for answer in day["answers"] for row in answer["set"]]
    total = Fraction(0)
    for number, (begin, end, basis, row) in enumerate(day["expected"]["intervals"]):
        if field in rows[row] and (basis != "resolution" or number == 0):
            total += Fraction(json.dumps(rows[row][field])) * (end - begin) / 3_600_000
    return total


def figures() -> Iterator[tuple[str, str, str, float]]:
    """Day, quantity, rdtools' figure, and how far it is from what is right."""
    for day in days():
        for field, quantity in FIELDS.items():
            if quantity not in day["expected"]["kwh"]:
                continue
            found, exact = energy_kwh(day, field), comparable_kwh(day, field)
            error = 0.0 if found is None or found == exact else float(abs(Fraction(found) - exact) / exact)
            if error > MAX_ERROR:
                sys.exit(f"{day['id']}, {quantity}: rdtools says {found} kWh, {float(exact)} kWh are right.")
            yield day["id"], quantity, "" if found is None else repr(found), error


def main() -> None:
    """Compare with the committed figures, or write them."""
    measured = list(figures())
    found, worst = [row[:3] for row in measured], max(row[3] for row in measured)
    if "--write" in sys.argv:
        with FIGURES.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("id", "quantity", "kwh"), *found])
        DIGESTS.write_text("".join(map(_digest_line, SOURCES)))
    with FIGURES.open(newline="") as file:
        committed = [tuple(row) for row in csv.reader(file)][1:]
    unlike = [pair for pair in zip(found, committed, strict=True) if not _alike(*pair)]
    if unlike:
        sys.exit(f"{len(unlike)} figures are not those in {FIGURES.name}; the first: {unlike[0]}.")
    silent = sum(not kwh for _, _, kwh in found)
    sys.stdout.write(
        f"rdtools {rdtools.__version__}: {len(found)} energies of {len({day for day, _, _ in found})} days "
        f"as committed, {silent} of them without a figure; largest relative error {worst:.1e}.\n"
    )


def _digest_line(path: Path) -> str:
    """As `sha256sum` writes it, and checks it in the main folder."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE.parents[1])}\n"


def _alike(found: tuple[str, ...], committed: tuple[str, ...]) -> bool:
    if found[:2] != committed[:2] or not (found[2] and committed[2]):
        return found == committed
    here, there = Fraction(found[2]), Fraction(committed[2])
    return abs(here - there) <= Fraction(MAX_ERROR) * there


if __name__ == "__main__":
    main()
