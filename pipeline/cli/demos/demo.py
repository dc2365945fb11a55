"""The demo: the real pipeline over HTTP and through Dagster, on the embedded sandbox."""

import datetime as dt
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import duckdb
import polars as pl
from rich.text import Text

from assets.runs import Runs, record_runs
from pipeline.cli.console import Bars, out, say, show_table
from pipeline.cli.demos.demo_fleet import TIME_BASIS, write_demo_attributes
from pipeline.common.errors import UsageError
from pipeline.common.local_time import TimeBasis, convert_to_wall_clock
from pipeline.common.settings import Settings, load_settings
from pipeline.common.text import format_covered
from pipeline.report.page import render_fleet_page
from pipeline.report.picture import draw_month_picture
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.tables.interval_tables import read_intervals_with_basis
from pipeline.transform.sun.time_basis import judge_time_basis
from sandbox.launch import SandboxAddress
from schemas import EnergyBalanceIntervals, EnergyDaily, Plants
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect

MARK = ".sunledger-demo"
ATTRIBUTES = "plants.toml"
MELBOURNE, NETHERLANDS = "900001", "900002"
OCTOBER = (dt.date(2021, 10, 1), dt.date(2021, 10, 31))
BASIS: TimeBasis = TIME_BASIS
JULY = (dt.date(2025, 7, 9), dt.date(2025, 7, 14))
RECORDING = "recordings/sb4000tl_melbourne.parquet"


def play_demo(folder: Path, bars: Bars, wait: Callable[[], SandboxAddress]) -> None:
    """Run the demo in `folder`, which is emptied first, on the sandbox for which `wait` waits.

    Raises UsageError for a folder with other contents.
    """
    begun = time.monotonic()
    home = _prepare_folder(folder)
    box = wait()
    say(f"The embedded sandbox, which is not SMA, listens at {box.url}.")
    settings = load_settings(
        env_file=None,
        home=home,
        lake=str(home / "lake"),
        warehouse=home / "sunledger.duckdb",
        plant_attributes=home / ATTRIBUTES,
        # Dagster lists all days since then for each table of months.
        first_day=OCTOBER[0],
        # The embedded sandbox charges nobody.
        max_eur_per_month=Decimal(1_000_000),
        **{name.lower(): value for name, value in box.settings().items()},
    )
    with (
        RunContext(settings, progress=bars, tell=say) as runtime,
        record_runs(runtime, command="demo") as runs,
    ):
        _fill(runtime, runs)
        requests = runtime.session.requests_sent
    seconds = time.monotonic() - begun
    with connect(settings.warehouse) as warehouse:
        months = _read_months(warehouse)
    lake = Lake(settings.lake, settings.home / "tmp")
    bases: tuple[TimeBasis, ...] = ("plant_local", "utc")
    readings = {basis: _read_with_basis(lake, basis) for basis in bases}
    verdicts = _read_verdicts(lake)
    page = _draw(lake, months, verdicts, home, requests)
    _show_months(months, readings, verdicts)
    _show_next_steps(settings, page, requests, runs.materialized, seconds)


def _prepare_folder(folder: Path) -> Path:
    home = folder.absolute()
    if home.exists() and any(home.iterdir()) and not (home / MARK).exists():
        raise UsageError(f"The folder {home} holds files that no demo has written: choose another --folder.")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).touch()
    (home / ATTRIBUTES).write_text(write_demo_attributes())
    return home


def _fill(runtime: RunContext, runs: Runs) -> None:
    say("Fetching plants, devices and measurement sets ...")
    runs.refresh_lists()
    say("Fetching October 2021: 31 days of all plants ...")
    runs.fetch_days(*OCTOBER)
    say("Fetching 9 to 14 July 2025: the days of the Dutch recording ...")
    runtime.only_plants = frozenset({NETHERLANDS})
    runs.fetch_days(*JULY)
    runs.publish()


