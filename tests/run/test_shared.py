"""What processes of a cluster share in PostgreSQL: claims, requests on their way to the lake, private documents."""

import asyncio
import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import polars as pl
import pytest

from pipeline.billing import spending
from pipeline.common import shared_session, slow_stores
from pipeline.common.settings import Settings, load_settings
from pipeline.common.shared_session import SharedSession, SharedStoreError
from pipeline.common.slow_stores import announce_slow_stores
from pipeline.extract.claims import Claims, take_claims
from pipeline.run.context import OpenResources, RunContext
from pipeline.run.shared_request_log import SharedRequestLog
from pipeline.sma.auth import shared_turn
from pipeline.sma.auth.private_documents import SharedDocument, open_document
from pipeline.sma.auth.secret_files import SecretFileError
from pipeline.sma.auth.shared_turn import SharedTurn
from pipeline.sma.clock import Clock
from pipeline.sma.consents.consent_book import ConsentBook
from pipeline.sma.http.attempt_log import LoggedTry
from schemas import ApiRequests
from tests.assets.postgres_server import needs_postgres, postgres
from tests.assets.test_cluster_setup import CLUSTER
from tests.programs import PATIENCE_S
from warehouse.lake import Lake

pytestmark = [pytest.mark.long, needs_postgres]

DAY = dt.date(2026, 10, 5)
OPTIONS = shared_session.OPTIONS
# A process of its own that claims two plants and has sent three requests, and then waits to be killed.
WORKER = """
import datetime as dt, sys, time
from pipeline.common.settings import load_settings
from pipeline.common.shared_session import open_shared_session
from pipeline.extract.claims import Claims, take_claims
from pipeline.run.context import OpenResources, RunContext
from pipeline.sma.http.attempt_log import LoggedTry
settings = load_settings(env_file=None)
runtime, session = RunContext(settings), open_shared_session(settings)
day = dt.date(2026, 10, 5)
assert take_claims(session, Claims("raw", frozenset((day, plant) for plant in ("1", "2")))) == set()
for number in range(3):
    at = dt.datetime(2026, 10, 5, 12, number, tzinfo=dt.UTC)
    runtime.requests.add(LoggedTry(at, "plants", None, None, 200, None, 10, 1.0))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    pytest.importorskip("psycopg2", reason="The extra 'cluster' is not installed.")
    with postgres() as server:
        form = "postgresql://{DAGSTER_PG_USER}:{DAGSTER_PG_PASSWORD}@{DAGSTER_PG_HOST}:{DAGSTER_PG_PORT}/{DAGSTER_PG_DB}"
        yield form.format(**server)


@pytest.fixture
def settings(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # Tests of other files are not to find a session in a server that has ended.
    monkeypatch.setattr(shared_session, "_OPEN", {})
    pytest.importorskip("dagster_celery", reason="The extra 'cluster' is not installed.")
    return load_settings(env_file=None, home=tmp_path / "home", **{**CLUSTER, "cluster_postgres_url": url})


@pytest.fixture
def session(settings: Settings) -> Iterator[SharedSession]:
    """A process: each session has a number of its own."""
    opened = SharedSession(settings.cluster_postgres_url)
    opened.create_tables()
    yield opened
    opened.close()


def claims(*plants: str, day: dt.date = DAY, dataset: str = "raw") -> Claims:
    return Claims(dataset, frozenset((day, plant) for plant in plants))


def count(session: SharedSession, table: str) -> int:
    def look(cursor: object) -> int:
        cursor.execute(f"SELECT count(*) FROM {table}")  # type: ignore[attr-defined]
        return int(cursor.fetchone()[0])  # type: ignore[attr-defined]

    return session.transact(look)


def test_claims_and_requests_of_a_killed_process_come_to_the_others(
    settings: Settings, session: SharedSession, tmp_path: Path
) -> None:
    environment = {f"SUNLEDGER_{name.upper()}": value for name, value in CLUSTER.items()}
    environment |= {"SUNLEDGER_CLUSTER_POSTGRES_URL": settings.cluster_postgres_url.get_secret_value()}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**environment, "SUNLEDGER_HOME": str(tmp_path / "other"), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    log = SharedRequestLog(session, tmp_path / "requests")
    try:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
        # What it has is its own while it lives, all or nothing; other days, plants and tables are free.
        (holder,) = take_claims(session, claims("2", "3"))
        assert holder.startswith(f"{worker.pid} on ")
        assert take_claims(session, claims("3")) == set()
        assert take_claims(session, claims("1", day=DAY + dt.timedelta(days=1))) == set()
        assert take_claims(session, claims("1", dataset="other")) == set()
        assert log.store(lake).tries == 0
        worker.send_signal(signal.SIGKILL)
        worker.wait(PATIENCE_S)
    finally:
        worker.kill()
        worker.wait(PATIENCE_S)
        assert worker.stdout
        worker.stdout.close()
    while take_claims(session, claims("1", "2")):
        pass
    assert count(session, "requests") == 3
    assert log.store(lake).tries == 3
    assert lake.scan(ApiRequests).collect().height == 3
    assert (count(session, "requests"), log.store(lake).tries) == (0, 0)


def test_requests_are_on_the_disk_before_their_answers_are_stored(
    session: SharedSession, tmp_path: Path
) -> None:
    """A server that crashed lost the record of requests whose answers were stored: PU that nothing told of."""
    log = SharedRequestLog(session, tmp_path / "requests")

    def read(position: str) -> int:
        def look(cursor: object) -> int:
            cursor.execute(f"SELECT pg_current_wal_{position}_lsn() - '0/0'::pg_lsn")  # type: ignore[attr-defined]
            return int(cursor.fetchone()[0])  # type: ignore[attr-defined]

        return session.transact(look)

    for minute in range(2):
        at = dt.datetime(2026, 10, 5, 12, minute, tzinfo=dt.UTC)
        log.add(LoggedTry(at, "plants", None, None, 200, None, 10, 1.0))
        written = read("insert")
        log.sync()
        assert read("flush") >= written
    log.sync()
    session.transact(lambda cursor: cursor.execute("DELETE FROM requests"))


def test_a_session_goes_on_after_an_outage_with_the_same_number(session: SharedSession) -> None:
    number = session.holder
    with session.open_connection() as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND usename = 'sunledger'"
        )
    assert session.holder == number
    assert number in session.list_living()
    session.close()
    other_session = SharedSession(session._url)
    while number in other_session.list_living():
        pass
    other_session.close()


def test_a_process_whose_session_is_cut_while_it_works_is_not_taken_for_dead(
    session: SharedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a server that is started again. Its claims went to the next one, and its run was marked as failed."""
    monkeypatch.setattr(shared_session, "WATCH_EVERY_S", 0.1)
    monkeypatch.setattr(shared_session, "GONE_FOR_S", 3.0)
    working = SharedSession(session._url)
    assert take_claims(working, claims("1")) == set()
    number = working.holder
    session.transact(
        lambda cursor: cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = %s",
            [number],
        )
    )
    # It says nothing to PostgreSQL meanwhile.
    assert take_claims(session, claims("1"))
    assert number in session.list_living()
    working.close()
    while take_claims(session, claims("1")):
        pass


