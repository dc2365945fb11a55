"""How far the pipeline's energies are from the truth: `python -m bench.truth`, at the repository's root.

A simulated fleet goes through the whole pipeline, over the wire and into a lake, without faults and with rows that are
gone or joined. Every day and quantity of every plant is compared with the sandbox's `/_truth`, which no fault touches.
"""

import argparse
import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import polars as pl

from bench.lists import refresh_lists
from pipeline.common.local_time import build_days_frame
from pipeline.common.settings import load_settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.tables.energy_tables import write_energy_daily
from pipeline.tables.interval_tables import write_intervals
from sandbox.address import SandboxAddress
from sandbox.launch import run_sandbox
from schemas import CoverageDaily, EnergyBalanceIntervals, EnergyDaily, Plants
from schemas.quantities import ENERGY_BALANCE

# Both hemispheres change their clocks in these sixty days.
FIRST_DAY, DAYS, PLANTS = dt.date(2025, 3, 1), 60, 200
MAX_ERROR = 1e-5
# Rows are sent to a thousandth of a watt: what that can make of a whole day.
ROUNDING_KWH = 0.0005 * 25 / 1000
AT_ONCE = 8
NAMES = {field.column: field.api for field in ENERGY_BALANCE.powers}
FAULTS = {
    "no gaps": (),
    "13 pairs of rows of a week joined": ("uneven_steps",),
    "72 rows of a week missing, 40 pairs joined": ("missing_rows,amount=72", "uneven_steps,amount=40"),
    # Rule 2 bridges it with the next row's power: that is an error without a gap.
    "one row of a week missing": ("missing_rows,amount=1",),
}


def through_the_pipeline(
    address: SandboxAddress,
    home: Path,
    days: Sequence[dt.date],
    *,
    may_lack_days: bool = False,
    **settings: str,
) -> pl.DataFrame:
    """plant_id, local_date, day_start, day_end, quantity, kwh, covered_h, bridged_h and most_w of all energies.

    With `may_lack_days` a plant-day without any row has none.
    """
    given = {name.lower(): value for name, value in address.settings().items()} | settings
    given = {name.removeprefix("sunledger_"): value for name, value in given.items()}
    with RunContext(load_settings(env_file=None, home=home, **given)) as runtime:
        notices = refresh_lists(runtime)
        for _, report in SetFetch(BALANCE)(runtime, days):
            notices.add(report.notices)
        for day in days:
            write_intervals(runtime, BALANCE, day)
            write_energy_daily(runtime, day)
        assert may_lack_days or not notices.missing, notices.missing[0]
        return pl.concat(_figures(runtime))


def _figures(runtime: RunContext) -> Iterator[pl.DataFrame]:
    """The energies of a quantity, for one after another."""
    keys = ["plant_id", "local_date"]
    zones = runtime.lake.scan(Plants).select("plant_id", "timezone").collect()
    daily = runtime.lake.scan(EnergyDaily).collect().join(zones, on="plant_id")
    bounds = [
        build_days_frame(day, zones["timezone"]).with_columns(local_date=pl.lit(day))
        for day in daily["local_date"].unique().sort()
    ]
    daily = daily.join(pl.concat(bounds), on=["timezone", "local_date"])
    most = (
        runtime.lake.scan(EnergyBalanceIntervals)
        .group_by(keys)
        .agg(pl.col(f"{name}_w").max() for name in NAMES)
    )
    daily = daily.join(most.collect(), on=keys)
    bridged = runtime.lake.scan(CoverageDaily).select(*keys, "quantity", "bridged_h").collect()
    for name in NAMES:
        figures = daily.select(
            *keys, "day_start", "day_end",
            quantity=pl.lit(name), kwh=f"{name}_kwh", covered_h=f"{name}_covered_h", most_w=f"{name}_w",
        ).drop_nulls("kwh")  # fmt: skip
        yield figures.join(bridged, on=[*keys, "quantity"], how="left")


