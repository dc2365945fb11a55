"""The report tables in a real PostgreSQL: equal to the published file, only what changed, old or new and never half."""

import datetime as dt
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import psycopg2
import pytest

from pipeline.common import slow_stores
from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.common.settings import load_settings
from pipeline.common.slow_stores import announce_slow_stores
from schemas import EnergyDaily, Plants, Quarantine
from tests.assets.postgres_server import needs_postgres, postgres
from tests.ports import find_free_port
from tests.programs import run, start, wait_until
from tests.small_lake import FIRST, NOW, SECOND, fill, put
from warehouse.database_server import postgresql
from warehouse.database_server.postgresql import (
    PostgresqlError,
    PostgresqlUnavailableError,
    build_postgresql_error,
)
from warehouse.database_server.push import PushTarget, push_published
from warehouse.database_server.push_origin import list_lake_ids
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

PASSWORD = "p@ss/word'1"
LATER = NOW + dt.timedelta(hours=1)


@dataclass(frozen=True)
class Server:
    """A database of a test's own; `owner` pushes and is no superuser."""

    url: str
    admin: dict[str, Any]

    def connect(self, user: str | None = None) -> Any:
        """A session of the administrator, or of a user whose password is PASSWORD."""
        return psycopg2.connect(**{**self.admin, **({"user": user, "password": PASSWORD} if user else {})})

    def run(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with closing(self.connect()) as session:
            session.autocommit = True
            for statement in statements:
                session.cursor().execute(statement)

    def fetch(self, query: str, user: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with closing(self.connect(user)) as session, session.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute(query)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, Any]]:
    with postgres() as found:
        yield {
            "host": found["DAGSTER_PG_HOST"],
            "port": int(found["DAGSTER_PG_PORT"]),
            "user": found["DAGSTER_PG_USER"],
            "password": found["DAGSTER_PG_PASSWORD"],
            "dbname": found["DAGSTER_PG_DB"],
        }


@pytest.fixture
def server(cluster: dict[str, Any], request: pytest.FixtureRequest) -> Server:
    name = f"db_{abs(hash(request.node.name))}"
    word = PASSWORD.replace("'", "''")
    whole = Server("", cluster)
    whole.run(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'owner') THEN "
        f"CREATE ROLE owner LOGIN CREATEROLE PASSWORD '{word}'; CREATE ROLE bi LOGIN PASSWORD '{word}'; "
        "END IF; END $$",
        f"CREATE DATABASE {name} OWNER owner",
    )
    url = f"postgresql://owner:{quote(PASSWORD, safe='')}@{cluster['host']}:{cluster['port']}/{name}"
    return Server(url, {**cluster, "dbname": name})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def lake(home: Path) -> Lake:
    found = Lake(str(home / "lake"), home / "scratch")
    fill(found)
    return found


def show(lake: Lake, home: Path, now: dt.datetime = NOW) -> Path:
    return publish(lake, home / "sunledger.duckdb", now=now, version="1").path


def change(lake: Lake) -> None:
    """One plant's day has another energy, a row of quarantine comes, and a plant has another name."""
    put(
        lake,
        EnergyDaily,
        [{"plant_id": "a", "local_date": SECOND, "pv_generation_kwh": 7.5, "coverage": 0.5}],
    )
    put(lake, Quarantine, [{"plant_id": "a", "local_date": SECOND, "source": "pv", "reason": "spike"}])
    put(lake, Plants, [{"plant_id": "a", "name": "back\\slash \x00 'quote'", "timezone": "Europe/Berlin"}])


def list_tables(published: Path) -> list[str]:
    with connect(published) as file:
        query = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' AND NOT internal"
        return sorted(name for (name,) in file.execute(query).fetchall())


