"""Every table of a home, through the lake and through the published file, and where two homes differ.

Rows are compared whole and in any order. Columns that may differ are named here, each with its reason.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import polars as pl
import polars.selectors as cs

from schemas import RAW, TABLES, ApiRequests, storage
from warehouse.lake import Lake

# Columns, whatever table they are in.
MAY_DIFFER = {
    "fetched_at": "the moment at which an answer arrived",
    "elapsed_ms": "how long an answer took",
    "attempts": "how many tries an answer took, which faults and kills add to",
    "asked_at": "the moment of a request",
    "first_request": "the moment of a request",
    "last_request": "the moment of a request",
    "n_requests": "a run that was killed has asked, and the next one asks again for what was not stored",
    "n_device_requests": "a run that was killed has asked, and the next one asks again for what was not stored",
    "closed_at": "the moment at which a month was closed",
    "noted_at": "the moment at which a change was noted",
    "replaces": "the name of a stored file, which is drawn by lot",
    "figures": "the name of a stored file, which is drawn by lot",
    "published_at": "the moment of the publication",
    "source_versions": "numbers of commits: a killed run may have made some of them before",
}
# Tables: instead of being equal, the record of requests must have each answer that is stored.
TABLES_THAT_MAY_DIFFER = {
    "api_requests": "a killed run and its successor send more requests than one that is left alone",
    "_chain": "the digests of stored parts follow their commits, and a killed run may have made some of them before",
}
# Figures of views are compared to so many digits, those near zero to so many decimals.
VIEWS_DIGITS, VIEWS_DECIMALS = 12, 9
SHOWN_OF_A_ROW = 300
Tables = Mapping[str, pl.DataFrame]
# A target names the period that was asked for: a day, a week or a month by its date, logs by their first and last day.
PERIOD = r"(?:/(Day|Week|Month|Year))?\?(?:Date|From)=([0-9-]+)(?:&To=([0-9-]+))?"
DAYS_OF = {"Day": 1, "Week": 7}


class UnreadableError(RuntimeError):
    """A table can't be read: the message says which and why."""


def tables_of(home: Path) -> Tables:
    """All tables of the lake ("lake …") and all of the published file ("file …"), without what may differ."""
    found = {f"lake {name}": frame for name, frame in _lake(home)}
    found |= {f"file {name}": frame for name, frame in _published(home / "sunledger.duckdb")}
    return {name: drop_what_may_differ(frame) for name, frame in found.items()}


def differences(expected: Tables, found: Tables) -> list[str]:
    """A sentence for each table that differs."""
    said = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    said += [f"{name} should not be there" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        before, after = expected[name], found[name]
        if before.schema != after.schema:
            said.append(f"{name} has other columns")
        elif not before.equals(after, null_equal=True):
            said.append(f"{name}: {_how_they_differ(before, after)}")
    return said


def requests_without_record(home: Path) -> int:
    """How many stored answers have no request in api_requests: each one was sent, so each one may be charged."""
    lake = Lake(str(home / "lake"), home / "tmp")
    names = ["plant_id", "device_id", "set_type", "request_date"]
    known = lake.scan(ApiRequests).filter(pl.col("status") == 200).select(["plant_id", "device_id"]).unique()
    lost = 0
    for model in RAW:
        stored = lake.scan(model).select(names).filter(pl.col("plant_id") != "")
        lost += stored.join(known, on=["plant_id", "device_id"], how="anti").collect().height
    return lost


def with_any_period(tables: Tables) -> Tables:
    """The tables as they are whichever period an answer was asked for by.

    A run asks for a week; `repair`, and a run that finds a part of the week stored, ask for a day. `target` becomes
    what was asked without its period, and beside it stands whether that period holds the row's day. Of `request_date`
    stays whether it names the same period.
    """
    return {
        name: _without_period(frame) if {"target", "local_date"} <= set(frame.columns) else frame
        for name, frame in tables.items()
    }


def round_last_digits(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a view without the last digits of its figures; stored figures are compared to the last bit.

    A view adds up at each read, in the order of the rows, and another order of writing changes that.
    """
    return frame.with_columns(cs.float().round_sig_figs(VIEWS_DIGITS).round(VIEWS_DECIMALS))


def _without_period(frame: pl.DataFrame) -> pl.DataFrame:
    period, first, last = (pl.col("target").str.extract(PERIOD, group) for group in (1, 2, 3))
    begins = first.str.to_date("%Y-%m-%d", strict=False)
    days = period.replace_strict(DAYS_OF, default=1, return_dtype=pl.Int64)
    ends = last.str.to_date(strict=False).fill_null(begins + pl.duration(days=days - 1))
    # A local day reaches into the date before and the one after in another zone's time.
    a_day = pl.duration(days=1)
    holds = pl.col("local_date").is_between(begins - a_day, ends + a_day).fill_null(value=True)
    without = {"target": pl.col("target").str.replace(PERIOD, ""), "period_holds_day": holds}
    if "request_date" in frame.columns:
        # Logs of one day are asked for from it to it.
        other_end = pl.when(last != first).then(last)
        named = pl.concat_str(first, other_end, separator="/", ignore_nulls=True)
        without["request_date"] = (pl.col("request_date") == named).cast(pl.String)
    return drop_what_may_differ(frame.with_columns(**without))


def _lake(home: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    lake = Lake(str(home / "lake"), home / "tmp")
    for model in TABLES:
        name = storage(model).table
        if name not in TABLES_THAT_MAY_DIFFER:
            try:
                yield name, lake.scan(model).collect()
            except Exception as fault:
                raise UnreadableError(f"lake {name} can't be read: {fault}") from fault


def _published(file: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    if not file.exists():
        return
    try:
        with duckdb.connect(str(file), read_only=True, config={"threads": 1}) as database:
            names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
            for (name,) in database.execute(names).fetchall():
                if name not in TABLES_THAT_MAY_DIFFER:
                    frame = database.execute(f'SELECT * FROM "{name}"').pl()
                    yield name, round_last_digits(frame) if name.startswith("v_") else frame
    except duckdb.Error as fault:
        raise UnreadableError(f"the published file can't be read: {fault}") from fault


def drop_what_may_differ(frame: pl.DataFrame) -> pl.DataFrame:
    kept = frame.drop([name for name in frame.columns if name in MAY_DIFFER])
    return kept.sort(kept.columns, nulls_last=True) if kept.columns else kept


def _how_they_differ(before: pl.DataFrame, after: pl.DataFrame) -> str:
    """How many rows are in one only, and the columns and values of the first that is in both with another content."""
    lost = before.join(after, on=before.columns, how="anti", nulls_equal=True)
    new = after.join(before, on=before.columns, how="anti", nulls_equal=True)
    columns = [
        name
        for name in before.columns
        if lost.height == new.height and not lost[name].equals(new[name], null_equal=True)
    ]
    shown = f", in {', '.join(columns[:6])}" if columns else ""
    one = (new if new.height else lost).head(1).to_dicts()
    counts = f"{before.height} rows became {after.height}: {lost.height} lost, {new.height} new"
    return f"{counts}{shown}; {str(one)[:SHOWN_OF_A_ROW]}"
