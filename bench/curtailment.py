"""How far each method of curtailed energy is from the truth: `python -m bench.curtailment`, at the repository's root.

A simulated fleet follows limits of 0, 30 and 60 % of its rated power on half of its days, not all plants on the same
ones: so each has neighbours under its sky without a limit. The truth is what the sandbox says the limits prevented.
"""

import argparse
import datetime as dt
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl

from bench.lists import refresh_lists
from bench.truth import AT_ONCE
from pipeline.common.local_time import build_days_frame
from pipeline.common.settings import load_settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, SETS
from pipeline.tables.curtailment_tables import write_curtailment_daily, write_curtailment_monthly
from pipeline.tables.energy_tables import write_energy_daily, write_energy_monthly
from pipeline.tables.hourly_tables import write_quarter_energies
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from sandbox.address import SandboxAddress
from sandbox.launch import run_sandbox
from schemas import CurtailmentDaily, Devices, Plants, SensorIntervals
from schemas.curtailment import FEED_IN, GENERATION

FIRST_DAY, DAYS, PLANTS = dt.date(2025, 6, 1), 30, 90
LEVELS = (0, 30, 60)
# Limits hold for these hours after local midnight, on two of four days.
HOURS = (9, 15)
LIMITED_OF_FOUR = (1, 2)
SENSOR = next(source for source in SETS if source.set.name == "Sensor")
METER = "Energy Meter"
# Of less than this a share says nothing.
LEAST_KWH = 1
# What the table says of an estimate: the method that the file asks for, and whether irradiation is brought along.
CASES = {
    "`spitz`": ("spitz", False),
    "`spitz_light`, irradiation brought along": ("spitz_light", True),
    "`spitz_light`, neighbours": ("spitz_light", False),
    "`clear_sky_day`": ("clear_sky_day", False),
    "`pauschal`": ("pauschal", False),
    "best of each day": ("", False),
}


@dataclass(frozen=True, slots=True)
class Curtailed:
    """A stored fleet with limits: its run, the limits (plant_id, local_date, limit_start, …) and what was lost."""

    runtime: RunContext
    limits: pl.DataFrame
    truth: pl.DataFrame
    folder: Path

    def estimate(self, method: str = "", *, supplied: bool = False) -> pl.DataFrame:
        """Rows of `curtailment_daily` with true_kwh and level, by one method or by the best of each day.

        With `supplied` the sensors' series is brought along as hours, as a satellite service would give it, and only
        the plants that have it are judged.
        """
        name = f"limits-{method or 'best'}.csv"
        asked = self.limits.select("plant_id", "limit_start", "limit_end", "kind", "limit_kw")
        asked.with_columns(method=pl.lit(method)).write_csv(
            self.folder / name, datetime_format="%Y-%m-%dT%H:%M:%SZ"
        )
        changes: dict[str, Path | None] = {"curtailment_limits": self.folder / name, "irradiation": None}
        if supplied:
            changes["irradiation"] = self._write_hours()
        self.runtime.settings = self.runtime.settings.model_copy(update=changes)
        write_curtailment_daily(self.runtime)
        write_curtailment_monthly(self.runtime)
        key = ["plant_id", "local_date"]
        found = self.runtime.lake.scan(CurtailmentDaily).collect()
        if supplied:
            found = found.join(self.runtime.lake.scan(SensorIntervals).collect(), on="plant_id", how="semi")
        return found.join(self.truth, on=key).join(self.limits.select(*key, "level"), on=key)

    def _write_hours(self) -> Path:
        path = self.folder / "irradiation.parquet"
        start = pl.col("interval_start").dt.truncate("1h")
        hours = (pl.col("interval_end") - pl.col("interval_start")).dt.total_seconds()
        watts = (pl.col("external_insolation_w_per_m2") * hours).sum() / hours.sum()
        found = self.runtime.lake.scan(SensorIntervals).group_by("plant_id", start).agg(w_per_m2=watts)
        found.with_columns(
            interval_end=pl.col("interval_start") + dt.timedelta(hours=1)
        ).collect().write_parquet(path)
        return path


