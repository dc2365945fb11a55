"""Consents: what SMA says, what the book and the table keep of it, and that no address gets out."""

import asyncio
import datetime as dt
import errno
import json
import logging
import secrets
import stat
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from pipeline.cli.logins import owners as commands
from pipeline.common.errors import ClockApartError, SmaError, UsageError
from pipeline.common.settings import Settings
from pipeline.extract.consent_refresh import refresh_consents, store_consents
from pipeline.run.context import RunContext
from pipeline.sma.auth import secret_files
from pipeline.sma.auth.private_documents import PrivateFile
from pipeline.sma.auth.secret_files import SecretFileError
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.sma.consents import access_problems
from pipeline.sma.consents.consent_api import (
    CONSENT_PATH,
    Consent,
    ConsentApi,
    ConsentState,
    NotAnOwnerError,
    normalize_address,
)
from pipeline.sma.consents.consent_book import ConsentBook, Owner
from pipeline.sma.http import server_time
from schemas import Consents
from tests.access.browser import OWNER
from tests.access.conftest import Make
from tests.sandbox.served_sandbox import Served
from tests.sma.conftest import FakeTime, ScriptedServer, server  # noqa: F401 - a fixture

NOW = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)
HALF_HOUR = dt.timedelta(minutes=30)


def with_api(settings, work, clock: Clock | None = None):  # type: ignore[no-untyped-def]
    async def run():  # type: ignore[no-untyped-def]
        async with SmaClient(settings, clock=clock) as client:
            return await work(ConsentApi(settings, client))

    return asyncio.run(run())


def test_asked_answered_and_asked_again(make: Make, control) -> None:
    settings = make()
    first = with_api(settings, lambda api: api.ask(OWNER))
    assert (first.state, first.interval_s) == (ConsentState.PENDING, 1800.0)
    assert first.expires_at is not None
    control("consents", owner=OWNER, state="Accepted")
    assert with_api(settings, lambda api: api.look(OWNER, known=True)).state is ConsentState.ACCEPTED
    assert with_api(settings, lambda api: api.ask(OWNER)).state is ConsentState.ACCEPTED


def test_who_is_no_owner_is_told_with_the_reason_and_without_the_address(make: Make) -> None:
    with pytest.raises(NotAnOwnerError, match="not a system owner") as caught:
        with_api(make(), lambda api: api.ask("nobody@example.com"))
    assert "nobody" not in str(caught.value) + caught.value.path


def test_states_are_compared_without_case() -> None:
    assert {ConsentState.named(text) for text in ("accepted", "ACCEPTED", " Accepted")} == {
        ConsentState.ACCEPTED
    }
    assert ConsentState.named("Dormant") is ConsentState.UNKNOWN
    assert ConsentState.named(None) is ConsentState.UNKNOWN


@pytest.fixture
def scripted(make: Make, server: ScriptedServer):  # type: ignore[no-untyped-def]  # noqa: F811
    return make(sma_auth_url=server.url, sma_consent_url=server.url, sma_monitoring_url=server.url)


HINT = f"{CONSENT_PATH}/{OWNER}"


def test_a_look_right_after_the_request_waits_a_second_and_looks_again(scripted, server) -> None:  # noqa: F811
    time = FakeTime()
    server.on(HINT).reply(404).reply(400).reply(200, '{"state":"pENDING","interval":60}')
    found = with_api(scripted, lambda api: api.look(OWNER, known=True), time.clock)
    assert found == Consent(ConsentState.PENDING, None, 60.0)
    assert time.sleeps == [1.0, 1.0]


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", "soon", 5])
def test_an_absurd_interval_or_end_stops_no_later_look(scripted, server, end: object) -> None:  # noqa: F811
    body = json.dumps({"state": "pending", "interval": 1e300, "expirationDate": end})
    server.on(HINT).reply(200, body)
    found = with_api(scripted, lambda api: api.look(OWNER, known=True))
    book = ConsentBook.of(scripted)
    book.note({OWNER: found}, NOW)
    (owner,) = book.read_owners().values()
    assert NOW < owner.find_due_time(NOW, urgent=True) <= NOW + dt.timedelta(days=7)
    assert book.read_rows().height == 1


