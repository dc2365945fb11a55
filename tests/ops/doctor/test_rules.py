"""The evaluations on facts that no set-up of the page has."""

import datetime as dt
import json
from importlib.metadata import distributions, version
from pathlib import Path

import polars as pl
import pytest

from pipeline.ops.doctor import access_diagnoses, basis, facts, machine, network
from pipeline.ops.doctor.machine import HeldLock
from pipeline.ops.doctor.network import Probe
from pipeline.ops.doctor.result import Level
from pipeline.run.today_turn import choose_turn
from pipeline.sma.budget.file_store import BudgetState, Moment
from pipeline.sma.budget.shared_budget import Budget
from tests.sandbox.served_sandbox import NOW

BERLIN = {
    "plant_id": "1",
    "timezone": "Europe/Berlin",
    "latitude": 52.5,
    "longitude": 13.4,
    "ac_power_kw": 5.0,
}
TOKYO = {**BERLIN, "plant_id": "2", "timezone": "Asia/Tokyo", "latitude": 35.7, "longitude": 139.7}
TODAY = dt.date(2024, 6, 20)
DAY = dt.date(2024, 6, 10)


def plants(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows))


def bell(noon_min: int, half_min: int) -> bytes:
    """An answer of a day whose energy lies within `half_min` of a noon, in steps of 15 minutes."""
    midnight = dt.datetime.combine(DAY, dt.time())
    labels = [midnight + dt.timedelta(minutes=15 * i) for i in range(1, 97)]
    rows = [
        {"time": label.isoformat(), "pvGeneration": float(max(0, half_min - abs(minutes - noon_min)))}
        for label in labels
        # The day is a dial: what is past midnight comes round.
        for minutes in [(label.hour * 60 + label.minute - noon_min + 720) % 1440 - 720 + noon_min]
    ]
    return json.dumps({"resolution": "FifteenMinutes", "set": rows}).encode()


def judged(*noons: tuple[dict[str, object], int]) -> pl.DataFrame:
    """Of plants that produce from sunrise to sunset around the noon of their times."""
    half_min = {"Europe/Berlin": 495, "Asia/Tokyo": 430}
    curves = pl.concat(
        [
            basis.read_curve(str(plant["plant_id"]), DAY, bell(noon, half_min[str(plant["timezone"])]))
            for plant, noon in noons
        ]
    )
    return basis.judge_curves(curves, plants(*(plant for plant, _ in noons)))


@pytest.mark.parametrize(
    ("skew_s", "level", "says"),
    [
        (20.0, Level.OK, "within 30 s"),
        (-20.0, Level.OK, "within 30 s"),
        (90.5, Level.WARN, "90 s ahead of SMA's, so days would count as complete too early"),
        (-89.5, Level.WARN, "90 s behind SMA's, so days would count as complete too late"),
        (3600.5, Level.FAIL, "60 min ahead of"),
        (-86399.5, Level.FAIL, "24.0 h behind"),
    ],
)
def test_clocks(skew_s: float, level: Level, says: str) -> None:
    probe = Probe("SMA_AUTH_URL", "https://x", 400, NOW + dt.timedelta(seconds=skew_s), NOW)
    (found,) = network.judge_clock([probe])
    assert (found.level, says in found.text) == (level, True), found.text


@pytest.mark.parametrize(
    ("setting", "status", "level"),
    [
        ("SMA_MONITORING_URL", 401, Level.OK),
        ("SMA_MONITORING_URL", 403, Level.OK),
        ("SMA_MONITORING_URL", 200, Level.WARN),
        ("SMA_MONITORING_URL", 308, Level.WARN),
        ("SMA_MONITORING_URL", 503, Level.WARN),
        ("SMA_AUTH_URL", 302, Level.OK),
        ("SMA_AUTH_URL", 400, Level.OK),
        ("SMA_AUTH_URL", 502, Level.WARN),
        ("SMA_CONSENT_URL", 401, Level.OK),
    ],
)
def test_hosts_are_judged_by_what_they_say_to_nobody(setting: str, status: int, level: Level) -> None:
    (found,) = network.judge_hosts([Probe(setting, "https://host", status, NOW)])
    assert found.level is level
    assert setting in found.text