@contextmanager
def curtailed_fleet(
    folder: Path, plants: int = PLANTS, days: Sequence[dt.date] = (), *options: str
) -> Iterator[Curtailed]:
    """A simulated fleet that went through the pipeline with its limits."""
    days = days or [FIRST_DAY + dt.timedelta(days=number) for number in range(DAYS)]
    with run_sandbox("--plants", str(plants), *options) as address:
        given = {name.lower(): value for name, value in address.settings().items()}
        given = {name.removeprefix("sunledger_"): value for name, value in given.items()}
        with RunContext(load_settings(env_file=None, home=folder / "home", **given)) as runtime:
            with httpx.Client(base_url=address.url, timeout=120) as http:
                _set_clock(http, days[0] - dt.timedelta(days=2))
                refresh_lists(runtime)
                limits = _choose_limits(runtime.lake.scan(Plants).collect(), _list_metered(runtime), days)
                _send_limits(http, address, limits)
                lost = _ask_truth(http, limits)
                _set_clock(http, days[-1] + dt.timedelta(days=3))
            _store(runtime, days)
            truth = limits.select("plant_id", "local_date", true_kwh=pl.Series(lost))
            yield Curtailed(runtime, limits, truth, folder)


def _list_metered(runtime: RunContext) -> list[str]:
    """The plants with a meter: of the others nobody knows the feed-in."""
    meters = runtime.lake.scan(Devices).filter(pl.col("type") == METER)
    return meters.select("plant_id").unique().collect()["plant_id"].to_list()


def _choose_limits(plants: pl.DataFrame, metered: list[str], days: Sequence[dt.date]) -> pl.DataFrame:
    """plant_id, local_date, day_start, day_end, limit_start, limit_end (UTC), kind, level (%) and limit_kw."""
    plants = plants.sort("plant_id").with_row_index("number").filter(pl.col("ac_power_kw") > 0)
    frames = [
        plants.join(build_days_frame(day, plants["timezone"]), on="timezone").with_columns(
            local_date=pl.lit(day), shifted=pl.col("number").cast(pl.Int64) + number
        )
        for number, day in enumerate(days)
    ]
    asked = pl.concat(frames).filter((pl.col("shifted") % 4).is_in(LIMITED_OF_FOUR))
    feeds = pl.col("plant_id").is_in(metered)
    begin, end = (pl.duration(hours=hour) for hour in HOURS)
    return (
        asked.with_columns(
            level=(pl.col("shifted") // 4 % len(LEVELS)).replace_strict(
                dict(enumerate(LEVELS)), return_dtype=pl.Int64
            ),
            kind=pl.when(feeds).then(pl.lit(FEED_IN)).otherwise(pl.lit(GENERATION)),
        )
        .select(
            "plant_id",
            "local_date",
            "day_start",
            "day_end",
            "kind",
            "level",
            limit_start=pl.col("day_start") + begin,
            limit_end=pl.col("day_start") + end,
            limit_kw=pl.col("level") / 100 * pl.col("ac_power_kw"),
        )
        .sort("plant_id", "local_date")
    )


def _ask_truth(http: httpx.Client, limits: pl.DataFrame) -> list[float]:
    """kWh that limits prevented on each row's day, by the sandbox's model."""

    def ask(row: dict[str, object]) -> float:
        window = {
            name: f"{row[column]:%Y-%m-%dT%H:%M:%SZ}"
            for name, column in (("from", "day_start"), ("to", "day_end"))
        }
        answer = http.get(f"/_truth/plants/{row['plant_id']}/curtailedGeneration", params=window)
        return float(answer.raise_for_status().json()["kwh"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, limits.iter_rows(named=True)))


def _send_limits(http: httpx.Client, address: SandboxAddress, limits: pl.DataFrame) -> None:
    settings = address.settings()
    token = http.post(
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(settings["SMA_CLIENT_ID"], settings["SMA_CLIENT_SECRET"]),
    )
    http.headers["Authorization"] = f"Bearer {token.raise_for_status().json()['access_token']}"
    for (plant,), rows in limits.group_by("plant_id", maintain_order=True):
        commands = [
            {
                "command": "FeedInLimit",
                "value": row["limit_kw"] * 1000,
                "startTime": row["limit_start"].isoformat(),
                "duration": (row["limit_end"] - row["limit_start"]).total_seconds(),
            }
            for row in rows.iter_rows(named=True)
        ]
        path = f"/gridcontrol/v1/plants/{plant}/schedules?skipEligibilityCheck"
        http.post(path, json={"commands": commands}).raise_for_status()


