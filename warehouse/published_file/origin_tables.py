"""Writes the tables of a published file that are not in the lake: `_meta` with its origin, and `_clocks`."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import duckdb
import polars as pl

from schemas import TABLES, EnergyDaily, Plants, Table, polars_schema, storage
from warehouse import contract
from warehouse.ddl import create_table, write_comments
from warehouse.lake import Snapshot
from warehouse.published_file.clocks import Clocks, build_clocks
from warehouse.published_file.detail import CopiedDetail
from warehouse.published_file.meta import Meta, hash_schema
from warehouse.published_file.publication_base import Sources
from warehouse.quoting import quote_identifier, quote_text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a publication comes from: snapshots, the detail that is copied, its moment and the product's version."""

    snapshots: Mapping[type[Table], Snapshot]
    copied: CopiedDetail
    now: dt.datetime
    version: str


def write_meta(connection: duckdb.DuckDBPyConnection, origin: Origin, base: Sources | None) -> list[str]:
    """Write the row of `_meta`, in the place of that of `base`. Returns comments that are still to be added."""
    days = f"SELECT min(local_date), max(local_date) FROM {quote_identifier(storage(EnergyDaily).table)}"  # noqa: S608
    ((first_day, last_day),) = connection.execute(days).fetchall()
    versions = {storage(model).table: snapshot.version for model, snapshot in origin.snapshots.items()}
    row = {
        "product_version": origin.version,
        "published_at": origin.now.astimezone(dt.UTC),
        "contract_version": contract.format_version(contract.read()[0]),
        "schema_hash": hash_schema(TABLES),
        "source_versions": json.dumps(versions, sort_keys=True),
        "first_day": first_day,
        "last_day": last_day,
        "detail": origin.copied.amount,
        "detail_first_day": origin.copied.first_day,
    }
    table = quote_identifier(storage(Meta).table)
    values = ", ".join(
        "NULL" if row[name] is None else quote_text(str(row[name])) for name in polars_schema(Meta)
    )
    begin = create_table(Meta) if base is None else f"DELETE FROM {table}"  # noqa: S608
    connection.execute(f"{begin}; INSERT INTO {table} VALUES ({values})")  # noqa: S608 - all is quoted
    return write_comments(Meta, "TABLE") if base is None else []


def write_clocks(
    connection: duckdb.DuckDBPyConnection, fill: Callable[..., object], now: dt.datetime, base: Sources | None
) -> tuple[list[str], str, list[str]]:
    """Write `_clocks` of the plants' zones, unless that of `base` is the same.

    Returns the zones, a digest of the rows, and comments that are still to be added.
    """
    table = f"SELECT DISTINCT timezone FROM {quote_identifier(storage(Plants).table)}"  # noqa: S608
    zones = sorted(zone for (zone,) in connection.execute(table).fetchall())
    rows = build_clocks(zones, now)
    digest = hash_clocks(rows)
    if base is not None and base.clocks == digest:
        return zones, digest, []
    connection.execute(
        f"DROP TABLE IF EXISTS {quote_identifier(storage(Clocks).table)}; {create_table(Clocks)}"
    )
    fill(Clocks, iter([rows]))
    return zones, digest, write_comments(Clocks, "TABLE")


def hash_clocks(rows: pl.DataFrame) -> str:
    """A digest of rows of `_clocks`, the same in each process."""
    return hashlib.sha256(rows.write_csv().encode()).hexdigest()
