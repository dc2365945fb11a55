"""The sessions of several credentials as one: each request goes by the credential of its plant, with that one's budget.

A credential that can't be used costs the plants that no other one lists, and each of them gets an error that names it.
"""

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from pipeline.common.credentials import SETTING, Credential
from pipeline.common.errors import (
    ConfigurationError,
    CredentialsError,
    CredentialUnusableError,
    PermanentError,
    SmaError,
    SunledgerError,
)
from pipeline.sma.auth.secret_files import SecretFileError
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.http.read_ahead import ReadAhead
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.plant_sources import HasContent, OtherCredentials, PlantSources, is_of_lists
from pipeline.sma.requests import Answer, Failure, Request

Result: TypeAlias = Answer | Failure
# How messages that speak of settings name the same in the file of credentials.
_IN_FILE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SMA_CLIENT_ID": "client_id",
        "SMA_CLIENT_SECRET": "client_secret",
        "SMA_REFRESH_TOKEN": "refresh_token",
        "SMA_FLOW=": "flow = ",
        "sunledger login": "sunledger login --credential {name}",
        "sunledger consent request": "sunledger consent request --credential {name}",
    }
)


class SessionSet:
    """A session for each credential, opened when it is needed.

    `find_listing` gives the names of the credentials that list each of some plants, in the order of preference, without
    plants that no list shows.
    """

    def __init__(
        self,
        credentials: Sequence[Credential],
        open_session: Callable[[Credential], SmaSession],
        find_listing: Callable[[Collection[str]], Mapping[str, Sequence[str]]],
        scratch: Path,
    ) -> None:
        self._credentials = {one.name: one for one in credentials}
        self._open_session = open_session
        self._find_listing = find_listing
        self._scratch = scratch
        self._sessions: dict[str, SmaSession] = {}
        self._unusable: dict[str, SunledgerError] = {}
        self._sources = PlantSources()
        self._opening = threading.Lock()

    @property
    def requests_sent(self) -> int:
        """HTTP requests of all credentials so far, token renewals and retries included."""
        # A thread that reads ahead may ask while sessions are opened.
        return sum(session.requests_sent for session in list(self._sessions.values()))

    def find_session(self, name: str) -> SmaSession:
        """The session of a credential."""
        # The threads that read ahead ask other credentials too.
        with self._opening:
            if name not in self._sessions:
                self._sessions[name] = self._open_session(self._credentials[name])
            return self._sessions[name]

    def find_unusable(self, plants: Collection[str]) -> frozenset[str]:
        """Those of the plants whose credentials are all known to be unusable, so that no request for them is sent."""
        if not self._unusable:
            return frozenset()
        listing = self._find_listing(plants)
        return frozenset(
            plant for plant in plants if plant in listing and not self._list_usable(listing[plant])
        )

    def find_sources(self, plants: Collection[str]) -> dict[str, str]:
        """The credential by which the data of each of these plants is asked for, as far as that is known."""
        found = self._find_listing(plants).items()
        return {plant: name for plant, names in found if (name := self._choose(plant, names))}

    def fetch(
        self,
        requests: Iterable[Request],
        admit: Admit = pass_all,
        *,
        urgent: bool = False,
        has_content: HasContent | None = None,
    ) -> PendingResults[Result]:
        """Results in the order of `requests`; those of different credentials are on their way independently.

        They are sent from now on, as by `SmaSession.fetch`; `admit` is called in the thread of each session. With
        `has_content`, the next credential that lists a plant is asked where an answer about it has none, or a refusal
        comes (see `plant_sources`). Raises CredentialsError where none can be used.
        """
        asked_for = list(requests)
        listing = self._find_listing({one.plant_id for one in asked_for if not one.credential})
        found = [(one, one.credential or self._choose_for(one, listing)) for one in asked_for]
        of_name: dict[str | None, list[Request]] = {}
        for request, name in found:
            of_name.setdefault(name, []).append(request)
        sent: dict[str | None, PendingResults[Result]] = {}
        streams = {name: self._judge_all(name, asked, sent) for name, asked in of_name.items()}
        others: OtherCredentials | None = None
        if has_content is not None:
            others = OtherCredentials(
                self._sources,
                has_content,
                lambda plant: self._list_usable(listing.get(plant, ())),
                lambda name, request: self._send_one(name, request, admit),
            )
            streams = {name: others.fill(name or "", results) for name, results in streams.items()}
        taken = self._take_in_order([name for _, name in found], streams)

        def close() -> None:
            # Readers that wait for a result end with it.
            for results in sent.values():
                results.close()
            if others is not None:
                others.close()
            taken.close()

        try:
            for name, asked in of_name.items():
                if (results := self._send(name, asked, admit, urgent=urgent)) is not None:
                    sent[name] = results
        except BaseException:
            close()
            raise
        return PendingResults(taken, close)

    def _take_in_order(
        self, names: Sequence[str | None], streams: Mapping[str | None, Iterator[Result]]
    ) -> Generator[Result, None, None]:
        if len(streams) == 1:
            yield from chain.from_iterable(streams.values())
            return
        # Reading ahead begins when somebody takes the results: requests that are sent ahead are bounded, answers that
        # wait on the disk are not.
        readers = {name: ReadAhead(stream, self._scratch) for name, stream in streams.items()}
        try:
            for name in names:
                yield readers[name].take()
        finally:
            for reader in readers.values():
                reader.close()

    def note_unusable(self, name: str, error: SunledgerError) -> CredentialUnusableError:
        """Remember that a credential can't be used; the error for what is asked by it.

        Raises CredentialsError where no other one can be used either: then nothing is left to be done.
        """
        self._unusable[name] = error
        if len(self._unusable) == len(self._credentials):
            said = " ".join(f"{one}: {_translate(one, fault)}" for one, fault in dict(self._unusable).items())
            raise CredentialsError(
                f"None of the credentials of {SETTING} can be used. {said}",
                path=getattr(error, "path", ""),
                status=getattr(error, "status", None),
            )
        said = _translate(name, error)
        return CredentialUnusableError(
            f"The credential {name} can't be used, so its plants are not asked for: {said}",
            path=getattr(error, "path", ""),
            status=getattr(error, "status", None),
        )

    def close(self) -> None:
        """Close every session. May be called twice."""
        for session in list(self._sessions.values()):
            session.close()

    def _list_usable(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name not in self._unusable]

    def _choose(self, plant: str, names: Sequence[str], *, of_lists: bool = False) -> str | None:
        """The credential by which a plant is asked for; the preferred one where none can be used."""
        return self._sources.choose(plant, self._list_usable(names) or names, of_lists=of_lists)

    def _choose_for(self, request: Request, listing: Mapping[str, Sequence[str]]) -> str | None:
        names = listing.get(request.plant_id, ())
        return self._choose(request.plant_id, names, of_lists=is_of_lists(request))

    def _send_one(self, name: str, request: Request, admit: Admit) -> PendingResults[Result]:
        """The result of one request by another credential than the one that was asked, before what waits there."""
        results = self._send(name, [request], admit, urgent=True)
        sent: dict[str | None, PendingResults[Result]] = {} if results is None else {name: results}
        close = pass_all if results is None else results.close
        return PendingResults(self._judge_all(name, [request], sent), close)

    def _send(
        self, name: str | None, requests: Sequence[Request], admit: Admit, *, urgent: bool
    ) -> PendingResults[Result] | None:
        """The results of the requests of one credential; None where it can't be used, or where there is none."""
        if name is None or name not in self._credentials or name in self._unusable:
            return None
        try:
            return self.find_session(name).fetch(requests, urgent=urgent, admit=admit)
        except (ConfigurationError, SecretFileError) as fault:
            self.note_unusable(name, fault)
            return None

    def _judge_all(
        self,
        name: str | None,
        requests: Sequence[Request],
        sent: Mapping[str | None, PendingResults[Result]],
    ) -> Iterator[Result]:
        """The results of the requests of one credential; errors where it can't be used, or where there is none."""
        if name is None or name not in self._credentials:
            for request in requests:
                yield Failure(request, _build_stranger_error(request), 0)
            return
        done = 0
        if name in sent:
            try:
                for result in sent[name]:
                    yield self._judge(name, result)
                    done += 1
            except (ConfigurationError, SecretFileError) as fault:
                # No login is stored, or it can't be read.
                self.note_unusable(name, fault)
        for request in requests[done:]:
            yield Failure(request, self.note_unusable(name, self._unusable[name]), 0)

    def _judge(self, name: str, result: Result) -> Result:
        """The result, with an error that names the credential where that is to blame."""
        if isinstance(result, Answer):
            return result
        request, error = result.request, result.error
        if isinstance(error, CredentialsError):
            return Failure(request, self.note_unusable(name, error), result.attempts)
        if request.credential:
            named: SmaError = type(error)(
                f"The credential {name}: {error}", method=error.method, path=error.path, status=error.status
            )
            return Failure(request, named, result.attempts)
        return result


