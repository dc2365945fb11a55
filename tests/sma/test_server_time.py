"""What an answer's Date says of this machine's clock: nothing is stored that was fetched with a clock far ahead."""

import asyncio
import datetime as dt
from contextlib import suppress
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.credentials import Credential
from pipeline.common.errors import ClockApartError, SmaError, TransientError
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.http.attempt_log import LoggedTry
from pipeline.sma.http.server_time import find_sent_time, read_http_date, read_server_time, refuse_odd_clock
from pipeline.sma.requests import Request
from pipeline.sma.session_set import SessionSet

PLANTS = "/monitoring/v1/plants"
# When the tests' clock begins.
NOW = dt.datetime(2025, 7, 1, tzinfo=dt.UTC)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on another machine, by the judge of clocks."""
    monkeypatch.setattr("pipeline.sma.http.server_time.is_loopback", lambda _: False)


def write_date(ahead: dt.timedelta) -> str:
    """The Date of a server whose time it is, where this machine's clock is so far ahead."""
    return format_datetime(NOW - ahead, usegmt=True)


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (dt.timedelta(seconds=300), "5 min"),
        (dt.timedelta(hours=26), "26.0 h"),
        (dt.timedelta(days=91), "91 days"),
    ],
)
def test_an_answer_to_a_clock_that_is_ahead_is_refused(
    ahead, said, elsewhere, server, settings, time
) -> None:
    server.on(PLANTS).reply(200, b"[]", headers={"Date": write_date(ahead)})

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            # Both ways of asking raise it: it is no failure of one request, which a run would go on without.
            for ask in (client.send, client.fetch):
                with pytest.raises(ClockApartError) as caught:
                    await ask(Request.plants())
                assert str(caught.value) == (
                    f"This machine's clock is {said} ahead of SMA's, so days would count as complete too early, and "
                    "nothing of SMA's answer is stored: set the clock, for instance with timedatectl set-ntp true, "
                    "then run it again."
                )
                assert caught.value.exit_code == 2

    asyncio.run(run())
    assert server.count(PLANTS) == 2


def test_it_ends_the_run_of_all_credentials(elsewhere, server, settings, time) -> None:
    """It is no fault of one credential, without which the others go on."""
    server.on(PLANTS).reply(200, b"[]", headers={"Date": write_date(dt.timedelta(hours=26))})
    pair = [Credential(name, settings) for name in ("north", "south")]

    def open_session(one: Credential) -> SmaSession:
        return SmaSession(one.settings, lambda given: SmaClient(given, clock=time.clock))

    sessions = SessionSet(pair, open_session, lambda _: {}, settings.home)
    try:
        results = sessions.fetch([Request.plants(one.name) for one in pair])
        with pytest.raises(ClockApartError):
            list(results)
        assert not sessions.find_unusable(["11"])
    finally:
        sessions.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": "yesterday"},
        {"Date": write_date(dt.timedelta(seconds=299))},
        {"Date": write_date(dt.timedelta(seconds=-299))},
        # A proxy's cache, of which every answer says for how long it lay there.
        {"Date": write_date(dt.timedelta(hours=26)), "Age": str(26 * 3600 - 200)},
        {"Date": write_date(dt.timedelta(hours=26)), "Age": "long"},
    ],
    ids=["none", "unreadable", "near", "near-behind", "cached", "unreadable-age"],
)
def test_other_answers_are_taken(headers, elsewhere, server, settings, time) -> None:
    server.on(PLANTS).reply(200, b"[]", headers=headers)

    async def run() -> bytes:
        async with SmaClient(settings, clock=time.clock) as client:
            return (await client.send(Request.plants())).body

    assert asyncio.run(run()) == b"[]"


@pytest.mark.parametrize(
    ("now", "behind", "refused"),
    [
        # A request that SMA counts in August, while this machine takes it for one of July.
        (dt.datetime(2025, 7, 31, 23, 50, tzinfo=dt.UTC), dt.timedelta(minutes=15), True),
        # The calendar of prices may be that of another zone, and a run lasts for hours.
        (dt.datetime(2025, 7, 31, 11, 0, tzinfo=dt.UTC), dt.timedelta(minutes=5), True),
        (dt.datetime(2025, 7, 15, 12, 0, tzinfo=dt.UTC), dt.timedelta(days=200), True),
        # What is fetched late only comes late.
        (dt.datetime(2025, 7, 31, 23, 50, tzinfo=dt.UTC), dt.timedelta(minutes=4), False),
        (dt.datetime(2025, 7, 15, 12, 0, tzinfo=dt.UTC), dt.timedelta(days=3), False),
    ],
)
def test_an_answer_of_a_month_that_this_machine_does_not_know_is_refused(
    now, behind, refused, elsewhere, server, settings, time
) -> None:
    time.seconds += (now - NOW).total_seconds()
    date = format_datetime(now + behind, usegmt=True)
    server.on(PLANTS).reply(200, b"[]", headers={"Date": date})

    async def run() -> bytes:
        async with SmaClient(settings, clock=time.clock) as client:
            return (await client.send(Request.plants())).body

    if not refused:
        assert asyncio.run(run()) == b"[]"
        return
    with pytest.raises(ClockApartError, match="behind SMA's, and a month begins: requests would make PU"):
        asyncio.run(run())


