"""`sunledger grid` against a sandbox in the test's own process: what is checked, sent once, audited and followed."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.cli.grid_and_live import grid_work
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.settings import load_settings
from pipeline.extract import grid_follow, grid_orders
from pipeline.extract.grid_schedules import fetch_grid_schedules
from pipeline.run.context import RunContext
from pipeline.run.grid_order_book import GridOrderBook
from pipeline.sma.auth.private_documents import PrivateFile
from sandbox.address import SandboxAddress
from sandbox.options import DEFAULT_CLIENT_SECRET, Options
from schemas import ApiRequests, Devices, GridCommandAudit, Plants
from tests.sandbox.served_sandbox import Served, served

PLANT, WITHOUT_SPOT = "5000000", "5000022"
START = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)).replace(second=0, microsecond=0)
LATER = ("--start", START.isoformat(), "--hours", "2")


class Desk:
    """The program in this process, with a home of its own, and the sandbox that it speaks to."""

    def __init__(self, box: Served, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.box, self.patch = box, patch
        address = SandboxAddress(box.url, box.world.options.client_id, DEFAULT_CLIENT_SECRET, "utc", None)
        self.environment = address.settings() | {
            "SUNLEDGER_HOME": str(home / "home"),
            "SUNLEDGER_GRID_CONTROL": "command",
            "SUNLEDGER_MAX_EUR_PER_MONTH": "1000000",
        }
        for name, value in self.environment.items():
            patch.setenv(name, value)
        patch.chdir(home)
        self.runtime = RunContext(load_settings())

    def run(self, *words: str, answer: bool | None = None) -> tuple[int, str]:
        """Exit code and output; `answer` is that of a person at a terminal, None for none there."""
        self.patch.setattr(grid_work, "may_ask", lambda: answer is not None)
        self.questions: list[str] = []

        def confirm(question: str, **_: Any) -> bool:
            self.questions.append(question)
            return bool(answer)

        self.patch.setattr("typer.confirm", confirm)
        result = CliRunner().invoke(app, ["grid", *words])
        said = re.sub(r"\s+", " ", result.output)
        if isinstance(result.exception, SunledgerError):
            return result.exception.exit_code, f"{said} {result.exception}"
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, said

    def order(self, *more: str, plant: str = PLANT, kw: str = "3") -> tuple[int, str]:
        return self.run("schedule", plant, "--limit-kw", kw, *LATER, *more)

    @property
    def sent(self) -> dict[str, int]:
        """What the sandbox has received for the plant."""
        return self.box.get(f"/_truth/gridcontrol/plants/{PLANT}")

    def read(self, model: Any) -> pl.DataFrame:
        return RunContext(self.runtime.settings).lake.scan(model).collect()

    def list_events(self) -> list[str]:
        return self.read(GridCommandAudit).sort("event_at", "event_number")["event"].to_list()

    def find_key(self) -> str:
        return GridOrderBook(self.runtime.settings).list_orders()[0].order.request_key

    def lose_answers(self, kind: str, method: str, times: int = 1) -> None:
        fault = {"kind": kind, "path": "/schedules", "method": method, "times": times}
        assert self.box.http.post("/_control/faults", json=fault).status_code == 200

    def order_elsewhere(self, **more: str) -> None:
        """Another client of the API orders a limit in the same time."""
        command = {"command": "FeedInLimit", "startTime": START.isoformat(), "duration": 3600, "value": 0}
        path = f"/gridcontrol/v1/plants/{PLANT}/schedules"
        assert self.box.http.post(path, json={"commands": [command], **more}).status_code == 202

    def pass_time(self, hours: float) -> None:
        self.box.world.clock.advance(hours * 3600)
        self.box.login()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with served(Options(plants=3), dt.datetime.now(dt.UTC)) as box:
        yield Desk(box, tmp_path, monkeypatch)


def test_without_the_setting_nothing_is_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("off", "read"):
        monkeypatch.setenv("SUNLEDGER_GRID_CONTROL", value)
        for words in (
            ["eligible"],
            ["list"],
            ["cancel", "k"],
            ["schedule", PLANT, "--limit-kw", "1", *LATER],
        ):
            code, said = desk.run(*words)
            assert (code, f"SUNLEDGER_GRID_CONTROL is {value}" in said) == (2, True)
    assert desk.read(ApiRequests).height == 0


@pytest.mark.long
def test_a_dry_run_sends_nothing_and_a_command_is_sent_once_after_a_yes(desk: Desk) -> None:
    code, said = desk.run("eligible")
    assert (code, "5000022 " in said, "(SPOT) of the Data Manager is not active" in said) == (0, True, True)
    before = desk.read(ApiRequests).height
    code, said = desk.order()
    assert (code, "this was a dry run" in said, "at most 3 kW from" in said) == (0, True, True)
    assert (desk.read(ApiRequests).height, desk.sent["schedules"]) == (before, 0)
    code, said = desk.order("--send")
    assert (code, "this is no terminal" in said, "--yes" in said) == (2, True, True)
    code, said = desk.run("schedule", PLANT, "--limit-kw", "3", *LATER, "--send", answer=False)
    assert (code, "You did not agree" in said) == (2, True)
    assert (desk.sent["schedules"], desk.read(GridCommandAudit).height) == (0, 0)
    code, said = desk.run("schedule", PLANT, "--limit-kw", "3", *LATER, "--send", answer=True)
    name = desk.read(Plants).filter(pl.col("plant_id") == PLANT)["name"][0]
    asked = f"plant {PLANT} {name}"
    assert (code, asked in said, "at most 3 kW" in said, "(2 h)" in said) == (0, True, True, True), said
    assert desk.questions == ["Do you send this command?"]
    assert "is Scheduled" in said
    assert desk.sent == {"schedules": 1, "repeated": 0, "cancellations": 0}
    audit = desk.read(GridCommandAudit).sort("event_number")
    assert audit["event"].to_list() == ["sending", "accepted", "new_state"]
    assert audit["status"].to_list() == [None, 202, None]
    assert audit["limit_kw"].unique().to_list() == [3.0]
    assert audit["state"].to_list()[-1] == "Scheduled"
    # The same again is known, and is not sent.
    code, said = desk.order("--send", "--yes")
    assert (code, "is Scheduled. Nothing was sent now" in said, desk.sent["schedules"]) == (0, True, 1)
    tries = desk.read(ApiRequests)["endpoint"].to_list()
    assert (tries.count("grid_command"), tries.count("grid_eligibility")) == (1, 3)


def test_values_and_windows_that_cannot_be_are_refused(desk: Desk) -> None:
    for words, expected in (
        (("--limit-kw", "-1", *LATER), "0 kW or more"),
        (("--limit-kw", "nan", *LATER), "0 kW or more"),
        (("--limit-kw", "99999", *LATER), "its rated power of"),
        (("--limit-kw", "1", "--start", "2020-01-01T00:00Z", "--hours", "1"), "is not ahead of now"),
        (("--limit-kw", "1", "--start", "2099-01-01T00:00Z", "--hours", "1"), "days ahead"),
        (("--limit-kw", "1", "--start", "2026-06-01T10:00", "--hours", "1"), "with an offset"),
        (("--limit-kw", "1", *LATER[:2], "--hours", "0.001"), "from 1 minute to 31 days"),
        (("--limit-kw", "1", *LATER[:2], "--hours", "900"), "from 1 minute to 31 days"),
        (("--limit-kw", "1", *LATER, "--asked-by", "me"), "choose from grid_operator"),
    ):
        code, said = desk.run("schedule", PLANT, *words, "--send", "--yes")
        assert (code in (1, 2), expected in said) == (True, True), (words, said)
    assert desk.sent["schedules"] == 0


def test_plants_of_other_kinds_are_refused_and_do_not_stop_the_others(desk: Desk) -> None:
    code, said = desk.run("schedule", WITHOUT_SPOT, PLANT, "--limit-kw", "1", *LATER, "--send", "--yes")
    assert (code, "Plant 5000022: SMA does not take FeedInLimit for it (The direct" in said) == (3, True)
    assert desk.sent["schedules"] == 1
    # A plant on ennexOS whose list of devices has no Data Manager is refused by what is stored.
    facts = dict.fromkeys(desk.read(Devices).columns) | {
        "plant_id": WITHOUT_SPOT, "device_id": "d", "type": "Solar Inverters", "is_active": True,
    }  # fmt: skip
    frame = pl.DataFrame([facts], schema=desk.read(Devices).schema)
    for name, dtype in frame.schema.items():
        if frame[name].null_count() and dtype == pl.Date:
            frame = frame.with_columns(pl.lit(dt.date(2026, 1, 1)).alias(name))
    desk.runtime.lake.replace(Devices, {}, [frame])
    code, said = desk.order(plant=WITHOUT_SPOT)
    assert (code, "only plants with a Data Manager" in said) == (1, True)


@pytest.mark.long
def test_overlaps_are_refused_unless_superseded_and_a_grid_operator_s_command_never_is(desk: Desk) -> None:
    desk.order_elsewhere()
    code, said = desk.order("--send", "--yes")
    assert (code, "it has a command FeedInLimit that is Scheduled" in said) == (1, True)
    code, said = desk.order("--send", "--yes", "--supersede")
    assert (code, desk.sent["schedules"]) == (0, 2)
    code, said = desk.order("--send", "--yes", kw="2")
    assert (code, "holds in the same time" in said) == (1, True)
    desk.order_elsewhere(requestedBy="GridOperator")
    code, said = desk.order("--send", "--yes", "--supersede", kw="2")
    assert (code, "the grid operator asked for" in said, desk.sent["schedules"]) == (1, True, 3)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["reset", "status_503"])
def test_a_lost_answer_is_looked_up_and_never_sent_again_by_itself(desk: Desk, kind: str) -> None:
    desk.lose_answers(kind, "POST")
    code, said = desk.order("--send", "--yes")
    if kind == "reset":
        # SMA had it: its schedules tell so.
        assert (code, "is Scheduled" in said, desk.sent["schedules"]) == (0, True, 1)
        assert desk.list_events() == ["sending", "unanswered", "found"]
        return
    assert (code, "is not known to have it" in said, desk.sent["schedules"]) == (1, True, 0)
    assert desk.list_events() == ["sending", "unanswered", "not_known"]
    # Neither the same nor another command goes to the plant now.
    assert desk.order("--send", "--yes")[0] == 1
    code, said = desk.order("--send", "--yes", kw="2")
    assert (code, "has no known outcome yet" in said) == (1, True)
    key = desk.find_key()
    code, said = desk.run("schedule", "--resend", key, "--send", "--yes")
    assert (code, "may still arrive" in said, desk.sent["schedules"]) == (2, True, 0)
    desk.patch.setattr(grid_orders, "SETTLES_AFTER", dt.timedelta(0))
    code, said = desk.run("schedule", "--resend", key)
    assert (code, "dry run" in said, desk.sent["schedules"]) == (0, True, 0)
    code, said = desk.run("schedule", "--resend", key, "--send", answer=True)
    assert (code, desk.sent["schedules"]) == (0, 1), said
    assert "with the same key" in desk.questions[0]
    (schedule,) = desk.box.get(f"/gridcontrol/v1/plants/{PLANT}/schedules")["schedules"]
    assert schedule["commands"][0]["mRID"] == key
    assert desk.list_events()[3:] == ["sending", "accepted", "new_state"]
    # Once it is known, it can't be sent again.
    desk.run("schedule", "--resend", key, "--send", "--yes")
    assert desk.sent["schedules"] == 1


@pytest.mark.long
def test_an_order_that_sma_does_not_list_can_be_given_up(desk: Desk) -> None:
    desk.lose_answers("status_503", "POST")
    desk.order("--send", "--yes")
    key = desk.find_key()
    code, said = desk.run("cancel", key, "--send", "--yes")
    assert (code, "may still arrive" in said) == (1, True)
    desk.patch.setattr(grid_orders, "SETTLES_AFTER", dt.timedelta(0))
    code, said = desk.run("cancel", key, "--send", "--yes")
    assert (code, "given up" in said, desk.list_events()[-1]) == (0, True, "given_up")
    assert desk.order("--send", "--yes")[0] == 0


@pytest.mark.long
def test_a_cancellation_says_what_the_order_really_is(desk: Desk) -> None:
    desk.order("--send", "--yes")
    key = desk.find_key()
    code, said = desk.run("cancel", key)
    assert (code, "dry run" in said, desk.sent["cancellations"]) == (0, True, 0)
    # Its answer is lost, and the state tells what became of it.
    desk.lose_answers("reset", "DELETE")
    code, said = desk.run("cancel", key, "--send", answer=True)
    assert (code, "is Cancelled" in said, desk.sent["cancellations"]) == (0, True, 1)
    assert desk.list_events()[-3:] == ["cancelling", "cancel_unanswered", "new_state"]
    code, said = desk.run("cancel", key, "--send", "--yes")
    assert (code, "has ended as Cancelled" in said, desk.sent["cancellations"]) == (2, True, 1)


@pytest.mark.long
def test_a_cancellation_of_what_is_over_is_no_success(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.order("--send", "--yes")
    completed = desk.find_key()
    desk.pass_time(5)
    code, said = desk.run("cancel", completed, "--send", "--yes")
    assert (code, "was not cancelled: it had ended as Completed" in said) == (1, True)
    assert desk.sent["cancellations"] == 0
    desk.box.world.clock.reset()
    desk.box.login()
    # Another schedule takes its place between the look and the cancellation.
    desk.run("schedule", PLANT, "--limit-kw", "2", *LATER, "--send", "--yes", "--supersede")
    real = grid_orders.cancel_schedule

    async def supersede(*args: Any) -> Any:
        desk.order_elsewhere()
        return await real(*args)

    monkeypatch.setattr(grid_orders, "cancel_schedule", supersede)
    code, said = desk.run("cancel", desk.find_key(), "--send", "--yes")
    assert (code, "was not cancelled: it had ended as Superseded" in said) == (1, True), said
    assert desk.sent["cancellations"] == 1
    assert desk.list_events()[-2:] == ["cancel_refused", "new_state"]


@pytest.mark.long
def test_orders_are_followed_to_their_end_with_waits_that_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        desk.pass_time(1.5)

    follow: Callable[..., Any] = grid_follow.follow_orders
    monkeypatch.setattr(grid_work, "follow_orders", lambda *args: follow(*args, sleep=sleep))
    code, said = desk.order("--send", "--yes", "--follow")
    assert (code, len(waits)) == (0, 3)
    assert all(grid_follow.SHORTEST_WAIT_S <= one <= grid_follow.LONGEST_WAIT_S for one in waits)
    assert ["is Active" in said, "is Completed" in said, "Looks again in 300 s" in said] == [True] * 3
    audit = desk.read(GridCommandAudit).sort("event_number")
    assert audit["state"].to_list()[-3:] == ["Scheduled", "Active", "Completed"]
    assert GridOrderBook(desk.runtime.settings).list_orders() == []


@pytest.mark.long
def test_the_daily_reading_closes_orders_and_what_a_kill_left_comes_into_the_audit(desk: Desk) -> None:
    desk.order("--send", "--yes")
    book = GridOrderBook(desk.runtime.settings)
    key = desk.find_key()
    with book.open() as content:
        content.note(key, "not_known", "As if a process had been killed here.", dt.datetime.now(dt.UTC))
    desk.pass_time(5)
    with RunContext(desk.runtime.settings) as runtime:
        fetch_grid_schedules(runtime)
    assert desk.list_events()[-2:] == ["not_known", "new_state"]
    assert desk.read(GridCommandAudit).sort("event_number")["state"].to_list()[-1] == "Completed"
    assert book.list_orders() == []


@pytest.mark.parametrize("left", [b'{"orders":{"a":1}}', b"", b"{}", b"null", b'{"orders":{}}', b"\0" * 64])
def test_a_book_that_cannot_be_read_stops_everything(desk: Desk, left: bytes) -> None:
    book = Path(desk.environment["SUNLEDGER_HOME"]) / "grid" / "orders.json"
    with GridOrderBook(desk.runtime.settings).open():
        pass
    book.write_bytes(left)
    code, said = desk.order("--send", "--yes", kw="2")
    assert (code, "does not hold orders" in said, desk.sent["schedules"]) == (1, True, 0)


def test_the_same_order_that_came_while_a_person_thought_is_not_sent_twice(desk: Desk) -> None:
    desk.order("--send", "--yes")
    book = GridOrderBook(desk.runtime.settings)
    [one] = book.list_orders()
    twin = replace(one.order, request_key="b" * 32)
    with pytest.raises(UsageError, match=f"the order {one.order.request_key} asks the same"):
        grid_orders.GridDesk(desk.runtime, book).send(twin, supersede=True)
    assert desk.sent["schedules"] == 1


def test_a_process_that_has_lost_its_lock_writes_over_no_order_of_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a PostgreSQL that is started again: the other one's order was sent, and nobody could cancel it."""
    desk.order("--send", "--yes")
    monkeypatch.setattr(PrivateFile, "lock", lambda _: nullcontext())
    book = GridOrderBook(desk.runtime.settings)
    [one] = book.list_orders()
    other = replace(one, order=replace(one.order, request_key="b" * 32))

    def note_late() -> None:
        with book.open() as late:
            with book.open() as fast:
                fast.orders["b" * 32] = other
            late.note(one.order.request_key, "not_known", "Of no matter.", dt.datetime.now(dt.UTC))

    with pytest.raises(SunledgerError, match="changed by another process"):
        note_late()
    assert {order.order.request_key for order in book.list_orders()} == {one.order.request_key, "b" * 32}