def test_a_lock_is_taken_through_a_short_outage(
    session: SharedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that came to a lock while PostgreSQL was started again ended, where all else waits for it."""
    import psycopg2  # noqa: PLC0415 - an extra

    monkeypatch.setattr(shared_session, "FAULT_WAITS_S", (0.0, 0.0))
    assert session.holder
    dial, faults = session._dial, [psycopg2.OperationalError("starting up")] * 2

    def fail_first() -> object:
        if faults:
            raise faults.pop()
        return dial()

    monkeypatch.setattr(session, "_dial", fail_first)
    with session.lock("requests", 1.0, RuntimeError):
        assert not faults
    faults += [psycopg2.OperationalError("starting up")] * 3
    with pytest.raises(SharedStoreError, match="starting or stopping"), session.lock("it", 1.0, RuntimeError):
        pass


def test_a_wait_for_a_lock_is_announced(session: SharedSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of requests may be moved for ten minutes, and who waited for its lock said nothing."""
    monkeypatch.setattr(slow_stores, "SILENT_FOR_S", 0.1)
    monkeypatch.setattr(slow_stores, "LOOK_EVERY_S", 0.02)
    told: list[str] = []
    holder = session.lock("requests", 1.0, RuntimeError)
    holder.__enter__()

    def end_it(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            holder.__exit__(None, None, None)

    with announce_slow_stores(end_it), session.lock("requests", 600.0, RuntimeError):
        pass
    assert told[0].startswith(
        f"Waiting for the lock 'requests' in {session.place}, which another process has held"
    )
    assert told[0].endswith("it is waited for 600 s at most.")


def test_a_standby_that_is_about_to_take_over_is_waited_for(
    session: SharedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that wrote to it ended, though it would have been the server a moment later."""
    monkeypatch.setattr(shared_session, "FAULT_WAITS_S", (0.0, 0.0))
    assert session.holder
    faults = 2

    def write(cursor: object) -> None:
        nonlocal faults
        if faults:
            faults -= 1
            cursor.execute("SET TRANSACTION READ ONLY")  # type: ignore[attr-defined]
        cursor.execute("INSERT INTO documents VALUES ('one', '') ON CONFLICT DO NOTHING")  # type: ignore[attr-defined]

    session.transact(write)
    assert not faults
    faults = 3
    with pytest.raises(SharedStoreError, match="it is a read-only standby"):
        session.transact(write)


def bound_waits(monkeypatch: pytest.MonkeyPatch, still: str, lock: str) -> None:
    """Sessions that are opened from now on are ended, and give up a lock, after these times."""
    bounds = f" -c lock_timeout={lock} -c idle_in_transaction_session_timeout={still}"
    monkeypatch.setattr(shared_session, "OPTIONS", OPTIONS + bounds)


def test_nobody_waits_forever_for_a_suspended_process(
    session: SharedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound_waits(monkeypatch, still="300ms", lock="60s")
    stopped, other = SharedSession(session._url), SharedSession(session._url)
    others: list[set[str]] = []

    def be_suspended_once(cursor: object) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('claims'))", [shared_session.NAMED])  # type: ignore[attr-defined]
        if not others:
            others.append(take_claims(other, claims("1")))

    # The server ends its session, the other one goes on, and what it did is done again.
    stopped.transact(be_suspended_once)
    assert others == [set()]
    bound_waits(monkeypatch, still="60s", lock="300ms")
    late = SharedSession(session._url)
    with session.open_connection() as foreign, foreign.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('claims'))", [shared_session.NAMED])
        with pytest.raises(SharedStoreError, match=r"one of its locks for 30 s \(pg_locks .* end it, then"):
            take_claims(late, claims("2"))
    for opened in (stopped, other, late):
        opened.close()


def test_a_number_that_the_server_gives_again_is_left_to_the_process_that_has_it(
    session: SharedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was restored from a backup goes back, and so does a standby that lacked the last moments."""
    bound_waits(monkeypatch, still="60s", lock="300ms")
    first, second = SharedSession(session._url), SharedSession(session._url)
    number = first.holder
    session.transact(lambda cursor: cursor.execute(f"ALTER SEQUENCE holders RESTART WITH {number}"))
    assert second.holder != number
    # It was cut off, and meanwhile another process got its number.
    first.close()
    with session.open_connection() as third, third.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [shared_session.HOLDERS, number])
        assert first.holder not in {number, second.holder}
    first.close()
    second.close()


def test_documents_are_encrypted_and_one_at_a_time_writes_them(
    settings: Settings, session: SharedSession
) -> None:
    document = open_document(settings, "login.json")
    assert document.read() is None
    # A login that failed before there was anything to keep.
    with document.reserve_room():
        pass
    assert document.read() is None
    document.write(b"the-refresh-token")
    assert (
        SharedDocument(session, "credentials/login.json", CLUSTER["cluster_key"]).read()
        == b"the-refresh-token"
    )

    def look(cursor: object) -> bytes:
        cursor.execute("SELECT content FROM documents WHERE name = 'credentials/login.json'")  # type: ignore[attr-defined]
        return bytes(cursor.fetchone()[0])  # type: ignore[attr-defined]

    assert b"refresh" not in session.transact(look)
    with pytest.raises(SecretFileError, match="can't be decrypted: set SUNLEDGER_CLUSTER_KEY"):
        SharedDocument(session, "credentials/login.json", "another key").read()
    with document.reserve_room() as put:
        assert document.read() == b"the-refresh-token"
        put(b"a newer one")
    assert document.read() == b"a newer one"
    with (
        document.lock(),
        pytest.raises(SecretFileError, match="stop that process"),
        session.lock("credentials/login.json", 0.2, lambda: SecretFileError("stop that process")),
    ):
        pass
    assert not (settings.home / "credentials").exists()


def list_turns(session: SharedSession) -> list[bytes]:
    def look(cursor: object) -> list[bytes]:
        cursor.execute("SELECT content FROM documents WHERE name LIKE 'turn %'")  # type: ignore[attr-defined]
        return [bytes(content) for (content,) in cursor.fetchall()]  # type: ignore[attr-defined]

    return session.transact(look)


def test_a_lost_lock_lets_nobody_trade_a_refresh_token_a_second_time(
    settings: Settings, session: SharedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMA ends a login whose refresh token is used twice, and a server that is started again takes locks away."""
    monkeypatch.setattr(slow_stores, "SILENT_FOR_S", 0.1)
    monkeypatch.setattr(slow_stores, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(shared_turn, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(shared_session, "GONE_FOR_S", 0.5)
    other = SharedSession(session._url)
    order: list[str] = []

    async def trade(name: str, of: SharedSession, begun: asyncio.Event, go_on: asyncio.Event) -> None:
        async with SharedDocument(of, "credentials/login.json", "key").lock_async(Clock()):
            order.append(f"{name} begins")
            begun.set()
            await go_on.wait()
            order.append(f"{name} ends")

    async def trade_after_a_death() -> None:
        at_once = asyncio.Event()
        at_once.set()
        await asyncio.wait_for(trade("three", session, asyncio.Event(), at_once), PATIENCE_S)

    async def lose_lock() -> None:
        first, second, waits = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            if "turn at credentials/login.json" in text:
                loop.call_soon_threadsafe(waits.set)

        with announce_slow_stores(tell):
            one = asyncio.create_task(trade("one", session, first, waits))
            await first.wait()
            # Only locks on names: processes keep their numbers.
            session.transact(
                lambda cursor: cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND classid::bigint = %s",
                    [shared_session.NAMED],
                )
            )
            two = asyncio.create_task(trade("two", other, second, waits))
            either = [asyncio.create_task(event.wait()) for event in (waits, second)]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            waits.set()
            await asyncio.gather(one, two)

    asyncio.run(lose_lock())
    assert order == ["one begins", "one ends", "two begins", "two ends"]
    # A process that died in its turn holds nobody up.
    turn = SharedTurn(other, "credentials/login.json", 60, RuntimeError)
    turn.begin()
    other.close()
    asyncio.run(trade_after_a_death())
    assert order[-1] == "three ends"
    # And one that nobody waits for any more takes none.
    late = SharedTurn(session, "credentials/login.json", 60, RuntimeError)
    late.end()
    late.begin()
    assert list_turns(session) == [b""]


def test_a_machine_with_another_home_knows_the_owners_of_the_first(
    settings: Settings, session: SharedSession, tmp_path: Path
) -> None:
    other = load_settings(
        env_file=None,
        home=tmp_path / "another",
        **{**CLUSTER, "cluster_postgres_url": settings.cluster_postgres_url.get_secret_value()},
    )
    assert ConsentBook.of(settings).hash("owner@example.org") == ConsentBook.of(other).hash(
        "owner@example.org"
    )
    assert not (tmp_path / "another").exists()


def test_a_server_that_is_full_is_said_to_be_full(url: str) -> None:
    import psycopg2  # noqa: PLC0415 - an extra

    session = SharedSession(load_settings(env_file=None, cluster_postgres_url=url).cluster_postgres_url)
    with ExitStack() as opened:
        with suppress(psycopg2.OperationalError):
            while True:
                opened.enter_context(closing(psycopg2.connect(url)))
        with pytest.raises(SharedStoreError, match="no connection left for another process"):
            _ = session.holder


def test_a_database_without_the_tables_says_what_to_run(url: str) -> None:
    empty = SharedSession(
        load_settings(
            env_file=None, cluster_postgres_url=url.replace("/postgres", "/template1")
        ).cluster_postgres_url
    )
    with pytest.raises(SharedStoreError, match=r"its tables are missing.*sunledger cluster init") as caught:
        _ = empty.holder
    assert "only-on-loopback" not in str(caught.value)


def test_two_machines_share_the_monthly_limit_though_postgres_drops_the_lock_of_one(
    settings: Settings, session: SharedSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a server does that is started again while one of them decides."""
    opened = OpenResources(lake=Lake(str(tmp_path / "lake"), tmp_path / "tmp"))
    noon = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)
    fee = spending.find_new_units(RunContext(settings, now=lambda: noon, opened=opened), ["1"]).eur
    limited = settings.model_copy(update={"max_eur_per_month": fee + 1})
    slow, fast = (RunContext(limited, now=lambda: noon, opened=opened) for _ in range(2))
    select, admitted = spending._select_within_limits, []

    def decide_late(runtime: RunContext, found: spending.NewUnits) -> pl.DataFrame:
        chosen = select(runtime, found)
        if runtime is slow and not admitted:
            # Only locks on names: processes keep their numbers.
            session.transact(
                lambda cursor: cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND classid::bigint = %s",
                    [shared_session.NAMED],
                )
            )
            admitted.append(spending.admit(fast, ["3", "4"]))
        return chosen

    monkeypatch.setattr(spending, "_select_within_limits", decide_late)
    late = spending.admit(slow, ["1", "2"])
    # There is room for one PU.
    assert [(one.plants, one.refused is not None) for one in (*admitted, late)] == [
        (frozenset({"3"}), True),
        (frozenset(), True),
    ]
    assert spending.find_new_units(slow, ["1", "2", "3", "4"]).ids == {"1", "2", "4"}
