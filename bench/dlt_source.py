"""The same plant-days by dlt's rest_api source into DuckDB, measured stage by stage; a process of its own.

Configured as its documentation advises: declarative resources, the list of plants as parent, child requests in
parallel on as many workers as sunledger has connections, Parquet as load format, rows normalised by dlt itself.
It does less than sunledger does: no raw copy, no kWh, no rules, no daily figures.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.child import AT_ONCE, Result, Task, peak_mb, run_as_child


def load(task: Task) -> Result:
    """Extract, normalize and load the task's plant-days."""
    # Read by dlt when it is imported and when it runs.
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "EXTRACT__WORKERS": str(AT_ONCE),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(2 * AT_ONCE),
    }
    import dlt  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - only this process has it

    home = Path(task.home)
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=str(home),
        destination=dlt.destinations.duckdb(str(home / "bench.duckdb")),
        dataset_name="sma",
    )
    result = Result(days=len(task.days), start_mb=peak_mb())
    with result.stage("extract"):
        pipeline.extract(_source(task, result), loader_file_format="parquet")
    with result.stage("normalize"):
        pipeline.normalize()
    with result.stage("load"):
        pipeline.load()
    result.peak_mb = peak_mb()
    with pipeline.sql_client() as client:
        found = client.execute_sql("SELECT count(*) FROM energy_balance")
    assert found is not None
    result.rows = int(found[0][0])
    return result


def _source(task: Task, result: Result) -> Any:
    """EnergyBalance of every plant and day, as dependent resources of the list of plants; counts its requests."""
    from dlt.sources.rest_api import (  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - as above
        rest_api_source,
    )

    def plant_days(plant: dict[str, Any]) -> Iterator[list[dict[str, str]]]:
        result.requests += len(task.days)
        # A page of parents: dependent resources take nothing smaller.
        yield [{"plant_id": plant["plantId"], "date": day} for day in task.days]

    # One for the token and one for the list of plants.
    result.requests = 2
    return rest_api_source(
        {
            "client": {
                "base_url": f"{task.settings['sma_monitoring_url']}/v1/",
                "auth": {
                    "type": "oauth2_client_credentials",
                    "access_token_url": f"{task.settings['sma_auth_url']}/oauth2/token",
                    "client_id": task.settings["sma_client_id"],
                    "client_secret": task.settings["sma_client_secret"],
                },
                "paginator": "single_page",
            },
            "resources": [
                {
                    "name": "plant_days",
                    "endpoint": {"path": "plants", "data_selector": "plants"},
                    "processing_steps": [{"yield_map": plant_days}],
                    "selected": False,
                },
                {
                    "name": "energy_balance",
                    "endpoint": {
                        "path": "plants/{resources.plant_days.plant_id}/measurements/sets/EnergyBalance/Day",
                        "params": {"Date": "{resources.plant_days.date}"},
                        "data_selector": "set",
                    },
                    "include_from_parent": ["plant_id"],
                    "parallelized": True,
                },
            ],
        }
    )


if __name__ == "__main__":
    run_as_child(load)
