"""What a run works with: settings, the lake, the session with SMA, the clock, and where progress goes."""

import datetime as dt
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from pipeline.common.credentials import Credential, read_credentials
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.shared_session import open_shared_session
from pipeline.run.allowance import Allowance
from pipeline.run.done_steps import DoneSteps
from pipeline.run.fleet_lists.plant_lists import find_listing_credentials
from pipeline.run.preflight import check_before_requests
from pipeline.run.request_log import RECORD_FOLDER, MovedRequests, RequestLog
from pipeline.run.result_file import ResultFile
from pipeline.run.shards import Shard
from pipeline.run.shared_request_log import SharedRequestLog
from pipeline.run.step_result import StepResult
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock, WaitAnnouncer
from pipeline.sma.session_set import SessionSet
from warehouse.lake import Lake
from warehouse.verification.known_tables import KnownTables
from warehouse.verification.older_states import check_age

# The file of the results of steps.
RESULTS = "step-results.sqlite"


class Progress(Protocol):
    """Somebody who is informed how far a step has come: a bar on a terminal, lines elsewhere, or nobody."""

    def begin(self, step: str, label: str, total: int) -> None:
        """A step starts on one part (a day, or a list) of `total` requests or items."""

    def advance(self, step: str, count: int = 1) -> None:
        """So many more are done."""


class Silence:
    """Tells nobody."""

    def begin(self, step: str, label: str, total: int) -> None:
        """Nothing to show."""

    def advance(self, step: str, count: int = 1) -> None:
        """Nothing to show."""


class DaysAhead(Protocol):
    """Somebody who makes days of tables before it is their turn (`pipeline.run.made_ahead`)."""

    def note_stored(self, table: str, day: dt.date) -> None:
        """A day of the table is stored: what is made of it may be ready."""

    def take(self, table: str, day: dt.date) -> StepResult | None:
        """The result of the day if it was made ahead and still holds; None if it is for the caller to make."""


class SentRequests(Protocol):
    """Requests that are on their way, and what they hold until they are closed."""

    @property
    def count(self) -> int:
        """How many there are."""

    def close(self) -> None:
        """End what is still on its way. May be called twice."""


class RequestsAhead(Protocol):
    """Somebody who sends the requests of days before it is their turn (`pipeline.run.sent_ahead`)."""

    def take(self, name: str, days: tuple[dt.date, ...]) -> SentRequests | None:
        """The requests of these days if they were sent ahead; the caller closes them, or sends them where None is."""

    def send_next(self) -> None:
        """Send the requests of the next days that lack something, unless some are sent ahead already."""

    def drop(self) -> None:
        """End what is sent ahead, and leave it to its turn."""


def read_clock() -> dt.datetime:
    """The wall clock."""
    return dt.datetime.now(dt.UTC)


def _tell_nobody(_text: str) -> None:
    pass


@dataclass(slots=True)
class OpenResources:
    """What a run has opened so far; a copy of its context shares it."""

    lake: Lake | None = None
    credentials: tuple[Credential, ...] | None = None
    session: SmaSession | SessionSet | None = None
    requests: RequestLog | SharedRequestLog | None = None
    results: ResultFile | None = None
    # While a run brings days: who makes some of them before it is their turn.
    ahead: DaysAhead | None = None
    # And who sends the requests of the next days.
    sent_ahead: RequestsAhead | None = None
    # What was done of whole tables before the run that records it.
    done: DoneSteps = field(default_factory=DoneSteps)


