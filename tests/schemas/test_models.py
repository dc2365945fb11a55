"""Every model keeps the rules of the house: documented, with units, and with names that say them."""

import re
from collections import Counter

import polars as pl
import pytest

from schemas import (
    RAW,
    TABLES,
    Column,
    EnergyBalanceIntervals,
    EnergyMonthly,
    Storage,
    Table,
    columns,
    comment,
    storage,
)
from schemas.quantities import (
    ENERGY_AND_POWER_PV,
    ENERGY_BALANCE,
    UNIT_SUFFIXES,
    BalanceCoverage,
    BalanceEnergies,
    BalancePowers,
    BalanceStates,
    Field,
    PvPower,
)
from schemas.report_tables import PvEnergy
from warehouse.published_file.meta import FILE_TABLES

MODELS: tuple[type[Table], ...] = (*TABLES, *FILE_TABLES)

# What a name ends with exactly when its column has the unit.
SUFFIXES = {
    "g/kWh": "_g_per_kwh",
    "kWh/kW": "_kwh_per_kw",
    "kWh/m²": "_kwh_per_m2",
    "kg": "_kg",
    **UNIT_SUFFIXES,
    "kW": "_kw",
    "h": "_h",
    "min": "_min",
    "s": "_s",
    "ms": "_ms",
    "EUR": "_eur",
}
# Units that the name shows in another way.
NAMES = {
    "count": r"n_\w+|attempts?|counter",
    "B": r"bytes",
    "1": r"\w+_rate|coverage|\w+_factor|performance_ratio\w*|availability_\w+",
    "°": r"latitude|longitude",
    "that of the field": r"value",
}
# Numbers that nobody adds up: ids, places in a list, the status of HTTP, and parts of a date.
LABELS = re.compile(r"\w+_id|position|event_number|status|year|quarter|local_hour")
NUMBERS = (pl.Int32, pl.Int64, pl.Float64, pl.Decimal)
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: storage(model).table)


def names(model: type[Table]) -> list[str]:
    return [column.name for column in columns(model)]


def snake(api: str) -> str:
    """SMA's camelCase in our snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", api).lower()


def concrete(model: type[Table]) -> set[type[Table]]:
    """The models from this one down that are tables and not parts of tables."""
    below = {found for child in model.__subclasses__() for found in concrete(child)}
    return below | {model} if storage(model).table else below


def unit_of_name(name: str) -> str | None:
    """The unit that a column's name promises, None for no unit."""
    for unit, suffix in SUFFIXES.items():
        if name.endswith(suffix):
            return unit
    return next((unit for unit, pattern in NAMES.items() if re.fullmatch(pattern, name)), None)


def needs_unit(column: Column) -> bool:
    return isinstance(column.dtype, NUMBERS) and not LABELS.fullmatch(column.name)


def test_tables_lists_every_model_once() -> None:
    ours = {model for model in concrete(Table) if model.__module__.startswith("schemas.")}
    assert set(TABLES) == ours
    assert len(TABLES) == len(ours)


def test_no_two_tables_share_a_name() -> None:
    assert {name: n for name, n in Counter(storage(m).table for m in MODELS).items() if n > 1} == {}


def test_raw_tables_stay_in_the_lake_and_all_others_are_published() -> None:
    raw = {model for model in TABLES if storage(model).layer == "raw"}
    assert set(RAW) <= raw
    assert {storage(m).published for m in raw} == {"no"}
    assert {storage(m).published for m in set(TABLES) - raw} == {"native", "view"}


def test_facts_are_inherited_one_by_one() -> None:
    """A mixin that says nothing must not hide what the mixin beside it says."""
    assert storage(EnergyBalanceIntervals) == Storage(
        table="energy_balance_intervals", key=("plant_id", "interval_end"), published="view"
    )
    assert storage(EnergyMonthly).layer == "report"