async def fetch_slowly(settings, time) -> bytes:
    """The list of plants, an hour after it was asked for."""
    async with SmaClient(settings, clock=time.clock) as client:
        await client.tokens.get()
        send = client.wire.try_once

        async def send_slowly(*given: object) -> object:
            outcome = await send(*given)
            time.seconds += 3600.0
            return outcome

        client.wire.try_once = send_slowly
        return (await client.send(Request.plants())).body


def test_an_answer_that_took_an_hour_is_of_no_other_month(elsewhere, server, settings, time) -> None:
    """The server dates it when it begins it, and this machine's clock has gone on since the request."""
    time.seconds += (dt.datetime(2025, 7, 31, 23, 30, tzinfo=dt.UTC) - NOW).total_seconds()
    server.on(PLANTS).reply(200, b"[]", headers={"Date": "Fri, 01 Aug 2025 00:20:00 GMT"})

    assert asyncio.run(fetch_slowly(settings, time)) == b"[]"


def test_a_server_on_this_machine_may_simulate_its_clock(server, settings, time) -> None:
    server.on(PLANTS).reply(200, b"[]", headers={"Date": write_date(dt.timedelta(hours=26))})

    async def run() -> bytes:
        async with SmaClient(settings, clock=time.clock) as client:
            return (await client.send(Request.plants())).body

    assert asyncio.run(run()) == b"[]"


def test_neither_a_slow_answer_nor_sleep_is_a_clock_ahead(elsewhere, server, settings, time) -> None:
    """The Date is that of an answer's begin, and the machine slept before its end."""
    server.on(PLANTS).reply(200, b"[]", headers={"Date": write_date(dt.timedelta())})

    assert asyncio.run(fetch_slowly(settings, time)) == b"[]"


def test_a_failing_service_says_nothing_of_the_clock(elsewhere, server, settings, time) -> None:
    """What answers in its place, such as a gateway, may have any clock, and nothing of its answer is stored anyway."""
    server.on(PLANTS).reply(503, headers={"Date": write_date(dt.timedelta(hours=26))})

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            await client.send(Request.plants())

    with pytest.raises(TransientError):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "headers", "off"),
    [
        (200, {"Date": write_date(dt.timedelta(days=365))}, dt.timedelta(days=365)),
        (404, {"Date": write_date(dt.timedelta(hours=-3))}, dt.timedelta(hours=-3)),
        (200, {"Date": write_date(dt.timedelta(hours=4)), "Age": "3600"}, dt.timedelta(hours=3)),
        (200, {"Date": write_date(dt.timedelta(seconds=299))}, dt.timedelta()),
        (200, {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, dt.timedelta()),
        (200, {"Date": "Fri, 31 Dec 9999 23:59:59 GMT"}, dt.timedelta()),
        (503, {"Date": write_date(dt.timedelta(days=365))}, dt.timedelta()),
        (200, {}, dt.timedelta()),
    ],
    ids=["year-ahead", "behind", "cached", "near", "before-all-times", "after-all-times", "failing", "none"],
)
def test_a_request_is_recorded_by_the_clock_by_which_sma_counts_it(
    status, headers, off, elsewhere, server, settings, time
) -> None:
    server.on(PLANTS).reply(status, b"[]", headers=headers)
    noted: list[LoggedTry] = []

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock, record=noted.append) as client:
            with suppress(ClockApartError, SmaError):
                await client.send(Request.plants())

    asyncio.run(run())
    assert {one.asked_at for one in noted if one.endpoint == "plants" and one.attempt == 1} == {NOW - off}


@given(st.text(), st.text())
def test_no_header_does_harm(date: str, age: str) -> None:
    assert read_server_time({"date": date, "age": age}) is None or date
    for moment in (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)):
        headers = {"date": date, "age": age}
        refuse_odd_clock("https://monitoring.smaapis.de", moment, moment, headers)
        find_sent_time("https://monitoring.smaapis.de", moment, moment, headers)


@pytest.mark.parametrize("age", ["9" * 12, "9" * 5000, "-1", "٣"])
def test_an_age_beyond_all_times_is_unreadable(age: str) -> None:
    assert read_server_time({"date": write_date(dt.timedelta()), "age": age}) is None


@pytest.mark.parametrize(
    "text", ["", "Tue, 01 Jul 2025 00:00:00 +" + "9" * 30, "Tue, 01 Jul 99999 00:00:00 GMT"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert read_http_date(text) is None
