"""What of SMA's lists of plants and devices can't be read, or is not known yet.

Where a function takes `answers`, they are rows of a raw table, of which it reads plant_id, device_id and body (Binary).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from pipeline.transform.answer_text import DETAIL_CHARACTERS
from pipeline.transform.lists.broken_lists import find_odd_parts
from pipeline.transform.lists.inventory import DEVICES_QUERY, PLANTS_QUERY, USABLE_ID, read_list_entries
from pipeline.transform.lists.list_rows import read_list_rows
from pipeline.transform.row_rules import BROKEN_ENTRY, BROKEN_TEXT, DOUBLED_KEY, NOT_A_NUMBER

# The entries of a list, with their id and whether a name in one is there twice: readers then disagree on its value.
_ENTRIES = """
SELECT plant_id, device_id, entry::VARCHAR AS entry, entry->>'{id}' AS id, len(list_filter([
    json_keys(entry), json_keys(entry, '$.installation'), json_keys(entry, '$.location'),
    json_keys(entry, '$.location.address')], lambda names: len(names) > len(list_distinct(names)))) > 0 AS doubled
FROM (SELECT plant_id, device_id, unnest(json_extract(body, '$.{envelope}[*]')) AS entry FROM batch)
"""
# The entries' own ids, by the list that they stand in.
_IDS = {"plants": "plantId", "devices": "deviceId"}

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

_ODD_FACT = ("plant_id", "device_id", "field", "detail", "reason")


def find_odd_facts(answers: pl.DataFrame, *, of_devices: bool = False) -> pl.DataFrame:
    """The facts of plants or devices in these lists that can't be read.

    The frame has plant_id, device_id, field, detail, reason and kept. A number that is none counts as not given; of a
    name the characters that are none are replaced, and the rest is kept.
    """
    query, numbers = (DEVICES_QUERY, _DEVICE_NUMBERS) if of_devices else (PLANTS_QUERY, _PLANT_NUMBERS)
    as_sent = re.sub('"(DOUBLE|BIGINT)"', '"VARCHAR"', query)
    envelope = "devices" if of_devices else "plants"
    read, sent = read_list_entries(query, answers, envelope), read_list_entries(as_sent, answers, envelope)
    ids = ["plant_id", "device_id"] if of_devices else ["plant_id"]

    found = [pl.DataFrame(schema={**dict.fromkeys(_ODD_FACT, pl.String), "kept": pl.Boolean})]
    for column, field in numbers.items():
        is_number = read[column].cast(pl.Float64).is_finite().fill_null(value=False)
        odd = sent.filter(sent[column].is_not_null() & ~is_number)
        found.append(odd.select(*ids, field=pl.lit(field), **_explain(column, NOT_A_NUMBER, kept=False)))
    broken = sent.filter(pl.col("name").str.contains("\ufffd", literal=True))
    found.append(broken.select(*ids, field=pl.lit("name"), **_explain("name", BROKEN_TEXT, kept=True)))
    return pl.concat(found, how="diagonal").unique(["plant_id", "device_id", "field"], maintain_order=True)


def find_odd_entries(answers: pl.DataFrame, envelope: str) -> pl.DataFrame:
    """What stands in these lists in place of an entry, entries without a usable id, and entries that name a fact twice.

    The frame has plant_id, device_id, detail, reason and kept: whether the rest of the entry was read.
    """
    parts = find_odd_parts(answers, envelope).select(
        **_name_owner(envelope, "entry_id"), detail="detail", reason=pl.lit(BROKEN_ENTRY), kept="kept"
    )
    if envelope not in _IDS:
        return parts
    entries = read_list_rows(_ENTRIES.format(envelope=envelope, id=_IDS[envelope]), answers, envelope)
    usable = pl.col("id").str.contains(USABLE_ID).fill_null(value=False)
    nameless = entries.filter(~usable).select(
        "plant_id", "device_id", **_explain("entry", BROKEN_ENTRY, kept=False)
    )
    doubled = entries.filter("doubled", usable).select(
        **_name_owner(envelope, "id"), **_explain("entry", DOUBLED_KEY, kept=True)
    )
    return pl.concat([parts, nameless, doubled])


def _name_owner(envelope: str, entry_id: str) -> dict[str, str]:
    """The columns with an entry's plant and device. `entry_id` is the column with what the entry says of itself."""
    return {
        "plant_id": entry_id if envelope == "plants" else "plant_id",
        "device_id": entry_id if envelope == "devices" else "device_id",
    }


def _explain(column: str, reason: str, *, kept: bool) -> dict[str, pl.Expr]:
    """What is wrong: the beginning of what the column holds, the reason, and whether the rest is read."""
    return {
        "detail": pl.col(column).str.head(DETAIL_CHARACTERS),
        "reason": pl.lit(reason),
        "kept": pl.lit(kept),
    }


def find_unknown_fields(answers: pl.DataFrame, envelope: str, known: frozenset[str]) -> list[str]:
    """The fields of the list's entries that are not known, inner ones with their path, sorted."""
    entries = f"SELECT unnest(json_extract(body, '$.{envelope}[*]')) AS entry FROM batch"  # noqa: S608 - our own word
    # One structure that holds what any entry has.
    objects = f"SELECT json_group_structure(entry) FROM ({entries}) WHERE json_type(entry) = 'OBJECT'"  # noqa: S608
    found = read_list_rows(objects, answers, envelope).item()
    return sorted(set(_list_paths(json.loads(found or "null"))) - known)


def _list_paths(structure: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields of a structure as DuckDB tells it: objects of types, arrays of one element."""
    if isinstance(structure, list):
        yield from _list_paths(structure[0], path)
    elif isinstance(structure, dict):
        for name, inner in structure.items():
            yield path + name
            yield from _list_paths(inner, f"{path}{name}.")
