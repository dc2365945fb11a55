"""The stored login: who may read it, how it rotates, what two processes do to it, and how it ends."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pipeline.common.errors import ConfigurationError, CredentialsError
from pipeline.common.settings import Settings
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.auth.secret_files import SecretFileError, lock_path, reserve_room, write_private
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.sma.requests import Request
from sandbox.options import DEFAULT_CODE_CLIENT_ID
from tests.access.conftest import Make
from tests.programs import PATIENCE_S
from tests.sandbox.served_sandbox import Served

ROOT = Path(__file__).parents[2]
DAY_S = 86_400


def ask(settings: Settings, times: int = 1) -> None:
    """Ask for the plants, each time with a token that has just been thrown away."""

    async def run() -> None:
        async with SmaClient(settings) as client:
            for _ in range(times):
                await client.send(Request.plants())
                client.tokens.discard(await client.tokens.get())

    asyncio.run(run())


def test_only_the_owner_of_the_process_may_read_what_is_stored(make: Make, refresh_token) -> None:
    settings = make("code", sma_refresh_token=refresh_token())
    (settings.home / "credentials").mkdir(parents=True, mode=0o755)
    ask(settings)
    folder = settings.home / "credentials"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_each_renewal_stores_the_new_token_and_the_seed_is_used_once(make: Make, refresh_token) -> None:
    seed = refresh_token()
    settings = make("code", sma_refresh_token=seed)
    seen = set()
    for _ in range(3):
        ask(settings, times=2)
        seen.add(LoginStore.of(settings).read().refresh_token)
    assert len(seen) == 3
    assert seed not in seen


def test_a_new_refresh_token_in_the_settings_replaces_a_login(make: Make, refresh_token, box: Served) -> None:
    ask(make("code", sma_refresh_token=refresh_token()))
    first = LoginStore.of(make("code")).read().refresh_token
    second = refresh_token()
    ask(make("code", sma_refresh_token=second))
    stored = LoginStore.of(make("code")).read().refresh_token
    assert stored.partition(".")[0] == second.partition(".")[0] != first.partition(".")[0]


def test_a_wrong_secret_is_noticed_while_a_token_is_stored(make: Make, refresh_token) -> None:
    settings = make("code", sma_refresh_token=refresh_token())
    ask(settings)
    stored = LoginStore.of(settings).read()
    with pytest.raises(CredentialsError, match="check SMA_CLIENT_ID and SMA_CLIENT_SECRET"):
        ask(make("code", sma_refresh_token=settings.sma_refresh_token, sma_client_secret="wrong"))
    # The login is as it was: with the right secret the run goes on.
    assert LoginStore.of(settings).read() == stored
    ask(settings)


def test_a_login_that_an_earlier_version_stored_is_renewed(make: Make, refresh_token) -> None:
    settings = make("code", sma_refresh_token=refresh_token())
    ask(settings)
    store = LoginStore.of(settings)
    stored = orjson.loads(Path(store.place).read_bytes())
    del stored["secret"]
    write_private(Path(store.place), orjson.dumps(stored))
    ask(settings)
    assert store.read().secret


def test_a_second_process_uses_the_token_that_the_first_has_stored(
    make: Make, refresh_token, box: Served
) -> None:
    settings = make("code", sma_refresh_token=refresh_token())

    async def tokens() -> list[str]:
        async with SmaClient(settings) as one, SmaClient(settings) as other:
            return [await one.tokens.get(), await other.tokens.get()]

    first, second = asyncio.run(tokens())
    assert first == second


def test_two_processes_that_renew_at_once_keep_the_session_alive(make: Make, refresh_token) -> None:
    settings = make("code", sma_refresh_token=refresh_token())
    variables = {
        "SMA_FLOW": "code",
        "SMA_CLIENT_ID": settings.sma_client_id,
        "SMA_CLIENT_SECRET": settings.sma_client_secret.get_secret_value(),
        "SMA_REFRESH_TOKEN": settings.sma_refresh_token.get_secret_value(),
        "SMA_AUTH_URL": settings.sma_auth_url,
        "SMA_MONITORING_URL": settings.sma_monitoring_url,
        "SUNLEDGER_HOME": str(settings.home),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "tests" / "access" / "renewer.py"), "20"]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    generation = int(LoginStore.of(settings).read().refresh_token.split(".")[1])
    # Each of 20 rounds renews at least once; who comes second takes what the first has stored.
    assert 20 <= generation <= 41


@pytest.mark.parametrize("flow", ["custom", "code"])
def test_twenty_minutes_of_requests_renew_tokens_without_one_failed_request(
    make: Make, refresh_token, box: Served, flow: str
) -> None:
    settings = make(flow, sma_refresh_token=refresh_token() if flow == "code" else "")
    statuses: list[int | None] = []

    def now_s() -> float:
        return box.world.clock.now()

    async def run() -> None:
        clock = Clock(monotonic=now_s, now=box.world.clock.utc)
        async with SmaClient(
            settings, clock=clock, record=lambda a_try: statuses.append(a_try.status)
        ) as client:
            for _ in range(240):
                await client.send(Request.plants())
                box.world.clock.advance(5)

    asyncio.run(run())
    assert set(statuses) == {200}
    # 1200 s of tokens that live for 300 s and are renewed 30 s before: one at the start, then each 270 s.
    assert len(statuses) - 240 == 5


def test_zero_means_never(make: Make, refresh_token, box: Served) -> None:
    settings = make("code", sma_refresh_token=refresh_token(offline=True))
    ask(settings)
    assert LoginStore.of(settings).read().offline
    box.world.clock.advance(400 * DAY_S)
    ask(settings, times=2)


@pytest.mark.parametrize("way", ["session maximum", "unused", "revoked", "renewed elsewhere"])
def test_a_login_that_has_ended_says_which_command_to_run(
    make: Make, refresh_token, box: Served, way: str
) -> None:
    settings = make("code", sma_refresh_token=refresh_token())
    ask(settings)
    if way == "session maximum":
        for _ in range(29):
            box.world.clock.advance(DAY_S)
            ask(settings)
        box.world.clock.advance(DAY_S)
    elif way == "unused":
        box.world.clock.advance(2 * DAY_S)
    stored = LoginStore.of(settings).read().refresh_token
    if way == "revoked":
        box.world.tokens.end(box.world.clients[settings.sma_client_id], stored)
    elif way == "renewed elsewhere":
        box.world.tokens.refresh(box.world.clients[DEFAULT_CODE_CLIENT_ID], stored)
    with pytest.raises(CredentialsError, match="run 'sunledger login'") as caught:
        ask(settings, times=2)
    assert stored not in str(caught.value)


def test_without_a_login_the_client_is_not_even_made(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="run 'sunledger login'"):
        SmaClient(make("code"))


@pytest.mark.parametrize(
    "content",
    [
        b'{"refresh_token": 1',
        # A time without an offset, which can be compared with no other.
        b'{"refresh_token":"","access_token":"","access_until":"2025-07-09T10:00","logged_in_at":null,"renewed_at":null,"offline":false,"seed":""}',
    ],
)
def test_a_damaged_file_names_itself_and_the_cure(make: Make, content: bytes) -> None:
    settings = make("code")
    store = LoginStore.of(settings)
    write_private(Path(store.place), content)
    with pytest.raises(SecretFileError, match=r"login-\w+\.json does not hold a login .* 'sunledger login'"):
        SmaClient(settings)


def test_a_kill_between_two_tokens_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "login.json"
    write_private(path, b"old")
    with reserve_room(path):
        assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["login.json"]


def test_the_room_that_a_killed_process_took_is_given_back_by_the_next_one(tmp_path: Path) -> None:
    """It may hold a login, and stayed beside it for good."""
    (tmp_path / ".login.json.0a1b2c3d.new").write_bytes(b"a token")
    with reserve_room(tmp_path / "login.json") as room:
        # Of a living process, which another one leaves alone.
        write_private(tmp_path / "login.json", b"one")
        room.put(b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["login.json"]
    assert (tmp_path / "login.json").read_bytes() == b"two"


def test_a_disk_with_a_part_of_the_room_is_full_before_a_token_is_traded_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new login met the full disk, and the old one was worth nothing any more."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:4096]))
    with pytest.raises(SecretFileError, match="No space left on device"), reserve_room(tmp_path / "login"):
        pytest.fail("A token would be traded in.")
    assert list(tmp_path.iterdir()) == []


def test_a_longer_and_a_shorter_content_both_replace_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"x" * 100_000, b"y", b""):
        with reserve_room(path) as room:
            room.put(content)
        assert path.read_bytes() == content


def test_a_lock_that_is_held_too_long_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with (
        lock_path(path),
        pytest.raises(SecretFileError, match=r"a\.lock for 0\.1 s"),
        lock_path(path, wait_s=0.1),
    ):
        pass
    with lock_path(path, wait_s=60):
        pass


def test_a_renewal_under_way_is_finished_before_the_client_ends(
    make: Make, refresh_token, box: Served
) -> None:
    settings = make("code", sma_refresh_token=refresh_token())

    async def leave_early() -> None:
        async with SmaClient(settings) as client:
            waiting = asyncio.create_task(client.tokens.get())
            while not client.tokens._endpoint.busy:
                await asyncio.sleep(0)
            waiting.cancel()

    asyncio.run(leave_early())
    ask(settings)