def assert_equal(published: Path, server: Server, schema: str = "sunledger") -> None:
    """Every table of the file has the same rows, values and order of columns in PostgreSQL."""
    for table in list_tables(published):
        with connect(published) as file:
            names = [row[0] for row in file.execute(f"DESCRIBE {table}").fetchall()]
            rows = file.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
        pushed = server.fetch(f"SELECT * FROM {schema}.{table}")
        of_server = server.fetch(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = '{schema}' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        assert [name for (name,) in of_server] == names
        clean = [[v.replace("\x00", "") if isinstance(v, str) else v for v in row] for row in rows]
        assert sorted(map(repr, map(list, pushed))) == sorted(map(repr, map(_tell_types, clean))), table


def _tell_types(row: list[Any]) -> list[Any]:
    """Times as psycopg2 gives them: in UTC, of the standard library."""
    return [
        value.astimezone(dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo else value
        for value in row
    ]


@pytest.mark.long
@needs_postgres
def test_every_table_is_equal_and_a_second_push_writes_what_changed(
    lake: Lake, home: Path, server: Server
) -> None:
    published, target = show(lake, home), PushTarget(server.url, "sunledger", "bi_reader")
    first = push_published(published, target)
    assert first.rows["energy_daily"] == 4
    assert set(first.created) == set(list_tables(published))
    assert_equal(published, server)
    # Comments and keys are those of the file.
    with connect(published) as file:
        comments = file.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() AS c SEMI JOIN duckdb_tables() AS t "
            "USING (schema_name, table_name) WHERE schema_name = 'main' ORDER BY ALL"
        ).fetchall()
    assert comments == sorted(
        server.fetch(
            "SELECT relname::text, attname::text, col_description(c.oid, attnum) FROM pg_class AS c "
            "JOIN pg_attribute AS a ON attrelid = c.oid WHERE relnamespace = 'sunledger'::regnamespace "
            "AND relkind = 'r' AND attnum > 0 AND NOT attisdropped AND relname <> '_pushed'"
        )
    )
    keys = dict(
        server.fetch(
            "SELECT relname::text, pg_get_constraintdef(k.oid) FROM pg_constraint AS k JOIN pg_class AS c "
            "ON c.oid = conrelid WHERE contype = 'p'"
        )
    )
    assert keys["energy_daily"] == "PRIMARY KEY (plant_id, local_date)"
    assert keys["v_energy_daily"] == "PRIMARY KEY (plant_id, local_date)"
    ((said,),) = server.fetch("SELECT obj_description('sunledger.energy_daily'::regclass)")
    assert "Key: plant_id, local_date." in said
    # Nothing is written where nothing changed, not even a row that is equal.
    before = server.fetch("SELECT xmin::text, ctid::text FROM sunledger._pushed ORDER BY 2")
    again = push_published(published, target)
    assert (dict(again.rows), again.parts, again.created) == ({}, 0, ())
    assert "Nothing was written" in again.describe()
    assert server.fetch("SELECT xmin::text, ctid::text FROM sunledger._pushed ORDER BY 2") == before
    # Of what changed, the changed days alone.
    kept = "SELECT plant_id, xmin::text FROM sunledger.energy_daily WHERE local_date = "
    of_first_day = server.fetch(f"{kept}'{FIRST}'")
    change(lake)
    third = push_published(show(lake, home, LATER), target)
    assert third.created == third.dropped == ()
    assert third.rows["energy_daily"] == 1
    assert third.rows["plants"] == 1
    assert "devices" not in third.rows
    assert server.fetch(f"{kept}'{FIRST}'") == of_first_day
    assert_equal(published, server)
    # All is written again, also what a table had that is empty now.
    copy = home.parent / "emptied.duckdb"
    shutil.copy(published, copy)
    with duckdb.connect(str(copy)) as file:
        file.execute("DELETE FROM energy_daily")
    push_published(copy, target, full=True)
    assert_equal(copy, server)


@pytest.mark.long
@needs_postgres
def test_readers_see_old_or_new_while_a_push_is_killed(lake: Lake, home: Path, server: Server) -> None:
    settings = {"SUNLEDGER_PUSH_URL": server.url, "SUNLEDGER_PUSH_READER": "bi_reader"}
    show(lake, home)
    assert run(home.parent, "push", **settings)[0] == 0
    server.run("GRANT bi_reader TO bi")
    look = (
        "SELECT published_at::text, (SELECT sum(pv_generation_kwh) FROM sunledger.energy_daily), "
        "(SELECT sum(pv_generation_kwh) FROM sunledger.v_energy_daily), (SELECT count(*) FROM sunledger.quarantine) "
        "FROM sunledger._meta"
    )
    (old,) = server.fetch(look, "bi")
    for statement in (
        "DELETE FROM sunledger.plants",
        "CREATE TABLE sunledger.x ()",
        "TRUNCATE sunledger.plants",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            server.fetch(statement, "bi")
    change(lake)
    show(lake, home, LATER)
    seen, ended = [], threading.Event()

    def poll() -> None:
        with closing(server.connect("bi")) as session, session.cursor() as cursor:
            session.autocommit = True
            cursor.execute("SET TIME ZONE 'UTC'")
            # Many looks at each state, and not all that two processors can have.
            while not ended.wait(0.005):
                cursor.execute(look)
                seen.append(*cursor.fetchall())

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        # Somebody's lock on the last table stops the push in the middle: earlier tables are written by then.
        with closing(server.connect()) as holder:
            holder.cursor().execute("LOCK TABLE sunledger.v_plants_energy IN EXCLUSIVE MODE")
            push = start(home.parent, "push", **settings)
            blocked = (
                "SELECT 1 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE NOT l.granted "
                "AND l.relation = 'sunledger.v_plants_energy'::regclass AND a.usename = 'owner'"
            )
            wait_until(lambda: server.fetch(blocked), push)
            halfway = len(seen)
            wait_until(lambda: len(seen) > halfway + 20, push)
            push.send_signal(signal.SIGKILL)
            push.communicate()
            assert push.returncode == -signal.SIGKILL
        assert set(seen) == {old}
        code, said = run(home.parent, "push", **settings)
        assert code == 0, said
        (new,) = server.fetch(look, "bi")
        assert new != old
        done = len(seen)
        while len(seen) < done + 20 and poller.is_alive():
            ended.wait(0.01)
    finally:
        ended.set()
        poller.join()
    assert set(seen) == {old, new}
    assert_equal(home / "sunledger.duckdb", server)


@pytest.mark.long
@needs_postgres
def test_what_must_not_happen_is_refused_and_changes_nothing(
    lake: Lake, home: Path, server: Server, tmp_path: Path
) -> None:
    published, target = show(lake, home), PushTarget(server.url, "sunledger")
    push_published(published, target)
    older = tmp_path / "older.duckdb"
    shutil.copy(published, older)
    change(lake)
    push_published(show(lake, home, LATER), target)
    with pytest.raises(UsageError, match="newer publication, of 2021-10-03 05:05 UTC"):
        push_published(older, target)
    assert_equal(published, server)
    push_published(older, target, full=True)
    assert_equal(older, server)
    # A table of somebody else in our schema, with the name of one that a later version pushes for the first time.
    server.run(
        "DELETE FROM sunledger._pushed WHERE table_name = 'devices'",
        "DROP TABLE sunledger.devices",
        "CREATE TABLE sunledger.devices AS SELECT 7 AS one",
    )
    with pytest.raises(PostgresqlError, match=r"table devices that sunledger did not create"):
        push_published(older, target, full=True)
    assert server.fetch("SELECT one FROM sunledger.devices") == [(7,)]
    server.run("DROP TABLE sunledger.devices")
    push_published(older, target, full=True)
    # A schema of somebody else.
    server.run("CREATE SCHEMA theirs AUTHORIZATION owner", "CREATE TABLE theirs.plants AS SELECT 1 AS one")
    with pytest.raises(PostgresqlError, match=r"table plants that sunledger did not create"):
        push_published(published, replace(target, schema="theirs"))
    assert server.fetch("SELECT * FROM theirs.plants") == [(1,)]
    # A role that may write.
    with pytest.raises(PostgresqlError, match="may write the table"):
        push_published(published, replace(target, schema="fresh", reader="owner"))
    assert not server.fetch("SELECT 1 FROM pg_namespace WHERE nspname = 'fresh'")
    # An own view on a table that has to be created with other columns.
    server.run(
        "CREATE VIEW public.mine AS SELECT plant_id FROM sunledger.plants",
        "UPDATE sunledger._pushed SET digest = 'older' WHERE table_name = 'plants' AND part = 'shape:'",
    )
    with pytest.raises(PostgresqlError, match="depend on a table whose columns changed"):
        push_published(published, target)
    assert_equal(older, server)
    server.run("DROP VIEW public.mine", "ALTER TABLE sunledger.plants DROP COLUMN backend")
    assert push_published(published, target).created == ("plants",)
    assert_equal(published, server)
    # A table that the product no longer has.
    server.run(
        "CREATE TABLE sunledger.gone ()",
        "ALTER TABLE sunledger.gone OWNER TO owner",
        "INSERT INTO sunledger._pushed VALUES ('gone', 'shape:', 'x')",
    )
    assert push_published(published, target).dropped == ("gone",)
    # Two at once wait for each other, and say so.
    told: list[str] = []
    with closing(server.connect("owner")) as first:
        first.cursor().execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('sunledger push sunledger', 0))"
        )

        def tell(text: str) -> None:
            told.append(text)
            first.rollback()

        assert push_published(published, target, tell=tell).rows == {}
    (waited,) = told
    assert waited == (
        f"Another process pushes into the schema sunledger at 127.0.0.1:{server.admin['port']}: waiting up to 10 "
        "minutes for it."
    )
    # Logins that do not work; no text repeats the password.
    wrong = server.url.replace("owner:", "owner:not")
    for url, cure in (
        (wrong, "check user and password"),
        (server.url.replace("/db_", "/other_"), "has no such database"),
        (f"{server.url}?sslmode=require", "encrypted connection"),
        (f"{server.url}?nonsense=1", "an option that PostgreSQL does not know"),
    ):
        code, said = run(home.parent, "push", SUNLEDGER_PUSH_URL=url)
        assert code == 1
        assert cure in said, said
        assert PASSWORD not in said
        assert quote(PASSWORD, safe="") not in said
        assert "Traceback" not in said


