"""The consents of plant owners: who granted access, and since when. No column holds an e-mail address."""

from schemas.base import Table, Utc, column

CONSENT_STATES = ["Pending", "Accepted", "Rejected", "Expired", "Revoked", "Unknown"]


class Consents(
    Table, table="consents", layer="core", key=("client_id", "owner_hash", "changed_at"), partition=()
):
    """Every state in which an owner's consent was seen (custom flow), with the time at which it was first seen."""

    client_id: str = column("Client of SMA's developer portal that requested the consent.")
    owner_hash: str = column(
        "Owner, as a keyed hash of the e-mail address; only the local consent book holds the address."
    )
    changed_at: Utc = column(
        "When the state was first seen, which is up to one polling interval after it began."
    )
    state: str = column("State from then on; docs/access.md explains each state.", isin=CONSENT_STATES)
    previous_state: str = column(
        "State before the change.", null="this is the first state that was seen", isin=CONSENT_STATES
    )
    expires_at: Utc = column("Time until which the owner can answer the request.", null="not given")
