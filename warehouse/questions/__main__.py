"""Write docs/questions.md: each question with its SQL and its result on the demo (`make demo`)."""

import datetime as dt
import re
import sys
from pathlib import Path
from typing import Any

import duckdb

from warehouse.published_file.open_published import connect
from warehouse.questions import load_questions

FILE = Path(__file__).parents[2] / "docs" / "questions.md"
INTRODUCTION = """# Forty questions

Questions that analysts ask of a plant and of a portfolio, with SQL for the published file and the result on the demo.
`make demo` and `python -m warehouse.questions demo` generate this page from `warehouse/questions/`: change those files
instead.

Open the file read-only with DuckDB 1.2 or newer (`demo/sunledger.duckdb` after `make demo`). Each table, view and
macro is explained in the [data dictionary](data-dictionary.md), and in the file itself: `FROM duckdb_columns()`.
Below each result is the time that the question takes; [speed.md](speed.md) says how it was measured.
"""
SPEED = FILE.with_name("speed.md")
# Rows of the two tables: the first has a question in each, with the time for the published file; the second has two.
_LARGE = re.compile(r"^\| (\d+) \| (?:report|detail) \| ([\d.]+) \| [\d.]+ \|", re.MULTILINE)
_SMALL = re.compile(r"\| (\d+) \| (?:report|detail) \| ([\d.]+) (?=\| \| \d|\|$)", re.MULTILINE)


def write_answers(connection: duckdb.DuckDBPyConnection) -> str:
    """All questions, with their results by this warehouse."""
    parts, times = [INTRODUCTION], read_times(SPEED.read_text("utf-8"))
    for question in load_questions():
        answer = connection.execute(question.query)
        names = [name for name, *_ in answer.description or ()]
        parts.append(
            f"## {question.number}. {question.text}\n\n```sql\n{question.query}\n```\n\n"
            + _format_table(names, answer.fetchall())
            + f"\n{times[question.number]}\n"
        )
    return "\n".join(parts)


def read_times(measured: str) -> dict[int, str]:
    """How long each question takes, as a sentence, from the tables of speed.md."""
    fleets = ((_LARGE, "a year of 1,000 plants"), (_SMALL, "60 days of 50 plants"))
    return {
        int(number): f"Takes {ms} ms with {fleet}."
        for rows, fleet in fleets
        for number, ms in rows.findall(measured)
    }


def _format_table(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    lines = [names, ["---"] * len(names), *([_format_cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _format_cell(value: object) -> str:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "" if value is None else str(value).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the file from the demo in the given folder."""
    if len(arguments) != 1:
        sys.stderr.write("Give the demo's folder: python -m warehouse.questions demo\n")
        return 2
    with connect(Path(arguments[0]) / "sunledger.duckdb") as connection:
        FILE.write_text(write_answers(connection), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