def test_an_environment_that_writes_keys_down_or_trusts_nobody_is_told() -> None:
    found = network.judge_tls(0, {"SSL_CERT_DIR": "/empty", "SSLKEYLOGFILE": "/home/me/keys"})
    assert [f.level for f in found] == [Level.WARN, Level.FAIL]
    assert "unset it" in found[0].text
    assert "set SSL_CERT_DIR to" in found[1].text


def test_a_month_is_asked_for_when_it_has_enough_settled_days() -> None:
    assert basis.choose_probe_month(dt.date(2024, 6, 9)) == dt.date(2024, 5, 1)
    assert basis.choose_probe_month(dt.date(2024, 6, 10)) == dt.date(2024, 6, 1)
    assert basis.choose_probe_month(dt.date(2024, 1, 3)) == dt.date(2023, 12, 1)


def test_the_clear_day_is_the_sunniest_that_is_settled_and_has_one_offset() -> None:
    rows = [{"time": f"2024-03-{day:02}T00:00:00", "pvGeneration": day * 1000.0} for day in range(1, 32)]
    answer = json.dumps({"set": rows}).encode()
    assert basis.clear_day(answer, "Europe/Berlin", dt.date(2024, 4, 20)) == dt.date(2024, 3, 30)
    assert basis.clear_day(answer, "Asia/Tokyo", dt.date(2024, 4, 20)) == dt.date(2024, 3, 31)
    assert basis.clear_day(answer, "Asia/Tokyo", dt.date(2024, 3, 31)) == dt.date(2024, 3, 28)
    assert basis.clear_day(b'{"set": []}', "Asia/Tokyo", TODAY) is None
    assert basis.clear_day(b"<html>", "Asia/Tokyo", TODAY) is None


def test_plants_are_asked_that_cost_nothing_more_then_the_smallest_then_the_farthest_from_utc() -> None:
    rows = [
        BERLIN,
        {**TOKYO, "plant_id": "far"},
        {**BERLIN, "plant_id": "large", "ac_power_kw": 900.0},
        {**BERLIN, "plant_id": "billed", "ac_power_kw": 900.0},
        {**BERLIN, "plant_id": "nowhere", "latitude": None},
        {**BERLIN, "plant_id": "utc", "timezone": "Africa/Abidjan"},
        {**BERLIN, "plant_id": "no power", "ac_power_kw": None},
    ]
    assert basis.select_candidates(plants(*rows), {"billed"}, TODAY)["plant_id"].to_list() == [
        "billed",
        "far",
        "1",
        "large",
    ]


@pytest.mark.parametrize("plant", [BERLIN, TOKYO], ids=["Berlin", "Tokyo"])
@pytest.mark.parametrize("true", ["utc", "plant_local"])
def test_the_sun_tells_the_basis_with_the_measured_noon(plant: dict[str, object], true: str) -> None:
    """Solar noon of 10 June is 13:06 in Berlin and 11:40 in Tokyo, by their clocks."""
    hours = {"Europe/Berlin": 2, "Asia/Tokyo": 9}[str(plant["timezone"])]
    local = {"Europe/Berlin": 13 * 60 + 6, "Asia/Tokyo": 11 * 60 + 40}[str(plant["timezone"])]
    noon = (local - (60 * hours if true == "utc" else 0)) % 1440
    found = judged((plant, noon))
    (well,) = basis.evaluate_basis(found, true, 2)  # type: ignore[arg-type]
    assert (well.level, "(2 requests)" in well.text) == (Level.OK, True), well.text
    assert abs(found["labels_noon"][0] - noon) <= 8
    assert abs(found["sun_plant_local"][0] - local) <= 1
    (wrong,) = basis.evaluate_basis(found, "utc" if true == "plant_local" else "plant_local", 2)
    assert (wrong.level, f"Set SMA_TIME_BASIS={true}" in wrong.text) == (Level.FAIL, True)


