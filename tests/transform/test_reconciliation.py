"""Differences between measured and the vendor's energies: what is tolerated, and what explains the rest."""

import datetime as dt
import json
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipeline.transform.reconciliation import Step, read_vendor_energies, reconcile_days, reconcile_year
from pipeline.transform.thresholds import load_thresholds

LIMITS = load_thresholds()
FIRST, LAST = dt.date(2026, 10, 1), dt.date(2026, 10, 31)
NO_VALUES = pl.DataFrame(
    schema={
        "plant_id": pl.String,
        "local_date": pl.Date,
        "quantity": pl.String,
        "energy_values_kwh": pl.Float64,
        "energy_values_from": pl.String,
    }
)


def judged(
    *days: tuple[float | None, float | None, float, int],
    rows: int = 288,
    policy: str = "none",
    values: tuple[float | None, ...] = (),
    values_from: str = "EnergyBalance",
) -> pl.DataFrame:
    """Days from the first on: measured kWh, SMA's kWh, largest gap in minutes, flagged rows; and energy values."""
    key = [
        {"plant_id": "1", "local_date": FIRST + dt.timedelta(days=i), "quantity": "a"}
        for i in range(len(days))
    ]
    facts = {"coverage": 1.0, "covered_h": 24.0, "expected_h": 24.0, "n_rows": rows}
    measured = [
        {**k, "measured_kwh": kwh, "largest_gap_min": gap, "n_flagged": flagged, **facts}
        for k, (kwh, _, gap, flagged) in zip(key, days, strict=True)
    ]
    vendor = [
        {**k, "vendor_kwh": kwh} for k, (_, kwh, _, _) in zip(key, days, strict=True) if kwh is not None
    ]
    schema = {"plant_id": pl.String, "local_date": pl.Date, "quantity": pl.String, "vendor_kwh": pl.Float64}
    types = {"measured_kwh": pl.Float64}
    mine = pl.DataFrame(measured, schema_overrides=types)
    told = [
        {**k, "energy_values_kwh": kwh, "energy_values_from": values_from}
        for k, kwh in zip(key, values, strict=False)
        if kwh is not None
    ]
    energy_values = pl.DataFrame(told, schema=NO_VALUES.schema)
    return reconcile_days(mine, pl.DataFrame(vendor, schema=schema), energy_values, LIMITS, policy)


@pytest.mark.parametrize(
    ("day", "reason", "agrees"),
    [
        ((10.0, 10.0, 0.0, 0), "none", True),
        ((10.07, 10.0, 0.0, 0), "rounding", True),
        ((9.0, 10.0, 0.0, 0), "unexplained", False),
        ((9.0, 10.0, 30.0, 0), "gap", False),
        # A gap explains less, never more.
        ((11.0, 10.0, 30.0, 0), "unexplained", False),
        ((9.0, 10.0, 30.0, 2), "spike", False),
        ((None, 10.0, 700.0, 0), "not_measured", False),
        ((9.0, None, 0.0, 0), "no_vendor_value", False),
    ],
)
def test_each_difference_has_its_reason(
    day: tuple[float | None, float | None, float, int], reason: str, agrees: bool
) -> None:
    found = judged(day).filter(pl.col("period") == "day")
    assert found.select("reason", "agrees").row(0) == (reason, agrees)


def test_a_hole_over_midnight_is_carried_into_the_next_day_but_not_over_two() -> None:
    carried = judged((8.0, 10.0, 60.0, 0), (12.0, 10.0, 0.0, 0))
    assert carried["reason"].to_list() == ["hole_carried_over", "hole_carried_over", "none"]
    assert carried["agrees"].to_list() == [False, False, True]
    apart = judged((8.0, 10.0, 60.0, 0), (10.0, 10.0, 0.0, 0), (12.0, 10.0, 0.0, 0))
    assert apart["reason"].to_list()[:3] == ["gap", "none", "unexplained"]


def test_rows_of_an_hour_are_allowed_nine_percent() -> None:
    assert judged((10.9, 10.0, 0.0, 0), rows=24)["reason"][0] == "rounding"
    assert judged((10.9, 10.0, 0.0, 0), rows=288)["reason"][0] == "unexplained"


