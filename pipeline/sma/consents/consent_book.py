"""What is known of owners' consents on this machine: a private book with their addresses, and its rows without.

The book lies in `$SUNLEDGER_HOME/credentials` and is the only place that holds an address. Everywhere else an owner
is a keyed hash: whoever lacks the key, which lies beside the book, cannot try addresses against it.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson
import polars as pl

from pipeline.common.local_time import LAST_INSTANT, parse_moment
from pipeline.common.settings import Settings
from pipeline.sma.auth.login_store import digest_secret
from pipeline.sma.auth.private_documents import PrivateDocument, change_document, open_document
from pipeline.sma.auth.secret_files import (
    SecretFileError,
)
from pipeline.sma.consents.consent_api import LONGEST_INTERVAL_S, Consent, ConsentState
from pipeline.sma.http.server_time import CLOCK_FAIL_S
from schemas import Consents, polars_schema

KEY_FILE = "consents.key"
KEY_BYTES = 32
HASH_CHARS = 24
# Others write within the same moment only after the lock was lost.
_MOST_TRIES = 20
# A consent that is not pending changes when the owner acts in the portal: a look a day finds that soon enough.
SETTLED_INTERVAL = dt.timedelta(days=1)
# Clocks of machines that share a book may differ by less.
_AHEAD = dt.timedelta(seconds=CLOCK_FAIL_S)


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """A state that was seen for the first time at `at`, and until when it could be answered."""

    at: dt.datetime
    state: ConsentState
    expires_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner's consent as last seen. `asked_at` is when we asked last, `changes` every state in order."""

    address: str = field(repr=False)
    asked_at: dt.datetime | None = None
    checked_at: dt.datetime | None = None
    interval_s: float = 0.0
    changes: tuple[ConsentChange, ...] = ()

    @property
    def state(self) -> ConsentState:
        """The newest state."""
        return self.changes[-1].state if self.changes else ConsentState.UNKNOWN

    @property
    def since(self) -> dt.datetime | None:
        """When the newest state was first seen."""
        return self.changes[-1].at if self.changes else None

    @property
    def expires_at(self) -> dt.datetime | None:
        """Until when the newest request can be answered."""
        return self.changes[-1].expires_at if self.changes else None

    def find_due_time(self, now: dt.datetime, *, urgent: bool = False) -> dt.datetime:
        """When SMA may be asked again: after its interval; a settled consent after a day, unless it is urgent.

        At once where the last look lies after `now`: this machine's clock was ahead then, maybe by years.
        """
        if self.checked_at is None or self.checked_at - now >= _AHEAD:
            return dt.datetime.min.replace(tzinfo=dt.UTC)
        asked = dt.timedelta(seconds=self.interval_s)
        if self.state is not ConsentState.PENDING and not urgent:
            asked = max(asked, SETTLED_INTERVAL)
        return self.checked_at + asked

    def is_due(self, now: dt.datetime, *, urgent: bool = False) -> bool:
        """Whether SMA may be asked again at `now`: see `find_due_time`."""
        return self.find_due_time(now, urgent=urgent) <= now

    def note_consent(self, consent: Consent, now: dt.datetime, *, asked: bool) -> Self:
        """This owner after an answer of SMA's."""
        newest = self.changes[-1] if self.changes else None
        # Asked again, a pending request has a new end: that is the same state with another date.
        same = (
            newest is not None and newest.state is consent.state and newest.expires_at == consent.expires_at
        )
        changes = (
            self.changes if same else (*self.changes, ConsentChange(now, consent.state, consent.expires_at))
        )
        return replace(
            self,
            asked_at=now if asked else self.asked_at,
            checked_at=now,
            interval_s=consent.interval_s,
            changes=changes,
        )


