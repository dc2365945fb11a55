"""What the machines of a cluster share in PostgreSQL, and this process's session there. Needs the extra `cluster`.

Each process has one session that holds an advisory lock on a number of its own, its holder. PostgreSQL takes the lock
away when the session ends, however its process or machine did: within 25 s where nobody closed the connection. So
others see by the number whether the process lives, without a clock and without a heartbeat. A pooler in front of
PostgreSQL must keep sessions apart (PgBouncer: pool_mode = session).

A server that is started again, or whose standby takes over, ends the sessions of processes that live. So each process
watches its connection and has a session again within a second or two, also where it works on something else for long;
and a number counts as gone only once it was not there for some seconds.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipeline.common.cluster_rules import check_cluster
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.slow_stores import watch_lock

T = TypeVar("T")

# A PostgreSQL that is started again, or whose standby takes over, is back within such a time.
FAULT_WAITS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
CONNECT_WITHIN_S = 10
LOCK_POLL_S = 0.1
# Kinds of advisory locks, the first of two numbers: processes, and things by their name. Read as text: SLH and SLN.
HOLDERS, NAMED = 0x534C48, 0x534C4E
# A machine that has gone without a word is noticed after such a time, also where something was on its way to it.
GONE_AFTER_S = 25
# How often a process looks whether its connection was cut, and for how long a number must be gone to be believed.
WATCH_EVERY_S = 1.0
GONE_FOR_S = 5.0
# Transactions take milliseconds. The server ends one whose process is suspended for so long, and with it its locks.
SUSPENDED_FOR_S = 20
# Because of that nobody waits longer than this for a lock, unless another program holds it.
LOCK_WITHIN_S = 30
# Nothing of a session is worth a wait for the disk but documents, which ask for it.
OPTIONS = (
    "-c search_path=sunledger_cluster -c synchronous_commit=off -c tcp_keepalives_idle=10 "
    f"-c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout={GONE_AFTER_S}s "
    f"-c lock_timeout={LOCK_WITHIN_S}s -c idle_in_transaction_session_timeout={SUSPENDED_FOR_S}s"
)
SCHEMA = "sunledger_cluster"
TABLES_SQL = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE SEQUENCE IF NOT EXISTS {SCHEMA}.holders AS integer CYCLE;
CREATE TABLE IF NOT EXISTS {SCHEMA}.claims (
    dataset text, local_date date, plant_id text, holder integer NOT NULL, process text NOT NULL,
    PRIMARY KEY (dataset, local_date, plant_id)
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.requests (
    request_id text PRIMARY KEY, holder integer NOT NULL, try json NOT NULL
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.documents (name text PRIMARY KEY, content bytea NOT NULL);
"""
LIVING_SQL = (
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid::bigint = %s"
)


class SharedStoreError(SunledgerError):
    """PostgreSQL can't be used for what the machines of a cluster share."""


