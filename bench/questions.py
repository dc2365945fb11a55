"""What the forty questions cost: `python -m bench.questions`, the first twenty beside hand-tuned native tables.

A fleet of 5-minute data is written by the warehouse's own writer and published. For each of the first twenty questions
a table of its own is then made in another DuckDB file, with the columns that it needs, names joined and sorted for it,
as an expert would for this question alone. Both answer in turn, in one process; the shortest of several times counts,
and so do only the ratios: machines and their neighbours differ. The answers must be equal. Of the other questions the
time alone is told.
"""

import argparse
import datetime as dt
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import duckdb

from bench.fleet import fill
from bench.tuned import TUNED
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish
from warehouse.questions import load_questions

# The published file may take so many times as long as the tuned table.
MOST = {"report": 1.5, "detail": 4.0}


def main() -> None:
    """Measure and print; leaves with 1 where a question takes longer than it may."""
    options = _options()
    with ExitStack() as stack:
        home = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        begun = time.monotonic()
        lake = Lake(str(home / "lake"), home / "tmp")
        fill(lake, options.plants, options.days)
        written = time.monotonic()
        done = publish(lake, home / "sunledger.duckdb", now=dt.datetime.now(dt.UTC), version="bench")
        detail = done.tables["energy_balance_intervals"]
        print(
            f"{options.plants} plants, {options.days} days: {detail:,} rows of detail, "
            f"written in {written - begun:.0f} s, published in {done.seconds:.1f} s ({done.bytes / 1e6:.0f} MB)",
            flush=True,
        )
        slow = compare(home, options.tries)
    if slow:
        raise SystemExit(f"Too slow: questions {', '.join(map(str, slow))}.")


def compare(home: Path, tries: int) -> list[int]:
    """Ask every question, of the tuned tables too where there is one; the numbers of those that take too long."""
    slow = []
    print(f"{'question':>8}{'reads':>8}{'published ms':>14}{'tuned ms':>10}{'ratio':>7}{'at most':>9}")
    with connect(home / "sunledger.duckdb") as ours, duckdb.connect(str(home / "tuned.duckdb")) as tuned:
        tuned.execute("SET TimeZone = 'UTC'")
        tuned.execute(f"ATTACH '{home / 'sunledger.duckdb'}' AS published (READ_ONLY)")
        tuned.execute("USE published")
        for question in (each for each in load_questions() if each.number in TUNED):
            tuned.execute(
                f"CREATE TABLE IF NOT EXISTS tuned.q{question.number} AS {TUNED[question.number][0]}"
            )
        tuned.execute("USE tuned")
        tuned.execute("CHECKPOINT tuned")
        tuned.execute("DETACH published")
        for question in load_questions():
            if question.number not in TUNED:
                mine = min(_ms(ours, question.query) for _ in range(tries))
                print(f"{question.number:>8}{question.reads:>8}{mine:>14.2f}", flush=True)
                continue
            query = TUNED[question.number][1].replace("tuned", f"q{question.number}")
            if ours.execute(question.query).fetchall() != tuned.execute(query).fetchall():
                raise SystemExit(f"Question {question.number}: the two answers differ.")
            both = [(_ms(ours, question.query), _ms(tuned, query)) for _ in range(tries)]
            mine, best = (min(times) for times in zip(*both, strict=True))
            most = MOST[question.reads]
            print(
                f"{question.number:>8}{question.reads:>8}{mine:>14.2f}{best:>10.2f}{mine / best:>7.2f}{most:>9}",
                flush=True,
            )
            if mine / best > most:
                slow.append(question.number)
    return slow


def _ms(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    begun = time.perf_counter()
    connection.execute(query).fetchall()
    return (time.perf_counter() - begun) * 1000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.questions", description="What the forty questions cost."
    )
    parser.add_argument("--plants", type=int, default=100, help="plants (default 100)")
    parser.add_argument("--days", type=int, default=90, help="days of 5-minute data (default 90)")
    parser.add_argument("--tries", type=int, default=9, help="times that each question is asked (default 9)")
    parser.add_argument(
        "--folder", type=Path, help="keep the data here, and use what is here (default: a temporary folder)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
