"""What every table has in common: the model class, field helpers, and what is derived from a model.

A model is the only source for a table's Parquet schema, DuckDB DDL and comments, Dagster column metadata and
the data dictionary. No logic about energy, plants or storage lives here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import polars as pl

from schemas.without_pandas import pandera_polars as pa

Utc: TypeAlias = Annotated[pl.Datetime, "us", "UTC"]
LocalTime: TypeAlias = Annotated[pl.Datetime, "us", None]
Money: TypeAlias = Annotated[pl.Decimal, 18, 2]
Layer: TypeAlias = Literal["raw", "core", "report"]

# This is more than any plant makes in an interval or month. Its purpose is to refuse NaN and infinity, which pass every
# "at least" check.
FINITE = 1e12
# SMA charges by these classes of AC power in kW, smallest first. Each begins at the number before its dash or plus.
CAPACITY_CLASSES = ["1-19", "20-99", "100-499", "500-999", "1000+"]


@dataclass(frozen=True, slots=True)
class Storage:
    """How a table is stored. The keywords of the model's class statement set it, and subclasses inherit it."""

    table: str = ""
    layer: Layer = "core"
    # Rows are stored sorted by the key, and no two rows share a key. If it is empty, rows have no identity.
    key: tuple[str, ...] = ()
    # The columns whose values name a replaceable part of the table. If it is empty, the whole table is replaced.
    partition: tuple[str, ...] = ("local_date",)
    # Columns that may differ between two readings of the same facts, so they don't count as a change.
    volatile: tuple[str, ...] = ()
    # Rows in a Parquet row group. Readers load whole row groups, so this number decides their memory.
    row_group: int = 30_000
    # How the published DuckDB file holds the table: copied, as a view on the lake's files, or not at all.
    published: Literal["native", "view", "no"] = "native"
    # False where the steps of other tables write this table too, so that it has no asset of its own.
    asset: bool = True
    # The table whose every day must have rows in this one. If it is empty, a day may have no rows.
    follows: str = ""


class Table(pa.DataFrameModel):
    """One table of the warehouse; a subclass's docstring is the table's published comment."""

    # pandera treats every public name of a model as a column, so these facts have names with double underscores.
    __facts__: ClassVar[dict[str, Any]] = {}
    __storage__: ClassVar[Storage] = Storage()

    def __init_subclass__(cls, **facts: Any) -> None:
        """Take the table's facts from the class statement: `class Plants(Table, table="plants", ...)`."""
        super().__init_subclass__()  # type: ignore[no-untyped-call]
        cls.__facts__ = facts
        # Facts are inherited one by one, so a parent that does not set a fact does not hide the fact of another parent.
        said: dict[str, Any] = {}
        for parent in reversed(cls.__mro__):
            said |= vars(parent).get("__facts__", {})
        cls.__storage__ = Storage(**said)

    class Config:
        strict = True
        ordered = True
        coerce = False


def storage(model: type[Table]) -> Storage:
    """How the model's table is stored."""
    return model.__storage__


@dataclass(frozen=True, slots=True)
class Column:
    """A column as readers see it: DuckDB type, unit, meaning, and what null means (empty if it is never null)."""

    name: str
    dtype: pl.DataType
    duckdb_type: str
    nullable: bool
    unit: str
    description: str
    null: str
    rules: tuple[str, ...]
    # The name of SMA's field, where it is not the column's name in camel case.
    api: str = ""
    # The smallest and largest values that are allowed; None without a bound.
    low: float | None = None
    high: float | None = None
    # Columns of other tables that it is made from, where neither its name nor its description names them.
    of: tuple[str, ...] = ()
    # Whether few values repeat, so that a dictionary makes the column smaller even though it holds numbers.
    few_values: bool = False

    @property
    def comment(self) -> str:
        """The description with unit and meaning of null, as one text for COMMENT and Dagster."""
        unit = f" Unit: {self.unit}." if self.unit else ""
        null = f" Null: {self.null}." if self.null else ""
        return f"{self.description}{unit}{null}"


