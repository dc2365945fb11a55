"""What the twenty questions cost: `python -m bench.questions`, the published file beside hand-tuned native tables.

A fleet of 5-minute data is written by the warehouse's own writer and published. For each question a table of its own
is then made in another DuckDB file, with the columns that it needs, names joined and sorted for it, as an expert would
for this question alone. Both answer in turn, in one process; the shortest of several times counts, and so do only the
ratios: machines and their neighbours differ. The answers must be equal.
"""

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl

from bench.tuned import TUNED
from schemas import (
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Plants,
    Table,
    columns,
    storage,
)
from warehouse.lake import Lake
from warehouse.publish import connect, publish
from warehouse.questions import questions

# The published file may take so many times as long as the tuned table.
MOST = {"report": 1.5, "detail": 4.0}
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Melbourne")
STEPS = 288
INVERTERS = 2
# The questions ask about October 2021.
OCTOBER, NEW_YEAR = dt.date(2021, 10, 1), dt.date(2021, 1, 1)
LAST_QUARTER = 92
BLANK = {pl.String: "x", pl.Boolean: False, pl.Int64: 1, pl.Float64: 1.0}
WORDS = {
    "backend": "ennexos",
    "interval_basis": "previous_row",
    "status": "complete",
    "irradiation_source": "clear_sky",
}


