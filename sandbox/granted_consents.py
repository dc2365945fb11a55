"""Which owner lets which client read which plants."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sandbox.sandbox_clock import SandboxClock

# How long an owner may take to answer a request.
VALID_S = 7 * 86400
POLL_INTERVAL_S = 1800


class SandboxConsentState(StrEnum):
    """The five states of a consent."""

    PENDING = "Pending"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


class UnknownOwnerError(LookupError):
    """The login hint is no system owner."""


@dataclass(slots=True)
class _Consent:
    """`plants` is what the owner has granted; a new request leaves it in force until it is answered."""

    state: SandboxConsentState
    asked_at: float
    plants: frozenset[str]


class SandboxConsents:
    """The consents of all owners for all clients."""

    def __init__(
        self, clock: SandboxClock, plants_of: dict[str, set[str]], answer_after_s: float | None
    ) -> None:
        """`plants_of`: owner -> ids of the plants they own now. `answer_after_s`: owners accept after this time."""
        self._clock = clock
        self._plants_of = plants_of
        self._answer_after_s = answer_after_s
        self._held: dict[tuple[str, str], _Consent] = {}

    def grant(self, client_id: str, owner: str) -> None:
        """The owner has accepted before the server started."""
        self._held[(client_id, owner)] = _Consent(
            SandboxConsentState.ACCEPTED, self._clock.now(), frozenset(self._plants_of.get(owner, ()))
        )

    def ask(self, client_id: str, owner: str) -> tuple[SandboxConsentState, bool]:
        """Ask the owner (again): the state, and whether this made a new request.

        Raises UnknownOwnerError for a login hint that owns no plant. While a consent is accepted, asking again matters
        only if the owner has plants that it does not cover.
        """
        owner = owner.strip().lower()
        if not self._plants_of.get(owner):
            raise UnknownOwnerError(owner)
        state = self.state(client_id, owner)
        held = self._held.get((client_id, owner))
        if state is SandboxConsentState.PENDING:
            return state, False
        granted = (
            held.plants if held is not None and state is SandboxConsentState.ACCEPTED else frozenset[str]()
        )
        if state is SandboxConsentState.ACCEPTED and granted >= self._plants_of[owner]:
            return state, False
        self._held[(client_id, owner)] = _Consent(SandboxConsentState.PENDING, self._clock.now(), granted)
        return SandboxConsentState.PENDING, True

    def state(self, client_id: str, owner: str) -> SandboxConsentState | None:
        """The state of the latest request, None if there was none."""
        held = self._held.get((client_id, owner.strip().lower()))
        if held is None:
            return None
        if held.state is SandboxConsentState.PENDING:
            waited = self._clock.now() - held.asked_at
            if self._answer_after_s is not None and waited >= self._answer_after_s:
                self._accept(held, owner)
            elif waited >= VALID_S:
                held.state = SandboxConsentState.EXPIRED
        return held.state

    def answer(self, client_id: str, owner: str, state: SandboxConsentState) -> bool:
        """The owner answers or revokes; False if there is nothing to answer."""
        current = self.state(client_id, owner)
        held = self._held.get((client_id, owner.strip().lower()))
        if held is None or current is None:
            return False
        revocable = current is SandboxConsentState.ACCEPTED and state is SandboxConsentState.REVOKED
        if current is not SandboxConsentState.PENDING and not revocable:
            return False
        if state is SandboxConsentState.ACCEPTED:
            self._accept(held, owner)
        else:
            held.state = state
            held.plants = frozenset() if state is SandboxConsentState.REVOKED else held.plants
        return True

    def revoke(self, owners: Collection[str] | None = None) -> None:
        """These owners (or all) revoke what they have accepted, whoever asked them."""
        for (_, owner), held in self._held.items():
            if held.state is SandboxConsentState.ACCEPTED and (owners is None or owner in owners):
                held.state, held.plants = SandboxConsentState.REVOKED, frozenset()

    def forget_plants(self, plant_ids: Iterable[str]) -> None:
        """No consent covers these plants any more, until their owner accepts a new request."""
        gone = frozenset(plant_ids)
        for held in self._held.values():
            held.plants -= gone

    def rename_plant(self, old: str, new: str) -> None:
        """A plant got a new id; a consent for the old id holds for the new one."""
        for held in self._held.values():
            if old in held.plants:
                held.plants |= {new}

    def format_expiry(self, client_id: str, owner: str) -> str:
        """When the latest request ends, as SMA writes it."""
        held = self._held[(client_id, owner.strip().lower())]
        return datetime.fromtimestamp(held.asked_at + VALID_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def covers(self, client_id: str, owner: str, plant_id: str) -> bool:
        """Whether the client may read the plant of this owner."""
        held = self._held.get((client_id, owner))
        if held is None:
            return False
        if held.state is SandboxConsentState.PENDING:
            self.state(client_id, owner)
        return plant_id in held.plants

    def _accept(self, held: _Consent, owner: str) -> None:
        held.state = SandboxConsentState.ACCEPTED
        held.plants = frozenset(self._plants_of.get(owner.strip().lower(), ()))