def test_only_the_policy_vendor_would_book_what_the_meter_bridged() -> None:
    days = ((9.0, 10.0, 30.0, 0), (None, 10.0, 700.0, 0), (8.0, 10.0, 0.0, 0))
    assert set(judged(*days)["would_book"]) == {"measured"}
    assert judged(*days, policy="vendor")["would_book"].to_list()[:3] == ["vendor", "vendor", "measured"]


def test_a_month_is_the_sum_of_its_days() -> None:
    month = judged((9.0, 10.0, 30.0, 0), (5.0, 5.0, 0.0, 0)).filter(pl.col("period") == "month")
    names = ("measured_kwh", "vendor_kwh", "difference_kwh", "reason", "agrees")
    assert month.select(names).row(0) == (14.0, 15.0, -1.0, "gap", False)


def test_the_vendors_days_are_read_in_wh_by_their_date() -> None:
    body = {"set": [{"time": "2026-10-01T00:00:00", "pvGeneration": 1500.0}, {"time": "2026-10-02T00:00:00"}]}
    assert energies(body, FIRST, LAST) == {FIRST: 1.5}


def energies(
    body: object, first: dt.date, last: dt.date, step: Step = "1d", zone: str = "UTC"
) -> dict[dt.date, float]:
    """kWh by date of one answer's PV generation."""
    text = json.dumps(body, separators=(",", ":")).encode()
    answers = pl.DataFrame({"plant_id": ["1"], "timezone": [zone], "body": [text]})
    names = {"pvGeneration": "pv_generation", "gridFeedIn": "grid_feed_in"}
    found = read_vendor_energies(answers, names, first, last, step)
    assert set(found["quantity"]) <= {"pv_generation"}
    return dict(found.select("local_date", "vendor_kwh").rows())


def labelled(labels: Sequence[str]) -> dict[str, object]:
    """An answer with 1 kWh at the first label, 2 at the second, and so on."""
    return {"set": [{"time": label, "pvGeneration": 1000.0 * n} for n, label in enumerate(labels, 1)]}


