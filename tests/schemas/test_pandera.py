"""What we rely on in pandera: that a bad frame is refused, and where it looks at names and types only."""

import datetime as dt
from decimal import Decimal

import pandera.errors
import polars as pl
import pytest

from schemas import TABLES, BillingUnits, EnergyDaily, Plants, Table, base, columns, polars_schema
from warehouse.frames import validate
from warehouse.published_file.meta import FILE_TABLES

DAY = dt.date(2021, 10, 5)
ROW = {
    "plant_id": "7",
    "local_date": DAY,
    "pv_generation_kwh": 12.5,
    "covered_h": 24.0,
    "expected_h": 24.0,
    "coverage": 1.0,
    "largest_gap_min": 0.0,
    "n_rows": 288,
    "n_flagged": 0,
    "n_suspect": 0,
    "status": "complete",
}


def day(**values: object) -> pl.DataFrame:
    """One good row of energy_daily, with some values changed."""
    return pl.DataFrame([ROW | values], schema=polars_schema(EnergyDaily))


def refused(frame: pl.DataFrame) -> pl.DataFrame:
    """What pandera says against the frame; fails when it says nothing."""
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        EnergyDaily.to_schema().validate(frame, lazy=True)
    cases: pl.DataFrame = caught.value.failure_cases
    return cases


def test_a_good_frame_passes_with_nulls_where_they_are_allowed() -> None:
    frame = day()
    assert frame["grid_feed_in_kwh"].null_count() == 1
    assert EnergyDaily.to_schema().validate(frame, lazy=True).equals(frame)


def test_an_empty_frame_passes() -> None:
    EnergyDaily.to_schema().validate(day().clear(), lazy=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.001, 2e12])
def test_energy_is_finite_and_not_negative(value: float) -> None:
    assert set(refused(day(pv_generation_kwh=value))["column"]) == {"pv_generation_kwh"}


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.1])
def test_a_share_is_between_0_and_1(value: float) -> None:
    assert set(refused(day(coverage=value))["column"]) == {"coverage"}


def test_null_is_refused_where_it_has_no_meaning() -> None:
    assert refused(day(n_rows=None))["column"].to_list() == ["n_rows"]


def test_an_unknown_word_is_refused() -> None:
    assert refused(day(status="fine"))["failure_case"].to_list() == ["fine"]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(day().drop("coverage"), id="missing column"),
        pytest.param(day().with_columns(extra=pl.lit(1)), id="unknown column"),
        pytest.param(day().select(sorted(polars_schema(EnergyDaily))), id="other order"),
        pytest.param(day().cast({"n_rows": pl.Int32}), id="narrower integer"),
        pytest.param(day().cast({"covered_h": pl.Float32}), id="narrower float"),
        pytest.param(day().cast({"local_date": pl.Datetime("us")}), id="time for a day"),
    ],
)
def test_shape_and_types_must_be_exact(frame: pl.DataFrame) -> None:
    assert refused(frame).height > 0


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_time_must_be_utc(zone: str | None) -> None:
    empty = pl.DataFrame(schema=polars_schema(Plants))
    with pytest.raises(pandera.errors.SchemaErrors):
        Plants.to_schema().validate(empty.cast({"start_up": pl.Datetime("us", zone)}), lazy=True)


def test_a_lazy_frame_is_checked_for_names_and_types_only() -> None:
    """Characterization: it is why every write validates eager frames. If this fails, pandera looks deeper now."""
    bad = day(pv_generation_kwh=-1.0)
    EnergyDaily.to_schema().validate(bad.lazy(), lazy=True).collect()
    with pytest.raises(pandera.errors.SchemaErrors):
        EnergyDaily.to_schema().validate(bad.lazy().drop("coverage"), lazy=True)


def test_types_reach_polars_and_duckdb_alike() -> None:
    found = {column.name: (column.dtype, column.duckdb_type) for column in columns(Plants)}
    assert found["plant_id"] == (pl.String(), "VARCHAR")
    assert found["latitude"] == (pl.Float64(), "DOUBLE")
    assert found["start_up"] == (pl.Datetime("us", "UTC"), "TIMESTAMPTZ")
    assert found["first_seen"] == (pl.Date(), "DATE")
    money = next(column for column in columns(BillingUnits) if column.name == "fee_eur")
    assert (money.dtype, money.duckdb_type) == (pl.Decimal(18, 2), "DECIMAL(18,2)")


@pytest.mark.parametrize(
    "fees",
    [
        pytest.param(pl.Series([12.5]), id="float"),
        pytest.param(pl.Series([Decimal("12.500")], dtype=pl.Decimal(18, 3)), id="tenths of a cent"),
        pytest.param(pl.Series([Decimal("-0.01")], dtype=pl.Decimal(18, 2)), id="negative"),
    ],
)
def test_money_is_decimal_to_the_cent_and_not_negative(fees: pl.Series) -> None:
    good = pl.Series("fee_eur", [Decimal("12.50"), None], dtype=pl.Decimal(18, 2)).to_frame()
    Money.to_schema().validate(good, lazy=True)
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        Money.to_schema().validate(fees.to_frame("fee_eur"), lazy=True)
    assert caught.value.failure_cases.height > 0


def test_what_models_declare_of_their_columns_is_what_pandera_checks() -> None:
    """We read the declarations: pandera derives its rules from them, and takes 100 ms for those of all tables."""
    for model in (*TABLES, *FILE_TABLES):
        built = model.to_schema()
        assert not built.checks
        assert [column.name for column in columns(model)] == list(built.columns)
        for column, checked in zip(columns(model), built.columns.values(), strict=True):
            assert pl.Schema({"x": checked.dtype.type})["x"] == column.dtype
            assert (checked.nullable, checked.description) == (column.nullable, column.description)
            assert tuple(str(check.error or check.name) for check in checked.checks) == column.rules
            declared = base.list_declared(model)[column.name][1].checks
            assert [(one.name, one.statistics) for one in checked.checks] == [
                (one.name, one.statistics) for one in declared
            ]


def test_a_good_frame_is_found_good_without_what_pandera_derives(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fee(Money):
        """A fee of which nothing is known yet."""

    monkeypatch.setattr(Fee, "to_schema", lambda: pytest.fail("It was derived."))
    validate(Fee, pl.DataFrame({"fee_eur": [Decimal("12.50"), None]}, polars_schema(Fee)), {})


class Money(Table):
    """A fee alone."""

    fee_eur: base.Money = base.money("Fee.", "unpriced")