def column(
    description: str,
    *,
    unit: str = "",
    null: str = "",
    api: str = "",
    of: tuple[str, ...] = (),
    few_values: bool = False,
    **checks: Any,
) -> Any:
    """A column with its meaning, its unit and the meaning of null. A column without `null` is never null.

    `api` is SMA's name of a measured field, where it is not the column's name in camel case. `of` names the columns of
    other tables that it is made from, where neither its name nor its description names them: see `schemas.lineage`.
    `few_values` says that the floats of the column repeat, which is worth a dictionary on disk.
    """
    metadata = {"unit": unit, "null": null, "api": api, "of": of, "few_values": few_values}
    return pa.Field(description=description, nullable=bool(null), metadata=metadata, **checks)


NOT_REPORTED = "not reported for this interval, or set aside as implausible"


def power(meaning: str, *, signed: bool = False) -> Any:
    """A column for the mean power in W over the row's own interval; `signed` allows negative power."""
    low = -FINITE if signed else 0
    text = f"{meaning}: mean power over the interval."
    return column(text, unit="W", null=NOT_REPORTED, ge=low, le=FINITE)


def energy(meaning: str, *, signed: bool = False) -> Any:
    """A column for an energy in kWh; null where nothing was measured, which is not zero.

    `signed` allows negative energy.
    """
    low = -FINITE if signed else 0
    return column(
        f"{meaning}: energy.", unit="kWh", null="nothing measured (not the same as zero)", ge=low, le=FINITE
    )


def value(meaning: str, unit: str, low: float, high: float, *, api: str = "") -> Any:
    """A column for a measured value other than power, as SMA gives it for the interval, between `low` and `high`."""
    return column(meaning, unit=unit, null=NOT_REPORTED, api=api, ge=low, le=high)


def ratio(meaning: str, null: str = "not reported") -> Any:
    """A column for a dimensionless figure from 0 to 1."""
    return column(meaning, unit="1", null=null, ge=0, le=1)


def money(meaning: str, null: str = "") -> Any:
    """A column for an amount of money to the cent, 0 or more, in the currency of its row."""
    return column(meaning, unit="EUR", null=null, ge=0)


_DUCKDB_TYPES: dict[Any, str] = {
    pl.String: "VARCHAR",
    pl.Binary: "BLOB",
    pl.Boolean: "BOOLEAN",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float64: "DOUBLE",
    pl.Date: "DATE",
}


def _find_duckdb_type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMPTZ" if dtype.time_zone else "TIMESTAMP"
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    return _DUCKDB_TYPES[dtype.base_type()]


def list_declared(model: type[Table]) -> Mapping[str, tuple[Any, Any]]:
    """The annotation and the field of each column by its name, as the model declares them."""
    return model.__fields__


@cache
def columns(model: type[Table]) -> tuple[Column, ...]:
    """The model's columns in table order, derived once from what it declares.

    pandera builds all rules of a model before it tells of one, and copies them: for all tables that takes 100 ms.
    """
    found = []
    for name, (declared, field) in list_declared(model).items():
        kind = declared.arg(*declared.metadata) if declared.metadata else declared.arg
        # A type may be a class or an instance of it; a schema holds instances.
        dtype = pl.Schema({name: kind})[name]
        metadata = field.metadata or {}
        rules = tuple(str(check.error or check.name) for check in field.checks)
        bounds = {name: limit for check in field.checks for name, limit in check.statistics.items()}
        found.append(
            Column(
                name=name,
                dtype=dtype,
                duckdb_type=_find_duckdb_type(dtype),
                nullable=field.nullable,
                unit=metadata.get("unit", ""),
                description=field.description or "",
                null=metadata.get("null", ""),
                rules=rules,
                api=metadata.get("api", ""),
                low=bounds.get("min_value"),
                high=bounds.get("max_value"),
                of=metadata.get("of", ()),
                few_values=metadata.get("few_values", False),
            )
        )
    return tuple(found)


@cache
def polars_schema(model: type[Table]) -> pl.Schema:
    """Column names and polars types in table order, derived once: that takes longer than checking a small frame."""
    return pl.Schema({column.name: column.dtype for column in columns(model)})


def comment(model: type[Table]) -> str:
    """The table's purpose in one paragraph."""
    return " ".join((model.__doc__ or "").split())
