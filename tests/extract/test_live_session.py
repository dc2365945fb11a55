"""A session of live values on a clock that the test moves: pace, length, quota, eligibility, and what is stored."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import orjson
import polars as pl
import pytest

from pipeline.billing.live_plan import LiveBook, read_live_plan
from pipeline.common.errors import ConfigurationError, SmaError, SunledgerError, TransientError
from pipeline.common.settings import load_settings
from pipeline.extract.live_session import LivePlant, LiveSession, list_live_plants
from pipeline.run.context import RunContext
from pipeline.sma.budget.file_store import Moment
from pipeline.sma.unproven_live import (
    LiveAnswer,
    LiveBusyError,
    LiveRequest,
    NotEligibleError,
    check_configuration,
    read_values,
)
from schemas import LiveReadings
from tests.billing.record import request, store

START = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
GUID = "0f7d3a5e-0000-4000-8000-000000000001"
OTHER = "0f7d3a5e-0000-4000-8000-000000000002"
VALUES = {
    "time": "2026-06-15T14:00:00",
    "pvGeneration": 1200.0,
    "gridFeedIn": 300,
    "batteryStateOfCharge": 55,
}
PRICES = """
[[prices]]
valid_from = 2020-01-01
currency = "EUR"
base_period = "month"
base = { "1-19" = "12", "20-99" = "12", "100-499" = "15", "500-999" = "25", "1000+" = "65" }
per_kw_ac = "0.09"
live_plan = 300
live = { 300 = "100" }
"""


class Bench:
    """A home whose clock stands until somebody sleeps, and an SMA that answers what `answers` says."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.calls: list[tuple[float, str, str]] = []
        self.told: list[str] = []
        self.answers: dict[str, Iterator[SmaError | bytes]] = {}
        self.latency_s = 0.25
        (folder / "prices.toml").write_text(PRICES)
        settings = load_settings(
            env_file=None, home=folder / "home", live="on", prices=folder / "prices.toml"
        )
        self.runtime = RunContext(settings, tell=self.told.append, now=self.find_time)
        self.book = self.open_book()

    def open_book(self) -> LiveBook:
        """The count as another process of the home opens it."""
        return LiveBook(self.runtime.settings.home, self.find_moment, self.told.append)

    def find_time(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.now - 1000)

    def find_moment(self) -> Moment:
        return Moment(b"0" * 16, self.now, self.find_time().timestamp())

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, requests: Sequence[LiveRequest]) -> list[LiveAnswer | SmaError]:
        found: list[LiveAnswer | SmaError] = []
        self.calls += [(self.now, one.plant_id, one.endpoint) for one in requests]
        self.now += self.latency_s
        for one in requests:
            usual = (
                {"sets": ["EnergyBalance"]}
                if one.endpoint == "live_configuration"
                else {"status": "Ok", "set": VALUES}
            )
            answer = next(self.answers.get(one.plant_id, iter(())), orjson.dumps(usual))
            found.append(
                answer if isinstance(answer, SmaError) else LiveAnswer(one, self.find_time(), answer)
            )
        return found

    def run(self, plants: list[LivePlant], month_ends_in_s: float = 130) -> None:
        """A session, which the end of the month shortens."""
        plan = read_live_plan(self.runtime, self.book)
        plan = replace(plan, next_month=self.find_time() + dt.timedelta(seconds=month_ends_in_s))
        session = LiveSession(
            self.runtime, plan, self.book, plants, lambda *_: None, send=self.send, sleep=self.sleep,
            monotonic=lambda: self.now,
        )  # fmt: skip
        session.run()

    def readings(self) -> pl.DataFrame:
        return self.runtime.lake.scan(LiveReadings).collect()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def plant(plant_id: str = GUID) -> LivePlant:
    return LivePlant(plant_id, "Roof", "Europe/Berlin")


@pytest.mark.long
def test_a_session_calls_each_plant_once_in_ten_seconds_and_ends_after_ten_minutes(bench: Bench) -> None:
    plants = [plant(), plant(OTHER)]
    bench.run(plants, month_ends_in_s=1e6)
    assert bench.now == pytest.approx(1600)
    assert [kind for _, one, kind in bench.calls if one == GUID][:2] == ["live_configuration", "live"]
    for one in (GUID, OTHER):
        times = [at for at, called, _ in bench.calls if called == one]
        # From the end of a call to the next one.
        assert min(b - a - bench.latency_s for a, b in pairwise(times)) >= 10 - 1e-6
        assert len(times) == 59
    assert bench.readings().height == sum(p.readings for p in plants) == 116
    row = bench.readings().row(0, named=True)
    assert (row["pv_generation_w"], row["grid_feed_in_w"], row["battery_state_of_charge_pct"]) == (
        1200,
        300,
        55,
    )
    assert (row["status"], row["total_consumption_w"], row["measured_at"]) == (
        "Ok",
        None,
        dt.datetime(2026, 6, 15, 14, tzinfo=dt.UTC),
    )
    assert read_live_plan(bench.runtime, bench.open_book()).used == 118


