"""The least that has to be done for the same plant-days: fetch, decode, multiply, write; a process of its own.

No retries, no budget, no rules, no schema, no digests, no publication, and a file that a kill leaves half written: what
sunledger needs beyond this script is what those cost. aiohttp and DuckDB are the fastest that was measured.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bench.child import AT_ONCE, Result, Task, peak_mb, run_as_child

POWERS = (
    "pvGeneration", "totalGeneration", "dieselGeneration", "directConsumption", "selfConsumption", "selfSupply",
    "totalConsumption", "gridFeedIn", "gridConsumption", "batteryCharging", "batteryDischarging",
)  # fmt: skip
OTHERS = ("batteryStateOfCharge", "autarkyRate", "selfConsumptionRate")
BATCH = 32
RAW = pa.schema({"plant_id": pa.string(), "body": pa.binary()})
_FIELDS = ", ".join(f'"{name}": "DOUBLE"' for name in (*POWERS, *OTHERS))
# A row's power is the mean since the row before; the first one's interval is as long as the next.
_ENERGIES = ", ".join(f'row."{name}" * seconds / 3600000 AS "{name}_kwh"' for name in POWERS)
_ROWS = f"""
SELECT plant_id, CAST(row.time - INTERVAL 1 SECOND AS DATE) AS local_date, row.time AS interval_end, seconds,
    {", ".join(f'row."{name}"' for name in (*POWERS, *OTHERS))}, {_ENERGIES}
FROM (SELECT plant_id, row, coalesce(date_diff('second', lag(row.time) OVER steps, row.time),
    date_diff('second', row.time, lead(row.time) OVER steps)) AS seconds
FROM (SELECT plant_id, unnest(from_json(decode(body), '{{"set": [{{"time": "TIMESTAMP", {_FIELDS}}}]}}').set) AS row
FROM answers) WINDOW steps AS (PARTITION BY plant_id ORDER BY row.time))
"""
_DAILY = f"""
SELECT plant_id, local_date, count(*) AS n_rows, sum(seconds) / 3600 AS covered_h,
    {", ".join(f'sum("{name}_kwh") AS "{name}_kwh"' for name in POWERS)} FROM rows GROUP BY ALL
"""


def load(task: Task) -> Result:
    """Fetch the task's plant-days, write them with their energies, and sum up the days."""
    result = Result(days=len(task.days), start_mb=peak_mb())
    asyncio.run(_load(task, result, Path(task.home)))
    result.peak_mb = peak_mb()
    return result


async def _load(task: Task, result: Result, home: Path) -> None:
    database = duckdb.connect(str(home / "floor.duckdb"), config={"threads": 1})
    days = [dt.date.fromisoformat(day) for day in task.days]
    weeks = sorted({day - dt.timedelta(days=day.weekday()) for day in days})
    result.stages["all"] = 0.0
    with result.stage("all"):
        async with aiohttp.ClientSession(auto_decompress=True) as http:
            headers, plants = await _sign_in(http, task.settings, result)
            for week in weeks:
                with pq.ParquetWriter(home / f"raw-{week}.parquet", RAW, compression="zstd") as raw:
                    create = f"CREATE OR REPLACE TABLE rows AS {_ROWS} LIMIT 0"
                    database.register("answers", RAW.empty_table())
                    database.execute(create)
                    async for answers in _fetch(http, task.settings, headers, plants, week):
                        result.requests += answers.num_rows
                        raw.write_table(answers)
                        database.register("answers", answers)
                        wanted = f"local_date BETWEEN DATE '{days[0]}' AND DATE '{days[-1]}'"
                        database.execute(f"INSERT INTO rows SELECT * FROM ({_ROWS}) WHERE {wanted}")
                for (day,) in database.execute("SELECT DISTINCT local_date FROM rows ORDER BY 1").fetchall():
                    database.execute(
                        f"COPY (SELECT * FROM rows WHERE local_date = DATE '{day}' ORDER BY plant_id, interval_end) "
                        f"TO '{home}/rows-{day}.parquet' (FORMAT parquet, COMPRESSION zstd)"
                    )
                kept = "INSERT INTO daily" if week != weeks[0] else "CREATE TABLE daily AS"
                database.execute(f"{kept} {_DAILY}")
                result.rows += database.execute("SELECT count(*) FROM rows").fetchall()[0][0]
    found = database.execute(
        'SELECT sum("pvGeneration_kwh"), sum("gridFeedIn_kwh"), sum(covered_h) FROM daily'
    )
    result.figures = dict(
        zip(("pv_generation_kwh", "grid_feed_in_kwh", "covered_h"), found.fetchall()[0], strict=True)
    )
    result.file_bytes = {
        kind: sum(file.stat().st_size for file in home.glob(f"{kind}-*.parquet")) for kind in ("raw", "rows")
    }


async def _sign_in(
    http: aiohttp.ClientSession, settings: dict[str, str], result: Result
) -> tuple[dict[str, str], list[str]]:
    form = {"grant_type": "client_credentials"}
    form |= {"client_id": settings["sma_client_id"], "client_secret": settings["sma_client_secret"]}
    async with http.post(f"{settings['sma_auth_url']}/oauth2/token", data=form) as answer:
        headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
    async with http.get(f"{settings['sma_monitoring_url']}/v1/plants", headers=headers) as answer:
        plants = [plant["plantId"] for plant in (await answer.json())["plants"]]
    result.requests = 2
    return headers, plants


async def _fetch(
    http: aiohttp.ClientSession,
    settings: dict[str, str],
    headers: dict[str, str],
    plants: Sequence[str],
    week: dt.date,
) -> AsyncIterator[Any]:
    """The answers for a week, in batches, with so many requests at once as sunledger has connections."""

    async def ask(plant: str) -> tuple[str, bytes]:
        url = f"{settings['sma_monitoring_url']}/v1/plants/{plant}/measurements/sets/EnergyBalance/Week?Date={week}"
        async with slots, http.get(url, headers=headers) as answer:
            answer.raise_for_status()
            return plant, await answer.read()

    slots = asyncio.Semaphore(AT_ONCE)
    for begin in range(0, len(plants), BATCH):
        found = await asyncio.gather(*map(ask, plants[begin : begin + BATCH]))
        yield pa.table([[plant for plant, _ in found], [body for _, body in found]], schema=RAW)


if __name__ == "__main__":
    run_as_child(load)
