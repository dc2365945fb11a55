"""The request budget of one credential: how many requests may go, and when. Arithmetic and waiting, no storage.

SMA counts by a token bucket that refills evenly over five minutes. How full it is when we begin nobody tells us:
another machine may have emptied it. So our own bucket starts empty, fills at 99 % of the rate and holds little:

* What we have sent since the start is never more than what has flowed into SMA's bucket since then, so even a bucket
  that was empty at our start never refuses us, as long as nobody else spends.
* In no five minutes do more than `requests` go, however SMA may count them: the bucket holds less than
  1 + 1 % of `requests`, and 99 % flow in.
* Short pauses of the work cost nothing: the bucket holds three seconds' worth. 99 % of the budget can be spent.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.common.settings import Settings
from pipeline.sma.budget.file_store import BudgetState, FileStore, Moment, Store
from pipeline.sma.budget.redis_store import RedisStore
from pipeline.sma.clock import Clock

WINDOW_S = 300.0
# The hundredth that stays unspent covers clocks that run apart and requests that overtake each other on the way.
SPENT_SHARE = 0.99
LONGEST_PAUSE_S = 300.0
# A refusal means that somebody else spends too, or that the setting is too high: go slower, and back up within
# some minutes, since the other one may have finished.
SLOWER = 0.7
SLOWEST = 0.1
RECOVERY_PER_S = 0.001
# Why a request waits, as a clause.
PAUSED = "SMA has refused requests of this client because of their rate, so all its requests pause"
SPENT = "The request budget (SMA_REQUESTS_PER_5_MIN) is used up"
# Far below one request, far above what adding seconds up does to a float.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Budget:
    """The rules. `requests` in any `window_s` seconds; None: no bucket, only the pause after a refusal holds back."""

    requests: int | None
    window_s: float = WINDOW_S

    @property
    def capacity(self) -> float:
        """What the bucket holds, in requests: with what flows into it in one window, less than requests + 1."""
        spared = (1 - SPENT_SHARE) * (self.requests or 0)
        return max(1.0, SPENT_SHARE + spared)

    @property
    def rate(self) -> float:
        """What flows into the bucket, in requests a second, at full pace."""
        return SPENT_SHARE * (self.requests or 0) / self.window_s

    def take(self, state: BudgetState | None, now: Moment) -> tuple[BudgetState, float]:
        """Take one request out of the bucket: the new state and 0, or the seconds after which to ask again."""
        state = self.advance(state, now)
        if state.pause_s > 0:
            return state, state.pause_s
        if self.requests is None:
            return state, 0.0
        lacking = 1.0 - state.level
        if lacking <= ROUNDING:
            return replace(state, level=state.level - 1.0), 0.0
        return state, lacking / (self.rate * state.pace)

    def charge(self, state: BudgetState | None, now: Moment) -> tuple[BudgetState, None]:
        """Take one request out of the bucket even when it is empty: later ones wait for it."""
        state = self.advance(state, now)
        return (state if self.requests is None else replace(state, level=state.level - 1.0)), None

    def refuse(self, state: BudgetState | None, now: Moment, wait_s: float) -> tuple[BudgetState, None]:
        """Empty the bucket and pause for `wait_s`, never shortening a pause; slow down, once in a pause.

        The requests that were on their way together are refused together: that is one event.
        """
        state = self.advance(state, now)
        first = state.pause_s <= 0
        slower = replace(
            state,
            level=min(state.level, 0.0),
            pause_s=max(state.pause_s, min(wait_s, LONGEST_PAUSE_S)),
            pace=max(SLOWEST, state.pace * SLOWER) if first else state.pace,
        )
        return slower, None

    def advance(self, state: BudgetState | None, now: Moment) -> BudgetState:
        """The state as time has changed it. None, the state that nobody knows, is an empty bucket."""
        if state is None:
            return BudgetState(now, level=0.0, pause_s=0.0, pace=1.0)
        elapsed_s = now.measure_since(state.moment)
        left_s = state.pause_s - elapsed_s
        return BudgetState(
            now,
            level=min(self.capacity, state.level + elapsed_s * self.rate * state.pace),
            pause_s=left_s if left_s > ROUNDING else 0.0,
            pace=min(1.0, state.pace + elapsed_s * RECOVERY_PER_S),
        )


class SharedBudget:
    """A Limiter whose state is in a store, so that all processes that share the store share the budget.

    Each request is taken from the store by itself: a process that is killed loses what it had on its way, and no
    reserve. Belongs to one event loop.
    """

    def __init__(self, budget: Budget, store: Store, clock: Clock) -> None:
        self._budget = budget
        self._store = store
        self._clock = clock
        # In order and one at a time, because the others would only be refused.
        self._turn = asyncio.Lock()

    async def admit(self, is_ready: Callable[[], bool] = lambda: True) -> bool:
        """Return when one more request may be sent, in the order of asking; see `Limiter`."""
        async with self._turn:
            while is_ready():
                wait_s, reason = await self._store.update(self._take)
                if wait_s <= 0:
                    return True
                await self._clock.wait(wait_s, reason)
        return False

    def _take(self, state: BudgetState | None, now: Moment) -> tuple[BudgetState, tuple[float, str]]:
        """`Budget.take`, and why one has to wait."""
        state, wait_s = self._budget.take(state, now)
        return state, (wait_s, PAUSED if state.pause_s > 0 else SPENT)

    async def charge(self) -> None:
        """Count a request that does not wait."""
        await self._store.update(self._budget.charge)

    async def pause(self, wait_s: float) -> None:
        """Make everybody who shares the budget pause."""
        await self._store.update(lambda state, now: self._budget.refuse(state, now, wait_s))

    async def look(self) -> BudgetState:
        """The state as it is now; takes nothing."""

        def change(state: BudgetState | None, now: Moment) -> tuple[BudgetState, BudgetState]:
            state = self._budget.advance(state, now)
            return state, state

        return await self._store.update(change)

    async def aclose(self) -> None:
        """Let go of the store."""
        await self._store.aclose()


def open_budget(settings: Settings, clock: Clock) -> SharedBudget:
    """The budget of the settings' credential, shared by all processes that share SUNLEDGER_HOME.

    With SUNLEDGER_BUDGET_URL by all that use the same Redis, on any machine. Raises ConfigurationError when what that
    needs is not installed.
    """
    return SharedBudget(Budget(settings.sma_requests_per_5_min), _store(settings, clock), clock)


def find_state_file(settings: Settings) -> Path:
    """Where the budget of the settings' credential is kept on this machine."""
    return settings.home / "budget" / f"{name_credential(settings)}.state"


def _store(settings: Settings, clock: Clock) -> Store:
    if settings.budget_url.get_secret_value():
        return RedisStore(settings.budget_url, name_credential(settings), clock.sleep)

    def moment() -> Moment:
        return Moment.of(clock.monotonic(), clock.now().astimezone(dt.UTC).timestamp())

    return FileStore(find_state_file(settings), moment, clock.sleep, clock.announce)


def name_credential(settings: Settings) -> str:
    """A name for client and token service that shows neither."""
    whose = f"{settings.sma_client_id}\n{settings.sma_auth_url}"
    return hashlib.sha256(whose.encode()).hexdigest()[:16]