def rows(*off: tuple[str, float, float], verdict: str = "undecided") -> pl.DataFrame:
    """Rows of `judge_curves`: plant, minutes off the sun's noon by UTC and by the plant's clock."""
    return pl.DataFrame(
        [
            {
                "plant_id": plant,
                "timezone": "Europe/Berlin",
                "local_date": DAY,
                "verdict": verdict,
                "labels_noon": 720.0,
                "sun_utc": 660.0,
                "sun_plant_local": 720.0,
                "off_utc": utc,
                "off_plant_local": local,
            }
            for plant, utc, local in off
        ]
    )


@pytest.mark.parametrize(
    ("found", "verdicts"),
    [
        # A roof to the east: its noon stays an hour early by one clock in winter and summer, and moves by the other.
        ([("a", -60.0, 0.0), ("a", -58.0, 62.0)], {"utc"}),
        ([("a", 0.0, -60.0), ("a", 60.0, -62.0)], {"plant_local"}),
        # One winter's day of a plant tells nothing, nor do a few that disagree.
        ([("a", 7.0, -53.0)], {"undecided"}),
        ([("a", 60.0, 0.0), ("b", 55.0, -5.0)], {"undecided"}),
        ([("a", 60.0, 0.0), ("b", 55.0, -5.0), ("c", 10.0, -50.0)], {"undecided"}),
        ([("a", 60.0, 0.0), ("b", 55.0, -5.0), ("c", 67.0, 7.0)], {"plant_local"}),
        ([("a", 7.0, -60.0), ("b", 5.0, -62.0), ("c", -7.0, -67.0)], {"utc"}),
    ],
)
def test_noons_tell_what_energy_in_the_dark_does_not(
    found: list[tuple[str, float, float]], verdicts: set[str]
) -> None:
    assert set(basis.decide_by_noon(rows(*found))["verdict"]) == verdicts


def test_noons_do_not_overrule_the_dark() -> None:
    found = rows(("a", 60.0, 0.0), ("b", 55.0, -5.0), ("c", 67.0, 7.0), verdict="utc")
    assert set(basis.decide_by_noon(found)["verdict"]) == {"utc"}
    assert not basis.decide_by_noon(pl.DataFrame()).height


@pytest.mark.parametrize(
    ("zone", "latitude", "month"),
    [
        ("Europe/Berlin", 52.5, dt.date(2024, 6, 1)),
        ("Europe/London", 51.5, dt.date(2024, 6, 1)),
        ("Australia/Melbourne", -37.8, dt.date(2023, 12, 1)),
        ("America/New_York", 40.7, dt.date(2024, 2, 1)),
    ],
)
def test_another_season_is_the_month_that_tells_most(zone: str, latitude: float, month: dt.date) -> None:
    """Of the last year: the clock is farthest from UTC, and of such months the days are the longest."""
    assert basis.choose_other_season(zone, latitude, dt.date(2024, 11, 28)) == month


def test_a_plant_whose_clock_shows_utc_in_winter_can_be_asked() -> None:
    london = {**BERLIN, "plant_id": "london", "timezone": "Europe/London", "longitude": -0.1}
    assert basis.select_candidates(plants(london), (), dt.date(2024, 12, 15))["plant_id"].to_list() == [
        "london"
    ]


def test_what_the_sun_does_not_tell_is_a_warning() -> None:
    (nothing,) = basis.evaluate_basis(pl.DataFrame(), "utc", 0)
    assert (nothing.level, "was not tested" in nothing.text) == (Level.WARN, True)
    (neither,) = basis.evaluate_basis(judged((TOKYO, 22 * 60)), "utc", 2)
    assert (neither.level, "was not conclusive" in neither.text) == (Level.WARN, True)
    (both,) = basis.evaluate_basis(judged((TOKYO, 700), (BERLIN, 666)), "utc", 4)
    assert (both.level, "plants disagree" in both.text) == (Level.WARN, True)


