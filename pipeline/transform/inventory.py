"""Plants, devices and measurement sets: the vendor's lists to tables that remember what was seen before.

Where a function takes `answers`, they are rows of a raw table, of which it reads plant_id, device_id and body (Binary).
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from pipeline.common.local_time import is_timezone
from pipeline.transform.broken_lists import find_odd_parts
from pipeline.transform.decode import DETAIL_CHARACTERS
from pipeline.transform.list_rows import read_list_rows
from pipeline.transform.plant_power import DEVICE_POWERS, POWERS, build_no_former, remember_powers
from pipeline.transform.row_rules import BROKEN_ENTRY, BROKEN_TEXT, DOUBLED_KEY, NOT_A_NUMBER
from schemas import Devices, MeasurementSets, Plants, SubPlants, polars_schema
from schemas.base import CAPACITY_CLASSES, FINITE
from schemas.sets import SOURCES

CLASSIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# calcAcNominalPower is a computed sum: noise below a watt must not decide on a class.
WATTS = 3
# Times outside of these are the portal's way to say that there is none: .NET writes 0001-01-01 or 9999-12-31.
OWNER = ["plant_id", "device_id"]
EARLIEST, LATEST = dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001 - as naive as the API's times

_PLANTS = """
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

_DEVICES = """
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

# The entries of a list, with their id and whether a name in one is there twice: readers then disagree on its value.
_ENTRIES = """
SELECT plant_id, device_id, entry::VARCHAR AS entry, entry->>'{id}' AS id, len(list_filter([
    json_keys(entry), json_keys(entry, '$.installation'), json_keys(entry, '$.location'),
    json_keys(entry, '$.location.address')], lambda names: len(names) > len(list_distinct(names)))) > 0 AS doubled
FROM (SELECT plant_id, device_id, unnest(json_extract(body, '$.{envelope}[*]')) AS entry FROM batch)
"""
_IDS = {"plants": "plantId", "devices": "deviceId"}
_KNOWN_SETS = {source.set.name.lower(): source.set.name for source in SOURCES}

# An id becomes a part of addresses and of file names. SMA's are numbers and GUIDs; others are refused only where no
# service could mean them.
USABLE_ID = r'^[^\s\x00-\x1f\x7f"\\{}\[\]\x{fffd}]{1,100}$'

# The numbers among these facts, by the API's name.
_PLANT_NUMBERS = {
    "latitude": "location.address.latitude",
    "longitude": "location.address.longitude",
    "peak_w": "installation.peakPower",
    "ac_w": "installation.acNominalPower",
    "calc_ac_w": "installation.calcAcNominalPower",
    "co2": "installation.co2SavingsFactor",
}
_DEVICE_NUMBERS = {
    "product_id": "productId",
    "generator_power_w": "generatorPower",
    "generator_power_dc_w": "generatorPowerDc",
}

# What SMA's lists are known to hold, kept or not: anything else is news. A plant comes with its address, for example.
_PLANT = {
    "plantId",
    "name",
    "timezone",
    "description",
    "status",
    "installation",
    "location",
    "plantGroupId",
    "subPlants",
}
_SUB_PLANT = {"subPlantId", "name", "description", "timezone", "status"}
_INSTALLATION = {
    "peakPower", "acNominalPower", "calcAcNominalPower", "dcPowerInputMax", "co2SavingsFactor", "startUpUtc",
    "orientation", "orientation.azimuth", "orientation.collectorSlope",
}  # fmt: skip
_ADDRESS = {"country", "federalState", "city", "zipCode", "street", "streetNo", "longitude", "latitude"}
PLANT_FIELDS = frozenset(
    _PLANT
    | {f"installation.{name}" for name in _INSTALLATION}
    | {f"subPlants.{name}" for name in _SUB_PLANT}
    | {"location.currencyCode3", "location.address", *(f"location.address.{name}" for name in _ADDRESS)}
)
DEVICE_FIELDS = frozenset({
    "deviceId", "name", "type", "product", "productId", "vendor", "serial", "timezone", "generatorPower",
    "generatorPowerDc", "isActive", "deactivatedAt", "subPlantId",
})  # fmt: skip


def build_plants(answers: pl.DataFrame, today: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `plants` from the answers to the list of plants, and the plants that were set aside with the reason.

    A plant without a known time zone has no days, so it is set aside: plant_id, reason, detail.
    """
    found = _query_list(_PLANTS, answers, "plants").unique("plant_id", keep="first", maintain_order=True)
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
        "plant_id", reason=pl.lit("unknown_timezone"), detail=_shorten("timezone")
    )
    return frame.select(polars_schema(Plants).names()).sort("plant_id"), aside


