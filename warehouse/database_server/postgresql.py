"""PostgreSQL by ADBC: one connection, statements, and what goes wrong as a sentence without the password."""

import importlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from pipeline.common.errors import ConfigurationError, SunledgerError
from pipeline.common.slow_stores import watch_server
from pipeline.common.text import escape_line, shorten_text
from warehouse.quoting import quote_identifier

CONNECT_TIMEOUT_S = 20
# A machine that is gone without a word is asked after this time whether it is there, and given up after that.
KEEPALIVE_S = 60
GONE_AFTER_S = 2 * KEEPALIVE_S
# A push takes seconds to minutes; whoever waits longer than this for a lock waits for something that hangs.
LOCK_WAIT_S = 600
IDLE_S = 600
# Of the server's words, what a message repeats.
MOST_SIGNS = 300
DRIVER = "adbc_driver_postgresql.dbapi"


class PostgresqlError(SunledgerError):
    """PostgreSQL did not do what was asked of it. Readers see what they saw before."""

    transient: ClassVar[bool] = False


class PostgresqlUnavailableError(PostgresqlError):
    """PostgreSQL can't be reached or is busy: the same may succeed later."""

    transient = True


class _Cause(NamedTuple):
    states: re.Pattern[str]
    words: re.Pattern[str] | None
    clause: str
    kind: type[PostgresqlError]


def _cause(
    states: str, words: str | None, clause: str, kind: type[PostgresqlError] = PostgresqlError
) -> _Cause:
    return _Cause(re.compile(states), re.compile(words, re.IGNORECASE) if words else None, clause, kind)


# What SQLSTATE means, or where there is none the words of libpq, and the cure; the first that fits counts.
_CAUSES = (
    _cause(
        r"28P01|28000",
        r"password authentication failed|no password supplied|no pg_hba.conf entry",
        "refuses this login: check user and password in SUNLEDGER_PUSH_URL, and pg_hba.conf of the server",
    ),
    _cause(
        r"3D000",
        r"database \".*\" does not exist",
        "has no such database: create it, or name another one in SUNLEDGER_PUSH_URL",
    ),
    _cause(
        r"42501",
        r"permission denied|must be owner|not permitted to log in",
        "does not let this user do it: the user of SUNLEDGER_PUSH_URL needs CREATE on the database, or must own the "
        "schema of SUNLEDGER_PUSH_SCHEMA and its tables",
    ),
    _cause(
        r"2BP01",
        r"other objects depend",
        "has views or other objects that depend on a table whose columns changed: drop them, run 'sunledger push', "
        "and create them again",
    ),
    _cause(
        r"42809",
        None,
        "has a view or something else in the place of a table that sunledger wrote: drop it, then run 'sunledger push' "
        "again",
    ),
    _cause(
        r"42703|42P01",
        None,
        "lacks a table or column that sunledger created: drop the whole schema of SUNLEDGER_PUSH_SCHEMA, then run "
        "'sunledger push' again",
    ),
    _cause(
        r"23\w{3}",
        None,
        "has a rule on a table that sunledger did not make and that the rows break: drop the rule, then run 'sunledger "
        "push' again",
    ),
    _cause(
        r"25006",
        r"read-only transaction",
        "is a copy that can only be read: name the primary server in SUNLEDGER_PUSH_URL",
    ),
    _cause(
        r"53100",
        r"No space left|could not extend file",
        "has no space left on its disk: free some, then run 'sunledger push' again",
    ),
    _cause(
        r"55P03|40P01",
        r"lock timeout",
        "has another transaction that holds these tables: look for it in pg_stat_activity, then run 'sunledger push' "
        "again",
        PostgresqlUnavailableError,
    ),
    _cause(
        r"never",
        r"certificate|SSL|TLS",
        "does not offer the encrypted connection that SUNLEDGER_PUSH_URL asks for: check sslmode and sslrootcert",
    ),
    _cause(
        r"never",
        r"invalid connection option|invalid URI|invalid .*value|invalid integer value",
        "can't be asked, because SUNLEDGER_PUSH_URL has an option that PostgreSQL does not know: check the part after "
        "the question mark",
    ),
    _cause(
        r"never",
        r"percent-encoded",
        "can't be asked, because SUNLEDGER_PUSH_URL has a % that begins no code: write it as %25",
    ),
    _cause(
        r"never",
        r"could not translate host name|Name or service not known",
        "has a host name that can't be found: check SUNLEDGER_PUSH_URL and the network",
        PostgresqlUnavailableError,
    ),
    _cause(
        r"57\w{3}|53300|08\w{3}|25P0[34]",
        r"Failed to connect|connection to server|Connection refused|timeout|terminating connection"
        r"|server closed|no connection|starting up|too many",
        "can't be reached or ended the connection: check that it runs and SUNLEDGER_PUSH_URL, then run 'sunledger "
        "push' again",
        PostgresqlUnavailableError,
    ),
)


