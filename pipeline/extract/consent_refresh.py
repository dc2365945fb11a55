"""Reads the states of consents from SMA into the book and the table, and finds why plants are no longer listed."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

import polars as pl

from pipeline.common.credentials import Credential, find_flow, read_credentials
from pipeline.common.errors import ConfigurationError, CredentialsError, SmaError
from pipeline.common.finding import Finding
from pipeline.common.settings import Settings
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.plants import find_excluded_plants, list_plant_ids_of_newest
from pipeline.run.step_result import StepResult, build_result
from pipeline.sma.auth.secret_files import SecretFileError
from pipeline.sma.client import SmaClient
from pipeline.sma.consents import access_problems
from pipeline.sma.consents.consent_api import Consent, ConsentApi
from pipeline.sma.consents.consent_book import ConsentBook, Owner
from pipeline.sma.session_set import SessionSet
from schemas import Consents, Plants, polars_schema, storage
from warehouse.lake import Lake, WriteResult

# Only a few at once, because consents are requested beside the data and are not urgent.
LOOKS_AT_ONCE = 4


def refresh_consents(runtime: RunContext) -> StepResult:
    """Check the consents whose interval is over, if the custom flow has asked any owner, and store the changes.

    Of a credential that can't be used the stored states stay, and the facts say so.
    """
    custom = [one for one in runtime.credentials if one.settings.sma_flow == "custom"]
    if not custom:
        return StepResult(facts={"owners": 0})
    found = _refresh_book(runtime, custom[0])
    for credential in custom[1:]:
        more = _refresh_book(runtime, credential)
        found.rows, found.changed = more.rows, found.changed or more.changed
        for name, fact in more.facts.items():
            found.facts[name] = found.facts.get(name, 0) + fact if isinstance(fact, int) else fact
    return found


def _refresh_book(runtime: RunContext, credential: Credential) -> StepResult:
    book = ConsentBook.of(credential.settings)
    owners = book.read_owners()
    # If a plant has left the list, the consents of all owners are checked, as far as SMA's interval allows.
    urgent = bool(owners) and _has_lost_plants(runtime)
    due = [owner for owner in owners.values() if owner.is_due(runtime.now(), urgent=urgent)]
    problems: dict[str, SmaError] = {}
    if due:
        answers, problems = ask_states_of(runtime, credential, due)
        book.note(answers, runtime.now())
    written = store_consents(runtime.lake, book)
    counts = Counter(owner.state.value.lower() for owner in book.read_owners().values())
    problem = {"problem": str(next(iter(problems.values())))} if problems else {}
    return build_result(
        written, owners=len(owners), looked_at=len(due), unanswered=len(problems), **counts, **problem
    )


def ask_states_of(
    runtime: RunContext, credential: Credential, owners: Sequence[Owner]
) -> tuple[dict[str, Consent], dict[str, SmaError]]:
    """As `look_at`, by one of the run's credentials; with several, one that can't be used is the reason for all owners.

    Raises CredentialsError where none of them can be used.
    """
    try:
        return runtime.find_session(credential).use(
            lambda client: look_at(credential.settings, client, owners)
        )
    except (CredentialsError, ConfigurationError, SecretFileError) as fault:
        session = runtime.session
        if not isinstance(session, SessionSet):
            raise
        error = session.note_unusable(credential.name, fault)
        return {}, {owner.address: error for owner in owners}


async def look_at(
    settings: Settings, client: SmaClient, owners: Collection[Owner]
) -> tuple[dict[str, Consent], dict[str, SmaError]]:
    """SMA's answers by address, and the reasons for missing answers. Raises CredentialsError at once."""
    api = ConsentApi(settings, client)
    turns = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def look(owner: Owner) -> Consent | SmaError | None:
        async with turns:
            try:
                return await api.look(owner.address, known=owner.asked_at is not None)
            except CredentialsError:
                raise
            except SmaError as error:
                return error

    found = dict(zip((o.address for o in owners), await asyncio.gather(*map(look, owners)), strict=True))
    answers = {address: answer for address, answer in found.items() if isinstance(answer, Consent)}
    return answers, {address: a for address, a in found.items() if isinstance(a, SmaError)}


def look_again(runtime: RunContext, credential: Credential) -> SmaError | None:
    """Check all owners of a credential that SMA's interval allows to check, and return the first problem.

    Needs no lake.
    """
    book = ConsentBook.of(credential.settings)
    owners = book.read_owners().values()
    due = [owner for owner in owners if owner.is_due(runtime.now(), urgent=True)]
    if not due:
        return None
    answers, problems = ask_states_of(runtime, credential, due)
    book.note(answers, runtime.now())
    return next(iter(problems.values()), None)


def store_consents(lake: Lake, book: ConsentBook) -> WriteResult:
    """Write the book's changes into the table, beside those of other clients and machines."""
    with book.lock():
        rows = book.read_rows()
        key = list(storage(Consents).key)
        stored = lake.scan(Consents).collect()
        frame = pl.concat([rows, stored.join(rows, on=key, how="anti")]).sort(key)
        return lake.replace(Consents, {}, [frame.select(polars_schema(Consents).names())])


def read_owners(settings: Settings) -> list[Owner]:
    """The owners that are known here, by all credentials of the custom flow."""
    books = [
        ConsentBook.of(one.settings)
        for one in read_credentials(settings)
        if one.settings.sma_flow == "custom"
    ]
    return [owner for book in books for owner in book.read_owners().values()]


def find_concern(runtime: RunContext) -> str | None:
    """The problem with the access to plants by the newest list, or None. Makes no API calls."""
    plants = runtime.lake.scan(Plants).select("plant_id", "last_seen", "migrated_from").collect()
    listed = list_plant_ids_of_newest(runtime) or frozenset()
    known = [*listed, *plants["migrated_from"].drop_nulls()]
    plants = plants.join(find_excluded_plants(runtime), on="plant_id", how="anti")
    gone = plants.filter(~pl.col("plant_id").is_in(known))["last_seen"].to_list()
    settings = runtime.settings
    return access_problems.explain_concern(
        find_flow(settings), read_owners(settings), len(listed), gone, runtime.find_today()
    )


@checks(
    "consent",
    asset="plants",
    after=CheckMoment.LISTS,
    description="SMA lists every plant of the last month, and every owner who was asked has accepted.",
)
def judge_listed_plants(runtime: RunContext) -> Finding:
    """Whether plants are no longer listed or consents are open, with what to do."""
    concern = find_concern(runtime)
    return Finding(passed=concern is None, text=concern or "SMA still lists every plant of the last month.")


def _has_lost_plants(runtime: RunContext) -> bool:
    """Whether a plant of the last list is missing in the newest one."""
    listed = list_plant_ids_of_newest(runtime)
    before = runtime.lake.scan(Plants).filter(pl.col("last_seen") == pl.col("last_seen").max()).collect()
    return listed is not None and not set(before["plant_id"]) <= listed
