"""Who gave access, and since when: the consents of plant owners. No column holds an address."""

from schemas.base import Table, Utc, column

CONSENT_STATES = ["Pending", "Accepted", "Rejected", "Expired", "Revoked", "Unknown"]


class Consents(
    Table, table="consents", layer="core", key=("client_id", "owner_hash", "changed_at"), partition=()
):
    """Every state that an owner's consent was seen in (custom flow), each with the time it was first seen."""

    client_id: str = column("Client of SMA's developer portal that asked.")
    owner_hash: str = column("Owner: a keyed hash of the e-mail address, which only the local book holds.")
    changed_at: Utc = column("When the state was first seen: up to one polling interval after it came about.")
    state: str = column("The state from then on; docs/access.md explains each.", isin=CONSENT_STATES)
    previous_state: str = column("The state before.", null="the first one seen", isin=CONSENT_STATES)
    expires_at: Utc = column("Until when the owner can answer the request.", null="not given")
