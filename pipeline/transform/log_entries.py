"""Log entries of plants and devices: the vendor's answers to rows of `logs`, and the dictionary of their messages."""

import datetime as dt

import polars as pl

from pipeline.common.local_time import TimeBasis, build_days_frame, convert_to_instants, parse_label
from pipeline.transform.json_engine import run_on
from pipeline.transform.lists.broken_lists import decode_lists
from schemas import LogMessages, Logs, polars_schema, storage

# Classic's event id is empty: absent, an empty text, or 0. A device's own log need not name the device.
_ENTRIES = """
SELECT plant_id, timezone, fetched_at, asked_device IS NOT NULL AS of_device, row.timestamp AS raw_time,
       coalesce(nullif(row.deviceId, ''), asked_device) AS device_id, row.level AS level,
       row.messageTagId AS message_tag_id, nullif(row.logId, 0) AS log_id, row.message AS message,
       row.occurrence AS occurrence, row.counter AS counter, nullif(row.subPlantId, '') AS sub_plant_id
FROM (SELECT plant_id, nullif(device_id, '') AS asked_device, timezone, fetched_at, unnest(from_json(body, '{"logs": [{
    "timestamp": "VARCHAR", "deviceId": "VARCHAR", "level": "VARCHAR", "messageTagId": "BIGINT", "logId": "BIGINT",
    "message": "VARCHAR", "occurrence": "VARCHAR", "counter": "BIGINT",
    "subPlantId": "VARCHAR"}]}').logs) AS row FROM batch)
"""
# What makes two entries the same event; its state may have changed from one reading to the next.
EVENT = ["plant_id", "raw_time", "message_tag_id", "log_id", "level", "message"]


def build_entries(
    answers: pl.DataFrame, places: pl.DataFrame, day: dt.date, basis: TimeBasis
) -> pl.DataFrame:
    """Rows of `logs` from the answers of one day, of plants and of devices. `places` has plant_id and timezone.

    An entry whose time can't be read keeps it as text. An event that several answers hold is kept once, in its latest
    state.
    """
    texts = answers.join(places, on="plant_id", how="inner", maintain_order="left").select(
        "plant_id", "device_id", "timezone", "fetched_at", "body"
    )
    texts = texts.with_columns(decode_lists(texts["body"], "logs"))
    rows = _drop_repeats(run_on(_ENTRIES, texts))
    zones = build_days_frame(day, places["timezone"])
    label = parse_label(pl.col("raw_time").str.strip_suffix("Z"))
    zulu = pl.col("raw_time").str.ends_with("Z")
    timed = rows.join(zones, on="timezone", how="left", maintain_order="left").with_columns(
        label=label, series=pl.int_range(pl.len())
    )
    # Entries are events, not samples: two of one label are no sign of a repeated hour. So each is a series of its own,
    # and one of the repeated hour is taken for its first pass.
    end, *_ = convert_to_instants(basis, changes=zones["change"].null_count() < zones.height)
    moment = pl.when(zulu).then(pl.col("label").dt.replace_time_zone("UTC")).otherwise(end)
    named = {"local_date": pl.lit(day), "logged_at": moment}
    return (
        timed.with_columns(**named).select(polars_schema(Logs).names()).sort("plant_id", maintain_order=True)
    )


def _drop_repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Every event once, as it was read last, in the order of first appearance.

    An entry of a plant's log that names no device is the same as one of a device's log that says the same otherwise.
    """
    placed = rows.with_row_index("place")
    latest = placed.sort("fetched_at", maintain_order=True).unique(
        [*EVENT, "device_id"], keep="last", maintain_order=True
    )
    firsts = placed.group_by([*EVENT, "device_id"]).agg(first=pl.col("place").min())
    once = latest.join(firsts, on=[*EVENT, "device_id"], nulls_equal=True).sort("first")
    known = once.filter("of_device")
    nameless = once.filter(pl.col("device_id").is_null()).join(known, on=EVENT, how="semi", nulls_equal=True)
    return once.join(nameless.select("place"), on="place", how="anti", maintain_order="left")


def build_messages(logs: pl.LazyFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """Rows of `log_messages` from rows of `logs`, sorted. `plants` has plant_id and backend."""
    tagged = logs.filter(pl.col("message_tag_id").is_not_null()).join(
        plants.lazy().select("plant_id", "backend"), on="plant_id"
    )
    told = tagged.filter(pl.col("backend") == "ennexos", pl.col("log_id").is_not_null())
    different = pl.col("log_id").n_unique().cast(pl.Int64)
    events = told.group_by("message_tag_id").agg(
        pl.when(different == 1).then(pl.col("log_id").first()).alias("event_id"), n_event_ids=different
    )
    texts = tagged.group_by("message_tag_id", "backend", "message").agg(
        n_entries=pl.len().cast(pl.Int64),
        first_seen=pl.col("logged_at").min(),
        last_seen=pl.col("logged_at").max(),
    )
    found = texts.join(events, on="message_tag_id", how="left").with_columns(
        pl.col("n_event_ids").fill_null(0)
    )
    return found.select(polars_schema(LogMessages).names()).sort(storage(LogMessages).key).collect()