def test_a_look_while_the_clock_was_ahead_puts_off_none_of_later(scripted) -> None:
    book = ConsentBook.of(scripted)
    settled = Consent(ConsentState.ACCEPTED, None, 1800.0)
    book.note({OWNER: settled}, NOW + dt.timedelta(days=365))
    assert book.read_owners()[OWNER].find_due_time(NOW) < NOW
    # Clocks of machines that share a book are never quite the same.
    book.note({OWNER: settled}, NOW + dt.timedelta(minutes=1))
    (owner,) = book.read_owners().values()
    assert owner.find_due_time(NOW) == NOW + dt.timedelta(days=1, minutes=1)
    assert owner.find_due_time(NOW, urgent=True) == NOW + dt.timedelta(minutes=31)


def test_a_state_that_comes_while_the_clock_is_ahead_is_not_taken(
    scripted,  # type: ignore[no-untyped-def]
    server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_time, "is_loopback", lambda _url: False)
    server.on(HINT).reply(
        200, '{"state":"accepted"}', headers={"Date": "Mon, 01 Jul 2024 00:00:00 GMT"}
    ).reply(200, '{"state":"accepted"}', headers={"Date": "Tue, 01 Jul 2025 00:00:00 GMT"})
    with pytest.raises(ClockApartError, match="365 days ahead"):
        with_api(scripted, lambda api: api.look(OWNER, known=True), FakeTime().clock)
    found = with_api(scripted, lambda api: api.look(OWNER, known=True), FakeTime().clock)
    assert found.state is ConsentState.ACCEPTED


def test_an_owner_who_was_never_asked_is_not_waited_for(scripted, server) -> None:  # noqa: F811
    time = FakeTime()
    server.on(HINT).reply(404)
    assert with_api(scripted, lambda api: api.look(OWNER, known=False), time.clock) is None
    assert time.sleeps == []


@pytest.mark.parametrize(("status", "body"), [(403, "{}"), (500, OWNER), (200, "[]"), (200, "<html>")])
def test_no_error_names_the_owner(scripted, server, status: int, body: str) -> None:  # noqa: F811
    server.on(HINT).reply(status, body)
    with pytest.raises(SmaError) as caught:
        with_api(scripted, lambda api: api.look(OWNER, known=True), FakeTime().clock)
    told = f"{caught.value} {caught.value.path}"
    assert "[owner]" in told
    assert "owner1" not in told


def test_no_log_names_the_owner(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = make()
    with_api(settings, lambda api: api.ask(OWNER))
    with_api(settings, lambda api: api.look(OWNER, known=True))
    assert "bc-authorize/[owner]" in caplog.text
    assert "owner1" not in caplog.text


@pytest.mark.parametrize("text", ["", "owner", "@example.com", "owner@", "a b@example.com"])
def test_what_cannot_be_an_address_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="e-mail address"):
        normalize_address(text)


def test_an_address_is_one_owner_in_any_case() -> None:
    assert normalize_address(" Owner1@Example.COM ") == OWNER


def consent(state: ConsentState = ConsentState.PENDING, end: dt.datetime | None = None) -> Consent:
    return Consent(state, end, 1800.0)


def test_the_book_keeps_every_change_and_the_table_only_a_keyed_hash(make: Make) -> None:
    settings = make()
    book = ConsentBook.of(settings)
    for hours, state in enumerate(
        [
            ConsentState.PENDING,
            ConsentState.PENDING,
            ConsentState.ACCEPTED,
            ConsentState.ACCEPTED,
            ConsentState.REVOKED,
        ]
    ):
        book.note({OWNER: consent(state)}, NOW + dt.timedelta(hours=hours), asked=hours == 0)
    rows = book.read_rows().sort("changed_at")
    assert rows.select("state", "previous_state").rows() == [
        ("Pending", None),
        ("Accepted", "Pending"),
        ("Revoked", "Accepted"),
    ]
    assert rows["changed_at"].dt.hour().to_list() == [12, 14, 16]
    assert rows["owner_hash"].n_unique() == 1
    assert len(rows["owner_hash"][0]) == 24
    other = ConsentBook.of(make(home=settings.home.parent / "another"))
    assert other.hash(OWNER) != book.hash(OWNER)
    for path in (settings.home / "credentials").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_table_keeps_what_other_machines_wrote(make: Make) -> None:
    first, second = make(), make(home=make().home.parent / "second")
    with RunContext(first) as runtime:
        for settings, state in ((first, ConsentState.PENDING), (second, ConsentState.ACCEPTED)):
            book = ConsentBook.of(settings)
            book.note({OWNER: consent(state)}, NOW)
            store_consents(runtime.lake, book)
        assert not store_consents(runtime.lake, ConsentBook.of(first)).changed
        assert sorted(runtime.lake.scan(Consents).collect()["state"]) == ["Accepted", "Pending"]