def _set_clock(http: httpx.Client, day: dt.date) -> None:
    http.post("/_control/clock", json={"now": f"{day}T00:00:00Z"}).raise_for_status()


def _store(runtime: RunContext, days: Sequence[dt.date]) -> None:
    for source in (BALANCE, SENSOR):
        for _ in SetFetch(source)(runtime, days):
            pass
    for day in days:
        for source in (BALANCE, SENSOR):
            write_intervals(runtime, source, day)
        write_energy_daily(runtime, day)
        write_quarter_energies(runtime, day)
        write_kpi_daily(runtime, day)
    write_energy_monthly(runtime)
    write_kpi_monthly(runtime)


def sum_by_plant(found: pl.DataFrame) -> pl.DataFrame:
    """plant_id, n_days, lost_kwh, true_kwh and off_percent of the plants that have an estimate, by plant."""
    known = found.filter(pl.col("lost_kwh").is_not_null())
    sums = known.group_by("plant_id").agg(pl.col("lost_kwh", "true_kwh").sum(), n_days=pl.len())
    off = (pl.col("lost_kwh") / pl.col("true_kwh") - 1) * 100
    return sums.with_columns(off_percent=pl.when(pl.col("true_kwh") > LEAST_KWH).then(off)).sort("plant_id")


def measure_errors(found: pl.DataFrame) -> dict[str, float]:
    """Of the days with an estimate: their number, truth, and the errors of the sum and of single plants in %."""
    known = found.filter(pl.col("lost_kwh").is_not_null())
    off = sum_by_plant(found)["off_percent"].drop_nulls().abs()
    within = known.filter(
        pl.col("true_kwh") >= pl.col("lost_low_kwh") - 0.05,
        pl.col("true_kwh") <= pl.col("lost_high_kwh") + 0.05,
    )
    truth, lost = known["true_kwh"].sum(), known["lost_kwh"].sum()
    return {
        "days": known.height,
        "of": found.height,
        "plants": off.len(),
        "true_kwh": truth,
        "sum_off": (lost / truth - 1) * 100 if truth else float("nan"),
        "median_plant_off": float(off.median() or 0),  # type: ignore[arg-type]
        "most_plants_off": float(off.quantile(0.9, "linear") or 0),
        "worst_plant_off": float(off.max() or 0),  # type: ignore[arg-type]
        "within": within.height / known.height * 100 if known.height else float("nan"),
    }


def main() -> None:
    """Print a row of the table for each method and level, and write what each plant is off where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plants", type=int, default=PLANTS)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument(
        "--by-plant", type=Path, help="CSV file to write, a row for each plant, method and level"
    )
    parser.add_argument("options", nargs="*", help="options of the sandbox")
    given = parser.parse_args()
    days = [FIRST_DAY + dt.timedelta(days=number) for number in range(given.days)]
    print(
        "| method | limit | days | plants | true kWh | sum | median plant | 9 of 10 plants | worst plant | in bounds |"
    )
    print("|" + "---|" * 10)
    by_plant = []
    with (
        tempfile.TemporaryDirectory() as folder,
        curtailed_fleet(Path(folder), given.plants, days, *given.options) as fleet,
    ):
        for case, (method, supplied) in CASES.items():
            found = fleet.estimate(method, supplied=supplied)
            for level in (*LEVELS, None):
                part = found if level is None else found.filter(pl.col("level") == level)
                limit = "all" if level is None else f"{level} %"
                print(f"| {case} | {limit} {_format_errors(measure_errors(part))}", flush=True)
                by_plant.append(sum_by_plant(part).with_columns(method=pl.lit(case), limit=pl.lit(limit)))
    if given.by_plant is not None:
        pl.concat(by_plant).write_csv(given.by_plant)
    spent = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(f"CPU time: {spent:.0f} s", file=sys.stderr)


def _format_errors(errors: dict[str, float]) -> str:
    return (
        f"| {errors['days']:.0f} of {errors['of']:.0f} | {errors['plants']:.0f} | {errors['true_kwh']:,.0f} "
        f"| {errors['sum_off']:+.1f} % | {errors['median_plant_off']:.1f} % | {errors['most_plants_off']:.1f} % "
        f"| {errors['worst_plant_off']:.1f} % | {errors['within']:.0f} % |"
    )


if __name__ == "__main__":
    main()
