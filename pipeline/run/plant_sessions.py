"""Asks services beside the Monitoring API: each plant by the session and the settings of its own credential."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from pipeline.common.credentials import Credential
from pipeline.common.errors import ConfigurationError, CredentialsError, SmaError, UsageError
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from pipeline.run.plants import list_own_plants
from pipeline.sma.auth.secret_files import SecretFileError
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Request
from pipeline.sma.session_set import SessionSet

Asked = TypeVar("Asked", bound=Request)
Found = TypeVar("Found")
# Sends requests by one client and returns their results in the order of the requests.
Ask: TypeAlias = Callable[
    [SmaClient, Settings, Sequence[Asked]], Coroutine[Any, Any, Sequence[Found | SmaError]]
]


def find_plant_credential(runtime: RunContext, plant_id: str) -> Credential:
    """The credential by which a plant is asked for. Raises UsageError for a plant that no credential lists."""
    ((credential, _),) = group_by_credential(runtime, [plant_id])
    return credential


def group_by_credential(runtime: RunContext, plants: Sequence[str]) -> Iterator[tuple[Credential, list[int]]]:
    """Each credential with the places of its plants. Raises UsageError for a plant that no credential lists."""
    names = runtime.credential_names
    named = dict.fromkeys(plants, names[0]) if len(names) == 1 else runtime.find_credentials(plants)
    places: dict[str, list[int]] = {}
    for place, plant in enumerate(plants):
        if plant not in named:
            raise UsageError(
                f"No credential of SMA_CREDENTIALS lists the plant {plant}: run 'sunledger refresh' for new lists."
            )
        places.setdefault(named[plant], []).append(place)
    yield from ((one, places[one.name]) for one in runtime.credentials if one.name in places)


def split_by_credential(runtime: RunContext) -> Iterator[tuple[Credential, RunContext]]:
    """Each credential that has plants, with the run for its plants alone. Raises as `list_own_plants`."""
    if len(runtime.credentials) == 1:
        yield runtime.credentials[0], runtime
        return
    named = runtime.find_credentials(list_own_plants(runtime)["plant_id"].to_list())
    for credential in runtime.credentials:
        own = frozenset(plant for plant, name in named.items() if name == credential.name)
        if own:
            yield credential, replace(runtime, only_plants=own, only_groups=frozenset())


def ask_by_plant(
    runtime: RunContext, requests: Sequence[Asked], ask: Ask[Asked, Found]
) -> list[Found | SmaError]:
    """The results in the order of the requests. One of several credentials that can't be used costs its plants only.

    Raises CredentialsError where none can be used, and as `find_plant_credential`.
    """
    found: dict[int, Found | SmaError] = {}
    for credential, places in group_by_credential(runtime, [one.plant_id for one in requests]):
        answers = _ask_by(runtime, credential, [requests[place] for place in places], ask)
        found |= dict(zip(places, answers, strict=True))
    return [found[place] for place in range(len(requests))]


def _ask_by(
    runtime: RunContext, credential: Credential, requests: Sequence[Asked], ask: Ask[Asked, Found]
) -> Sequence[Found | SmaError]:
    session = runtime.session
    own = runtime.find_session(credential)
    if not isinstance(session, SessionSet):
        return own.use(lambda client: ask(client, credential.settings, requests))
    try:
        answers = own.use(lambda client: ask(client, credential.settings, requests))
    except (CredentialsError, ConfigurationError, SecretFileError) as fault:
        return [session.note_unusable(credential.name, fault)] * len(requests)
    return [
        session.note_unusable(credential.name, one) if isinstance(one, CredentialsError) else one
        for one in answers
    ]