@pytest.mark.long
@needs_postgres
def test_no_home_writes_over_the_tables_of_another_one(lake: Lake, home: Path, server: Server) -> None:
    published, target = show(lake, home), PushTarget(server.url, "sunledger")
    ids, others = list_lake_ids(lake), frozenset({"another"})
    assert len(ids) == 2
    push_published(published, target, lake_ids=others)
    # Whoever publishes last would decide which plants the reports have.
    for each in (published, show(lake, home, LATER)):
        with pytest.raises(UsageError, match="the tables of another lake than this home's"):
            push_published(each, target, lake_ids=ids)
    push_published(published, target, full=True, lake_ids=ids)
    assert push_published(published, target, lake_ids=ids | {"one that a repair created"}).rows == {}


@pytest.mark.long
@needs_postgres
def test_tables_that_somebody_altered_are_created_again(lake: Lake, home: Path, server: Server) -> None:
    published, target = show(lake, home), PushTarget(server.url, "sunledger", "bi_reader")
    push_published(published, target)
    told: list[str] = []
    # COPY would take the bytes of a kWh for a whole number, without a fault.
    server.run(
        "ALTER TABLE sunledger.energy_daily ALTER COLUMN pv_generation_kwh TYPE bigint",
        "ALTER TABLE sunledger.plants DROP COLUMN backend",
        "DROP TABLE sunledger.devices",
        "ALTER TABLE sunledger.invoices ADD COLUMN mine text",
    )
    done = push_published(published, target, tell=told.append)
    assert done.created == ("devices", "energy_daily", "plants")
    (said,) = told
    assert said.endswith("created again with all rows: devices, energy_daily, plants.")
    server.run("ALTER TABLE sunledger.invoices DROP COLUMN mine")
    assert_equal(published, server)
    assert push_published(published, target, full=True, tell=told.append).created == ()
    server.run("DROP TABLE sunledger._meta")
    assert push_published(published, target, tell=told.append).created == ("_meta",)
    assert_equal(published, server)
    # What can't be mended without an eye on it has a sentence of its own.
    server.run("ALTER TABLE sunledger.energy_daily ADD CHECK (pv_generation_kwh < 0.00801) NOT VALID")
    with pytest.raises(PostgresqlError, match=r"has a rule on a table that sunledger did not make"):
        push_published(published, target, full=True)
    server.run("DROP TABLE sunledger._pushed")
    with pytest.raises(PostgresqlError, match=r"or the whole schema, if all of it is sunledger's"):
        push_published(published, target)


