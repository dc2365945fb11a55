"""Why SMA lists no plant, or fewer than before, and how long a login lasts, as sentences. Makes no API calls."""

import datetime as dt
from collections import Counter
from collections.abc import Collection

from pipeline.common.local_time import ONE_DAY
from pipeline.common.text import pluralize
from pipeline.sma.auth.login_store import SESSION_DAYS, Login
from pipeline.sma.consents.consent_api import ConsentState
from pipeline.sma.consents.consent_book import Owner

# How long the check goes on to speak of a plant that is no longer listed: a month of reports.
GONE_FOR = 30 * ONE_DAY

_ASK = "'sunledger consent request EMAIL'"
_WHAT = {
    ConsentState.PENDING: ("has not answered yet", "have not answered yet"),
    ConsentState.ACCEPTED: ("has accepted", "have accepted"),
    ConsentState.REJECTED: ("has rejected the request", "have rejected the request"),
    ConsentState.EXPIRED: ("has let the request expire", "have let the request expire"),
    ConsentState.REVOKED: ("has revoked the consent", "have revoked the consent"),
    ConsentState.UNKNOWN: ("is in an unknown state", "are in an unknown state"),
}
_CURES = {
    ConsentState.PENDING: "remind the owner of SMA's e-mail, whose link works for users who are signed in to ennexOS",
    ConsentState.REJECTED: f"talk to the owner, then ask again with {_ASK}",
    ConsentState.EXPIRED: f"ask again with {_ASK}",
    ConsentState.REVOKED: f"talk to the owner, then ask again with {_ASK}",
    ConsentState.UNKNOWN: "check it with 'sunledger consent status EMAIL'",
}
_NOT_COVERED = (
    "check with 'sunledger consent status EMAIL' whether the owner has revoked the consent; if not, the owner may have "
    "lost the owner's role, or the consent does not cover the plant: check the role in the portal (Sunny Portal: flag "
    f"system-owner in the user management; ennexOS: role owner), then ask again with {_ASK}, also for new plants"
)
_NO_PLANT_OF_THE_USER = (
    "the user who logged in does not own the plant: give the user the owner's role in the portal, or log in as "
    "another user with 'sunledger login'"
)


def count_owners_by_state(owners: Collection[Owner]) -> str:
    """How many owners are in which state, as a clause; the open ones with the end of their request."""
    counts = Counter(owner.state for owner in owners)
    parts = []
    for state in ConsentState:
        if count := counts[state]:
            part = f"{pluralize(count, 'owner')} {_WHAT[state][count > 1]}"
            ends = [owner.expires_at for owner in owners if owner.state is state and owner.expires_at]
            if state is ConsentState.PENDING and ends:
                part += f" (possible until {min(ends):%Y-%m-%d})"
            parts.append(part)
    return ", ".join(parts) or "no owner was asked for consent by this sunledger"


def suggest_cures(owners: Collection[Owner]) -> str:
    """What to do about the plants that are not listed, as clauses."""
    states = {owner.state for owner in owners}
    if not states:
        return f"ask each owner with {_ASK}"
    found = [_CURES[state] for state in ConsentState if state in states and state in _CURES]
    if ConsentState.ACCEPTED in states:
        found.append(_NOT_COVERED)
    return "; ".join(found)


def explain_empty_list(flow: str, owners: Collection[Owner]) -> str:
    """A sentence for an empty list of plants."""
    begin = "SMA accepts the credentials but lists no plant"
    if flow == "code":
        return f"{begin}: {_NO_PLANT_OF_THE_USER}."
    return f"{begin}: {count_owners_by_state(owners)}. What to do: {suggest_cures(owners)}."


def explain_gone_plant(flow: str, owners: Collection[Owner]) -> str:
    """A clause for a plant that was listed before and is no longer listed."""
    if flow == "code":
        return f"SMA no longer lists it: {_NO_PLANT_OF_THE_USER}"
    lost = [
        owner
        for owner in owners
        if owner.state in {ConsentState.REVOKED, ConsentState.EXPIRED, ConsentState.REJECTED}
    ]
    if lost:
        return f"SMA no longer lists it: {count_owners_by_state(lost)}; {suggest_cures(lost)}"
    return f"SMA no longer lists it: {_NOT_COVERED}"


def explain_concern(
    flow: str, owners: Collection[Owner], listed: int, gone: Collection[dt.date], today: dt.date
) -> str | None:
    """What is wrong with the access to plants, None when nothing is.

    `listed` is the number of plants in the newest list, `gone` the last day of each plant that is no longer listed.
    """
    if not listed:
        return explain_empty_list(flow, owners)
    lately = sum(last >= today - GONE_FOR for last in gone)
    parts = []
    if lately:
        plants = "1 plant is" if lately == 1 else f"{lately} plants are"
        parts.append(f"{plants} no longer listed:  {explain_gone_plant(flow, owners).partition(': ')[2]}")
    open_ones = [owner for owner in owners if owner.state is not ConsentState.ACCEPTED]
    if flow == "custom" and open_ones and not lately:
        parts.append(f"{count_owners_by_state(open_ones)}: {suggest_cures(open_ones)}")
    return f"{'; '.join(parts)}." if parts else None


def describe_validity(login: Login) -> str:
    """How long a login lasts, as a sentence."""
    if login.offline:
        return "The login does not expire, because SMA issued a token without expiry."
    if login.logged_in_at is None:
        return "It is not known when the login expires, because it came from SMA_REFRESH_TOKEN."
    return (
        f"The login expires {SESSION_DAYS} days after {login.logged_in_at:%Y-%m-%d}, or after 2 days without use: then "
        "run 'sunledger login' again."
    )
