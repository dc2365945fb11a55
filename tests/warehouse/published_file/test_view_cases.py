"""What curated views show of plants of which each is a case of its own: gaps, exclusions, closed months, moves."""

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest

from schemas import (
    CoverageDaily,
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Logs,
    PlantAttributes,
    Plants,
    Quarantine,
    Reconciliation,
)
from tests.small_lake import FIRST, MONTH, NOW, SECOND, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

LAST_OF_CLOSED = dt.date(2021, 9, 30)
EVER = dt.date(1970, 1, 1)
NOON, QUARTER = dt.datetime(2021, 10, 1, 12, tzinfo=dt.UTC), dt.timedelta(minutes=15)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published lake of plants of which each is a case of its own; `own` is one beside whose figure no other is."""
    root = tmp_path_factory.mktemp("cases")
    lake = Lake(str(root / "lake"), root / "scratch")
    plants = (
        "night",
        "meter",
        "own",
        "gap",
        "sold",
        "left",
        "moved",
        "late",
        "between",
        "idle",
        "left behind",
    )
    more = {
        "sold": {"excluded_from": SECOND, "migrated_from": "left behind"},
        # No entry of the settings names this id, and one that includes plants names the newest.
        "left behind": {"excluded_from": EVER},
        "left": {"excluded_from": LAST_OF_CLOSED},
        "moved": {"migrated_from": "between"},
        "between": {"migrated_from": "former"},
        "late": {"migrated_from": "early"},
        "gap": {"migrated_from": "gap before"},
    }
    put(lake, Plants, [{"plant_id": one, "name": one.title()} | more.get(one, {}) for one in plants])
    groups = {"moved": {"plant_group": "North", "expected_09_kwh": 8.0}, "idle": {"plant_group": "South"}}
    put(lake, PlantAttributes, [{"plant_id": one} | facts for one, facts in groups.items()])
    put_night(lake)
    put_inverters(lake)
    put_before_a_move(lake)
    publish(lake, root / "x.duckdb", now=NOW, version="1")
    with connect(root / "x.duckdb") as connection:
        yield connection


def put_night(lake: Lake) -> None:
    """Half of the sun's ten hours are lost on the first day of the plant `night`; its meter was read all the time."""
    hours = {FIRST: 5.0, SECOND: 10.0}
    nights = [{"plant_id": "night", "local_date": day} for day in hours]
    whole = {"covered_h": 24.0, "expected_h": 24.0, "coverage": 1.0}
    meters = [
        ("meter", FIRST, 10.0, "partial"),
        ("meter", SECOND, None, "missing"),
        ("own", FIRST, 5.0, "partial"),
    ]
    put(
        lake,
        EnergyDaily,
        [day | whole for day in nights]
        + [
            {"plant_id": plant, "local_date": day, "pv_generation_kwh": kwh, "status": status}
            for plant, day, kwh, status in meters
        ],
    )
    put(lake, KpiDaily, nights)
    put(
        lake,
        CoverageDaily,
        [
            {"plant_id": "night", "local_date": day, "quantity": quantity, "covered_h": covered}
            | {"expected_h": expected, "coverage": covered / expected}
            for day in hours
            for quantity, covered, expected in (
                ("pv_generation", hours[day], 10.0),
                ("grid_feed_in", 24.0, 24.0),
            )
        ]
        + [
            {"plant_id": plant, "local_date": LAST_OF_CLOSED, "quantity": "pv_generation"}
            | {"covered_h": 4.0, "expected_h": 8.0}
            for plant in ("left", "moved", "idle")
        ],
    )
    month = {"plant_id": "night", "month": MONTH, "n_days": 2}
    own = [{"plant_id": plant, "month": MONTH, "pv_generation_kwh": 10.0} for plant in ("meter", "own")]
    closed = {"month": LAST_OF_CLOSED.replace(day=1), "closed_at": NOW}
    both = [closed | {"plant_id": plant} for plant in ("left", "former", "early")]
    sold = {"plant_id": "sold", "month": MONTH, "pv_generation_kwh": 4.5}
    put(lake, EnergyMonthly, [month, *own, sold, *both])
    of_plants = [{"plant_id": plant, "month": closed["month"]} for plant in ("former", "idle")]
    put(lake, KpiMonthly, [month, *of_plants])


def put_before_a_move(lake: Lake) -> None:
    """Rows that keep the id of before a move: `left behind` is `sold` now, and is left out by its newest id alone."""
    days = [
        {"plant_id": plant, "local_date": day, "interval_end": moment}
        for plant in ("sold", "left behind", "kept")
        for day, moment in ((FIRST, NOON), (SECOND, NOON + dt.timedelta(days=1)))
    ]
    put(
        lake,
        EnergyBalanceIntervals,
        [day | {"interval_start": day["interval_end"] - QUARTER} for day in days],
    )
    put(lake, Logs, [{name: day[name] for name in ("plant_id", "local_date")} for day in days])