@pytest.mark.parametrize("impossible", [-1.0, 1e300, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_energy_counts_as_not_given_and_stops_no_other_figure(impossible: float) -> None:
    rows = [
        {"time": "2026-10-01T00:00:00", "pvGeneration": 1000.0},
        {"time": "2026-10-02T00:00:00", "pvGeneration": impossible},
    ]
    answers = pl.DataFrame(
        {
            "plant_id": ["1"],
            "timezone": ["Europe/Berlin"],
            "body": [json.dumps({"set": rows}, separators=(",", ":")).encode()],
        }
    )
    vendor = read_vendor_energies(answers, {"pvGeneration": "a"}, FIRST, LAST)
    assert vendor.select("local_date", "vendor_kwh").rows() == [(FIRST, 1.0)]


OCTOBER = [FIRST + dt.timedelta(days=n) for n in range(31)]
BY_DAY = dict(zip(OCTOBER, map(float, range(1, 32)), strict=True))
HOUR = dt.timedelta(hours=1)


def midnights(zone: str, days: Sequence[dt.date] = OCTOBER) -> list[str]:
    """The plant's midnights of these days by clocks of UTC."""
    own = [dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC) for day in days]
    return [f"{at:%Y-%m-%dT%H:%M:%S}" for at in own]


@pytest.mark.parametrize(
    ("labels", "zone"),
    [
        ([f"{day}T00:00:00" for day in OCTOBER], "Europe/Berlin"),
        ([f"{day}" for day in OCTOBER], "Europe/Berlin"),
        # A day off, either way: labelled by their ends, or too early.
        ([f"{day + 24 * HOUR}T00:00:00" for day in OCTOBER], "Europe/Berlin"),
        ([f"{day - 24 * HOUR}T00:00:00" for day in OCTOBER], "Europe/Berlin"),
        # By UTC: Berlin changes its clocks on the 25th, Kiritimati and Pago Pago are as far ahead and behind as can be.
        *(
            (midnights(zone), zone)
            for zone in ("Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata")
        ),
        # By UTC and labelled by their ends.
        *(
            (midnights(zone, [day + 24 * HOUR for day in OCTOBER]), zone)
            for zone in ("Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago")
        ),
        ([f"{day}T23:59:59" for day in OCTOBER], "Europe/Berlin"),
    ],
)
def test_the_days_of_a_month_are_found_however_they_are_labelled(labels: list[str], zone: str) -> None:
    assert energies(labelled(labels), FIRST, LAST, zone=zone) == BY_DAY


def test_some_days_of_a_month_stay_where_their_labels_are() -> None:
    """No label lies beside the month, so nothing says that they are off; nor does one where both ends have one."""
    some = [f"{day}T00:00:00" for day in OCTOBER[9:]]
    assert list(energies(labelled(some), FIRST, LAST)) == OCTOBER[9:]
    ends = [f"{day}T00:00:00" for day in (*OCTOBER, OCTOBER[-1] + 24 * HOUR)]
    assert {day: kwh for day, kwh in energies(labelled(ends), FIRST, LAST).items() if day <= LAST} == BY_DAY
    by_utc = midnights("Europe/Berlin", [*OCTOBER, OCTOBER[-1] + 24 * HOUR])
    found = energies(labelled(by_utc), FIRST, LAST, zone="Europe/Berlin")
    assert {day: kwh for day, kwh in found.items() if day <= LAST} == BY_DAY
    # The rest of a month that began late is labelled by its ends.
    late = [f"{day + 24 * HOUR}T00:00:00" for day in OCTOBER[9:]]
    assert list(energies(labelled(late), FIRST, LAST)) == OCTOBER[9:]


MONTHS = [dt.date(2025, number, 1) for number in range(1, 13)]


@pytest.mark.parametrize(
    "labels",
    [
        [f"{month}T00:00:00" for month in MONTHS],
        [f"{month - 24 * HOUR}T00:00:00" for month in MONTHS],
        [f"{month}T00:00:00" for month in (*MONTHS[1:], dt.date(2026, 1, 1))],
        [f"{month - 24 * HOUR}T00:00:00" for month in (*MONTHS[1:], dt.date(2026, 1, 1))],
        [
            f"{dt.datetime.combine(m, dt.time(), ZoneInfo('Europe/Berlin')).astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}"
            for m in MONTHS
        ],
    ],
    ids=["starts", "the day before", "next starts", "last days", "UTC"],
)
def test_the_months_of_a_year_are_found_however_they_are_labelled(labels: list[str]) -> None:
    found = energies(labelled(labels), MONTHS[0], MONTHS[-1], "1mo", "Europe/Berlin")
    assert found == dict(zip(MONTHS, map(float, range(1, 13)), strict=True))


# ---- energy values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "value", "reason"),
    [
        ((10.0, 10.0, 0.0, 0), 10.0, "none"),
        ((10.0, 10.0, 0.0, 0), 10.07, "rounding"),
        ((10.0, 10.0, 0.0, 0), 11.0, "unexplained"),
        ((9.0, 10.0, 30.0, 0), 10.0, "gap"),
        ((9.0, 10.0, 30.0, 1), 10.0, "spike"),
        ((None, 10.0, 700.0, 0), 10.0, "not_measured"),
        ((10.0, 10.0, 0.0, 0), None, None),
    ],
)
def test_each_difference_from_energy_values_has_its_reason(
    day: tuple[float | None, float | None, float, int], value: float | None, reason: str | None
) -> None:
    found = judged(day, values=(value,))
    assert found["energy_values_reason"].to_list() == [reason, reason]
    difference = None if value is None or day[0] is None else pytest.approx(day[0] - value)
    assert found["energy_values_difference_kwh"].to_list() == [difference, difference]
    # SMA's figure of the day is judged by itself.
    assert found["reason"].to_list() == judged(day)["reason"].to_list()


def test_energy_values_of_a_hole_over_midnight_are_carried_over() -> None:
    days = judged((8.0, 8.0, 60.0, 0), (10.0, 10.0, 0.0, 0), values=(7.0, 11.0)).head(2)
    assert days["energy_values_reason"].to_list() == ["hole_carried_over", "hole_carried_over"]


def test_energies_before_the_inverter_are_not_judged_by_what_comes_out_of_it() -> None:
    found = judged((10.0, 10.0, 0.0, 0), (10.0, 10.0, 0.0, 0), values=(10.4, 10.3), values_from="EnergyDc")
    assert set(found["energy_values_reason"]) == {"before_inverter"}
    assert found["energy_values_difference_kwh"].to_list() == pytest.approx([-0.4, -0.3, -0.7])
    assert set(found["reason"]) == {"none"}