def test_an_owner_gets_no_second_e_mail_because_a_disk_filled(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SMA had sent it, the command was to be run again once there is room, and SMA sent another."""
    settings = make()
    monkeypatch.setattr(commands, "load_settings", lambda: settings)

    def be_full(_descriptor: int, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(secret_files, "write_whole", be_full)
        with pytest.raises(SecretFileError, match="No space left"):
            commands.request_consents([OWNER])
    assert ConsentBook.of(settings).read_owners() == {}
    with monkeypatch.context() as patch:
        patch.setattr(commands, "store_consents", lambda *_: be_full(0, b""))
        with pytest.raises(OSError, match="No space left"):
            commands.request_consents([OWNER])
    # The person has seen that it was sent.
    assert f"{OWNER}   Pending" in capsys.readouterr().out
    (asked,) = ConsentBook.of(settings).read_owners().values()
    assert commands.request_consents([OWNER]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 owner of these had an e-mail less than 10 minutes ago and got no second one" in said
    assert list(ConsentBook.of(settings).read_owners().values()) == [asked]


def test_polling_honours_the_interval(make: Make, box: Served, control) -> None:
    settings = make()
    book = ConsentBook.of(settings)
    book.note({OWNER: with_api(settings, lambda api: api.ask(OWNER))}, NOW, asked=True)
    control("consents", owner=OWNER, state="Accepted")
    looked = {}
    for minutes in (29, 30, 31, 24 * 60, 24 * 60 + 30):
        with RunContext(settings, now=lambda m=minutes: NOW + dt.timedelta(minutes=m)) as runtime:  # type: ignore[misc]
            looked[minutes] = refresh_consents(runtime).facts["looked_at"]
    # Pending: after its half hour. Accepted: after a day.
    assert looked == {29: 0, 30: 1, 31: 0, 24 * 60: 0, 24 * 60 + 30: 1}


def test_a_consent_service_that_fails_does_not_fail_the_run(make: Make) -> None:
    settings = make(sma_consent_url="http://127.0.0.1:9")
    ConsentBook.of(settings).note({OWNER: consent()}, NOW, asked=True)

    def without_waits(chosen: Settings) -> SmaSession:
        return SmaSession(chosen, partial(SmaClient, clock=FakeTime().clock))

    with RunContext(settings, now=lambda: NOW + HALF_HOUR, make_session=without_waits) as runtime:
        facts = refresh_consents(runtime).facts
    assert (facts["unanswered"], facts["pending"]) == (1, 1)
    assert "SMA_CONSENT_URL" in facts["problem"]


def owners(*states: ConsentState) -> list[Owner]:
    return [
        Owner(f"o{n}@x", changes=()).note_consent(consent(s), NOW, asked=True) for n, s in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ([], ["no owner was asked for consent by this sunledger", "consent request EMAIL"]),
        ([ConsentState.PENDING], ["1 owner has not answered yet", "remind"]),
        ([ConsentState.PENDING, ConsentState.PENDING], ["2 owners have not answered yet"]),
        ([ConsentState.REVOKED], ["1 owner has revoked the consent", "ask again"]),
        ([ConsentState.REJECTED], ["1 owner has rejected the request"]),
        ([ConsentState.EXPIRED], ["1 owner has let the request expire", "ask again"]),
        ([ConsentState.ACCEPTED], ["1 owner has accepted", "owner's role", "does not cover the plant"]),
        ([ConsentState.ACCEPTED, ConsentState.REVOKED], ["1 owner has accepted, 1 owner has revoked"]),
    ],
)
def test_an_empty_list_is_explained(states: list[ConsentState], says: list[str]) -> None:
    text = access_problems.explain_empty_list("custom", owners(*states))
    assert [words for words in says if words not in text] == []


def test_the_code_flow_explains_itself_by_the_user() -> None:
    assert "the user who logged in does not own the plant" in access_problems.explain_empty_list("code", [])
    assert "the user who logged in does not own the plant" in access_problems.explain_gone_plant("code", [])


def test_a_concern_names_what_is_gone_and_ends_after_a_month() -> None:
    today = NOW.date()
    lately, long_ago = today - dt.timedelta(days=3), today - dt.timedelta(days=90)
    good = owners(ConsentState.ACCEPTED)
    assert access_problems.explain_concern("custom", good, 5, [], today) is None
    assert access_problems.explain_concern("custom", good, 5, [long_ago], today) is None
    assert "1 plant is no longer listed" in (
        access_problems.explain_concern("custom", good, 5, [lately, long_ago], today) or ""
    )
    assert "has revoked" in (
        access_problems.explain_concern("custom", owners(ConsentState.REVOKED), 5, [], today) or ""
    )
    assert "lists no plant" in (access_problems.explain_concern("custom", good, 0, [], today) or "")


def test_the_book_says_when_it_is_damaged(make: Make) -> None:
    book = ConsentBook.of(make())
    Path(book.place).write_text(json.dumps(["not", "a", "book"]))
    with pytest.raises(SecretFileError, match="consent status"):
        book.read_owners()


@pytest.mark.parametrize("left", [b"", b"half of a key", bytes(32)])
def test_no_owner_is_hashed_by_what_a_crash_left_of_the_key(make: Make, left: bytes) -> None:
    """Anybody could try addresses then, and the table had each owner a second time."""
    book = ConsentBook.of(make())
    Path(book.place).with_name("consents.key").write_bytes(left)
    for use in (book.read_owners, lambda: book.hash(OWNER)):
        with pytest.raises(
            SecretFileError, match=r"consents\.key does not hold a key.* restore it from a backup"
        ):
            use()


def test_a_lost_key_beside_known_owners_is_not_replaced_in_silence(make: Make) -> None:
    """The table had each owner a second time, under another hash."""
    book = ConsentBook.of(make())
    with book.hold_room():
        book.note({OWNER: Consent(ConsentState.ACCEPTED, None, 1800.0)}, NOW)
    key = Path(book.place).with_name("consents.key")
    kept = key.read_bytes()
    key.unlink()
    for use in (book.read_owners, lambda: book.hash(OWNER)):
        with pytest.raises(SecretFileError, match=r"consents\.key is gone.* restore it from a backup"):
            use()
    key.write_bytes(kept)
    assert list(book.read_owners()) == [OWNER]
    key.unlink()
    Path(book.place).unlink()
    assert book.hash(OWNER)


def test_two_machines_note_in_one_book_though_one_has_lost_its_lock(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a PostgreSQL that is started again: the answer of one, or the key of all hashes, was written over."""
    monkeypatch.setattr(PrivateFile, "lock", lambda _: nullcontext())
    late, fast = (ConsentBook.of(make()) for _ in range(2))
    hashes, make_key = list[str](), secrets.token_bytes

    def make_key_late(size: int) -> bytes:
        if not hashes:
            monkeypatch.setattr(secrets, "token_bytes", make_key)
            hashes.append(fast.hash(OWNER))
        return make_key(size)

    monkeypatch.setattr(secrets, "token_bytes", make_key_late)
    assert late.hash(OWNER) == fast.hash(OWNER) == hashes[0]
    note_consent = Owner.note_consent

    def note_late(owner: Owner, *given: object, asked: bool) -> Owner:
        monkeypatch.setattr(Owner, "note_consent", note_consent)
        fast.note({"other@example.com": Consent(ConsentState.REVOKED, None, 60.0)}, NOW)
        return note_consent(owner, *given, asked=asked)  # type: ignore[arg-type]

    monkeypatch.setattr(Owner, "note_consent", note_late)
    late.note({OWNER: Consent(ConsentState.ACCEPTED, None, 60.0)}, NOW)
    states = {address: owner.state for address, owner in fast.read_owners().items()}
    assert states == {OWNER: ConsentState.ACCEPTED, "other@example.com": ConsentState.REVOKED}
