"""The account of a batch of answers beside the rows of its table: counts, energies and data that was set aside."""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import polars as pl

from schemas import Quarantine, Table, polars_schema, storage


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAccount:
    """Counts, energies and data set aside of one batch, or of all batches of a table and day.

    `rows_of_neighbours` belong to a neighbouring day; `merged_rows` are the mean of both passes of a repeated hour.
    `energies` has the energy of each power in kWh, by the name of its column. `unknown_fields` are those that the set
    is not known to have. `aside` has rows of the table `quarantine`.
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_aside: int = 0
    rows_of_neighbours: int = 0
    values_aside: int = 0
    rows_suspect: int = 0
    merged_rows: int = 0
    rows_of_second_pass: int = 0
    answers: int = 0
    energies: Mapping[str, float] = field(default_factory=dict)
    unknown_fields: frozenset[str] = frozenset()
    aside: Sequence[pl.DataFrame] = ()

    @classmethod
    def of_all(cls, accounts: Collection["BatchAccount"]) -> "BatchAccount":
        """The sum of the accounts of several batches."""
        counts = (
            "rows_in",
            "rows_out",
            "rows_aside",
            "rows_of_neighbours",
            "values_aside",
            "rows_suspect",
            "merged_rows",
            "rows_of_second_pass",
            "answers",
        )
        energies: Counter[str] = Counter()
        for account in accounts:
            energies.update(account.energies)
        return cls(
            **{name: sum(getattr(account, name) for account in accounts) for name in counts},
            energies=dict(energies),
            unknown_fields=frozenset().union(*(account.unknown_fields for account in accounts)),
            aside=tuple(chain.from_iterable(account.aside for account in accounts)),
        )

    def build_quarantine(self) -> pl.DataFrame:
        """All data that was set aside, as rows of the table `quarantine`."""
        return pl.concat([pl.DataFrame(schema=polars_schema(Quarantine)), *self.aside])


class IntervalBatch(NamedTuple):
    """The interval rows of a batch of answers, which may be empty, and the account of all its rows."""

    rows: pl.DataFrame
    account: BatchAccount


def build_quarantine(
    found: pl.DataFrame, scope: str, model: type[Table], day: dt.date, *, kept: bool = False
) -> pl.DataFrame:
    """Rows of `quarantine` from a frame with plant_id, reason and any of its other columns.

    `scope` says what was set aside, as the column of that name does; rows and values count as one row each unless
    `found` says otherwise. `model` is the table that they would have gone into, and `kept` says that they are in it all
    the same.
    """
    schema = polars_schema(Quarantine)
    if not found.height:
        return pl.DataFrame(schema=schema)
    fixed = {"local_date": day, "source": storage(model).table, "scope": scope, "kept": kept}
    if "n_rows" not in found.columns and scope in {"row", "value"}:
        found = found.with_columns(n_rows=pl.lit(1, pl.Int64))
    frame = found.with_columns(**{name: pl.lit(value) for name, value in fixed.items()})
    if "device_id" in frame.columns:
        frame = frame.with_columns(pl.col("device_id").replace("", None))
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(schema.names())