def test_the_difference_of_a_month_is_that_of_the_days_with_energy_values() -> None:
    found = judged((10.0, 10.0, 0.0, 0), (10.0, 10.0, 0.0, 0), values=(11.0, None)).tail(1)
    names = ("measured_kwh", "energy_values_kwh", "energy_values_difference_kwh", "energy_values_reason")
    assert found.select(names).row(0) == (20.0, 11.0, -1.0, "unexplained")


def test_the_coverage_of_a_month_is_that_of_its_hours_and_not_the_mean_of_its_days() -> None:
    key = {
        "plant_id": "1",
        "quantity": "a",
        "measured_kwh": 1.0,
        "largest_gap_min": 0.0,
        "n_flagged": 0,
        "n_rows": 288,
    }
    hours = [(24.0, 24.0), (0.0, 8.0), (0.0, 0.0)]
    days = [
        {**key, "local_date": FIRST + dt.timedelta(days=number), "covered_h": covered, "expected_h": expected}
        | {"coverage": covered / expected if expected else None}
        for number, (covered, expected) in enumerate(hours)
    ]
    schema = {"plant_id": pl.String, "local_date": pl.Date, "quantity": pl.String, "vendor_kwh": pl.Float64}
    found = reconcile_days(pl.DataFrame(days), pl.DataFrame(schema=schema), NO_VALUES, LIMITS, "none")
    assert found["coverage"].to_list() == [1.0, 0.0, None, 0.75]


# ---- years -----------------------------------------------------------------------------------------------------------


def year(
    *months: tuple[float | None, float | None, float, int], policy: str = "none", flagged: int = 0
) -> pl.DataFrame:
    """Months of 2025: measured kWh, SMA's kWh, largest gap in minutes, days held."""
    firsts = [dt.date(2025, number + 1, 1) for number in range(len(months))]
    facts = {
        "coverage": 1.0,
        "covered_h": 700.0,
        "expected_h": 700.0,
        "n_rows": 8928,
        "n_flagged": flagged,
        "vendor_days_kwh": 1.0,
    }
    mine = [
        {"plant_id": "1", "month": first, "quantity": "a", "measured_kwh": kwh, "largest_gap_min": gap, "n_days": days}
        | facts
        for first, (kwh, _, gap, days) in zip(firsts, months, strict=True)
    ]  # fmt: skip
    theirs = [
        {"plant_id": "1", "month": first, "quantity": "a", "vendor_kwh": kwh}
        for first, (_, kwh, _, _) in zip(firsts, months, strict=True)
        if kwh is not None
    ]
    schema = {"plant_id": pl.String, "month": pl.Date, "quantity": pl.String, "vendor_kwh": pl.Float64}
    measured = pl.DataFrame(mine, schema_overrides={"measured_kwh": pl.Float64})
    return reconcile_year(measured, pl.DataFrame(theirs, schema=schema), LIMITS, policy)


@pytest.mark.parametrize(
    ("month", "reason"),
    [
        ((500.0, 500.0, 0.0, 31), "none"),
        ((500.0, 502.0, 0.0, 31), "rounding"),
        ((450.0, 500.0, 0.0, 31), "unexplained"),
        ((450.0, 500.0, 90.0, 31), "gap"),
        # Days that the warehouse doesn't hold are a gap of the month.
        ((450.0, 500.0, 0.0, 28), "gap"),
        ((None, 500.0, 900.0, 31), "not_measured"),
        ((500.0, None, 0.0, 31), "no_vendor_value"),
    ],
)
def test_each_month_of_a_year_has_its_reason(
    month: tuple[float | None, float | None, float, int], reason: str
) -> None:
    assert year(month)["reason"].to_list() == [reason, reason]


def test_a_year_is_the_sum_of_its_months_and_the_policy_says_what_would_be_booked() -> None:
    months = ((450.0, 500.0, 90.0, 31), (400.0, 400.0, 0.0, 28))
    found = year(*months, policy="vendor")
    assert found["period"].to_list() == ["month", "month", "year"]
    names = ("month", "measured_kwh", "vendor_kwh", "difference_kwh", "reason", "agrees", "would_book")
    assert found.tail(1).select(names).row(0) == (
        dt.date(2025, 1, 1), 850.0, 900.0, -50.0, "gap", False, "vendor"
    )  # fmt: skip
    assert set(year(*months)["would_book"]) == {"measured"}
