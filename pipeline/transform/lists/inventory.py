"""Plants, sections, devices and measurement sets: SMA's lists to rows of tables.

What a list said before is kept by `remembered_lists`, and what of it can't be read is found by `list_faults`.

Where a function takes `answers`, they are rows of a raw table, of which it reads plant_id, device_id and body (Binary).
"""

import datetime as dt
import re

import polars as pl

from pipeline.common.local_time import is_timezone
from pipeline.transform.answer_text import DETAIL_CHARACTERS
from pipeline.transform.lists.list_rows import read_list_rows
from pipeline.transform.plant_power import DEVICE_POWERS, POWERS, build_no_former
from schemas import Devices, MeasurementSets, Plants, SubPlants, polars_schema
from schemas.base import CAPACITY_CLASSES, FINITE
from schemas.sets import SOURCES

CLASSIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# calcAcNominalPower is a computed sum: noise below a watt must not decide on a class.
WATTS = 3
# Times outside of these are the portal's way to say that there is none: .NET writes 0001-01-01 or 9999-12-31.
EARLIEST, LATEST = dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001 - as naive as the API's times

PLANTS_QUERY = """
SELECT answer.plantId AS plant_id, answer.name AS name, answer.timezone AS timezone,
       answer.location.address.latitude AS latitude, answer.location.address.longitude AS longitude,
       answer.location.address.country AS country, answer.installation.peakPower AS peak_w,
       answer.installation.acNominalPower AS ac_w, answer.installation.calcAcNominalPower AS calc_ac_w,
       answer.installation.co2SavingsFactor AS co2, answer.installation.startUpUtc AS start_up,
       nullif(answer.plantGroupId, '') AS plant_group_id
FROM (SELECT unnest(from_json(body, '{"plants": [{
    "plantId": "VARCHAR", "name": "VARCHAR", "timezone": "VARCHAR", "plantGroupId": "VARCHAR",
    "location": {"address": {"country": "VARCHAR", "latitude": "DOUBLE", "longitude": "DOUBLE"}},
    "installation": {"peakPower": "DOUBLE", "acNominalPower": "DOUBLE", "calcAcNominalPower": "DOUBLE",
                     "co2SavingsFactor": "DOUBLE", "startUpUtc": "VARCHAR"}}]}').plants) AS answer FROM batch)
"""

_SUB_PLANTS = """
SELECT plant_id, sub.subPlantId AS sub_plant_id, sub.name, sub.description, sub.timezone, sub.status
FROM (SELECT answer.plantId AS plant_id, unnest(answer.subPlants) AS sub
      FROM (SELECT unnest(from_json(body, '{"plants": [{"plantId": "VARCHAR", "subPlants": [{
          "subPlantId": "VARCHAR", "name": "VARCHAR", "description": "VARCHAR", "timezone": "VARCHAR",
          "status": "VARCHAR"}]}]}').plants) AS answer FROM batch))
"""

DEVICES_QUERY = """
SELECT plant_id, device.deviceId AS device_id, device.name, device.type, device.product,
       device.productId AS product_id, device.vendor, device.serial, device.generatorPower AS generator_power_w,
       device.generatorPowerDc AS generator_power_dc_w, device.isActive AS is_active,
       device.deactivatedAt AS deactivated_at, nullif(device.subPlantId, '') AS sub_plant_id
FROM (SELECT plant_id, unnest(from_json(body, '{"devices": [{
    "deviceId": "VARCHAR", "name": "VARCHAR", "type": "VARCHAR", "product": "VARCHAR", "productId": "BIGINT",
    "vendor": "VARCHAR", "serial": "VARCHAR", "generatorPower": "DOUBLE", "generatorPowerDc": "DOUBLE",
    "isActive": "BOOLEAN", "deactivatedAt": "VARCHAR", "subPlantId": "VARCHAR"}]}').devices) AS device FROM batch)
"""

