"""A search of every file that everything a user does leaves behind: no secret, no token, no owner's address.

Files that pack their content are unpacked for it: Parquet, the published file, Dagster's databases.
"""

import base64
import datetime as dt
import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from sandbox.address import SandboxAddress
from sandbox.options import (
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_CODE_CLIENT_ID,
    DEFAULT_CODE_CLIENT_SECRET,
    OWNER_PASSWORD,
    Options,
)
from tests.access.browser import OWNER, decide, visit
from tests.access.test_commands import CODE
from tests.programs import PATIENCE_S, STRICT_PROGRAM, environment, sunledger
from tests.sandbox.served_sandbox import Served, served

pytestmark = pytest.mark.long

STRANGER = "stranger@example.com"
WRONG_SECRET = "hush-hush-0417"
REDIS_PASSWORD = "redis-hush-0417"
DAYS = ["--from", "2021-10-01", "--to", "2021-10-01"]
# What makes a run say something: that is searched too.
FAULTS = (
    "html_body=1,plants=5000000,path=EnergyBalance",
    "status_503=1,times=2,path=/logs",
)


@pytest.fixture
def issued(box: Served) -> list[str]:
    """Every token and code that the sandbox gives from now on."""
    tokens, found = box.world.tokens, list[str]()
    make, new_code = tokens._tokens, tokens.new_code

    def remember(session: Any) -> dict[str, Any]:
        answer = make(session)
        found.extend((answer["access_token"], answer["refresh_token"], session.refresh_key))
        return answer

    def remember_code(*words: Any, **more: Any) -> str:
        found.append(new_code(*words, **more))
        return found[-1]

    tokens._tokens = remember  # type: ignore[method-assign]
    tokens.new_code = remember_code  # type: ignore[method-assign]
    return found


@pytest.fixture
def box() -> Iterator[Served]:
    options = Options(plants=3, seed=7, owners_without_consent=3, faults=FAULTS)
    with served(options, dt.datetime.now(dt.UTC)) as it:
        yield it


def texts(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below, its name included, as it is and unpacked."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path, path.name.encode() + b"\n" + content
        if path.suffix == ".parquet":
            yield path, repr(pl.read_parquet(path).rows()).encode()
        elif content.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(path)) as database:
                yield path, "\n".join(database.iterdump()).encode()
        elif path.suffix == ".duckdb":
            yield path, rows_of(path)
        elif content.startswith(b"\x1f\x8b"):
            yield path, gzip.decompress(content)


def rows_of(path: Path) -> bytes:
    """All rows of a published file, and its definitions."""
    with duckdb.connect(str(path), read_only=True) as database:
        names = database.execute("SELECT table_name FROM information_schema.tables").fetchall()
        found = [database.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()]
        found += [database.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names]
    return repr(found).encode()


def login(home: Path, settings: dict[str, str]) -> str:
    """`sunledger login` with a browser; what it said but for the address, which a person must see."""
    process = subprocess.Popen(
        [*STRICT_PROGRAM, "login", "--no-browser"],
        cwd=home,
        env=environment(home, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert visit(decide(process.stdout.readline().strip())).status_code == 200
    said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return "".join(said)


def test_nothing_that_is_written_or_said_holds_a_secret_or_an_address(
    tmp_path: Path, box: Served, issued: list[str]
) -> None:
    custom = SandboxAddress(box.url).settings() | {"TMPDIR": str(tmp_path)}
    said = ""

    def do(*words: str, code: int = 0, **more: str) -> None:
        nonlocal said
        result = sunledger(tmp_path, *words, **custom | more)
        assert result.returncode == code, (words, result.stdout, result.stderr)
        said += result.stderr + ("" if words[0] == "consent" else result.stdout)

    do("consent", "request", OWNER, STRANGER, code=3)
    answer = {"owner": OWNER, "state": "Accepted"}
    box.http.post("/_control/consents", json=answer).raise_for_status()
    do("backfill", *DAYS, code=3)
    do("refresh", code=1, SMA_CLIENT_SECRET=WRONG_SECRET)
    do("doctor", code=1, SUNLEDGER_BUDGET_URL=f"redis://me:{REDIS_PASSWORD}@127.0.0.1:9/0")
    do("doctor")
    job = [
        sys.executable,
        "-m",
        "dagster",
        "job",
        "execute",
        "-m",
        "assets.definitions",
        "-j",
        "refresh_lists",
    ]
    home = {"DAGSTER_HOME": str(tmp_path / "home" / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    run = subprocess.run(
        job,
        env=environment(tmp_path, **custom, **home),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said += run.stdout + run.stderr
    said += login(tmp_path, custom | CODE)
    do("refresh", **CODE)
    do("logout", **CODE)

    basic = [
        base64.b64encode(f"{who}:{secret}".encode()).decode()
        for who, secret in (
            (DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET),
            (DEFAULT_CODE_CLIENT_ID, DEFAULT_CODE_CLIENT_SECRET),
        )
    ]
    secrets = [
        DEFAULT_CLIENT_SECRET,
        DEFAULT_CODE_CLIENT_SECRET,
        WRONG_SECRET,
        REDIS_PASSWORD,
        OWNER_PASSWORD,
    ]
    addresses = [form for who in (OWNER, STRANGER) for form in (who, who.upper(), who.replace("@", "%40"))]
    needles = [needle.encode() for needle in (*secrets, *basic, *addresses, *issued)]
    assert len(issued) >= 3 * 5
    credentials = tmp_path / "home" / "credentials"
    searched = list(texts(tmp_path))
    kinds = {path.suffix for path, _ in searched}
    assert {".parquet", ".duckdb", ".db", ".out", ".err", ".json"} <= kinds
    found = [
        (str(path), needle)
        for path, content in [*searched, (Path("what was said"), said.encode())]
        if credentials not in path.parents
        for needle in needles
        if needle in content
    ]
    assert found == []
    # The search itself works: what may be there is found there.
    kept = b"".join(content for path, content in searched if credentials in path.parents)
    assert OWNER.encode() in kept
    private = [p for p in (credentials, *credentials.rglob("*")) if p.stat().st_mode & 0o077]
    assert private == []