def _read_months(warehouse: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return warehouse.execute(
        "SELECT p.name, m.* FROM energy_monthly m JOIN plants p USING (plant_id) ORDER BY m.month, p.name"
    ).pl()


def _read_meter() -> pl.DataFrame:
    """Return local_date and kwh by the Melbourne inverter's own meter, which does not count at night."""
    recording = pl.read_parquet(str(files("sandbox").joinpath(RECORDING)))
    local = convert_to_wall_clock(pl.col("interval_end_utc"), "Australia/Brisbane")
    day = (local - pl.duration(microseconds=1)).dt.date().alias("local_date")
    counter = pl.col("energy_counter_kwh")
    days = recording.group_by(day).agg(kwh=counter.max() - counter.min())
    return days.filter(pl.col("local_date").is_between(*OCTOBER)).sort("local_date")


def _read_with_basis(lake: Lake, basis: TimeBasis) -> pl.DataFrame:
    """Return the kWh of Melbourne's days from the stored answers, read with this time basis. Calls no API.

    The pipeline has read them with the sandbox's basis already.
    """
    if basis == BASIS:
        of_month = pl.col("local_date").is_between(*OCTOBER)
        rows = lake.scan(EnergyBalanceIntervals).filter(pl.col("plant_id") == MELBOURNE, of_month).collect()
    else:
        days = pl.date_range(*OCTOBER, eager=True).to_list()
        rows = read_intervals_with_basis(lake, BALANCE, MELBOURNE, days, basis)
    return rows.group_by("local_date").agg(pl.col("pv_generation_kwh").sum()).sort("local_date")


def _read_verdicts(lake: Lake) -> pl.DataFrame:
    columns = ["plant_id", "local_date", "interval_start", "interval_end", "pv_generation_kwh"]
    intervals = lake.scan(EnergyBalanceIntervals).select(columns).collect()
    return judge_time_basis(intervals, lake.scan(Plants).collect(), read_as=BASIS)


def _draw(lake: Lake, months: pl.DataFrame, verdicts: pl.DataFrame, home: Path, requests: int) -> Path:
    """Write the picture and the page, and return the path of the page."""
    plants = lake.scan(Plants).collect()
    mine = pl.col("plant_id") == MELBOURNE
    plant = plants.filter(mine).row(0, named=True)
    of_month = mine & pl.col("local_date").is_between(*OCTOBER)
    picture = draw_month_picture(
        lake.scan(EnergyDaily).filter(of_month).collect(),
        lake.scan(EnergyBalanceIntervals).filter(of_month).collect(),
        plant_name=plant["name"],
        timezone=plant["timezone"],
        month=OCTOBER[0],
    )
    (home / "melbourne-2021-10.svg").write_text(picture)
    page = home / "index.html"
    page.write_text(
        render_fleet_page(
            title="sunledger demo",
            month_rows=months,
            plants=plants,
            picture=picture,
            picture_of=f"{plant['name']}, October 2021: energy by day and power by hour",
            facts=[
                ("Plants", f"{plants.height}: two recordings of real inverters and a simulated fleet"),
                ("HTTP requests", f"{requests:,}, all to the embedded sandbox"),
                ("Warehouse", str(home / "sunledger.duckdb")),
            ],
            next_steps=_list_next_steps(home),
            time_basis=verdicts,
        )
    )
    return page


def _show_months(
    months: pl.DataFrame, readings: dict[TimeBasis, pl.DataFrame], verdicts: pl.DataFrame
) -> None:
    show_table(
        "Energy and coverage by plant and month",
        [
            ("plant", False),
            ("month", False),
            ("PV kWh", True),
            ("use kWh", True),
            ("coverage", True),
            ("status", False),
            ("days", True),
        ],
        [
            (
                row["name"],
                f"{row['month']:%Y-%m}",
                _format_kwh(row["pv_generation_kwh"]),
                _format_kwh(row["total_consumption_kwh"]),
                "" if row["coverage"] is None else format_covered(row["coverage"]),
                row["status"],
                str(row["n_days"]),
            )
            for row in months.iter_rows(named=True)
        ],
    )
    out.print()
    _show_readings(readings, verdicts)


def _show_readings(readings: dict[TimeBasis, pl.DataFrame], verdicts: pl.DataFrame) -> None:
    """Print the recorded Melbourne month by the meter and by both time bases, from the same stored answers."""
    meter = _read_meter()
    dark = verdicts.filter(pl.col("plant_id") == MELBOURNE).row(0, named=True)
    rows: list[tuple[str, ...]] = [("the inverter's own meter", f"{float(meter['kwh'].sum()):.3f}", "", "")]
    for basis, days in readings.items():
        both = meter.join(days, on="local_date", how="left").with_columns(
            pl.col("pv_generation_kwh").fill_null(0)
        )
        worst = both.select((pl.col("kwh") - pl.col("pv_generation_kwh")).abs().max()).item()
        share = dark[f"dark_share_{basis}"]
        rows.append(
            (
                f"SMA_TIME_BASIS={basis}",
                f"{float(days['pv_generation_kwh'].sum()):.3f}",
                f"{float(worst):.3f}",
                f"{share:.1%}",
            )
        )
    show_table(
        f"Recorded: SB 4000TL-21, Melbourne, October 2021 (verdict by the position of the sun: {dark['verdict']})",
        [
            ("source", False),
            ("kWh", True),
            ("largest daily difference, kWh", True),
            ("energy in the dark", True),
        ],
        rows,
    )


def _show_next_steps(
    settings: Settings, page: Path, requests: int, materialized: int, seconds: float
) -> None:
    home = settings.home
    out.print()
    out.print(f"{materialized} materializations, {requests} HTTP requests, {seconds:.1f} s.")
    for name, path in [
        ("page", page),
        ("picture", home / "melbourne-2021-10.svg"),
        ("warehouse", settings.warehouse),
        ("lake", settings.lake),
    ]:
        out.print(Text(f"  {name:10}{path}"), soft_wrap=True)
    out.print("Next steps:")
    for aim, command in _list_next_steps(home):
        out.print(Text(f"  {aim}\n      {command}"), soft_wrap=True)


def _list_next_steps(home: Path) -> list[tuple[str, str]]:
    """List possible next steps, each with its command."""
    place = f"SUNLEDGER_HOME={shlex.quote(str(home))}"
    program = shlex.quote(str(Path(sys.executable).with_name("sunledger")))
    query = "SELECT * FROM v_days_to_check LIMIT 10"
    chosen = "SMA_ENVIRONMENT=production and SMA_TIME_BASIS=plant_local"
    return [
        ("Show assets, partitions and runs in Dagster:", f"{place} {program} ui"),
        ("Query the warehouse with SQL:", f'{place} {program} sql "{query}"'),
        ("Show what SMA would charge for these requests:", f"{place} {program} billing --forecast"),
        ("Export a table to a spreadsheet:", f"{place} {program} export energy_daily --output days.xlsx"),
        ("Connect a BI tool, read-only:", f"duckdb:///{home / 'sunledger.duckdb'}?access_mode=READ_ONLY"),
        (
            f"Connect to SMA: put SMA_CLIENT_ID, SMA_CLIENT_SECRET, {chosen} into .env, then run",
            f"{program} doctor && {program} plan --from 2026-10-01 --to 2026-10-31",
        ),
    ]


def _format_kwh(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}"