@pytest.mark.long
@needs_postgres
def test_a_wait_for_the_server_is_announced(
    empty_file: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_stores, "SILENT_FOR_S", 0.1)
    monkeypatch.setattr(slow_stores, "LOOK_EVERY_S", 0.02)
    target, told = PushTarget(server.url, "sunledger"), list[str]()
    push_published(empty_file, target)
    with closing(server.connect()) as holder:
        holder.cursor().execute("LOCK TABLE sunledger._meta IN ACCESS EXCLUSIVE MODE")

        def tell(text: str) -> None:
            told.append(text)
            holder.rollback()

        with announce_slow_stores(tell):
            push_published(empty_file, target)
    assert told[0].startswith(
        f"Waiting for the PostgreSQL at 127.0.0.1:{server.admin['port']}, which has not answered"
    )
    assert "waits up to 10 minutes for a transaction that holds a table" in told[0]


@pytest.fixture
def empty_file(home: Path) -> Path:
    return show(Lake(str(home / "empty"), home / "scratch"), home)


@pytest.mark.long
def test_a_server_that_is_not_there_is_a_sentence(empty_file: Path) -> None:
    url = f"postgresql://bi:{quote(PASSWORD, safe='')}@127.0.0.1:{find_free_port()}/x"
    with pytest.raises(
        PostgresqlUnavailableError, match=r"can't be reached .* run 'sunledger push' again"
    ) as fault:
        push_published(empty_file, PushTarget(url, "sunledger"))
    assert PASSWORD not in str(fault.value)