def fetch_by_plant(
    session: SmaSession | SessionSet,
    requests: Iterable[Request],
    admit: Admit = pass_all,
    *,
    urgent: bool = False,
    has_content: HasContent | None = None,
) -> PendingResults[Result]:
    """The results of requests, each by the credential of its plant where there are several; see `SessionSet.fetch`."""
    if isinstance(session, SessionSet):
        return session.fetch(requests, admit, urgent=urgent, has_content=has_content)
    return session.fetch(requests, urgent=urgent, admit=admit)


def find_unusable_plants(session: SmaSession | SessionSet, plants: Collection[str]) -> frozenset[str]:
    """Those of the plants whose credentials, of several, are known to be unusable."""
    return session.find_unusable(plants) if isinstance(session, SessionSet) else frozenset()


def find_sources(session: SmaSession | SessionSet, plants: Collection[str]) -> dict[str, str]:
    """The credential by which the data of each of these plants is asked for; none where there is only one."""
    return session.find_sources(plants) if isinstance(session, SessionSet) else {}


def _translate(name: str, error: SunledgerError) -> str:
    """The error, with the words of the file of credentials."""
    text = str(error)
    for setting, word in _IN_FILE.items():
        text = text.replace(setting, word.replace("{name}", name))
    return text


def _build_stranger_error(request: Request) -> PermanentError:
    return PermanentError(
        f"No credential of {SETTING} lists the plant {request.plant_id}, so it is not asked for: run 'sunledger "
        "refresh' for new lists of plants.",
        path=request.endpoint,
    )