def test_processes_of_a_home_share_the_pace_and_the_count(bench: Bench) -> None:
    plan = read_live_plan(bench.runtime, bench.book)
    since, other = bench.find_moment(), bench.open_book()
    assert bench.book.reserve_calls(plan, [GUID], since).admitted == (GUID,)
    bench.book.note_answers([GUID])
    bench.now += 4
    turns = other.reserve_calls(plan, [GUID, OTHER], since)
    assert (turns.admitted, turns.waits) == ((OTHER,), {GUID: pytest.approx(6)})
    bench.now += 6
    assert other.reserve_calls(plan, [GUID], since).admitted == (GUID,)
    assert read_live_plan(bench.runtime, bench.book).used == 3


def test_a_call_on_its_way_keeps_others_from_the_plant_and_that_of_a_killed_process_for_a_minute(
    bench: Bench,
) -> None:
    plan = read_live_plan(bench.runtime, bench.book)
    since, other = bench.find_moment(), bench.open_book()
    bench.book.reserve_calls(plan, [GUID], since)
    bench.now += 30
    assert other.reserve_calls(plan, [GUID], since).waits == {GUID: 10}
    bench.now += 25
    assert other.reserve_calls(plan, [GUID], since).waits == {GUID: pytest.approx(5)}
    bench.now += 5
    assert other.reserve_calls(plan, [GUID], since).admitted == (GUID,)
    assert read_live_plan(bench.runtime, bench.book).used == 2


def test_who_shares_a_plant_with_another_process_is_told(bench: Bench) -> None:
    one, other = plant(), bench.open_book()
    plan = replace(read_live_plan(bench.runtime, bench.book), next_month=START + dt.timedelta(seconds=60))
    since = bench.find_moment()

    def sleep(seconds: float) -> None:
        bench.now += seconds
        other.note_answers(other.reserve_calls(plan, [GUID], since).admitted)

    session = LiveSession(
        bench.runtime, plan, bench.book, [one], lambda *_: None, send=bench.send, sleep=sleep,
        monotonic=lambda: bench.now,
    )  # fmt: skip
    session.run()
    assert sum("both share one call in 10 s" in text for text in bench.told) == 1


@pytest.mark.long
def test_the_next_session_of_a_plant_waits_until_it_was_left_alone(bench: Bench) -> None:
    bench.run([plant()], month_ends_in_s=1e6)
    ended = bench.calls[-1][0] + bench.latency_s
    bench.run([plant()])
    again = next(at for at, _, _ in bench.calls if at > ended)
    assert again - ended >= 60 - 1e-6
    assert any("its last session was ended by its length" in text for text in bench.told)


def test_a_session_ends_when_the_quota_is_used_up_and_says_when_the_month_begins(bench: Bench) -> None:
    bench.book.raise_count(dt.date(2026, 6, 1), 295)
    one = plant()
    bench.run([one], month_ends_in_s=15.5 * 86400)
    assert (one.calls, bench.readings().height) == (5, 4)
    assert one.ended.startswith("All 300 calls of the Live plan for 2026-06 are used up.")
    assert "2026-07-01 00:00 UTC" in one.ended
    assert read_live_plan(bench.runtime, bench.book).left == 0


def test_calls_of_other_homes_count_and_a_deleted_count_is_made_again(bench: Bench) -> None:
    kinds = ("live", "live_configuration", "measurements")
    store(bench.runtime, *(request("2026-06-02T10:00", endpoint=kind, plant_id=GUID) for kind in kinds))
    store(bench.runtime, request("2026-05-31T10:00", endpoint="live", plant_id=GUID))
    assert read_live_plan(bench.runtime, bench.book).used == 2


def test_a_damaged_count_stops_every_call(bench: Bench) -> None:
    file = bench.runtime.settings.home / "live" / "calls.json"
    read_live_plan(bench.runtime, bench.book)
    file.write_text('{"months": {"2026-06": "many"}}')
    with pytest.raises(SunledgerError, match="does not hold the count of live calls: delete it"):
        bench.run([plant()])
    assert bench.calls == []


def test_the_forecast_and_the_price_are_told_before_the_first_call(bench: Bench) -> None:
    bench.book.raise_count(dt.date(2026, 6, 1), 145)
    plan = read_live_plan(bench.runtime, bench.book)
    text = plan.describe(2, START)
    assert "2 plants makes up to 122 calls in 10 minutes" in text
    assert "300 calls costs 100.00 EUR a month" in text
    # 145 calls in 14.5 of 30 days.
    assert "145 of them are used in 2026-06, and 300 will be at this pace" in text
    bench.book.raise_count(dt.date(2026, 6, 1), 160)
    assert "more than the plan allows" in read_live_plan(bench.runtime, bench.book).describe(2, START)
    bench.book.raise_count(dt.date(2026, 6, 1), 250)
    assert "Only 50 are left" in read_live_plan(bench.runtime, bench.book).describe(2, START)


