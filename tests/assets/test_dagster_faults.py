"""Faults of Dagster's records, as sentences."""

import errno
import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from assets.asset_builders import convert_errors
from assets.home_setup.dagster_faults import explain


def test_a_postgresql_that_was_stopped_is_named_and_not_a_disk(tmp_path: Path) -> None:
    """It told people to check the disk, and to repair records that nothing is wrong with."""
    psycopg2 = pytest.importorskip("psycopg2", reason="The extra 'cluster' is not installed.")
    said = psycopg2.OperationalError("server closed the connection unexpectedly, password=secret")
    error = explain(OperationalError("INSERT INTO event_logs", {}, said), tmp_path, records_only=True)
    assert str(error).startswith("Dagster's records in PostgreSQL can't be read or written.")
    assert str(error).endswith("Then run this again: what is stored is not fetched a second time.")
    assert not [word for word in ("disk", "repair", "secret", str(tmp_path)) if word in str(error)]


def test_a_limit_of_sizes_and_a_folder_are_named_and_not_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(said: str) -> str:
        fault = OperationalError("INSERT INTO runs", {}, sqlite3.OperationalError(said))
        return str(explain(fault, tmp_path, records_only=True))

    assert "check the free space" in ask("disk I/O error")
    monkeypatch.setattr("resource.getrlimit", lambda _: (102_400, 102_400))
    assert "ulimit -f unlimited" in ask("disk I/O error")
    folder = tmp_path / "history" / "runs" / "index.db"
    folder.mkdir(parents=True)
    assert ask("unable to open database file").startswith(
        f"{folder} is a folder where Dagster has a database"
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            OSError(
                "Generic LocalFileSystem error: Unable to open file /srv/lake/0.json: No space left on device"
            ),
            "The disk at /srv/lake/0.json is full or fails. What was stored before is intact: free some space,",
        ),
        (
            OSError(errno.EIO, "Input/output error", "/srv/lake/0.json"),
            "The disk at /srv/lake/0.json fails: ",
        ),
        (
            OSError(errno.ELOOP, "Too many levels of symbolic links", "/srv/lake/0.json"),
            "/srv/lake/0.json can't be read or written (Too many levels of symbolic links): check the disk and",
        ),
    ],
)
def test_the_page_shows_what_the_machine_lacks_as_commands_do(fault: OSError, said: str) -> None:
    with pytest.raises(dg.Failure) as shown, convert_errors():
        raise fault
    assert str(shown.value.description).startswith(said)
    assert not shown.value.allow_retries
