"""What `sunledger consent` does. Each function says it on the terminal and returns the exit code."""

import datetime as dt
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from pipeline.cli.console import say, show_table
from pipeline.cli.exit_codes import DONE, FAILED, IN_PART
from pipeline.common.credentials import Credential, select_credentials, take_only_credential
from pipeline.common.errors import CredentialsError, SmaError, UsageError
from pipeline.common.settings import Settings, load_settings
from pipeline.common.text import pluralize
from pipeline.extract.consent_refresh import look_at, store_consents
from pipeline.run.context import RunContext
from pipeline.sma.client import SmaClient
from pipeline.sma.consents.consent_api import (
    Consent,
    ConsentApi,
    ConsentState,
    NotAnOwnerError,
    normalize_address,
)
from pipeline.sma.consents.consent_book import ConsentBook, Owner

# A request that SMA does not answer is looked at again after this long, whatever its interval.
LONGEST_SLEEP_S = 600.0
# Nobody looks for an e-mail, misses it and asks for another one within such a time.
JUST_ASKED_MINUTES = 10


class Outcome(StrEnum):
    """What an owner's line shows instead of a state."""

    UNASKED = "never asked"
    REFUSED = "refused"
    UNANSWERED = "no answer"


def request_consents(emails: Collection[str], name: str | None = None) -> int:
    """Have SMA ask owners for consent by e-mail; returns the exit code. `name` chooses one of several credentials.

    Who was asked some minutes ago is not asked a second time: whatever ended the command before, it can be run again.
    """
    owners = _check_addresses(emails)
    with _open_book(name) as (runtime, credential, book):
        latest = {
            owner: known
            for owner, known in book.read_owners().items()
            if _was_just_asked(known, runtime.now())
        }
        wanted = [owner for owner in owners if owner not in latest]

        async def ask(client: SmaClient) -> dict[str, Consent | SmaError]:
            api = ConsentApi(credential.settings, client)
            return {owner: await _ask_owner(api, owner) for owner in wanted}

        # An e-mail that is sent and not noted would be sent twice.
        with book.hold_room():
            answers = runtime.find_session(credential).use(ask) if wanted else {}
        good = {owner: answer for owner, answer in answers.items() if isinstance(answer, Consent)}
        noted = book.note(good, runtime.now(), asked=True)
        asked_before = [latest[owner] for owner in owners if owner in latest]
        _show(
            book,
            [*noted.values(), *asked_before],
            {o: a for o, a in answers.items() if isinstance(a, SmaError)},
        )
        if asked_before:
            say(
                f"{pluralize(len(asked_before), 'owner')} of these had an e-mail less than {JUST_ASKED_MINUTES} "
                "minutes ago and got no second one: run this later to have it sent again."
            )
        store_consents(runtime.lake, book)
    if any(owner.state is ConsentState.PENDING for owner in (*noted.values(), *asked_before)):
        say(
            "The link in SMA's e-mail leads to a page of ennexOS where the owner must sign in. Wait for the answers "
            "with 'sunledger consent watch'."
        )
    return _choose_exit_code(len(good) + len(asked_before), len(owners))


def _was_just_asked(owner: Owner, now: dt.datetime) -> bool:
    return (
        owner.state is ConsentState.PENDING
        and owner.asked_at is not None
        and dt.timedelta() <= now - owner.asked_at < dt.timedelta(minutes=JUST_ASKED_MINUTES)
    )


def ask_states(emails: Collection[str], name: str | None) -> int:
    """Ask SMA for the current state of each consent; returns the exit code."""
    owners = _check_addresses(emails)
    with _open_book(name) as (runtime, credential, book):
        known = book.read_owners()
        wanted = [known.get(owner, Owner(owner)) for owner in owners]
        noted, problems = _look(runtime, credential, book, wanted)
        unasked = [owner for owner in owners if owner not in noted and owner not in problems]
        _show(book, noted.values(), problems, unasked)
    if unasked:
        say(
            "Some of these owners have not been asked for consent: ask them with 'sunledger consent request EMAIL'."
        )
    return _choose_exit_code(len(noted), len(owners))


def show_states(name: str | None) -> int:
    """Show the stored states of all owners, by default of all credentials, without a request to SMA; the exit code."""
    known = False
    for credential in _select_custom(load_settings(), name):
        book = ConsentBook.of(credential.settings)
        if owners := book.read_owners():
            known = True
            if credential.name:
                say(f"By the credential {credential.name}:")
            _show(book, owners.values(), {})
    if not known:
        say("No owner has been asked for consent yet: ask with 'sunledger consent request EMAIL'.")
    return DONE


