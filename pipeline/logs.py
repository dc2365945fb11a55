"""Log entries of plants and devices: the vendor's answers to rows of `logs`."""

import datetime as dt

import duckdb
import polars as pl

from pipeline.timebase import TimeBasis, days_frame, instants, parse_label
from schemas import Logs, polars_schema

_ENTRIES = """
SELECT plant_id, timezone, row.timestamp AS raw_time, row.deviceId AS device_id, row.level AS level,
       row.messageTagId AS message_tag_id, row.logId AS log_id, row.message AS message,
       row.occurrence AS occurrence, row.counter AS counter
FROM (SELECT plant_id, timezone, unnest(from_json(body, '{"logs": [{
    "timestamp": "VARCHAR", "deviceId": "VARCHAR", "level": "VARCHAR", "messageTagId": "BIGINT", "logId": "BIGINT",
    "message": "VARCHAR", "occurrence": "VARCHAR", "counter": "BIGINT"}]}').logs) AS row FROM answers)
"""


def entries(answers: pl.DataFrame, places: pl.DataFrame, day: dt.date, basis: TimeBasis) -> pl.DataFrame:
    """Rows of `logs` from the answers of one day. `places` has plant_id and timezone.

    An entry whose time can't be read keeps it as text.
    """
    texts = answers.join(places, on="plant_id", how="inner", maintain_order="left").select(
        "plant_id", "timezone", pl.col("body").cast(pl.String, strict=True)
    )
    with duckdb.connect(config={"threads": 1}) as engine:
        engine.register("answers", texts.to_arrow())
        rows = engine.execute(_ENTRIES).pl()
    zones = days_frame(day, places["timezone"])
    label = parse_label(pl.col("raw_time").str.strip_suffix("Z"))
    zulu = pl.col("raw_time").str.ends_with("Z")
    timed = rows.join(zones, on="timezone", how="left", maintain_order="left").with_columns(
        label=label, series=pl.int_range(pl.len())
    )
    # Entries are events, not samples: two of one label are no sign of a repeated hour. So each is a series of its own,
    # and one of the repeated hour is taken for its first pass.
    end, _ = instants(basis, changes=zones["change"].null_count() < zones.height)
    moment = pl.when(zulu).then(pl.col("label").dt.replace_time_zone("UTC")).otherwise(end)
    named = {"local_date": pl.lit(day), "logged_at": moment}
    return (
        timed.with_columns(**named).select(polars_schema(Logs).names()).sort("plant_id", maintain_order=True)
    )