class ConsentBook:
    """The owners that one client has asked, in one private document, and the key of their hashes in another one."""

    def __init__(self, client_id: str, owners: PrivateDocument, key: PrivateDocument) -> None:
        self.client_id = client_id
        self._document, self._key = owners, key

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The book of the settings' client."""
        name = digest_secret(f"{settings.sma_client_id}\0{settings.sma_consent_url}")
        documents = (open_document(settings, one) for one in (f"consents-{name}.json", KEY_FILE))
        return cls(settings.sma_client_id, *documents)

    @property
    def place(self) -> str:
        """Where the book is, for people: a file whose folder is made when it is missing, or a row of PostgreSQL."""
        return self._document.place

    def read_owners(self) -> dict[str, Owner]:
        """All owners by address. Raises SecretFileError for a file that is no book, or a key that is none."""
        key = self._key.read()
        self._check_key(key)
        if key is None:
            self._check_unhashed()
        return self._parse(self._document.read())

    def _parse(self, content: bytes | None) -> dict[str, Owner]:
        if content is None:
            return {}
        try:
            return {
                address: _decode_owner(address, facts) for address, facts in orjson.loads(content).items()
            }
        except (orjson.JSONDecodeError, AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise SecretFileError(
                f"{self.place} does not hold consents of sunledger: move it away, and fetch the state of each owner "
                "with 'sunledger consent status'."
            ) from None

    def note(
        self, answers: Mapping[str, Consent], now: dt.datetime, *, asked: bool = False
    ) -> dict[str, Owner]:
        """Write SMA's answers by address into the book; the owners that they are about, as they are now.

        Where others have noted something meanwhile it is noted after that. Raises SecretFileError where others were
        faster each time.
        """

        def make(before: bytes | None) -> tuple[bytes, dict[str, Owner]]:
            owners = self._parse(before)
            noted = {
                address: owners.get(address, Owner(address)).note_consent(consent, now, asked=asked)
                for address, consent in answers.items()
            }
            content = {address: _encode_owner(owner) for address, owner in (owners | noted).items()}
            return orjson.dumps(content, option=orjson.OPT_SORT_KEYS), noted

        def build_error(clause: str) -> SecretFileError:
            return SecretFileError(
                f"{clause}: SMA's last answers are not in it. Fetch the state of each owner with 'sunledger consent "
                "status'."
            )

        self._read_key()
        with self.lock():
            return change_document(self._document, make, _MOST_TRIES, build_error)

    @contextmanager
    def hold_room(self) -> Iterator[None]:
        """Room on the disk for what SMA's answers add to the book, held until they are there. Makes the key.

        Raises SecretFileError where there is none.
        """
        self._read_key()
        with self._document.hold_room(len(self._document.read() or b"")):
            yield

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The right to write the book, held by one process at a time."""
        with self._document.lock():
            yield

    def hash(self, address: str) -> str:
        """The owner as tables know it. Makes the key at first use. Raises SecretFileError for a damaged one."""
        return hmac.new(self._read_key(), address.encode(), hashlib.sha256).hexdigest()[:HASH_CHARS]

    def read_rows(self) -> pl.DataFrame:
        """Every change of every owner, as rows of the table `consents`."""
        rows = [
            (
                self.client_id,
                self.hash(owner.address),
                change.at,
                change.state.value,
                before,
                change.expires_at,
            )
            for owner in self.read_owners().values()
            for before, change in zip(
                (None, *(c.state.value for c in owner.changes)), owner.changes, strict=False
            )
        ]
        return pl.DataFrame(rows, schema=polars_schema(Consents), orient="row")

    def _read_key(self) -> bytes:
        while (key := self._key.read()) is None:
            self._check_unhashed()
            with self._key.lock():
                # Another machine's may be there meanwhile, and by two keys one owner would be two.
                self._key.replace(None, secrets.token_bytes(KEY_BYTES))
        self._check_key(key)
        return key

    def _check_key(self, key: bytes | None) -> None:
        """Raise SecretFileError for what a crash may leave of a key: nothing of it, or zeros.

        By such a key anybody could try addresses, and the table would have each owner a second time.
        """
        if key is not None and (len(key) != KEY_BYTES or not any(key)):
            raise SecretFileError(
                f"{self._key.place} does not hold a key of sunledger: restore it from a backup. "
                f"{self._explain_new_key()}"
            )

    def _check_unhashed(self) -> None:
        """Raise SecretFileError where there is no key, and yet owners who were hashed by one."""
        if self._parse(self._document.read()) and self._key.read() is None:
            raise SecretFileError(
                f"{self._key.place} is gone, by which the owners of {self.place} were hashed: restore it from a "
                f"backup. {self._explain_new_key()}"
            )

    def _explain_new_key(self) -> str:
        return (
            f"Without one move {self.place} away, and {self._key.place} if it is there, then fetch the state of each "
            "owner with 'sunledger consent status'. Owners get other hashes then, and the table consents keeps what it "
            "has by the former ones."
        )


def _decode_owner(address: str, facts: dict[str, Any]) -> Owner:
    changes = tuple(
        ConsentChange(
            parse_moment(at),
            ConsentState(state),
            None if end is None else parse_moment(end),
        )
        for at, state, end in facts["changes"]
    )
    return Owner(
        address,
        asked_at=_parse_time(facts["asked_at"]),
        checked_at=_parse_time(facts["checked_at"]),
        interval_s=_check_interval_s(facts["interval_s"]),
        changes=changes,
    )


def _encode_owner(owner: Owner) -> dict[str, Any]:
    return {
        "asked_at": owner.asked_at,
        "checked_at": owner.checked_at,
        "interval_s": owner.interval_s,
        "changes": [(change.at, change.state.value, change.expires_at) for change in owner.changes],
    }


def _parse_time(text: str | None) -> dt.datetime | None:
    """When we asked. Raises ValueError for a moment at which nobody can have."""
    moment = None if text is None else parse_moment(text)
    if moment is not None and moment > LAST_INSTANT:
        raise ValueError(f"{text} is none of our times")
    return moment


def _check_interval_s(value: Any) -> float:  # a JSON value
    # An earlier version kept whatever SMA said.
    return min(max(0.0, float(value)), LONGEST_INTERVAL_S)
