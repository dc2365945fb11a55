"""What the quality rules and the record of changes cost: `python -m bench.rules`, at the repository's root.

One process makes a day of a fleet from stored answers, with and without each of them; no API, no sandbox. What counts
are the ratios within one run: CPU time of this process (user and system, all threads), the least of several tries.
"""

import argparse
import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from unittest import mock

import polars as pl

from pipeline.common.settings import load_settings
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.plants import list_known_places
from pipeline.tables import energy_tables, interval_tables
from pipeline.tables.energy_tables import write_energy_daily
from pipeline.tables.interval_tables import write_intervals
from pipeline.transform.anomalies import Suspicions
from pipeline.transform.intervals import SetTransform
from pipeline.transform.limited_power import power_limits
from pipeline.transform.performance.power_faults import PowerRules
from pipeline.transform.thresholds import load_thresholds
from schemas import EnergyBalanceIntervals, Plants, RawEnergyBalance, polars_schema
from schemas.quantities import ENERGY_BALANCE

DAY = dt.date(2025, 6, 10)
FETCHED = dt.datetime(2025, 6, 20, tzinfo=dt.UTC)
RATED_KW, STEPS, MIDDLE = 6.0, 288, 144
NAMES = [field.api for field in ENERGY_BALANCE.powers]


def main() -> None:
    """Measure and print."""
    options = _options()
    raw = answers(options.plants, factor=1.0)
    rows = options.plants * STEPS
    print(f"A day of {options.plants} plants, {rows:,} rows of EnergyBalance; ns of CPU a row, and its share")
    with tempfile.TemporaryDirectory() as folder:
        of_rules(Path(folder) / "rules", raw, rows, options.tries)
        of_changes(Path(folder), raw, answers(options.plants, factor=0.97), rows, options.tries)


def answers(plants: int, factor: float) -> pl.DataFrame:
    """The answers of the day: a bell of PV between six and six o'clock, with no two rows of a plant alike."""
    midnight = dt.datetime.combine(DAY, dt.time())
    times = [(midnight + dt.timedelta(minutes=5 * (step + 1))).isoformat() for step in range(STEPS)]
    bodies = []
    for plant in range(plants):
        measured = [
            {"time": at} | dict.fromkeys(NAMES, round(_watts(step, plant) * factor, 3))
            for step, at in enumerate(times)
        ]
        content = {"plant": {"plantId": str(plant)}, "resolution": "FiveMinutes", "set": measured}
        bodies.append(json.dumps(content, separators=(",", ":")).encode())
    schema = polars_schema(RawEnergyBalance)
    fixed = {
        "device_id": "", "set_type": "EnergyBalance", "request_date": str(DAY), "local_date": DAY, "target": "/v1",
        "time_basis": "plant_local", "asked_timezone": "UTC", "status": 200, "fetched_at": FETCHED, "elapsed_ms": 1.0,
        "attempts": 1, "final": True, "no_rows": False,
    }  # fmt: skip
    frame = pl.DataFrame({"plant_id": [f"{plant:05}" for plant in range(plants)], "body": bodies})
    filled = frame.with_columns(pl.lit(value).cast(schema[name]).alias(name) for name, value in fixed.items())
    return filled.select(schema.names())


def _watts(step: int, plant: int) -> float:
    height = max(0.0, 1 - ((step - MIDDLE) / (MIDDLE / 2)) ** 2)
    return height * RATED_KW * 900 + (step * 7919 + plant * 31) % 97 / 10 * (height > 0)


