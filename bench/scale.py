"""What a fleet of 10 to 1,000,000 plants needs: `python -m bench.scale` prints the table of docs/scale.md.

Nothing is measured here. Each figure is a product of the number of plants and what was measured for a plant and a day.
"""

import math
from collections.abc import Iterator

PLANTS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
# Of a plant and a day with the default sets. Bytes are those of all tables.
ROWS, REQUESTS, BYTES = 1_152, 5, 29_500
# A day's lists of a plant, in turn (docs/performance.md).
LIST_REQUESTS = 0.52
# An example of what a contract allows. A day has so many requests for one credential.
REQUESTS_PER_5_MIN = 770
REQUESTS_A_DAY = REQUESTS_PER_5_MIN * 12 * 24
# Of 1,000 plants and seven days, with publication (docs/performance.md): CPU seconds a row.
CPU_S = 8.37e-6
# A day is read when it closes and again for the window; `today` reads it each hour.
CLOSED_READINGS, HOURS = 2, 24
# The report tables of a plant and a day in the published file: 77.5 MB for 1,000 plants and 365 days.
PUBLISHED_BYTES = 77.5e6 / 1_000 / 365
SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def main() -> None:
    """Print the table."""
    print("\n".join(format_rows()))


def format_rows() -> Iterator[str]:
    """The table as Markdown."""
    names = (
        "plants",
        "rows a day",
        "lake a year",
        "reports of a year",
        "CPU a day",
        "minutes of requests to close a day",
        "of a day's requests, without `today`",
        "with `today` each hour",
        "credentials",
    )
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for plants in PLANTS:
        needed = plants * (CLOSED_READINGS * REQUESTS + LIST_REQUESTS)
        share = needed / REQUESTS_A_DAY
        hourly = (needed + plants * HOURS * REQUESTS) / REQUESTS_A_DAY
        cells = (
            f"{plants:,}",
            f"{plants * ROWS:,}",
            format_bytes(plants * BYTES * 365),
            format_bytes(plants * PUBLISHED_BYTES * 365),
            format_time(plants * ROWS * CPU_S),
            f"{plants * REQUESTS / (REQUESTS_PER_5_MIN / 5):,.1f}",
            f"{share:,.1%}",
            f"{hourly:,.1%}",
            f"{math.ceil(share):,}",
        )
        yield f"| {' | '.join(cells)} |"


def format_bytes(count: float) -> str:
    """The bytes with three figures and their unit."""
    size, unit = next((size, unit) for size, unit in SIZES if count >= size)
    return f"{count / size:,.3g} {unit}"


def format_time(seconds: float) -> str:
    """The seconds, from a minute on minutes, from two hours on hours."""
    if seconds < 60:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


if __name__ == "__main__":
    main()