def find_odd_facts(answers: pl.DataFrame, *, of_devices: bool = False) -> pl.DataFrame:
    """The facts of plants or devices in these lists that can't be read.

    The frame has plant_id, device_id, field, detail, reason and kept.

    A number that is none counts as not given; of a name the characters that are none are replaced.
    """
    query, fields = (_DEVICES, _DEVICE_NUMBERS) if of_devices else (_PLANTS, _PLANT_NUMBERS)
    as_sent = re.sub('"(DOUBLE|BIGINT)"', '"VARCHAR"', query)
    envelope = "devices" if of_devices else "plants"
    read, sent = _query_list(query, answers, envelope), _query_list(as_sent, answers, envelope)
    schema = {
        **dict.fromkeys(("plant_id", "device_id", "field", "detail", "reason"), pl.String),
        "kept": pl.Boolean,
    }
    found = [pl.DataFrame(schema=schema)]
    ids = ["plant_id", "device_id"] if of_devices else ["plant_id"]
    for column, name in fields.items():
        number = read[column].cast(pl.Float64)
        odd = sent[column].is_not_null() & ~number.is_finite().fill_null(value=False)
        told = {"field": pl.lit(name), "reason": pl.lit(NOT_A_NUMBER), "kept": pl.lit(value=False)}
        found.append(sent.filter(odd).select(*ids, detail=pl.col(column).str.head(DETAIL_CHARACTERS), **told))
    broken = sent.filter(pl.col("name").str.contains("\ufffd", literal=True))
    told = {"field": pl.lit("name"), "reason": pl.lit(BROKEN_TEXT), "kept": pl.lit(value=True)}
    found.append(broken.select(*ids, detail=pl.col("name").str.head(DETAIL_CHARACTERS), **told))
    return pl.concat(found, how="diagonal").unique(["plant_id", "device_id", "field"], maintain_order=True)


def find_odd_entries(answers: pl.DataFrame, envelope: str) -> pl.DataFrame:
    """The parts of these lists that are not an entry, or not JSON in an entry, and were not read.

    The frame has plant_id, device_id, detail, reason and kept: whether the rest of the entry was read.
    """
    parts = find_odd_parts(answers, envelope).select(
        plant_id=pl.when(pl.lit(envelope) == "plants").then("entry_id").otherwise("plant_id"),
        device_id=pl.when(pl.lit(envelope) == "devices").then("entry_id").otherwise("device_id"),
        detail="detail",
        reason=pl.lit(BROKEN_ENTRY),
        kept="kept",
    )
    if envelope not in _IDS:
        return parts
    entries = read_list_rows(_ENTRIES.format(envelope=envelope, id=_IDS[envelope]), answers, envelope)
    nameless = entries.filter(~pl.col("id").str.contains(USABLE_ID).fill_null(value=False))
    doubled = entries.filter("doubled", pl.col("id").str.contains(USABLE_ID))
    told = [
        nameless.select(
            *OWNER, detail=_shorten("entry"), reason=pl.lit(BROKEN_ENTRY), kept=pl.lit(value=False)
        ),
        doubled.select(
            plant_id=pl.when(pl.lit(envelope) == "plants").then("id").otherwise("plant_id"),
            device_id=pl.when(pl.lit(envelope) == "devices").then("id").otherwise("device_id"),
            detail=_shorten("entry"),
            reason=pl.lit(DOUBLED_KEY),
            kept=pl.lit(value=True),
        ),
    ]
    return pl.concat([parts, *told])


def _shorten(column: str) -> pl.Expr:
    return pl.col(column).str.head(DETAIL_CHARACTERS)


def list_plant_ids(answers: pl.DataFrame) -> list[str]:
    """The ids in the answers to the list of plants."""
    return _query_list(_PLANTS, answers, "plants")["plant_id"].unique().to_list()