class SharedSession:
    """This process's session. It connects at first use; threads take turns. No message shows user or password."""

    def __init__(self, url: SecretStr) -> None:
        import psycopg2  # noqa: PLC0415 - an extra

        self._driver = psycopg2
        parts = urlsplit(url.get_secret_value())
        self.place = f"PostgreSQL at {parts.hostname}:{parts.port or 5432}{parts.path}"
        self._url = url
        self._guard = threading.RLock()
        self._connection: Any = None
        self._holder: int | None = None
        self._watcher: threading.Thread | None = None
        self._in_use = False
        self._missed_since: dict[int, float] = {}

    @property
    def holder(self) -> int:
        """The number of this process. Raises SharedStoreError."""
        self.transact(lambda _: None)
        assert self._holder is not None  # noqa: S101 - for the type checker
        return self._holder

    def transact(self, work: Callable[[Any], T]) -> T:
        """The result of `work`, which gets a cursor, in one transaction.

        After a short outage it is done again, whole, so it must be right if it is done twice. Raises SharedStoreError.
        """
        with self._guard:
            for wait_s in (*FAULT_WAITS_S, None):
                try:
                    with self._connect() as connection, connection.cursor() as cursor:
                        return work(cursor)
                except self._driver.errors.LockNotAvailable as fault:
                    raise self.build_error(fault) from None
                except (
                    self._driver.OperationalError,
                    self._driver.InterfaceError,
                    self._driver.errors.IdleInTransactionSessionTimeout,
                    # A standby that is about to take over is reached before it may be written to.
                    self._driver.errors.ReadOnlySqlTransaction,
                ) as fault:
                    self._drop()
                    # A server that was never reached is a wrong setting.
                    if wait_s is None or self._holder is None:
                        raise self.build_error(fault) from None
                    time.sleep(wait_s)
                except self._driver.Error as fault:
                    raise self.build_error(fault) from None
        raise AssertionError("the last try returns or raises")

    def list_living(self) -> set[int]:
        """The holders who have a session now."""

        def look(cursor: Any) -> set[int]:
            cursor.execute(LIVING_SQL, [HOLDERS])
            return {number for (number,) in cursor.fetchall()}

        return self.transact(look)

    def find_gone(self, holders: Collection[int]) -> set[int]:
        """Those of the holders whose process has ended. Looks a second time, after seconds, at whom it misses newly."""
        for _ in range(2):
            living = self.list_living()
            missed = set(holders) - living
            with self._guard:
                now = time.monotonic()
                since = {one: at for one, at in self._missed_since.items() if one not in living}
                self._missed_since = {**dict.fromkeys(missed, now), **since}
                young_s = max((GONE_FOR_S - (now - self._missed_since[one]) for one in missed), default=0.0)
            if young_s <= 0:
                break
            time.sleep(young_s)
        return missed

    def create_tables(self) -> None:
        """Create what is not there yet; processes that do so at once take turns. Raises SharedStoreError."""
        with self.open_connection() as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('tables'))", [NAMED])
            cursor.execute(TABLES_SQL)

    @contextmanager
    def lock(self, name: str, wait_s: float, busy: Callable[[], Exception]) -> Iterator[None]:
        """Be the only process and thread inside; raises what `busy` makes when somebody else is for so long.

        The lock has a session of its own, because a session that has a lock gets it again.
        """
        with self.open_connection() as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                self._await_lock(cursor, name, wait_s, busy)
                yield

    def _await_lock(self, cursor: Any, name: str, wait_s: float, busy: Callable[[], Exception]) -> None:
        deadline = time.monotonic() + wait_s
        with watch_lock(f"lock '{name}' in {self.place}", f"it is waited for {wait_s:.0f} s at most"):
            while True:
                cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [NAMED, name])
                if cursor.fetchone()[0]:
                    return
                if time.monotonic() >= deadline:
                    raise busy()
                time.sleep(LOCK_POLL_S)

    @contextmanager
    def open_connection(self) -> Iterator[Any]:
        """A connection of its own, closed with the block. A short outage of a known server is waited for.

        Raises SharedStoreError where there is none to be had.
        """
        connection = None
        try:
            connection = self._dial_again() if self._holder is not None else self._dial()
            yield connection
        except self._driver.Error as fault:
            raise self.build_error(fault) from None
        finally:
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """Close the connection; the next use opens another one with the same number."""
        self._in_use = False
        self._drop()

    def _drop(self) -> None:
        with self._guard, suppress(Exception):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _connect(self) -> Any:
        if self._connection is None:
            connection = self._dial()
            try:
                self._holder = self._take_number(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._in_use = True
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="session", daemon=True)
                self._watcher.start()
        return self._connection

    def _watch(self) -> None:
        """Have a session again soon after it was cut, so that others do not take this process for dead."""
        while self._in_use:
            time.sleep(WATCH_EVERY_S)
            # Whoever has the guard now is using the session, and notices a cut itself.
            if not self._guard.acquire(blocking=False):
                continue
            try:
                # Closed in the meantime, it must stay closed.
                if self._in_use and self._is_cut():
                    self._drop()
                    # Whoever uses the session reports a fault that lasts.
                    with suppress(Exception):
                        self._connect()
            finally:
                self._guard.release()

    def _is_cut(self) -> bool:
        """Whether the server has closed the idle connection: nothing else makes it readable."""
        if self._connection is None:
            return True
        try:
            return bool(select.select([self._connection], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    def _take_number(self, connection: Any) -> int:
        """The number that this process had before an outage, or one that no living process has.

        A server that was restored from a backup, or a standby that lacked the last moments, gives numbers again.
        """
        if self._holder is not None:
            # The server may take a while to notice that the connection before is gone.
            with (
                suppress(self._driver.errors.LockNotAvailable),
                connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", [HOLDERS, self._holder])
                return self._holder
        while True:
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    "SELECT number, pg_try_advisory_lock(%s, number::integer) FROM nextval('holders') AS given(number)",
                    [HOLDERS],
                )
                number, is_free = cursor.fetchone()
            if is_free:
                return int(number)

    def _dial_again(self) -> Any:
        for wait_s in FAULT_WAITS_S:
            with suppress(self._driver.OperationalError):
                return self._dial()
            time.sleep(wait_s)
        return self._dial()

    def _dial(self) -> Any:
        return self._driver.connect(
            self._url.get_secret_value(),
            connect_timeout=CONNECT_WITHIN_S,
            application_name="sunledger",
            options=OPTIONS,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=GONE_AFTER_S * 1000,
        )

    def build_error(self, fault: Exception) -> SharedStoreError:
        """The fault as a sentence, without what psycopg2 says, which may quote what was sent."""
        code = getattr(fault, "pgcode", None) or _find_code(str(fault))
        why = _REASONS.get(
            code or "", "it can't be reached, or refuses the user, the password or the database"
        )
        if code and code not in _REASONS:
            why = f"it refuses a statement (SQLSTATE {code})"
        return SharedStoreError(
            f"{self.place} can't be used, because {why}: check SUNLEDGER_CLUSTER_POSTGRES_URL and that PostgreSQL "
            "runs, and run 'sunledger cluster init' once."
        )


_REASONS = {
    "42P01": "its tables are missing",
    "3F000": "its tables are missing",
    "42501": f"its user may not create or use the schema {SCHEMA}",
    "53300": "it has no connection left for another process (max_connections)",
    "57P03": "it is starting or stopping",
    "25006": "it is a read-only standby",
    "53100": "its disk is full",
    "55P03": (
        f"another session has held one of its locks for {LOCK_WITHIN_S} s (pg_locks and pg_stat_activity name it: end "
        "it, then run this again)"
    ),
}

# What a server says that refuses a connection: psycopg2 gives no code with it.
_REFUSALS = {
    "too many clients": "53300",
    "remaining connection slots": "53300",
    "too many connections": "53300",
    "starting up": "57P03",
    "shutting down": "57P03",
    "recovery mode": "57P03",
}


def _find_code(said: str) -> str | None:
    """The code of a refused connection, by the server's words; None where they are not known."""
    return next((code for words, code in _REFUSALS.items() if words in said), None)


_OPEN: dict[tuple[int, str], SharedSession] = {}


def open_shared_session(settings: Settings) -> SharedSession | None:
    """This process's session in the cluster of the settings, which it shares; None without a cluster.

    Raises ConfigurationError for settings that can't be true on several machines.
    """
    if settings.cluster == "none":
        return None
    check_cluster(settings)
    # A copy of this process by fork is another process.
    key = os.getpid(), settings.cluster_postgres_url.get_secret_value()
    return _OPEN.setdefault(key, SharedSession(settings.cluster_postgres_url))


def find_shared_session() -> SharedSession | None:
    """The session that this process has opened, if any."""
    return next((session for (pid, _), session in _OPEN.items() if pid == os.getpid()), None)
