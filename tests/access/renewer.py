"""A process that renews its token again and again: `renewer.py TIMES`, settings from the environment.

It says `ready`, waits for a line, then renews and uses each token. It leaves with the number of failures.
"""

import asyncio
import datetime as dt
import sys

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import load_settings
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.sma.requests import Request

# The time of the tests' sandbox.
NOW = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)


async def renew(times: int) -> int:
    failures = 0
    async with SmaClient(load_settings(env_file=None), clock=Clock(now=lambda: NOW)) as client:
        for _ in range(times):
            try:
                client.tokens.discard(await client.tokens.get())
                await client.send(Request.plants())
            except SunledgerError as error:
                failures += 1
                sys.stderr.write(f"{error}\n")
    return failures


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.exit(asyncio.run(renew(int(sys.argv[1]))))
