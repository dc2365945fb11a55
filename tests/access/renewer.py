"""A process that renews its token again and again: `renewer.py TIMES`, settings from the environment.

It says `ready`, waits for a line, then renews and uses each token. It leaves with the number of failures.
"""

import asyncio
import sys

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import load_settings
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Request


async def renew(times: int) -> int:
    failures = 0
    async with SmaClient(load_settings(env_file=None)) as client:
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
