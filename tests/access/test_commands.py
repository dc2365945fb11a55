"""Login and consent as a user types them, and a search of everything that was written for secrets and addresses."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox.launch import SandboxAddress, run_sandbox
from sandbox.options import DEFAULT_CODE_CLIENT_ID, DEFAULT_CODE_CLIENT_SECRET
from tests.access.browser import OWNER, decide, visit
from tests.programs import PATIENCE_S, STRICT_PROGRAM, environment, sunledger

CODE = {
    "SMA_FLOW": "code",
    "SMA_CLIENT_ID": DEFAULT_CODE_CLIENT_ID,
    "SMA_CLIENT_SECRET": DEFAULT_CODE_CLIENT_SECRET,
}
ADDRESS = re.compile(rb"owner1(@|%40)example")
DAY = ["--from", "2021-10-01", "--to", "2021-10-01"]


@pytest.fixture
def box() -> Iterator[SandboxAddress]:
    with run_sandbox("--plants", "3", "--seed", "7", "--owners-without-consent", "3") as address:
        yield address


@pytest.fixture(scope="module")
def calm_box() -> Iterator[SandboxAddress]:
    """A sandbox of which nothing is changed: what is refused asks it for nothing."""
    with run_sandbox("--plants", "3", "--seed", "7", "--owners-without-consent", "3") as address:
        yield address


def written(home: Path) -> list[Path]:
    """Every file below the home but those that are made to hold secrets."""
    return [p for p in home.rglob("*") if p.is_file() and "credentials" not in p.relative_to(home).parts]


@pytest.mark.long
def test_from_an_empty_list_to_a_published_day_and_back(tmp_path: Path, box: SandboxAddress) -> None:
    settings = box.settings()
    before = sunledger(tmp_path, "refresh", **settings)
    assert (before.returncode, "consent request EMAIL" in before.stderr) == (1, True)
    asked = sunledger(tmp_path, "consent", "request", OWNER.upper(), "nobody@example.com", **settings)
    assert asked.returncode == 3, asked.stderr
    assert "not a system owner" in asked.stderr
    assert "example.com" not in asked.stderr
    httpx.post(f"{box.url}/_control/consents", json={"owner": OWNER, "state": "Accepted"}).raise_for_status()
    assert "Accepted" in sunledger(tmp_path, "consent", "status", OWNER, **settings).stdout
    done = sunledger(tmp_path, "backfill", *DAY, **settings)
    assert done.returncode == 0, done.stderr
    assert "1 owner has accepted" in sunledger(tmp_path, "doctor", **settings).stdout
    listed = sunledger(tmp_path, "consent", "list", **settings)
    assert OWNER in listed.stdout
    rows = sunledger(tmp_path, "sql", "SELECT state, previous_state FROM consents ORDER BY changed_at")
    assert rows.stdout.split()[-3:] == ["Pending", "Accepted", "Pending"]
    secret = settings["SMA_CLIENT_SECRET"].encode()
    files = written(tmp_path)
    assert len(files) > 20
    assert [p for p in files if ADDRESS.search(p.read_bytes()) or secret in p.read_bytes()] == []
    assert not ADDRESS.search((before.stderr + asked.stderr + done.stdout + done.stderr).encode())


@pytest.mark.long
def test_login_backfill_logout(tmp_path: Path, box: SandboxAddress) -> None:
    settings = box.settings() | CODE
    process = subprocess.Popen(
        [*STRICT_PROGRAM, "login", "--no-browser"],
        cwd=tmp_path,
        env=environment(tmp_path, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    back = decide(process.stdout.readline().strip())
    assert visit(back).status_code == 200
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told
    assert "You are logged in." in told
    (login,) = (tmp_path / "home" / "credentials").glob("login-*.json")
    token = re.search(rb'"refresh_token":"([^"]+)"', login.read_bytes())
    assert token
    assert sunledger(tmp_path, "refresh", **settings).returncode == 0
    last = re.search(rb'"refresh_token":"([^"]+)".*"access_token":"([^"]+)"', login.read_bytes())
    assert last
    secrets = [token[1], last[1], last[2], DEFAULT_CODE_CLIENT_SECRET.encode()]
    assert [p for p in written(tmp_path) if any(secret in p.read_bytes() for secret in secrets)] == []
    assert "without expiry" in sunledger(tmp_path, "doctor", **settings).stdout
    assert "You are logged out." in sunledger(tmp_path, "logout", **settings).stderr
    after = sunledger(tmp_path, "refresh", **settings)
    assert "run 'sunledger login'" in after.stderr
    assert after.returncode != 0


@pytest.mark.parametrize(
    ("words", "more", "code", "says"),
    [
        (["login", "--no-browser"], {}, 2, "With SMA_FLOW=custom there is no login"),
        (["logout"], {}, 2, "With SMA_FLOW=custom there is no login"),
        (["login", "--no-browser", "--wait", "1"], CODE, 1, "The browser did not return"),
        (["consent", "request", "owner"], {}, 2, "is not an e-mail address"),
        (["consent", "request", OWNER], CODE, 2, "With SMA_FLOW=code there are no consents"),
        (["consent", "status", OWNER], {}, 1, "consent request EMAIL"),
        (["consent", "list"], {}, 0, "No owner has been asked"),
        (["consent", "watch"], {}, 0, "No consent is pending"),
    ],
)
def test_each_end_is_a_sentence(
    tmp_path: Path, calm_box: SandboxAddress, words: list[str], more: dict[str, str], code: int, says: str
) -> None:
    result = sunledger(tmp_path, *words, **calm_box.settings() | more)
    assert (result.returncode, says in result.stderr) == (code, True), result.stderr
    assert sys.executable not in result.stderr