def put_inverters(lake: Lake) -> None:
    """Those of `meter` say more than the plant, one of `gap` has a gap, and `sold` was excluded on the second day."""
    ratings = [("a1", 20.0, "complete"), ("a2", 18.0, "complete"), ("a3", 5.0, "partial")]
    # Since then SMA gives more power of a1, as of an inverter that was replaced under the same id.
    former = f'[{{"until": "{FIRST}", "generator_power_w": 5000.0, "generator_power_dc_w": null}}]'
    power = {"a1": {"generator_power_w": 12_000.0, "former_powers": former}}
    usual = {"generator_power_w": 5000.0}
    # SMA listed this one before the plant moved. Its days have the new id.
    listed = {"a2": "gap before"}
    put(
        lake,
        Devices,
        [
            {"plant_id": listed.get(name, "gap"), "device_id": name} | power.get(name, usual)
            for name, *_ in ratings
        ],
    )
    inverters = [
        ("a1", FIRST, 12.0),
        ("a2", FIRST, 8.0),
        ("meter", FIRST, 99.0),
        ("a1", SECOND, 7.0),
        ("a2", SECOND, None),
    ]
    put(
        lake,
        DeviceEnergyDaily,
        [
            {"plant_id": "meter", "device_id": device, "local_date": day, "pv_generation_kwh": kwh}
            for device, day, kwh in inverters
        ]
        + [
            {
                "plant_id": "gap",
                "device_id": name,
                "local_date": FIRST,
                "pv_generation_kwh": kwh,
                "status": status,
            }
            for name, kwh, status in ratings
        ]
        + [{"plant_id": "sold", "device_id": "a1", "local_date": day} for day in (FIRST, SECOND)]
        + [
            {"plant_id": plant, "device_id": "a1", "local_date": LAST_OF_CLOSED, "pv_generation_kwh": 6.0}
            for plant in ("left", "moved")
        ],
    )
    of_month = {"plant_id": "meter", "month": MONTH, "local_date": MONTH, "quantity": "pv_generation"}
    of_moved = of_month | {
        "plant_id": "moved",
        "month": LAST_OF_CLOSED.replace(day=1),
        "local_date": LAST_OF_CLOSED,
    }
    told = {"would_book": "measured", "reason": "none"}
    put(
        lake,
        Reconciliation,
        [
            of_moved | told | {"plant_id": plant, "period": "month", "vendor_kwh": kwh}
            for plant, kwh in (("former", 9.0), ("between", 7.0), ("early", 6.5))
        ]
        + [
            of_month | {"period": period, "vendor_kwh": kwh, "would_book": "measured", "reason": "none"}
            for period, kwh in (("day", 13.0), ("month", 27.5))
        ]
        # SMA's own figures of a month that was compared before its plant was excluded.
        + [
            of_month | told | {"plant_id": "sold", "local_date": day, "period": period, "vendor_kwh": kwh}
            for day, period, kwh in ((FIRST, "day", 4.0), (SECOND, "day", 5.0), (MONTH, "month", 9.0))
        ],
    )
    put(
        lake,
        Quarantine,
        [
            {"local_date": day, "source": "x", "plant_id": plant, "reason": "spike"}
            for plant in ("sold", "left behind")
            for day in (FIRST, SECOND)
        ],
    )


def test_the_coverage_of_pv_counts_no_night(cases: duckdb.DuckDBPyConnection) -> None:
    for daily, monthly in (("v_energy_daily", "v_energy_monthly"), ("v_kpi_daily", "v_kpi_monthly")):
        query = "SELECT pv_generation_coverage FROM {} WHERE plant_id = 'night' ORDER BY ALL"
        assert cases.execute(query.format(daily)).fetchall() == [(0.5,), (1.0,)], daily
        dated = f"SELECT local_date FROM {daily} WHERE plant_id = 'night' AND pv_generation_coverage = 0.5"
        assert cases.execute(dated).fetchall() == [(FIRST,)], daily
        assert cases.execute(query.format(monthly)).fetchall() == [(0.75,)], monthly


