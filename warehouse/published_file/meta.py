"""Tables of a published file that are not in the lake: `_meta`, one row about the file itself, and `_clocks`."""

import hashlib
import json
from functools import cache

import polars as pl

from schemas import Table, columns, comment, storage
from schemas.base import Utc, column
from warehouse.published_file.clocks import Clocks


class Meta(Table, table="_meta", layer="report", key=("published_at",), partition=()):
    """Origin of this file, in one row that the publication writes."""

    product_version: str = column("Version of sunledger that published the file.")
    published_at: Utc = column("When the publication began. Later changes of the lake are not in this file.")
    contract_version: str = column(
        "Version of the published tables, as in 1.2: docs/schema-changes.md says what each one changed."
    )
    schema_hash: str = column(
        "Digest of the definitions of all tables; it changes when a column or its meaning changes."
    )
    source_versions: str = column(
        "JSON object of each published table and the version of the lake's table that it shows; -1 means that "
        "there is no version yet."
    )
    first_day: pl.Date = column("First day in energy_daily.", null="no day yet")
    last_day: pl.Date = column("Last day in energy_daily.", null="no day yet")
    detail: str = column(
        "Where intervals, hours and quarter hours are: none if views read them from the lake, in the home of this "
        "file alone; else what was copied into this file, as in 31d, month or all."
    )
    detail_first_day: pl.Date = column(
        "First day of the copied detail.", null="all days are there, or none was copied"
    )


FILE_TABLES: tuple[type[Table], ...] = (Meta, Clocks)


@cache
def hash_schema(models: tuple[type[Table], ...]) -> str:
    """SHA-256 of tables, columns, types, units and meanings, as 64 hex digits."""
    facts = [
        [
            storage(model).table,
            comment(model),
            storage(model).key,
            [[c.name, c.duckdb_type, c.nullable, c.comment, c.rules] for c in columns(model)],
        ]
        for model in models
    ]
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode()).hexdigest()
