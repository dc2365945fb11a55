"""Requests of a client of their own to the scripted server, and what its errors have in common."""

import asyncio

import pytest

from pipeline.common.errors import SmaError
from pipeline.sma.client import SmaClient
from pipeline.sma.http.attempt import Limits
from pipeline.sma.http.transport import Timeouts
from pipeline.sma.requests import Answer, Request

PLANTS = "/monitoring/v1/plants"
DEVICES = "/monitoring/v1/plants/13/devices/lean"
# Longer than any machine takes: only what never answers is given up, and tests of that are hasty.
PATIENT = Limits(timeouts=Timeouts(connect=120.0, read=120.0, pool=120.0, whole_try=240.0))
HASTY = Limits(timeouts=Timeouts(connect=120.0, read=0.15, pool=120.0, whole_try=240.0))


def ask(settings, time, request=None, limits=PATIENT, times=1):
    """Send a request through a client of its own; with `times`, one after the other."""

    async def run() -> Answer:
        async with SmaClient(settings, clock=time.clock, limits=limits) as client:
            for _ in range(times - 1):
                await client.send(request or Request.plants())
            return await client.send(request or Request.plants())

    return asyncio.run(run())


def fails(settings, time, kind, request=None, limits=PATIENT) -> SmaError:
    with pytest.raises(kind) as caught:
        ask(settings, time, request, limits)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    # No link of the chain may carry the library's own fault, which quotes headers.
    assert caught.value.__cause__ is None
    return caught.value