def test_what_the_inverters_say_stands_beside_the_plants_figure(cases: duckdb.DuckDBPyConnection) -> None:
    """On the first day the plant has half of it, on the second nothing at all; a plant is no inverter of its own."""
    for view in ("v_energy_daily", "v_days_to_check"):
        found = cases.execute(
            f"SELECT plant_id, local_date, pv_generation_kwh, inverters_pv_generation_kwh FROM {view} "
            "WHERE plant_id IN ('meter', 'own') ORDER BY ALL"
        ).fetchall()
        shown = [("meter", FIRST, 10.0, 20.0), ("meter", SECOND, None, 7.0), ("own", FIRST, 5.0, None)]
        assert found == shown, view
    found = cases.execute(
        "SELECT plant_id, inverters_pv_generation_kwh, vendor_pv_generation_kwh FROM v_energy_monthly "
        "WHERE plant_id IN ('meter', 'own') ORDER BY ALL"
    ).fetchall()
    assert found == [("meter", 27.0, 27.5), ("own", None, None)]


def test_sma_s_own_figure_is_of_the_days_that_the_month_of_an_excluded_plant_has(
    cases: duckdb.DuckDBPyConnection,
) -> None:
    query = "SELECT pv_generation_kwh, vendor_pv_generation_kwh FROM v_energy_monthly WHERE plant_id = 'sold'"
    assert cases.execute(query).fetchall() == [(4.5, 4.0)]


def test_a_plant_that_moved_is_listed_once(cases: duckdb.DuckDBPyConnection) -> None:
    listed = {plant for (plant,) in cases.execute("SELECT plant_id FROM v_plants_energy").fetchall()}
    assert {"moved", "sold", "idle"} <= listed
    assert not {"between", "left behind"} & listed


def test_an_inverter_with_a_gap_is_held_against_none(cases: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT device_id, relative_yield FROM v_inverters_daily WHERE plant_id = 'gap' ORDER BY ALL"
    assert cases.execute(query).fetchall() == [
        ("a1", pytest.approx(20 / 19)),
        ("a2", pytest.approx(18 / 19)),
        ("a3", None),
    ]


def test_inverters_and_reasons_leave_out_the_days_of_excluded_plants(
    cases: duckdb.DuckDBPyConnection,
) -> None:
    query = "SELECT local_date FROM v_inverters_daily WHERE plant_id = 'sold'"
    assert cases.execute(query).fetchall() == [(FIRST,)]
    query = "SELECT plant_id, n_found, last_day FROM v_quarantine_by_reason ORDER BY ALL"
    assert cases.execute(query).fetchall() == [("left behind", 1, FIRST), ("sold", 1, FIRST)]


def test_power_and_events_leave_out_the_days_of_excluded_plants_by_their_newest_id(
    cases: duckdb.DuckDBPyConnection,
) -> None:
    mine = [("kept", FIRST), ("kept", SECOND), ("left behind", FIRST), ("sold", FIRST)]
    for view in ("v_power", "v_logs"):
        found = cases.execute(f"SELECT plant_id, local_date FROM {view} ORDER BY ALL").fetchall()
        assert found == mine, view


def test_a_closed_month_keeps_the_days_on_which_its_plant_is_excluded_since_then(
    cases: duckdb.DuckDBPyConnection,
) -> None:
    query = "SELECT pv_generation_coverage, inverters_pv_generation_kwh FROM v_energy_monthly WHERE plant_id = 'left'"
    assert cases.execute(query).fetchall() == [(0.5, 6.0)]


def test_a_closed_month_of_a_plant_that_moved_has_the_days_and_the_group_of_its_new_id(
    cases: duckdb.DuckDBPyConnection,
) -> None:
    figures = "plant_name, pv_generation_coverage, inverters_pv_generation_kwh, vendor_pv_generation_kwh"
    query = f"SELECT {figures}, expected_kwh, plant_group FROM v_energy_monthly WHERE plant_id = 'former'"
    assert cases.execute(query).fetchall() == [("Moved", 0.5, 6.0, 7.0, 8.0, "North")]
    groups = "SELECT plant_group, n_plants FROM v_energy_monthly_by_group WHERE month = DATE '2021-09-01' ORDER BY ALL"
    assert cases.execute(groups).fetchall() == [("North", 1), (None, 2)]
    # SMA's figure of this one was compared before the move, and not since.
    query = "SELECT plant_name, vendor_pv_generation_kwh FROM v_energy_monthly WHERE plant_id = 'early'"
    assert cases.execute(query).fetchall() == [("Late", 6.5)]
    query = (
        "SELECT plant_name, pv_generation_coverage, plant_group FROM v_kpi_monthly WHERE plant_id = 'former'"
    )
    assert cases.execute(query).fetchall() == [("Moved", 0.5, "North")]


def test_a_month_that_has_figures_and_no_energy_has_its_group(cases: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT pv_generation_coverage, plant_group FROM v_kpi_monthly WHERE plant_id = 'idle'"
    assert cases.execute(query).fetchall() == [(0.5, "South")]
