"""What each plant earns by its feed-in: the company's own register of plants, and sunledger's energy beside it."""

import datetime as dt
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl

from assets.asset_builders import DAYS_PER_RUN, build_day_partitions
from assets.prefix import build_key
from pipeline.common.settings import Settings

REGISTER = Path(__file__).with_name("register.csv")
FEED_IN = """
    SELECT plant_id, local_date, grid_feed_in_kwh, status
    FROM energy_daily WHERE local_date BETWEEN ? AND ? ORDER BY local_date, plant_id
"""


@dg.asset(description="The plants of the company's books: whose they are, and what a kWh of feed-in earns.")
def plants() -> pl.DataFrame:
    """Is called like a table of sunledger, whose key is `solar/plants` here."""
    return pl.read_csv(REGISTER, schema_overrides={"plant_id": pl.String})


def build_feed_in_revenue(settings: Settings, folder: Path) -> dg.AssetsDefinition:
    """The asset that writes a Parquet file a day into the folder."""

    @dg.asset(
        description="EUR of each plant and day by its feed-in; null where the energy or the plant's price is unknown.",
        partitions_def=build_day_partitions(settings),
        # Like sunledger's own days: a month of days is one run.
        backfill_policy=dg.BackfillPolicy.multi_run(DAYS_PER_RUN),
        # The days' energy, and the published file that it is read from.
        deps=[build_key(settings, "energy_daily"), build_key(settings, "warehouse")],
        kinds={"duckdb", "parquet"},
    )
    def feed_in_revenue(
        context: dg.AssetExecutionContext, plants: pl.DataFrame
    ) -> dg.MaterializeResult[None]:
        days = [dt.date.fromisoformat(key) for key in context.partition_keys]
        with duckdb.connect(str(settings.warehouse), read_only=True) as published:
            energy = published.execute(FEED_IN, [min(days), max(days)]).pl()
        revenue = energy.join(plants, on="plant_id", how="left").with_columns(
            eur=pl.col("grid_feed_in_kwh") * pl.col("eur_per_kwh")
        )
        folder.mkdir(parents=True, exist_ok=True)
        for day in days:
            of_day = revenue.filter(pl.col("local_date") == day)
            of_day.write_parquet(folder / f"{day}.parquet")
            facts = {"dagster/partition_row_count": of_day.height, "eur": float(of_day["eur"].sum())}
            context.add_asset_metadata(facts, partition_key=str(day))
        return dg.MaterializeResult()

    return feed_in_revenue
