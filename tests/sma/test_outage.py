"""A service that is down: the first requests take their tries, and the rest of the run is not sent."""

import asyncio

import pytest

from pipeline.common.errors import TransientError
from pipeline.sma.client import SmaClient
from pipeline.sma.http.outage import FAILED_IN_A_ROW, LIMITED_IN_A_ROW, PLANTS_IN_A_ROW, PROBES, OutageGuard
from pipeline.sma.requests import Answer, Failure, Request

TRIES = {503: 6, 429: 8}
ASKED = {503: FAILED_IN_A_ROW + PROBES, 429: LIMITED_IN_A_ROW}


def path_of(plant: str) -> str:
    return f"/monitoring/v1/plants/{plant}/devices/lean"


def fetch(settings, time, plants: list[str]) -> list[Answer | Failure]:
    """The results of the devices of these plants, one request after the other."""

    async def run() -> list[Answer | Failure]:
        async with SmaClient(settings, clock=time.clock) as client:
            return [await client.fetch(Request.devices(plant)) for plant in plants]

    return asyncio.run(run())


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(
    "headers", [{}, {"Retry-After": "7"}], ids=["without Retry-After", "with Retry-After"]
)
def test_the_rest_is_not_sent_once_the_service_is_down(status, headers, server, settings, time) -> None:
    plants = [str(100 + i) for i in range(300)]
    for plant in plants:
        server.on(path_of(plant)).reply(status, headers=headers)
    results = fetch(settings, time, plants)
    assert sum(server.count(path_of(plant)) for plant in plants) == ASKED[status] * TRIES[status]
    assert all(isinstance(result, Failure) for result in results)
    (said,) = {str(result.error).partition(" was not sent")[2] for result in results[ASKED[status] :]}
    assert said.endswith(
        f"is down: {ASKED[status]} requests in a row failed in all their tries (the last one: status {status}). "
        "Run it again later."
    )
    assert results[-1].attempts == 0
    # The next run and a retry of Dagster's may be answered.
    assert isinstance(results[-1].error, TransientError)


def test_a_refusal_for_the_rate_concerns_a_single_plant_s_requests_too(server, settings, time) -> None:
    server.on(path_of("1")).reply(429)
    results = fetch(settings, time, ["1"] * 20)
    assert server.count(path_of("1")) == LIMITED_IN_A_ROW * TRIES[429]
    assert all(isinstance(result, Failure) for result in results)


@pytest.mark.parametrize(
    ("body", "what"),
    [(b"\xef\xbb\xbf \n<html>", "a page instead of JSON"), (b" ", "an empty answer")],
)
def test_a_page_for_everybody_is_an_outage(server, settings, time, body: bytes, what: str) -> None:
    plants = [str(100 + i) for i in range(30)]
    for plant in plants:
        server.on(path_of(plant)).reply(200, body)
    results = fetch(settings, time, plants)
    assert sum(server.count(path_of(plant)) for plant in plants) == FAILED_IN_A_ROW + PROBES
    assert isinstance(results[-1], Failure)
    assert f"(the last one: {what})" in str(results[-1].error)


def test_one_plant_without_answers_does_not_stop_the_others(server, settings, time) -> None:
    server.on(path_of("1")).reply(503)
    server.on(path_of("2")).reply(200)
    results = fetch(settings, time, ["1"] * (2 * FAILED_IN_A_ROW) + ["2"])
    assert isinstance(results[-1], Answer)
    assert server.count(path_of("1")) == 2 * FAILED_IN_A_ROW * TRIES[503]


def test_some_plants_without_answers_do_not_stop_the_others(server, settings, time) -> None:
    bad, good = [str(n) for n in range(1, PLANTS_IN_A_ROW + 2)], [str(100 + n) for n in range(40)]
    for plant in bad:
        server.on(path_of(plant)).reply(503)
    for plant in good:
        server.on(path_of(plant)).reply(200)
    streak = bad * FAILED_IN_A_ROW

    async def run() -> list[Answer | Failure]:
        async with SmaClient(settings, clock=time.clock) as client:
            for plant in streak:
                await client.fetch(Request.devices(plant))
            # All at once, as of the next week: those that wait for what the first ones show are sent too.
            return [one async for one in client.stream(map(Request.devices, good))]

    assert {type(one) for one in asyncio.run(run())} == {Answer}
    # What has failed is not tried on and on meanwhile.
    assert sum(server.count(path_of(plant)) for plant in bad) == FAILED_IN_A_ROW * TRIES[503]


def test_a_plant_that_fails_beside_others_is_no_sign_of_life(server, settings, time) -> None:
    plants = [str(100 + i) for i in range(FAILED_IN_A_ROW)]
    for plant in plants:
        server.on(path_of(plant)).reply(503)
    results = fetch(settings, time, [*plants, *plants])
    assert {server.count(path_of(plant)) for plant in plants} == {TRIES[503]}
    assert {one.attempts for one in results[FAILED_IN_A_ROW:]} == {0}


@pytest.mark.parametrize("status", [200, 404, 202])
def test_an_answer_in_between_shows_that_the_service_is_there(status, server, settings, time) -> None:
    bad, answered = [str(100 + i) for i in range(FAILED_IN_A_ROW - 1)], "2"
    for plant in bad:
        server.on(path_of(plant)).reply(503)
    server.on(path_of(answered)).reply(status)
    fetch(settings, time, [*bad, answered, *bad, answered])
    assert server.count(path_of(answered)) == 2


def test_an_answer_to_what_is_on_its_way_ends_the_outage() -> None:
    guard = OutageGuard()
    for plant in range(FAILED_IN_A_ROW):
        guard.note_error(str(plant), TransientError("It failed.", status=503))
    assert guard.is_down
    guard.note_answer()
    assert not guard.is_down