def of_rules(home: Path, raw: pl.DataFrame, rows: int, tries: int) -> None:
    """The day's interval rows with all rules, and without each kind of them."""
    with _runtime(home, raw) as runtime:
        places = list_known_places(runtime.lake, BALANCE, DAY)
    limits = load_thresholds()

    def made(
        *, values: bool = True, suspicions: bool = True, limited: bool = True, powers: bool = True
    ) -> Callable[[], Iterable[pl.DataFrame]]:
        transform = SetTransform(ENERGY_BALANCE, EnergyBalanceIntervals, "plant_local", limits=limits)
        transform.rules = transform.rules if values else []
        transform.suspicions = transform.suspicions if suspicions else Suspicions({}, {}, limits)
        if not powers:
            transform.power_rules = PowerRules.of([], ["series"], limits)
        known = power_limits.add_limits if limited else _unlimited

        def work() -> list[pl.DataFrame]:
            with mock.patch.object(power_limits, "add_limits", known):
                return [batch.rows for batch in transform.transform_day([raw], places, DAY)]

        return work

    decoder = SetTransform(ENERGY_BALANCE, EnergyBalanceIntervals, "plant_local").decoder
    without = {
        "negative, no number, beyond range or power": made(values=False),
        "beyond the fleet or the sun": made(limited=False),
        "codes, and beyond balance or series": made(powers=False),
        "night, frozen, identities": made(suspicions=False),
        "all of these": made(values=False, limited=False, suspicions=False, powers=False),
    }
    works = {"": made(), "decode": lambda: decoder.decode(raw["body"]), **without}
    # In turn, so that what disturbs the machine disturbs all of them; the first round only warms up.
    rounds = [{name: spent(work) for name, work in works.items()} for _ in range(tries + 1)][1:]
    least = {name: min(each[name] for each in rounds) for name in works}
    whole = least[""]
    _line("from answers to rows, with all rules", whole, whole, rows)
    _line("  reading the answers alone", least["decode"], whole, rows)
    for name in without:
        _line(f"  {name}", whole - least[name], whole, rows)


def _unlimited(rows: pl.DataFrame, _answers: pl.DataFrame, _limits: object) -> pl.DataFrame:
    return rows.with_columns(beyond_sun=pl.lit(value=False))


def of_changes(folder: Path, raw: pl.DataFrame, changed: pl.DataFrame, rows: int, tries: int) -> None:
    """Rows and figures of a day that are rebuilt, of equal answers and of others, with and without the record."""
    found: dict[str, list[float]] = {}
    for number in range(tries):
        for recorded in (True, False):
            with _runtime(folder / f"{number}-{recorded}", raw) as runtime, _recording(recorded):
                _make(runtime)
                found.setdefault(f"equal {recorded}", []).append(spent(lambda: _make(runtime)))
                runtime.lake.replace(RawEnergyBalance, {"local_date": DAY}, [changed])
                found.setdefault(f"changed {recorded}", []).append(spent(lambda: _make(runtime)))
    equal, other = min(found["equal False"]), min(found["changed False"])
    _line("rows and figures made again, equal", equal, equal, rows)
    _line("  the record of changes adds", min(found["equal True"]) - equal, equal, rows)
    _line("rows and figures made again, all changed", other, other, rows)
    _line("  the record of changes adds", min(found["changed True"]) - other, other, rows)


def _make(runtime: RunContext) -> None:
    write_intervals(runtime, BALANCE, DAY)
    write_energy_daily(runtime, DAY)


def _recording(recorded: bool) -> AbstractContextManager[object]:
    """With the record of changes, or with a step in its place that notes nothing."""
    if recorded:
        return nullcontext()
    silent = ExitStack()
    silent.enter_context(mock.patch.object(energy_tables, "note_figures", return_value=None))
    silent.enter_context(mock.patch.object(interval_tables, "note_rows", return_value=None))
    return silent


def _runtime(home: Path, raw: pl.DataFrame) -> RunContext:
    """A lake that holds the answers and their plants."""
    runtime = RunContext(
        load_settings(env_file=None, home=home, sma_time_basis="plant_local"), now=lambda: FETCHED
    )
    facts = {
        "name": "x", "backend": "ennexos", "timezone": "Europe/Berlin", "latitude": 51.3, "longitude": 9.5,
        "peak_power_kw": RATED_KW, "ac_power_kw": RATED_KW, "first_seen": DAY, "last_seen": DAY,
    }  # fmt: skip
    schema = polars_schema(Plants)
    columns = [
        pl.lit(facts.get(name)).cast(dtype).alias(name)
        for name, dtype in schema.items()
        if name != "plant_id"
    ]
    runtime.lake.replace(Plants, {}, [raw.select("plant_id").with_columns(columns).select(schema.names())])
    runtime.lake.replace(RawEnergyBalance, {"local_date": DAY}, [raw])
    return runtime


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of the work."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _line(name: str, seconds: float, whole: float, rows: int) -> None:
    print(f"{name:48}{seconds / rows * 1e9:>10,.0f}{100 * seconds / whole:>9.1f} %", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rules", description="What rules and records cost.")
    parser.add_argument("--plants", type=int, default=300, help="plants (default 300)")
    parser.add_argument("--tries", type=int, default=5, help="tries of each; the least counts (default 5)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