@each_model
def test_names_are_snake_case(model: type[Table]) -> None:
    said = [storage(model).table.removeprefix("_"), *names(model)]
    assert [name for name in said if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


@each_model
def test_a_table_says_itself_what_it_is_for(model: type[Table]) -> None:
    assert "__doc__" in vars(model)
    assert comment(model).endswith(".")


@each_model
def test_key_partition_and_volatile_columns_exist(model: type[Table]) -> None:
    kept = storage(model)
    assert {*kept.key, *kept.partition, *kept.volatile} <= set(names(model))
    assert {*kept.key, *kept.partition}.isdisjoint(kept.volatile)


@each_model
def test_partition_columns_are_never_null_and_can_name_a_folder(model: type[Table]) -> None:
    found = [c for c in columns(model) if c.name in storage(model).partition]
    assert [c.name for c in found if c.nullable or not isinstance(c.dtype, pl.Date | pl.String)] == []


@each_model
def test_every_column_says_what_it_means(model: type[Table]) -> None:
    assert [c.name for c in columns(model) if not re.fullmatch(r"\S.*\.", c.description)] == []


@each_model
def test_nullable_columns_and_no_others_say_what_null_means(model: type[Table]) -> None:
    assert [c.name for c in columns(model) if c.nullable != bool(c.null) or c.null.endswith(".")] == []


@each_model
def test_numbers_have_a_unit_and_nothing_else_has(model: type[Table]) -> None:
    assert [c.name for c in columns(model) if bool(c.unit) != needs_unit(c)] == []


@each_model
def test_the_name_says_the_unit(model: type[Table]) -> None:
    measured = {c.name: c.unit for c in columns(model) if needs_unit(c)}
    assert measured == {name: unit_of_name(name) for name in measured}


@each_model
def test_no_float_can_be_nan(model: type[Table]) -> None:
    """NaN passes every check but an upper bound. Only quarantine takes what came, whatever it was."""
    floats = [c for c in columns(model) if c.dtype == pl.Float64 and c.unit != "that of the field"]
    bounded = [c for c in floats if any(rule.startswith("less_than_or_equal_to") for rule in c.rules)]
    assert floats == bounded


@each_model
def test_money_is_decimal_to_the_cent(model: type[Table]) -> None:
    assert [c.name for c in columns(model) if c.unit == "EUR" and c.duckdb_type != "DECIMAL(18,2)"] == []


@each_model
def test_times_are_utc_or_say_that_they_are_local(model: type[Table]) -> None:
    times = [(c, c.dtype.time_zone) for c in columns(model) if isinstance(c.dtype, pl.Datetime)]
    assert [c.name for c, zone in times if zone != "UTC" and "plant-local" not in c.description] == []


@each_model
def test_a_comment_holds_meaning_unit_and_null(model: type[Table]) -> None:
    for column in columns(model):
        assert column.comment.startswith(column.description)
        assert (f" Unit: {column.unit}." in column.comment) == bool(column.unit)
        assert (f" Null: {column.null}." in column.comment) == column.nullable


def test_the_mixins_spell_out_the_energy_balance_set() -> None:
    powers = [field.column for field in ENERGY_BALANCE.powers]
    assert names(BalancePowers) == [f"{name}_w" for name in powers]
    assert names(BalanceEnergies) == [f"{name}_kwh" for name in powers]
    assert names(BalanceCoverage) == [f"{name}_covered_h" for name in powers]
    assert names(BalanceStates) == [field.column for field in ENERGY_BALANCE.fields if not field.power]


def test_the_mixins_spell_out_the_pv_set() -> None:
    powers = [field.column for field in ENERGY_AND_POWER_PV.powers]
    assert names(PvPower) == [f"{name}{unit}" for name in powers for unit in ("_w", "_kwh")]
    assert names(PvEnergy) == [f"{name}{unit}" for name in powers for unit in ("_kwh", "_covered_h")]


@pytest.mark.parametrize("field", ENERGY_BALANCE.fields + ENERGY_AND_POWER_PV.fields, ids=lambda f: f.api)
def test_our_name_is_the_vendors_in_snake_case(field: Field) -> None:
    assert field.column.removesuffix("_pct") == snake(field.api)