@dataclass(slots=True)
class RunContext:
    """One per run. Close it, or use it as a context. No step writes to it: what a step finds, it returns.

    `only_plants` with `only_groups`, `only_backends`, `turn` and `shard` limit a run to these; empty means all. A run
    asks only for what is not stored yet, may have grown since it was read, or failed the last time, and for lists
    once a day; with `again` it asks for all.
    """

    settings: Settings
    only_plants: frozenset[str] = frozenset()
    only_groups: frozenset[str] = frozenset()
    only_backends: frozenset[str] = frozenset()
    # The turn of plants whose current day is read (`today_turn`); empty for all.
    turn: str = ""
    # The part of the fleet whose answers are fetched; None for all of it.
    shard: Shard | None = None
    again: bool = False
    # Whether days of which nothing has changed are left as they are; without it all tables of the run are made.
    reuse: bool = True
    # What the run may cost where the settings have no monthly limit.
    allowance: Allowance = field(default_factory=Allowance)
    progress: Progress = field(default_factory=Silence)
    # Who is informed of waits and notices, in sentences.
    tell: Callable[[str], None] = _tell_nobody
    now: Callable[[], dt.datetime] = read_clock
    make_session: Callable[[Settings], SmaSession] | None = None
    opened: OpenResources = field(default_factory=OpenResources)

    @property
    def lake(self) -> Lake:
        """The lake of the settings.

        Raises LakeLostError and DamagedError where tables are gone that were published from it: to write there would
        make an empty lake of it, and to publish it an empty file. Raises DamagedError and OlderLakeError where tables
        are older than what was published from them.
        """
        if self.opened.lake is None:
            settings = self.settings
            lake = Lake(settings.lake, settings.home / "tmp", tell=self.tell)
            KnownTables(settings.home, settings.warehouse).check_tables(lake)
            check_age(lake, settings.warehouse)
            self.opened.lake = lake
        return self.opened.lake

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """The credentials in the order of preference. Raises ConfigurationError for a file that can't be used."""
        if self.settings.sma_credentials is None:
            return read_credentials(self.settings)
        if self.opened.credentials is None:
            self.opened.credentials = read_credentials(self.settings)
        return self.opened.credentials

    @property
    def credential_names(self) -> tuple[str, ...]:
        """The names of the credentials; one empty name where the settings have one credential only."""
        return tuple(one.name for one in self.credentials)

    def find_credentials(self, plants: Collection[str]) -> dict[str, str]:
        """The preferred credential of each of these plants, by its name; without plants that no list shows."""
        return {plant: names[0] for plant, names in self.find_listing_credentials(plants).items()}

    def find_listing_credentials(self, plants: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The names of all credentials that list each of these plants, in the order of preference."""
        return find_listing_credentials(self.lake, self.credential_names, plants, self.find_today())

    @property
    def session(self) -> SmaSession | SessionSet:
        """The session with SMA, or with several credentials one for each of them.

        Opened at first use, shared by every step and day of the run. Raises UsageError for credentials and places that
        the run will need.
        """
        if self.opened.session is None:
            self.settings.require_credentials()
            credentials = self.credentials
            check_before_requests(self.settings)
            if self.settings.sma_credentials is None:
                self.opened.session = self._open_session(credentials[0])
            else:
                scratch = self.settings.home / "tmp"
                self.opened.session = SessionSet(
                    credentials, self._open_session, self.find_listing_credentials, scratch
                )
        return self.opened.session

    def find_session(self, credential: Credential) -> SmaSession:
        """The session of one of the run's credentials."""
        session = self.session
        return session.find_session(credential.name) if isinstance(session, SessionSet) else session

    def _open_session(self, credential: Credential) -> SmaSession:
        def say(text: str) -> None:
            self.tell(f"{credential.name}: {text}" if credential.name else text)

        recorded = partial(SmaClient, record=self.requests.add, clock=Clock(announce=WaitAnnouncer(say)))
        make = self.make_session or partial(SmaSession, make_client=recorded)
        return make(credential.settings)

    @property
    def requests(self) -> RequestLog | SharedRequestLog:
        """The record of every request; `store_requests` moves it to the lake."""
        if self.opened.requests is None:
            folder = self.settings.home / RECORD_FOLDER
            session = open_shared_session(self.settings)
            self.opened.requests = (
                RequestLog(folder) if session is None else SharedRequestLog(session, folder)
            )
        return self.opened.requests

    @property
    def results(self) -> ResultFile:
        """What steps of this home did with days. It is among Dagster's records, whose partitions tell the same."""
        if self.opened.results is None:
            self.opened.results = ResultFile(self.settings.home / "dagster" / RESULTS)
        return self.opened.results

    def store_requests(self) -> MovedRequests:
        """Move the record of requests up to now to the table api_requests."""
        return self.requests.store(self.lake)

    def find_today(self) -> dt.date:
        """The UTC date, under which lists are kept."""
        return self.now().date()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.opened.session is not None:
            self.opened.session.close()
            self.opened.session = None
        if self.opened.results is not None:
            self.opened.results.close()
        # After a failure the record can wait in its file for the next run, and must not hide the failure.
        with suppress(SunledgerError) if fault else nullcontext():
            self.store_requests()