def watch_states(minutes: float, name: str | None) -> int:
    """Wait at most `minutes` (0: without limit) until every owner has answered, and print each change at once."""
    with _open_book(name) as (runtime, credential, book):
        begun = runtime.now()
        until = begun + dt.timedelta(minutes=minutes) if minutes else None
        watched = {owner.address: owner for owner in _list_pending(book)}
        if not watched:
            say("No consent is pending, so there is nothing to wait for.")
            return DONE
        say(f"Waiting for the answers of {pluralize(len(watched), 'owner')}. Press Ctrl-C to stop waiting.")
        while open_ones := _list_pending(book):
            due = [owner for owner in open_ones if owner.is_due(runtime.now())]
            before = {owner.address: owner.state for owner in due}
            noted, problems = _look(runtime, credential, book, due) if due else ({}, {})
            changed = [owner for owner in noted.values() if owner.state is not before[owner.address]]
            if changed or problems:
                _show(book, changed, problems)
            if not _sleep(runtime, _list_pending(book), until, retry=bool(problems)):
                break
        left = _list_pending(book)
        end = [owner for owner in book.read_owners().values() if owner.address in watched]
    if left:
        say(
            f"{pluralize(len(left), 'owner')} {'has' if len(left) == 1 else 'have'} not answered yet: run this command "
            "again, or remind them."
        )
    return DONE if all(owner.state is ConsentState.ACCEPTED for owner in end) else IN_PART


def _sleep(runtime: RunContext, owners: Collection[Owner], until: dt.datetime | None, *, retry: bool) -> bool:
    """Sleep until SMA may be asked again; False when the time is up or nobody is left."""
    if not owners:
        return False
    now = runtime.now()
    next_s = min((owner.find_due_time(now) - now).total_seconds() for owner in owners)
    next_s = max(next_s, LONGEST_SLEEP_S if retry else 0.0)
    if until is not None and now + dt.timedelta(seconds=next_s) > until:
        return False
    if next_s > 0:
        say(f"The next request to SMA is allowed at {now + dt.timedelta(seconds=next_s):%H:%M:%S} UTC.")
    time.sleep(max(next_s, 0.0))
    return True


def _look(
    runtime: RunContext, credential: Credential, book: ConsentBook, owners: Collection[Owner]
) -> tuple[dict[str, Owner], dict[str, SmaError]]:
    """Look at SMA's states, keep them in book and table; owners by address, and problems by address."""
    session, settings = runtime.find_session(credential), credential.settings
    answers, problems = session.use(lambda client: look_at(settings, client, owners))
    noted = book.note(answers, runtime.now())
    store_consents(runtime.lake, book)
    return noted, problems


async def _ask_owner(api: ConsentApi, owner: str) -> Consent | SmaError:
    """Return the answer for one owner. Raises CredentialsError, which ends the command for all owners."""
    try:
        return await api.ask(owner)
    except CredentialsError:
        raise
    except SmaError as error:
        return error


def _choose_exit_code(good: int, wanted: int) -> int:
    if good == wanted:
        return DONE
    return IN_PART if good else FAILED


def _list_pending(book: ConsentBook) -> list[Owner]:
    return [owner for owner in book.read_owners().values() if owner.state is ConsentState.PENDING]


def _check_addresses(emails: Collection[str]) -> list[str]:
    found = list(dict.fromkeys(normalize_address(text) for text in emails))
    if not found:
        raise UsageError("No owner was named: give at least one e-mail address.")
    return found


@contextmanager
def _open_book(name: str | None) -> Iterator[tuple[RunContext, Credential, ConsentBook]]:
    """The runtime, the credential and its book. Raises UsageError for the code flow, and where one is to be chosen."""
    settings = load_settings()
    credential = take_only_credential(_select_custom(settings, name))
    with RunContext(settings, tell=say) as runtime:
        yield runtime, credential, ConsentBook.of(credential.settings)


def _select_custom(settings: Settings, name: str | None) -> list[Credential]:
    """The credentials of the custom flow, or the one of that name. Raises UsageError where there is none."""
    found = [one for one in select_credentials(settings, name) if one.settings.sma_flow == "custom"]
    if not found:
        raise UsageError(
            "With SMA_FLOW=code there are no consents, because the user who logs in grants access: use 'sunledger "
            "login', or set SMA_FLOW=custom if the client belongs to the custom flow."
        )
    return found


def _show(
    book: ConsentBook,
    owners: Collection[Owner],
    problems: Mapping[str, SmaError],
    unasked: Collection[str] = (),
) -> None:
    """Print a line for each owner. Addresses are shown only here, to the person who has typed them."""
    rows = [
        (
            owner.address,
            owner.state.value,
            _format_time(owner.since),
            _format_time(owner.expires_at) if owner.state is ConsentState.PENDING else "",
            _format_time(owner.checked_at),
            book.hash(owner.address),
        )
        for owner in sorted(owners, key=lambda owner: owner.address)
    ]
    rows += [(owner, Outcome.UNASKED, "", "", "", "") for owner in unasked]
    rows += [(owner, _name_outcome(problem), "", "", "", "") for owner, problem in problems.items()]
    headings = ("owner", "state", "since (UTC)", "answer until", "checked (UTC)", "owner hash")
    show_table("", [(heading, False) for heading in headings], rows)
    for text in dict.fromkeys(str(problem) for problem in problems.values()):
        say(text)


def _name_outcome(problem: SmaError) -> Outcome:
    return Outcome.REFUSED if isinstance(problem, NotAnOwnerError) else Outcome.UNANSWERED


def _format_time(moment: dt.datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