def test_the_missing_driver_is_named(empty_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "DRIVER", "there_is_no_such_driver")
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[postgresql\]'"):
        push_published(empty_file, PushTarget("postgresql://x/y", "sunledger"))


@pytest.mark.parametrize(
    ("state", "said", "cure"),
    [
        ("42501", 'permission denied for schema "x"', "needs CREATE on the database"),
        ("53100", "could not extend file", "no space left"),
        ("55P03", "canceling statement due to lock timeout", "pg_stat_activity"),
        ("25006", "cannot execute DELETE in a read-only transaction", "primary server"),
        # Rows that the server quotes are no words of its own.
        ("23514", "Failing row contains (10.08123, timeout, SSL)", "has a rule on a table"),
        ("42809", '"plants" is not a table', "in the place of a table"),
        ("42703", 'column "digest" does not exist', "drop the whole schema"),
        ("40P01", "deadlock detected", "pg_stat_activity"),
        ("", "connection to server at 10.0.0.1 failed: Connection refused", "check that it runs"),
        ("57P01", "terminating connection due to administrator command", "check that it runs"),
        ("XX000", f"something with {PASSWORD}\nand a line", "did not do what was asked of it"),
    ],
)
def test_what_the_server_says_gets_its_cure(state: str, said: str, cure: str) -> None:
    fault = RuntimeError(said)
    fault.sqlstate = state  # type: ignore[attr-defined]
    found = build_postgresql_error(fault, f"postgresql://u:{quote(PASSWORD, safe='')}@h/d", "h:5432")
    assert cure in str(found)
    assert PASSWORD not in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize("word", ["the%zzword", "the%2Fword"])
def test_a_password_among_the_options_is_not_repeated(word: str) -> None:
    for url in (
        f"postgresql://u@h/d?sslmode=require&password={word}",
        f"postgresql://u@h/d?sslpassword={word}",
    ):
        said = f'invalid percent-encoded token: "{word}" or {unquote(word)}'
        found = str(build_postgresql_error(RuntimeError(said), url, "h:5432"))
        assert "write it as %25" in found
        assert "word" not in found.replace("password", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("push_url", "mysql://secret@host/db"),
        ("push_url", "postgresql://u:secret@host"),
        ("push_url", "postgresql://u:secret@host:x/db"),
        ("push_schema", "pg_catalog"),
        ("push_schema", 'x"y'),
        ("push_schema", "x" * 64),
        ("push_reader", "public"),
    ],
)
def test_wrong_settings_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SUNLEDGER_{name.upper()}") as fault:
        load_settings(env_file=None, **{name: value})
    assert "secret" not in str(fault.value)