def main() -> None:
    """Measure and print; leaves with 1 where a question takes longer than it may."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home = Path(folder)
        begun = time.monotonic()
        lake = Lake(str(home / "lake"), home / "tmp")
        fill(lake, options.plants, options.days)
        written = time.monotonic()
        done = publish(lake, home / "sunledger.duckdb", now=dt.datetime.now(dt.UTC), version="bench")
        detail = done.tables["energy_balance_intervals"]
        print(
            f"{options.plants} plants, {options.days} days: {detail:,} rows of detail, "
            f"written in {written - begun:.0f} s, published in {done.seconds:.1f} s ({done.bytes / 1e6:.0f} MB)"
        )
        slow = compare(home, options.tries)
    if slow:
        raise SystemExit(f"Too slow: questions {', '.join(map(str, slow))}.")


def compare(home: Path, tries: int) -> list[int]:
    """Ask both files every question; the numbers of those that take too long."""
    slow = []
    print(f"{'question':>8}{'reads':>8}{'published ms':>14}{'tuned ms':>10}{'ratio':>7}{'at most':>9}")
    with connect(home / "sunledger.duckdb") as ours, duckdb.connect(str(home / "tuned.duckdb")) as tuned:
        tuned.execute("SET TimeZone = 'UTC'")
        tuned.execute(f"ATTACH '{home / 'sunledger.duckdb'}' AS published (READ_ONLY)")
        for question in questions():
            table, _ = TUNED[question.number]
            tuned.execute("USE published")
            tuned.execute(f"CREATE TABLE tuned.q{question.number} AS {table}")
            tuned.execute("USE tuned")
        tuned.execute("CHECKPOINT tuned")
        tuned.execute("DETACH published")
        for question in questions():
            query = TUNED[question.number][1].replace("tuned", f"q{question.number}")
            if ours.execute(question.query).fetchall() != tuned.execute(query).fetchall():
                raise SystemExit(f"Question {question.number}: the two answers differ.")
            both = [(_ms(ours, question.query), _ms(tuned, query)) for _ in range(tries)]
            mine, best = (min(times) for times in zip(*both, strict=True))
            most = MOST[question.reads]
            print(
                f"{question.number:>8}{question.reads:>8}{mine:>14.2f}{best:>10.2f}{mine / best:>7.2f}{most:>9}"
            )
            if mine / best > most:
                slow.append(question.number)
    return slow


def fill(lake: Lake, plants: int, days: int) -> None:
    """A fleet with all that the questions look at."""
    ids = [str(900_001 + number) for number in range(plants)]
    first = OCTOBER if days <= LAST_QUARTER else NEW_YEAR
    dates = [first + dt.timedelta(days=number) for number in range(days)]
    fleet = (
        pl.DataFrame({"plant_id": ids})
        .with_row_index("number")
        .with_columns(size=1.0 + pl.col("number") % 50)
    )
    zone = pl.col("number").cast(pl.Int64) % len(ZONES)
    named = fleet.with_columns(
        name=pl.format("Plant {}", "number"),
        timezone=zone.replace_strict(dict(enumerate(ZONES)), return_dtype=pl.String),
        peak_power_kw="size",
    )
    inverters = pl.DataFrame({"device_id": [f"i{number}" for number in range(INVERTERS)]})
    _put(lake, Plants, named)
    _put(
        lake, Devices, fleet.join(inverters, how="cross").with_columns(generator_power_w=pl.col("size") * 500)
    )
    for frame in _days(fleet, dates):
        _put(lake, EnergyBalanceIntervals, frame)
    by_day = fleet.join(pl.DataFrame({"local_date": dates}), how="cross")
    swing = 1 + ((pl.col("local_date").dt.ordinal_day() * 7919 + pl.col("number") * 104729) % 1000) / 1000
    by_day = by_day.with_columns(**_figures(swing))
    holes = pl.col("number") % 100 == pl.col("local_date").dt.ordinal_day() % 100
    by_day = by_day.with_columns(status=pl.when(holes).then(pl.lit("partial")).otherwise(pl.lit("complete")))
    for model, frame in ((EnergyDaily, by_day), (KpiDaily, by_day)):
        for part in frame.partition_by("local_date"):
            _put(lake, model, part)
    for part in by_day.join(inverters, how="cross").partition_by("local_date"):
        _put(lake, DeviceEnergyDaily, part)
    by_month = by_day.with_columns(month=pl.col("local_date").dt.truncate("1mo")).unique(
        ["plant_id", "month"], keep="first", maintain_order=True
    )
    for model in (EnergyMonthly, KpiMonthly):
        for part in by_month.partition_by("month"):
            _put(lake, model, part)


def _figures(swing: pl.Expr) -> dict[str, pl.Expr]:
    kwh = pl.col("size") * swing
    return {
        "pv_generation_kwh": kwh * 4,
        "grid_feed_in_kwh": kwh * 2,
        "grid_consumption_kwh": kwh * 1.5,
        "covered_h": pl.lit(23.0),
        "expected_h": pl.lit(24.0),
        "coverage": pl.lit(23 / 24),
        "performance_ratio": swing / 3,
        "capacity_factor": swing / 10,
        "self_consumption_rate": swing / 4,
        "self_supply_rate": swing / 5,
        "availability_time": (swing / 1.5).clip(0, 1),
        "availability_energy": (swing / 1.4).clip(0, 1),
        "co2_avoided_kg": kwh,
    }


def _days(fleet: pl.DataFrame, dates: list[dt.date]) -> Iterator[pl.DataFrame]:
    """Interval rows of each day: a bell of PV, and a use that swings."""
    step = pl.DataFrame({"step": range(STEPS)})
    noise = ((pl.col("step") * 7919 + pl.col("number") * 104729 + pl.lit(0)) % 997) / 997
    day = fleet.join(step, how="cross").with_columns(
        pv=pl.col("size")
        * 800
        * ((pl.col("step") / STEPS - 0.25) * 2 * 3.141592653589793).sin().clip(0)
        * (0.5 + noise),
        use=pl.col("size") * 100 * (1 + noise),
    )
    for number, date in enumerate(dates):
        midnight = dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)
        pv, use = (pl.col(name) * (1 + number / 1000) for name in ("pv", "use"))
        powers = {
            "pv_generation": pv,
            "total_generation": pv,
            "total_consumption": use,
            "grid_feed_in": (pv - use).clip(0),
            "grid_consumption": (use - pv).clip(0),
            "self_consumption": pl.min_horizontal(pv, use),
            "self_supply": pl.min_horizontal(pv, use),
        }
        start = pl.lit(midnight).cast(pl.Datetime("us", "UTC")) + pl.duration(minutes=pl.col("step") * 5)
        yield day.with_columns(
            local_date=pl.lit(date),
            interval_start=start,
            interval_end=start + pl.duration(minutes=5),
            **{f"{name}_w": watts for name, watts in powers.items()},
            **{f"{name}_kwh": watts / 12_000 for name, watts in powers.items()},
        )


def _put(lake: Lake, model: type[Table], frame: pl.DataFrame) -> None:
    """Store the frame as one part; columns that it lacks are null or a default."""
    lacking = {
        c.name: pl.lit(None if c.nullable else _blank(c.name, c.dtype), c.dtype)
        for c in columns(model)
        if c.name not in frame.columns
    }
    whole = frame.with_columns(**lacking).select(pl.col(c.name).cast(c.dtype) for c in columns(model))
    part = {name: whole[name][0] for name in storage(model).partition}
    lake.replace(model, part, [whole.sort(*storage(model).key)])


def _blank(name: str, dtype: pl.DataType) -> object:
    return WORDS.get(name, OCTOBER if dtype == pl.Date else BLANK.get(dtype.base_type()))


def _ms(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    begun = time.perf_counter()
    connection.execute(query).fetchall()
    return (time.perf_counter() - begun) * 1000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.questions", description="What the twenty questions cost."
    )
    parser.add_argument("--plants", type=int, default=100, help="plants (default 100)")
    parser.add_argument("--days", type=int, default=90, help="days of 5-minute data (default 90)")
    parser.add_argument("--tries", type=int, default=9, help="times that each question is asked (default 9)")
    parser.add_argument(
        "--folder", type=Path, help="where to put the data (default: the system's temporary folder)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