@pytest.mark.parametrize(
    ("requests", "pause_s", "pace", "refused", "level", "says"),
    [
        (300, 0.0, 1.0, 0, Level.OK, "its bucket is 50% full"),
        (300, 5.0, 0.7, 1, Level.WARN, "pause for another 5 s"),
        (300, 21.0, 0.7, 1, Level.FAIL, "pause for another 21 s"),
        (
            300,
            0.0,
            0.7,
            0,
            Level.WARN,
            "some were refused today and yesterday, so requests are sent at 70% of the rate",
        ),
        (300, 0.0, 1.0, 4, Level.WARN, "4 were refused today and yesterday: lower"),
        (None, 0.0, 1.0, 4, Level.WARN, "(4 were refused today and yesterday)"),
    ],
)
def test_the_budget(
    requests: int | None, pause_s: float, pace: float, refused: int, level: Level, says: str
) -> None:
    rules = Budget(requests)
    state = BudgetState(Moment(b"", 0.0, 0.0), rules.capacity / 2, pause_s, pace)
    (found,) = access_diagnoses.judge_budget_state(rules, state, "all", refused)
    assert (found.level, says in found.text) == (level, True), found.text


def test_a_shorter_list_is_a_warning_with_the_reason() -> None:
    (found,) = access_diagnoses.judge_plants("code", [], 2, [TODAY], TODAY, "https://x")
    assert found.level is Level.WARN
    assert "1 plant is no longer listed" in found.text


@pytest.mark.parametrize(
    ("python", "installed", "level", "says"),
    [
        ("3.11.7", {"polars": "2.1.0", "odd-name": "1"}, Level.OK, "2 packages as locked"),
        ("3.10.1", {}, Level.FAIL, "this is Python 3.10.1, but sunledger needs >=3.11,<3.14"),
        ("3.11.7", {"odd-name": "1"}, Level.FAIL, "polars is missing"),
        ("3.11.7", {"polars": "2.2.0", "odd-name": "1"}, Level.WARN, "polars is 2.2.0, not ==2.1.0"),
    ],
)
def test_versions(python: str, installed: dict[str, str], level: Level, says: str) -> None:
    required = ["polars>=2.1,<3", 'redis>=8; extra == "cluster"']
    locked = ["polars==2.1.0", "odd_name==1", "colorama==0.4.6 ; sys_platform == 'win32'"]
    (found,) = machine.judge_versions(python, ">=3.11,<3.14", installed, required, locked[:2])
    assert (found.level, says in found.text) == (level, True), found.text
    assert (
        machine.judge_versions(python, ">=3", {"polars": "2.1.0", "odd-name": "1"}, [], locked)[0].level
        is Level.OK
    )


def test_installed_packages_have_the_versions_that_python_knows() -> None:
    found = facts.read_installed_packages()
    named = ("polars", "python-dateutil", "sunledger", "sqlalchemy")
    assert {name: found[name] for name in named} == {name: version(name) for name in named}
    assert len(found) == len({one.name.lower().replace("_", "-") for one in distributions()})


def test_a_lock_of_a_running_process_is_no_fault() -> None:
    found = machine.judge_locks(
        [HeldLock(Path("/x.lock"), 4711, stopped=False), HeldLock(Path("/y.lock"), None, stopped=False)], []
    )
    assert [f.level for f in found] == [Level.OK, Level.WARN]


@pytest.mark.parametrize(
    ("room", "chosen", "level", "says"),
    [
        (33, 0, Level.WARN, "name the plants that matter most in SUNLEDGER_TODAY_PLANTS"),
        (
            33,
            2,
            Level.OK,
            "reads the 2 chosen ones and 9 of the 98 others at a time, each about every 11 hours",
        ),
        (33, 50, Level.WARN, "name fewer plants in SUNLEDGER_TODAY_PLANTS"),
    ],
)
def test_plants_whose_current_day_is_left_out_are_said(
    room: int, chosen: int, level: Level, says: str
) -> None:
    costs = pl.DataFrame(
        {
            "plant_id": [f"{i:03}" for i in range(100)],
            "requests": 3,
            "chosen": [i < chosen for i in range(100)],
        }
    )
    found, unknown = access_diagnoses.judge_turn(choose_turn(costs, room), ["Rof*"])
    assert found.level is level
    assert says in found.text
    assert unknown.text.startswith("no plant fits Rof* of SUNLEDGER_TODAY_PLANTS")
    assert access_diagnoses.judge_turn(choose_turn(costs, 300), []) == []