def true_energies(address: SandboxAddress, figures: pl.DataFrame) -> pl.DataFrame:
    """plant_id, local_date, quantity and true_kwh of these figures, by the sandbox."""
    asked = figures.select("plant_id", "local_date", "quantity", "day_start", "day_end").sort(pl.all())
    with httpx.Client(base_url=address.url, limits=httpx.Limits(max_connections=AT_ONCE)) as http:

        def ask(row: dict[str, object]) -> float:
            path = f"/_truth/plants/{row['plant_id']}/{NAMES[str(row['quantity'])]}"
            window = {
                "from": f"{row['day_start']:%Y-%m-%dT%H:%M:%SZ}",
                "to": f"{row['day_end']:%Y-%m-%dT%H:%M:%SZ}",
            }
            return float(http.get(path, params=window, timeout=60).raise_for_status().json()["kwh"])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(ask, asked.iter_rows(named=True)))
    return asked.select("plant_id", "local_date", "quantity", true_kwh=pl.Series(found))


def compared(figures: pl.DataFrame, truth: pl.DataFrame, most: pl.DataFrame) -> pl.DataFrame:
    """The figures with their error in kWh, the part of it that no rounding explains, and what it may be.

    That is what the time that is reported as uncovered or as bridged can hold.

    `most` has the highest power of each plant, day and quantity without faults.
    """
    keys = ["plant_id", "local_date", "quantity"]
    joined = (
        figures.drop("most_w").join(truth, on=keys, how="left").join(most.select(*keys, "most_w"), on=keys)
    )
    hours = (pl.col("day_end") - pl.col("day_start")).dt.total_seconds() / 3600
    error = (pl.col("kwh") - pl.col("true_kwh")).abs()
    return joined.with_columns(
        error_kwh=error,
        beyond_rounding=(error - ROUNDING_KWH).clip(0) / pl.col("true_kwh"),
        uncovered_h=hours - pl.col("covered_h"),
    ).with_columns(
        bound_kwh=(pl.col("uncovered_h") + pl.col("bridged_h")) * pl.col("most_w") / 1000
        + pl.col("true_kwh") * MAX_ERROR
        + ROUNDING_KWH
    )


def beyond_bound(result: pl.DataFrame) -> pl.DataFrame:
    """The figures whose error is larger than it may be."""
    return result.filter((pl.col("error_kwh") > pl.col("bound_kwh")).fill_null(value=True))


def main() -> None:
    """Measure and print; an error beyond what it may be ends with status 1."""
    options = _options()
    days = [FIRST_DAY + dt.timedelta(days=number) for number in range(options.days)]
    fleet = ("--plants", str(options.plants), "--time-basis", options.time_basis)
    truth = most = None
    bad = 0
    print(f"{options.plants} plants, {days[0]} to {days[-1]}, labels {options.time_basis}")
    for name, faults in FAULTS.items():
        given = [word for fault in faults for word in ("--fault", fault)]
        with run_sandbox(*fleet, *given) as address, tempfile.TemporaryDirectory() as home:
            # Of a plant with hourly rows, 72 of a week are three days.
            figures = through_the_pipeline(address, Path(home), days, may_lack_days=bool(faults))
            if truth is None or most is None:
                truth, most = true_energies(address, figures), figures
        result = compared(figures, truth, most)
        beyond = beyond_bound(result).height
        bad += beyond
        print(f"{name}: {_sentence(result)}, {beyond} beyond what that time can hold", flush=True)
    raise SystemExit(1 if bad else 0)


def _sentence(result: pl.DataFrame) -> str:
    total, true = result["kwh"].sum(), result["true_kwh"].sum()
    return (
        f"{result.height} energies of {result.n_unique(['plant_id', 'local_date'])} plant-days; "
        f"largest error {result['error_kwh'].max():.6f} kWh, "
        f"beyond rounding {result['beyond_rounding'].fill_nan(0).max():.1e} of the energy; "
        f"sum of all off by {abs(total - true) / true:.1e}; {result['uncovered_h'].sum():.0f} h uncovered, "
        f"{result['bridged_h'].sum():.0f} h bridged"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.truth", description="Energies beside the truth.")
    parser.add_argument("--plants", type=int, default=PLANTS, help=f"plants (default {PLANTS})")
    parser.add_argument("--days", type=int, default=DAYS, help=f"days from {FIRST_DAY} (default {DAYS})")
    parser.add_argument(
        "--time-basis", choices=["plant_local", "utc"], default="plant_local", help="of the labels"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
