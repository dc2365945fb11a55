"""The state of a request budget in a Redis that several machines share. Needs the extra `cluster`.

Redis's own clock is the time, so that machines whose clocks run apart count alike. A state is read with the time,
changed here by the same arithmetic as everywhere, and restored by a script that does so only if nobody else has changed
it in the meantime; whoever comes too late looks again. Nobody holds a lock, so a machine that makes no progress or dies
holds nobody up. A Redis that lost its data begins with an empty bucket: that is the safe side.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipeline.common.errors import ConfigurationError, SunledgerError
from pipeline.sma.budget.file_store import Change, Moment, T, pack_state, unpack

KEY_PREFIX = "sunledger:budget:"
# Somebody else was faster: each time means that a request of theirs went, so this many in a row is no contention.
CHANGES_TRIED = 500
# A Redis that is started again or whose replica takes over is back within such a time.
FAULT_WAITS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
ANSWER_WITHIN_S = 5.0
# A credential that nobody has used for a day needs no state; the longest pause is five minutes.
KEPT_MS = 24 * 60 * 60 * 1000

# Redis's clock goes on through restarts of any machine but its own, so that all states are of one "boot".
_BOOT = b"redis clock     "
_SWAP = """
local current = redis.call('GET', KEYS[1])
if current == false then current = '' end
if current ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisStore:
    """A Store for all processes that use the same Redis, on any machine. Belongs to one event loop.

    `url` is redis://[user:password@]host[:port][/database], or rediss:// for TLS, which is verified. No message shows
    its user or password. It connects at first use. Raises ConfigurationError when the extra is not installed.
    """

    def __init__(self, url: SecretStr, name: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        try:
            from redis.asyncio import Redis  # noqa: PLC0415 - an extra
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(
                "SUNLEDGER_BUDGET_URL needs the extra 'cluster', which is not installed: install it with "
                "pip install 'sunledger[cluster]' (in a checkout: pip install --editable '.[cluster]')."
            ) from None
        self.place = format_address(url)
        self._key = f"{KEY_PREFIX}{name}"
        self._sleep = sleep
        # Retried here, where every wait is ours and the number of tries is reported.
        self._redis: Redis = Redis.from_url(
            url.get_secret_value(),
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWER_WITHIN_S,
            socket_connect_timeout=ANSWER_WITHIN_S,
        )
        self._swap = self._redis.register_script(_SWAP)
        self._reached = False

    async def update(self, change: Change[T]) -> T:
        """See Store. Raises SunledgerError when Redis can't be used."""
        for _ in range(CHANGES_TRIED):
            before, now = await self._retry_short_outage(self._look)
            state, result = change(unpack(before), now)
            if await self._retry_short_outage(partial(self._put, before, pack_state(state))):
                return result
        raise SunledgerError(
            f"The request budget in Redis at {self.place} changes too fast to take requests from it: run fewer "
            "processes at the same time, then run this again."
        )

    async def aclose(self) -> None:
        """Close the connections; the next use would open them again."""
        await self._redis.aclose()

    async def _look(self) -> tuple[bytes, Moment]:
        async with self._redis.pipeline(transaction=True) as both:
            both.get(self._key)
            both.time()
            content, (seconds, microseconds) = await both.execute()
        now = seconds + microseconds / 1e6
        return content or b"", Moment(_BOOT, now, now)

    async def _put(self, before: bytes, after: bytes) -> bool:
        # redis-py types the answer of a script as text.
        answer = cast("Any", await self._swap(keys=[self._key], args=[before, after, KEPT_MS]))
        return bool(answer)

    async def _retry_short_outage(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of Redis, through a short outage once it has been reached. A request counted twice is one lost."""
        from redis import exceptions as faults  # noqa: PLC0415 - an extra

        for wait_s in (*FAULT_WAITS_S, None):
            try:
                answer = await ask()
            except faults.RedisError as fault:
                passing = isinstance(fault, faults.ConnectionError | faults.TimeoutError)
                if type(fault).__name__ in _REASONS or not passing or not self._reached or wait_s is None:
                    raise self._build_error(fault) from None
                await self._sleep(wait_s)
            else:
                self._reached = True
                return answer
        raise AssertionError("the last try returns or raises")

    def _build_error(self, fault: Exception) -> SunledgerError:
        why = _REASONS.get(type(fault).__name__, "it can't be reached, or is not a Redis server")
        return SunledgerError(
            f"The request budget in Redis at {self.place} can't be stored, because {why} ({type(fault).__name__}), and "
            "no request is sent without it: check SUNLEDGER_BUDGET_URL and that Redis runs, or unset it on a single "
            "machine."
        )


def format_address(url: SecretStr) -> str:
    """Host, port and database of the address, without user and password."""
    parts = urlsplit(url.get_secret_value())
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}/{parts.path.strip('/') or 0}"


# redis-py's types by name, since it is an extra. Its texts may quote what was sent and are never used.
_REASONS = {
    "AuthenticationError": "it refuses the user or password, or asks for one",
    "NoPermissionError": f"its user may not use GET, SET, TIME and scripts on {KEY_PREFIX}*",
    "ReadOnlyError": "it is a read-only replica",
    "OutOfMemoryError": "its memory is full",
    "MasterDownError": "it is a replica without its master",
}
