"""A PostgreSQL of a test's own: a cluster in a folder of its own, on a port chosen by the system, ended by its id."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
import yaml

from assets.home_setup.home_configuration import CONFIGURATION
from tests.ports import find_free_port

PASSWORD = "only-on-loopback"
STARTS_WITHIN_S = 60


def _binaries() -> Path | None:
    """Where initdb and postgres are: Debian keeps them by version, outside the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next(
        (file.parent for file in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None
    )


BINARIES = _binaries()
needs_postgres = pytest.mark.skipif(
    BINARIES is None, reason="PostgreSQL is not installed: on Debian, apt-get install postgresql"
)


def configure_postgres(dagster_home: Path) -> None:
    """Write the dagster.yaml of a home on one machine, but with its records in the server of `postgres`."""
    names = {"hostname": "HOST", "username": "USER", "password": "PASSWORD", "db_name": "DB", "port": "PORT"}
    database = {key: {"env": f"DAGSTER_PG_{name}"} for key, name in names.items()}
    content = {**yaml.safe_load(CONFIGURATION), "storage": {"postgres": {"postgres_db": database}}}
    (dagster_home / "dagster.yaml").write_text(yaml.safe_dump(content))


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """The environment that names a server on loopback, while it listens."""
    assert BINARIES
    # PostgreSQL refuses to run as root, and the user it runs as must own its files.
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="sunledger-postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        data = folder / "data"
        subprocess.run(
            [
                BINARIES / "initdb",
                "-D",
                data,
                "-U",
                "sunledger",
                "-A",
                # Dagster connects for each of its queries, and scram's thousands of hashes are a third of that.
                "md5",
                f"--pwfile={folder / 'password'}",
            ],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        port = find_free_port()
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
        with (folder / "log").open("w") as said:
            server = subprocess.Popen(
                [BINARIES / "postgres", "-D", data, *options], stdout=said, stderr=said, user=user, cwd=folder
            )
            try:
                _wait(port, server)
                yield {
                    "DAGSTER_PG_HOST": "127.0.0.1",
                    "DAGSTER_PG_PORT": str(port),
                    "DAGSTER_PG_USER": "sunledger",
                    "DAGSTER_PG_PASSWORD": PASSWORD,
                    "DAGSTER_PG_DB": "postgres",
                }
            finally:
                # SIGTERM would wait for sessions that are open.
                server.send_signal(signal.SIGINT)
                server.wait(STARTS_WITHIN_S)


def _wait(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Wait until it takes sessions: it listens before, and refuses them while it starts."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(
                host="127.0.0.1", port=port, user="sunledger", password=PASSWORD, dbname="postgres"
            ).close()
            return
        time.sleep(0.05)
    raise AssertionError("PostgreSQL does not start")
