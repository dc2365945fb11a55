"""Whether the published file is behind the lake: which days' tables have newer rows there, and since when."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.common.text import pluralize
from schemas import TABLES, Table, storage
from warehouse.lake_log import name_entry
from warehouse.lake_reader import LakeReader
from warehouse.published_file.open_published import NotPublishedError, connect

# The tables that a run makes for its days and then publishes. Lists and records of requests also change without that.
DAY_TABLES = tuple(
    model
    for model in TABLES
    if storage(model).published != "no"
    and storage(model).asset
    and storage(model).partition == ("local_date",)
)


@dataclass(frozen=True, slots=True)
class PublicationLag:
    """The tables that have newer rows in the lake than in the published file, and when the oldest of them came."""

    tables: tuple[str, ...]
    since: dt.datetime | None

    def describe(self) -> str:
        """The clause that says so."""
        moment = f" since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        return f"behind the lake{moment}, which has newer rows of {pluralize(len(self.tables), 'table')}"


def find_lag(lake: LakeReader, published: Path) -> PublicationLag | None:
    """How far the published file is behind the lake; None where it shows all that the lake has of days.

    A file that is not there or was changed shows nothing. Raises UnreadableLogError, StoreError and OSError.
    """
    shown = read_shown_versions(published)
    behind = {
        model: version
        for model in DAY_TABLES
        if lake.take_snapshot(model).version > (version := shown.get(storage(model).table, -1))
    }
    if not behind:
        return None
    moments = [
        found for model, version in behind.items() if (found := _read_moment(lake, model, version + 1))
    ]
    return PublicationLag(tuple(storage(model).table for model in behind), min(moments, default=None))


def read_shown_versions(published: Path) -> Mapping[str, int]:
    """The version of each of the lake's tables that the published file shows; none of a file that can't be read."""
    try:
        with connect(published) as connection:
            ((versions,),) = connection.execute("SELECT source_versions FROM _meta").fetchall()
    except (NotPublishedError, duckdb.Error, ValueError):
        return {}
    found: dict[str, int] = json.loads(versions)
    return found


def _read_moment(lake: LakeReader, model: type[Table], version: int) -> dt.datetime | None:
    """When a version was committed; None where its entry is gone or does not say so."""
    try:
        with lake.open_files(model).open_input_file(name_entry(version)) as source:
            lines = bytes(source.read()).splitlines()
        said = [json.loads(line) for line in lines if line.strip()]
        (at,) = [one["commitInfo"]["timestamp"] for one in said if "commitInfo" in one]
        return dt.datetime.fromtimestamp(at / 1000, dt.UTC)
    except (OSError, ValueError, KeyError, TypeError):
        return None