def test_without_the_setting_or_a_booked_plan_no_call_is_made(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(PRICES.replace("live_plan = 300", ""))
    with pytest.raises(ConfigurationError, match=r"names no booked Live plan for 2026-06.*300 for 100"):
        read_live_plan(bench.runtime, bench.book)
    bench.runtime.settings = bench.runtime.settings.model_copy(update={"live": "off"})
    with pytest.raises(ConfigurationError, match="SUNLEDGER_LIVE is off"):
        read_live_plan(bench.runtime, bench.book)


def test_plants_that_are_not_eligible_are_named_and_the_others_go_on(bench: Bench) -> None:
    rows = {"plant_id": ["5000000", GUID, OTHER], "name": ["a", "b", "c"], "timezone": ["Europe/Berlin"] * 3}
    plants = list_live_plants(pl.DataFrame(rows | {"backend": ["ennexos", "classic", "classic"]}))
    assert "because it is on ennexOS" in plants[0].ended
    bench.answers[GUID] = iter([b'{"sets":["Sensor"]}'])
    bench.run(plants)
    assert "its configuration names Sensor in place of EnergyBalance" in plants[1].ended
    assert "use the Monitoring API" in plants[1].ended
    assert [p.calls for p in plants[:2]] == [0, 1]
    assert plants[2].readings == 12
    assert not plants[2].ended


def test_failed_calls_wait_longer_each_time_and_end_the_plant_alone(bench: Bench) -> None:
    fault = TransientError("No answer.")
    bench.answers[GUID] = iter([fault] * 9)
    plants = [plant(), plant(OTHER)]
    bench.run(plants, month_ends_in_s=200)
    times = [at for at, called, _ in bench.calls if called == GUID]
    assert [round(b - a) for a, b in pairwise(times)] == [10, 20, 40, 60]
    assert "5 calls of plant" in plants[0].ended
    assert plants[1].readings > 10


def test_sma_decides_how_long_a_refused_plant_waits(bench: Bench) -> None:
    bench.answers[GUID] = iter([LiveBusyError("Too soon.", 33.0)])
    one = plant()
    bench.run([one])
    assert bench.calls[1][0] - bench.calls[0][0] == pytest.approx(33.25)
    assert (one.failures, one.problem) == (0, "")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>", "is not a JSON object"),
        (b'{"set":[]}', "has no object 'set'"),
        (b'{"set":{"pvGeneration":"1"}}', "has '1' as pvGeneration, which is not a number"),
        (b'{"set":{"pvGeneration":true}}', "not a number"),
        (b'{"set":{"pvGeneration":-5}}', "which can't be"),
        (b'{"set":{"batteryStateOfCharge":101}}', "which can't be"),
    ],
)
def test_answers_that_cannot_be_read_are_not_stored(bench: Bench, body: bytes, says: str) -> None:
    bench.answers[GUID] = iter([b'{"sets":["EnergyBalance"]}', body])
    one = plant()
    bench.run([one])
    assert says in one.ended
    assert bench.readings().height == 0


@pytest.mark.parametrize(
    ("label", "basis", "expected"),
    [
        ("2026-06-15T14:00:00", "utc", "2026-06-15T14:00"),
        ("2026-06-15T14:00:00", "plant_local", "2026-06-15T12:00"),
        # The repeated hour of autumn: what is not ahead of now.
        ("2026-10-25T02:30:00", "plant_local", "2026-10-25T00:30"),
        # A label with an offset says itself which moment it is.
        ("2026-06-15T14:00:00Z", "plant_local", "2026-06-15T14:00"),
        ("2026-06-15T14:00:00+02:00", "utc", "2026-06-15T12:00"),
        ("soon", "utc", None),
        (None, "utc", None),
    ],
)
def test_a_label_is_read_by_the_time_basis(label: object, basis: str, expected: str | None) -> None:
    now = dt.datetime(2026, 10, 25, 0, 40, tzinfo=dt.UTC)
    answer = LiveAnswer(LiveRequest.values(GUID), now, orjson.dumps({"set": {"time": label}}))
    found = read_values(answer, "Europe/Berlin", basis).measured_at  # type: ignore[arg-type]
    assert found == (None if expected is None else dt.datetime.fromisoformat(f"{expected}+00:00"))


def test_a_configuration_without_sets_is_taken_for_a_yes() -> None:
    asked = LiveRequest.configuration(GUID)
    check_configuration(LiveAnswer(asked, START, b"{}"))
    check_configuration(LiveAnswer(asked, START, b'{"sets":[null,"energyBalance"]}'))
    with pytest.raises(NotEligibleError, match="names no set in place"):
        check_configuration(LiveAnswer(asked, START, b'{"sets":[]}'))


def test_the_price_of_the_plan_is_accepted_once_a_month(bench: Bench) -> None:
    plan = read_live_plan(bench.runtime, bench.book)
    assert not bench.book.has_agreed(plan)
    bench.book.agree(plan)
    assert bench.open_book().has_agreed(plan)
    assert (plan.quota, plan.eur) == (300, Decimal("100.00"))