@dataclass(slots=True)
class PostgresqlConnection:
    """One transaction on a server. `place` is its host and port."""

    driver: Any
    place: str

    def run(self, statement: str) -> None:
        """Run one statement that gives no rows."""
        with self._open_cursor() as cursor:
            cursor.execute(statement)

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._open_cursor() as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def load(self, schema: str, table: str, rows: pa.RecordBatchReader) -> int:
        """Add rows to a table by COPY, and return how many."""
        with self._open_cursor() as cursor:
            return int(cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema))

    def commit(self) -> None:
        """Make all that happened since the last commit visible at once."""
        with watch_postgresql(self.place):
            self.driver.commit()

    @contextmanager
    def _open_cursor(self) -> Iterator[Any]:
        with watch_postgresql(self.place), self.driver.cursor() as cursor:
            yield cursor


def watch_postgresql(place: str) -> AbstractContextManager[None]:
    """A call of the server at that place: whoever waits for it longer than some seconds hears of it."""
    return watch_server(
        f"PostgreSQL at {place}",
        f"it works, or waits up to {LOCK_WAIT_S // 60} minutes for a transaction that holds a table (pg_stat_activity "
        f"names it); a machine that is gone is noticed within {GONE_AFTER_S // 60} minutes",
    )


@contextmanager
def open_postgresql(url: str) -> Iterator[PostgresqlConnection]:
    """A connection with an open transaction, which is undone unless it is committed.

    Faults of the driver become PostgresqlError, also those of the block. Raises ConfigurationError where the driver is
    not installed.
    """
    try:
        driver = importlib.import_module(DRIVER)
    except ImportError as fault:
        raise ConfigurationError(
            "SUNLEDGER_PUSH_URL needs the extra `postgresql`: install it with pip install '.[postgresql]'."
        ) from fault
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or 5432}"
    try:
        with watch_postgresql(place):
            opened = driver.connect(_add_limits(url))
        with opened:
            connection = PostgresqlConnection(opened, place)
            for statement in (
                "SET TIME ZONE 'UTC'",
                f"SET tcp_keepalives_idle = {KEEPALIVE_S}",
                f"SET lock_timeout = '{LOCK_WAIT_S}s'",
                f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'",
            ):
                connection.run(statement)
            yield connection
    except driver.Error as fault:
        raise build_postgresql_error(fault, url, place) from None


def build_postgresql_error(fault: Exception, url: str, place: str) -> PostgresqlError:
    """The sentence for a fault of the driver; it never repeats the password."""
    said = _hide_password(str(fault), url)
    state = getattr(fault, "sqlstate", None) or ""
    for cause in _CAUSES:
        if cause.states.fullmatch(state) if state else cause.words and cause.words.search(said):
            return cause.kind(
                f"The PostgreSQL at {place} {cause.clause}. Readers see what they saw before. {_shorten(said)}"
            )
    return PostgresqlError(
        f"The PostgreSQL at {place} did not do what was asked of it: {_shorten(said)} Readers see what they saw "
        "before. Look at its log, then run 'sunledger push' again."
    )


def name_table(schema: str, table: str) -> str:
    """A table's name for SQL."""
    return f"{quote_identifier(schema)}.{quote_identifier(table)}"


def _add_limits(url: str) -> str:
    """The waiting for a server that is not there is bounded, unless the address says another bound."""
    limits = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        # Without these the system of this machine asks after hours whether the other one is still there.
        "keepalives_idle": KEEPALIVE_S,
        "keepalives_interval": KEEPALIVE_S // 4,
        "keepalives_count": 4,
        "tcp_user_timeout": GONE_AFTER_S * 1000,
    }
    added = "&".join(f"{name}={value}" for name, value in limits.items() if f"{name}=" not in url)
    return f"{url}{'&' if urlsplit(url).query else '?'}{added}"


def _hide_password(said: str, url: str) -> str:
    parts = urlsplit(url)
    options = [option.partition("=") for option in parts.query.split("&")]
    words = [parts.password or "", *(value for name, _, value in options if "password" in name.lower())]
    for form in {url, *words, *map(unquote, words)} - {""}:
        said = said.replace(form, "***")
    return said


def _shorten(said: str) -> str:
    """The server's own words in one line."""
    words = escape_line(" ".join(said.split()))
    return f"PostgreSQL says: {shorten_text(words, MOST_SIGNS).rstrip('.')}."
