"""Finds stored days that were cut by a time zone which the portal has corrected. Makes no API calls."""

import polars as pl

from pipeline.common.local_time import TimeBasis
from pipeline.common.text import pluralize
from pipeline.run.context import RunContext
from pipeline.run.notices import MissingItem, Notices
from schemas import EnergyDaily, Plants, RawEnergyBalance, storage


def find_days_of_other_zones(runtime: RunContext) -> pl.DataFrame:
    """Plants whose stored days are not all cut by their present zone: plant_id, timezone, was, first, last, n_days.

    A row for each plant and zone (`was`) that its days have. Under `utc` the answers count too: which dates were
    asked for, and which part of a week is the day's, depends on the zone.
    """
    plants = runtime.lake.scan(Plants).filter(pl.col("previous_timezone").is_not_null()).collect()
    if not plants.height:
        return pl.DataFrame(schema=_FOUND)
    mine = pl.col("plant_id").is_in(plants["plant_id"].implode())
    days = [runtime.lake.scan(EnergyDaily).filter(mine).select("plant_id", "local_date", "timezone")]
    if runtime.settings.sma_time_basis == "utc":
        answers = runtime.lake.scan(RawEnergyBalance).filter(mine)
        days.append(answers.select("plant_id", "local_date", timezone="asked_timezone"))
    stored = pl.concat(days).collect()
    now = plants.select("plant_id", "previous_timezone", now="timezone")
    was = pl.coalesce("timezone", "previous_timezone")
    other = stored.join(now, on="plant_id").with_columns(was=was).filter(pl.col("was") != pl.col("now"))
    found = other.group_by("plant_id", pl.col("now").alias("timezone"), "was").agg(
        first=pl.col("local_date").min(),
        last=pl.col("local_date").max(),
        n_days=pl.col("local_date").n_unique(),
    )
    return found.select(pl.col(name).cast(dtype) for name, dtype in _FOUND.items()).sort("plant_id", "was")


def list_other_zones(runtime: RunContext) -> Notices:
    """Each plant whose stored days are cut by another zone, with one command for all of them."""
    found = find_days_of_other_zones(runtime)
    table, basis = storage(EnergyDaily).table, runtime.settings.sma_time_basis
    missing = []
    for row in found.iter_rows(named=True):
        text = (
            f"its time zone is {row['timezone']} now, but the energy of {pluralize(row['n_days'], 'day')} from "
            f"{row['first']} to {row['last']} was made with {row['was']}: {suggest_cure(found, basis)}"
        )
        missing.append(MissingItem(str(row["first"]), table, row["plant_id"], text))
    return Notices.of(missing)


def suggest_cure(found: pl.DataFrame, basis: TimeBasis) -> str:
    """The command for all rows of `find_days_of_other_zones`.

    Where the API's times are the plant's clock, the stored answers hold all of it. Under `utc` they lack hours.
    """
    days = f"--from {found['first'].min()!s} --to {found['last'].max()!s}"
    if basis == "plant_local":
        return f"run 'sunledger rebuild {days}', which sends no request to SMA."
    plants = ",".join(found["plant_id"].unique().sort().to_list())
    return (
        f"run 'sunledger backfill {days} --plants {plants}', which fetches the hours that they lack and rebuilds them "
        "('sunledger plan' with the same options shows the cost)."
    )


_FOUND = {
    "plant_id": pl.String,
    "timezone": pl.String,
    "was": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "n_days": pl.Int64,
}