def build_devices(answers: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """Rows of `devices` from the answers to each plant's devices."""
    found = _query_list(_DEVICES, answers, "devices").unique(
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
    return _query_list(_INSTALLATIONS, answers, "plants", key="plant_id").unique("plant_id", keep="first")


def build_sub_plants(answers: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """Rows of `sub_plants` from the answers to the list of plants."""
    found = _query_list(_SUB_PLANTS, answers, "plants", key="sub_plant_id").filter(
        pl.col("plant_id").str.contains(USABLE_ID)
    )
    once = found.unique(["plant_id", "sub_plant_id"], keep="first", maintain_order=True)
    frame = once.with_columns(first_seen=pl.lit(today), last_seen=pl.lit(today))
    return frame.select(polars_schema(SubPlants).names()).sort("plant_id", "sub_plant_id")


def find_unknown_fields(answers: pl.DataFrame, envelope: str, known: frozenset[str]) -> list[str]:
    """The fields of the list's entries that are not known, inner ones with their path, sorted."""
    entries = f"SELECT unnest(json_extract(body, '$.{envelope}[*]')) AS entry FROM batch"  # noqa: S608 - our own word
    # One structure that holds what any entry has.
    objects = f"SELECT json_group_structure(entry) FROM ({entries}) WHERE json_type(entry) = 'OBJECT'"  # noqa: S608
    found = read_list_rows(objects, answers, envelope).item()
    return sorted(set(_list_paths(json.loads(found or "null"))) - known)


def build_measurement_sets(answers: pl.DataFrame) -> pl.DataFrame:
    """Rows of `measurement_sets` from the answers of each plant and device; capitals of known sets do not matter."""
    found = _query_list(_SETS, answers, "sets", key="set_type")
    known = pl.col("set_type").str.to_lowercase().replace_strict(_KNOWN_SETS, default=pl.col("set_type"))
    return (
        found.with_columns(set_type=known)
        .select(polars_schema(MeasurementSets).names())
        .unique()
        .sort("plant_id", "device_id", "set_type")
    )


def limit_days_seen(stored: pl.DataFrame, latest: dt.date, listed_on: dt.date) -> pl.DataFrame:
    """`stored` without days after `latest`, which a clock that was ahead left there.

    Such rows were seen before the list of `listed_on`, at the latest on the day before: with its own day they would
    count as listed in it.
    """
    eve = min(latest, listed_on) - dt.timedelta(days=1)
    seen = pl.col("first_seen", "last_seen")
    return stored.with_columns(pl.when(seen > latest).then(pl.lit(eve)).otherwise(seen).name.keep())


def remember(stored: pl.DataFrame, listed: pl.DataFrame, keys: Iterable[str]) -> pl.DataFrame:
    """What is listed now, with its first_seen from before, and what is no longer listed, as it was."""
    keys = list(keys)
    before = stored.select(*keys, before="first_seen")
    seen = listed.join(before, on=keys, how="left").with_columns(
        first_seen=pl.min_horizontal("first_seen", "before")
    )
    gone = stored.join(listed, on=keys, how="anti")
    return pl.concat([seen.select(stored.columns), gone]).sort(keys)


def remember_plants(stored: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """As `remember`; what is reported once stays known: a plant's id before it moved, its zone before it was
    corrected, its powers before a list gave others.
    """
    before = stored.select(
        "plant_id", id_before="migrated_from", zone="timezone", zone_before="previous_timezone"
    )
    corrected = pl.when(pl.col("zone") != pl.col("timezone")).then("zone")
    known = listed.join(before, on="plant_id", how="left").with_columns(
        migrated_from=pl.coalesce("id_before", "migrated_from"),
        previous_timezone=pl.coalesce(corrected, "zone_before"),
    )
    known = remember_powers(known.select(listed.columns), stored, ["plant_id"], POWERS)
    return remember(stored, known, ["plant_id"])


def remember_devices(stored: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """As `remember`; the powers of a device before a list gave others stay known."""
    keys = ["plant_id", "device_id"]
    return remember(stored, remember_powers(listed, stored, keys, DEVICE_POWERS), keys)


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


def _query_list(query: str, answers: pl.DataFrame, envelope: str, key: str | None = None) -> pl.DataFrame:
    """Run the query over the answers; rows without an id (the first column that ends so) are no rows."""
    frame = read_list_rows(query, answers, envelope)
    key = key or ("device_id" if "device_id" in frame.columns else "plant_id")
    usable = pl.col(key).str.contains(USABLE_ID) if key in {"plant_id", "device_id"} else pl.col(key) != ""
    return frame.filter(usable)


def _list_paths(structure: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields of a structure as DuckDB tells it: objects of types, arrays of one element."""
    if isinstance(structure, list):
        yield from _list_paths(structure[0], path)
    elif isinstance(structure, dict):
        for name, inner in structure.items():
            yield path + name
            yield from _list_paths(inner, f"{path}{name}.")


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
