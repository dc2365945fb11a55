"""Checks of the files that a home keeps: requests, days, logins, consents, the request budget."""

import datetime as dt
import tempfile
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.run.request_log import RequestLog
from pipeline.run.unfinished_days import take_over_days
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.auth.private_documents import PrivateFile
from pipeline.sma.budget.file_store import unpack
from pipeline.sma.consents.consent_book import ConsentBook
from schemas import (
    ApiRequests,
    storage,
)
from tests.fuzz.properties import (
    assert_fits,
    assert_speaks,
)
from warehouse.lake import Lake


def check_spool(data: bytes) -> None:
    """The record of requests: tries in the lake and lines that are kept, none lost, and nothing is read twice."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "requests"
        spool.mkdir()
        (spool / "left.jsonl").write_bytes(data)
        lake = Lake(str(Path(folder) / "lake"), Path(folder) / "tmp")
        stored = RequestLog(spool).store(lake)
        lines = [line for line in data.replace(b"\0", b"").split(b"\n") if line]
        assert stored.unreadable <= len(lines)
        assert 0 < stored.tries + stored.unreadable <= len(lines) or not lines
        # What can't be read is kept as it is; what can is stored once.
        kept = b"".join(path.read_bytes() for path in stored.kept)
        assert sorted(kept.split(b"\n")[:-1]) == sorted(line for line in lines if line in kept.split(b"\n"))
        found = lake.scan(ApiRequests).collect()
        assert found.height == stored.tries
        assert_fits(ApiRequests, found.sort(storage(ApiRequests).key or found.columns), {}, unique=False)
        assert not list(spool.glob("*.jsonl"))
        again = RequestLog(spool).store(lake)
        assert (again.tries, again.unreadable) == (0, 0)


def check_days_file(data: bytes) -> None:
    """The days that a dead run left: days, and the file is gone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "left.days"
        path.write_bytes(data)
        with take_over_days(Path(folder)) as days:
            assert all(type(day) is dt.date for day in days)
        assert not path.exists()


def check_login(data: bytes) -> None:
    """A stored login: a login of texts and times with a zone, or an error that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        document = PrivateFile(Path(folder), "credentials", "login.json")
        store = LoginStore(document)
        document.path.write_bytes(data)
        try:
            login = store.read()
        except SunledgerError as error:
            assert_speaks(error, document.path.name)
            return
        store.write(login)
        assert store.read() == login
        now = dt.datetime.now(dt.UTC)
        # What the program does with them first.
        assert all(
            at is None or at <= now or at > now
            for at in (login.access_until, login.logged_in_at, login.renewed_at)
        )


def check_consents(data: bytes) -> None:
    """The book of consents: rows of its table, or an error that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        document, key = (PrivateFile(Path(folder), "credentials", one) for one in ("a.json", "consents.key"))
        book = ConsentBook("client", document, key)
        document.path.write_bytes(data)
        try:
            owners = book.read_owners()
        except SunledgerError as error:
            assert_speaks(error, document.path.name)
            return
        book.read_rows()
        now = dt.datetime.now(dt.UTC)
        assert all(
            owner.find_due_time(now) <= now or owner.find_due_time(now) > now for owner in owners.values()
        )


def check_budget(data: bytes) -> None:
    """The file of the request budget."""
    unpack(data)