_SETS = """
SELECT plant_id, nullif(device_id, '') AS device_id,
       unnest(from_json(body, '{"sets": ["VARCHAR"]}').sets) AS set_type FROM batch
"""

_INSTALLATIONS = """
SELECT entry->>'plantId' AS plant_id, '' AS device_id,
       concat_ws(' ', entry->'installation', entry->'subPlants') AS facts
FROM (SELECT unnest(json_extract(body, '$.plants[*]')) AS entry FROM batch)
"""

_KNOWN_SETS = {source.set.name.lower(): source.set.name for source in SOURCES}

# An id becomes a part of addresses and of file names. SMA's are numbers and GUIDs; others are refused only where no
# service could mean them.
USABLE_ID = r'^[^\s\x00-\x1f\x7f"\\{}\[\]\x{fffd}]{1,100}$'


def build_plants(answers: pl.DataFrame, today: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `plants` from the answers to the list of plants, and the plants that were set aside with the reason.

    A plant without a known time zone has no days, so it is set aside: plant_id, reason, detail.
    """
    found = read_list_entries(PLANTS_QUERY, answers, "plants").unique(
        "plant_id", keep="first", maintain_order=True
    )
    known = [zone for zone in found["timezone"].unique() if is_timezone(zone)]
    placed = pl.col("timezone").is_in(known)
    ac = pl.coalesce(_parse_power("ac_w"), _parse_power("calc_ac_w")) / 1000
    frame = found.filter(placed).with_columns(
        *build_no_former(POWERS),
        name=pl.col("name").fill_null(pl.col("plant_id")),
        backend=pl.when(pl.col("plant_id").str.contains(f"^(?i){CLASSIC_ID.pattern}$"))
        .then(pl.lit("classic"))
        .otherwise(pl.lit("ennexos")),
        latitude=_keep_within("latitude", -90, 90),
        longitude=_keep_within("longitude", -180, 180),
        peak_power_kw=_parse_power("peak_w") / 1000,
        ac_power_kw=ac,
        capacity_class=classify_capacity(ac),
        co2_factor_g_per_kwh=_keep_within("co2", 0, FINITE),
        start_up=_parse_time("start_up").dt.replace_time_zone("UTC"),
        previous_timezone=pl.lit(None, pl.String),
        migrated_from=pl.lit(None, pl.String),
        first_seen=pl.lit(today),
        last_seen=pl.lit(today),
        excluded_from=pl.lit(None, pl.Date),
    )
    aside = found.filter(~placed.fill_null(value=False)).select(
        "plant_id", reason=pl.lit("unknown_timezone"), detail=pl.col("timezone").str.head(DETAIL_CHARACTERS)
    )
    return frame.select(polars_schema(Plants).names()).sort("plant_id"), aside


def list_plant_ids(answers: pl.DataFrame) -> list[str]:
    """The ids in the answers to the list of plants."""
    return read_list_entries(PLANTS_QUERY, answers, "plants")["plant_id"].unique().to_list()


def build_devices(answers: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """Rows of `devices` from the answers to each plant's devices."""
    found = read_list_entries(DEVICES_QUERY, answers, "devices").unique(
        ["plant_id", "device_id"], keep="first", maintain_order=True
    )
    frame = found.with_columns(
        *(_keep_within(name, 0, FINITE).alias(name) for name in DEVICE_POWERS),
        *build_no_former(DEVICE_POWERS),
        # A device that was reconnected may keep the time at which it was removed before.
        deactivated_at=pl.when(~pl.col("is_active").fill_null(value=False)).then(
            _parse_time("deactivated_at")
        ),
        first_seen=pl.lit(today),
        last_seen=pl.lit(today),
    )
    return frame.select(polars_schema(Devices).names()).sort("plant_id", "device_id")


def date_by_answers(listed: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Rows of `devices`, first and last seen on the local_date of the answer with their plant's devices."""
    asked = answers.select("plant_id", seen="local_date")
    dated = listed.join(asked, on="plant_id", how="left", maintain_order="left")
    return dated.with_columns(first_seen="seen", last_seen="seen").drop("seen")


def list_device_facts(answers: pl.DataFrame) -> pl.DataFrame:
    """plant_id, device_id and facts: all that the answers say of a device, as one text."""
    found = build_devices(answers, EARLIEST.date()).drop("first_seen", "last_seen")
    names = [name for name in found.columns if name not in {"plant_id", "device_id"}]
    return found.select("plant_id", "device_id", facts=pl.struct(names).struct.json_encode())


def list_installations(answers: pl.DataFrame) -> pl.DataFrame:
    """plant_id, an empty device_id, and facts: the installation and the sections of a plant as the list has them."""
    return read_list_entries(_INSTALLATIONS, answers, "plants", key="plant_id").unique(
        "plant_id", keep="first"
    )


def build_sub_plants(answers: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """Rows of `sub_plants` from the answers to the list of plants."""
    found = read_list_entries(_SUB_PLANTS, answers, "plants", key="sub_plant_id").filter(
        pl.col("plant_id").str.contains(USABLE_ID)
    )
    once = found.unique(["plant_id", "sub_plant_id"], keep="first", maintain_order=True)
    frame = once.with_columns(first_seen=pl.lit(today), last_seen=pl.lit(today))
    return frame.select(polars_schema(SubPlants).names()).sort("plant_id", "sub_plant_id")


def build_measurement_sets(answers: pl.DataFrame) -> pl.DataFrame:
    """Rows of `measurement_sets` from the answers of each plant and device; capitals of known sets do not matter."""
    found = read_list_entries(_SETS, answers, "sets", key="set_type")
    known = pl.col("set_type").str.to_lowercase().replace_strict(_KNOWN_SETS, default=pl.col("set_type"))
    return (
        found.with_columns(set_type=known)
        .select(polars_schema(MeasurementSets).names())
        .unique()
        .sort("plant_id", "device_id", "set_type")
    )


def classify_capacity(kilowatts: pl.Expr) -> pl.Expr:
    """SMA's class of an AC power in kW, the only place that decides on it; null where the power is null or 0.

    A class begins at its first whole kilowatt and lasts until the next class begins: 19.9 kW have not reached 20 and
    are in 1-19, 99.9 kW are in 20-99. Below 1 kW it is the smallest class: a system that is asked for is charged.
    """
    name: pl.Expr = pl.lit(CAPACITY_CLASSES[0])
    watts = kilowatts.round(WATTS)
    for class_name in CAPACITY_CLASSES[1:]:
        begins = int(class_name.removesuffix("+").partition("-")[0])
        name = pl.when(watts < begins).then(name).otherwise(pl.lit(class_name))
    return pl.when(kilowatts > 0).then(name)


def read_list_entries(
    query: str, answers: pl.DataFrame, envelope: str, key: str | None = None
) -> pl.DataFrame:
    """Run the query over the answers; rows without an id (the first column that ends so) are no rows."""
    frame = read_list_rows(query, answers, envelope)
    key = key or ("device_id" if "device_id" in frame.columns else "plant_id")
    usable = pl.col(key).str.contains(USABLE_ID) if key in {"plant_id", "device_id"} else pl.col(key) != ""
    return frame.filter(usable)


def _keep_within(name: str, low: float, high: float) -> pl.Expr:
    return pl.when(pl.col(name).is_between(low, high)).then(name)


def _parse_power(name: str) -> pl.Expr:
    """A power in W; 0 is the API's way to say that it is not known."""
    return pl.when(pl.col(name).is_between(0, FINITE, closed="right")).then(name)


def _parse_time(name: str) -> pl.Expr:
    """A time without offset, or with Z; null where it is neither, or no time that a plant can have seen."""
    time = (
        pl.col(name)
        .str.strip_suffix("Z")
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    )
    return pl.when(time.is_between(EARLIEST, LATEST)).then(time)
