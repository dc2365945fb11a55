"""What the single stages of a row cost: `python -m bench.stages --plants 150`, at the repository's root.

A sandbox's answers of a week of EnergyBalance are fetched once and stored; then each stage does all of them several
times, in turn with the others, in this process: the nanoseconds of CPU a row (user and system, all threads) of the
best time count. With `--answers FOLDER` the answers are kept there and used again, so that two states of the code can
be compared on the same ones.
"""

import argparse
import datetime as dt
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import chain
from pathlib import Path

import polars as pl

from bench.lists import refresh_lists
from bench.rules import spent
from pipeline.common.settings import load_settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.plants import list_known_places
from pipeline.transform.answer_bounds import find_unreadable
from pipeline.transform.energy import add_energies, add_intervals
from pipeline.transform.intervals import SetTransform
from sandbox.launch import run_sandbox
from schemas import EnergyBalanceIntervals, RawEnergyBalance
from warehouse.frames import RowsDigest, sort, validate

DAYS = [dt.date(2025, 6, 9) + dt.timedelta(days=number) for number in range(7)]
# What is wanted, in nanoseconds a row: 0.9 million rows a CPU second are 1,111.
DECODE, ENERGIES, VALIDATE = "decode", "intervals, energies, flags", "validate"
TARGETS: Mapping[str, int] = {DECODE: 1111, ENERGIES: 40, VALIDATE: 30}


def main() -> None:
    """Fetch what is not there, measure and print."""
    options = _options()
    kept = nullcontext(str(options.answers)) if options.answers else tempfile.TemporaryDirectory()
    with kept as folder:
        home = Path(folder)
        if not (home / "lake").exists():
            _fetch(home, options.plants)
        with RunContext(load_settings(env_file=None, home=home)) as runtime:
            _measure(runtime, options.tries)


def _fetch(home: Path, plants: int) -> None:
    with run_sandbox("--plants", str(plants)) as address:
        settings = {name.lower(): value for name, value in address.settings().items()}
        with RunContext(load_settings(env_file=None, home=home, **settings)) as runtime:
            refresh_lists(runtime)
            for _ in SetFetch(BALANCE)(runtime, DAYS):
                pass


def _measure(runtime: RunContext, tries: int) -> None:
    answers = {day: list(runtime.lake.read_batches(RawEnergyBalance, {"local_date": day})) for day in DAYS}
    places = list_known_places(runtime.lake, BALANCE, DAYS[0])
    transform = SetTransform(BALANCE.set, EnergyBalanceIntervals, "plant_local")
    bodies = [batch["body"] for batches in answers.values() for batch in batches]
    made = [(day, batch.rows) for day in DAYS for batch in transform.transform_day(answers[day], places, day)]
    rows = sum(frame.height for _, frame in made)
    spans = [_take_spans(frame, day) for day, frame in made]
    stages: dict[str, Callable[[], Iterable[object]]] = {
        "shape of an answer": lambda: map(find_unreadable, bodies),
        DECODE: lambda: map(transform.decoder.decode, bodies),
        ENERGIES: lambda: (add_energies(add_intervals(frame), transform.powers) for frame in spans),
        "from answers to rows, with all rules": lambda: chain.from_iterable(
            transform.transform_day(answers[day], places, day) for day in DAYS
        ),
        VALIDATE: lambda: _validate(made),
        "order": lambda: (sort(EnergyBalanceIntervals, frame, {"local_date": day}) for day, frame in made),
        "digest": lambda: _digest(frame for _, frame in made),
    }
    # In turn, so that what disturbs the machine disturbs all of them; the first round only warms up.
    works = {name: partial(_drop_each, work) for name, work in stages.items()}
    rounds = [{name: spent(work) for name, work in works.items()} for _ in range(tries + 1)][1:]
    print(
        f"{sum(map(len, bodies)):,} answers of EnergyBalance, {rows:,} rows; ns of CPU a row, best of {tries}\n"
    )
    for name in stages:
        found = min(each[name] for each in rounds) / rows * 1e9
        wanted = f"{TARGETS[name]:>10,} wanted" if name in TARGETS else ""
        print(f"{name:40}{found:>10,.0f}{wanted}", flush=True)


def _take_spans(rows: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The rows as they are before their intervals are known."""
    made = ("interval_start", "interval_basis", "bridged_s")
    return rows.drop(*made, *(name for name in rows.columns if name.endswith("_kwh"))).with_columns(
        series=pl.col("plant_id").rle_id(),
        resolution=pl.lit(dt.timedelta(minutes=5)),
        day_start=pl.lit(dt.datetime.combine(day, dt.time(), dt.UTC)),
        lost_end=pl.lit(None, rows.schema["interval_end"]),
    )


def _drop_each(work: Callable[[], Iterable[object]]) -> None:
    """Do the work, and keep nothing of a batch while the next one is made: a run doesn't either."""
    deque(work(), maxlen=0)


def _validate(made: Iterable[tuple[dt.date, pl.DataFrame]]) -> Iterator[None]:
    for day, frame in made:
        validate(EnergyBalanceIntervals, frame, {"local_date": day})
        yield


def _digest(frames: Iterable[pl.DataFrame]) -> Iterator[None]:
    digest = RowsDigest.of(EnergyBalanceIntervals)
    return map(digest.add, frames)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.stages", description="What single stages cost a row."
    )
    parser.add_argument("--plants", type=int, default=150, help="plants (default 150)")
    parser.add_argument("--tries", type=int, default=5, help="tries of each; the best counts (default 5)")
    parser.add_argument("--answers", type=Path, help="a folder that keeps the answers (default: none)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
