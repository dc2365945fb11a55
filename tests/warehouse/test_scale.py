"""The table of docs/scale.md is that of bench/scale.py, and its figures are those that docs/performance.md measured."""

import re
from pathlib import Path

from bench.scale import CPU_S, LIST_REQUESTS, PUBLISHED_BYTES, format_bytes, format_rows, format_time

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_what_the_arithmetic_gives() -> None:
    assert "\n".join(format_rows()) in (DOCS / "scale.md").read_text()


def test_the_arithmetic_starts_from_what_was_measured() -> None:
    text = (DOCS / "performance.md").read_text()
    (cpu,) = re.findall(r"^\| 1,000 plants, 7 days \| [\d,]+ \| [\d.]+ \| ([\d.]+) \|", text, re.MULTILINE)
    (lists,) = re.findall(r"on average 52: ([\d.]+) a plant", text)
    (published,) = re.findall(r"a full publication \|.*\| ([\d.]+) MB \|$", text, re.MULTILINE)
    assert (float(cpu) / 1e6, float(lists)) == (CPU_S, LIST_REQUESTS)
    assert round(PUBLISHED_BYTES * 1_000 * 365 / 1e6, 1) == float(published)


def test_figures_have_the_unit_that_fits() -> None:
    assert [format_bytes(count) for count in (29_500, 7.75e7, 1.08e12)] == ["29.5 kB", "77.5 MB", "1.08 TB"]
    assert [format_time(seconds) for seconds in (13.6, 138, 13_640)] == ["13.6 s", "2.3 min", "3.8 h"]
