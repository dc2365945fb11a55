"""The login on loopback: every way it can end, and what it leaves."""

import asyncio
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.settings import Settings
from pipeline.sma.auth.code_login import LoginFailedError, LoginOptions, log_in, log_out
from pipeline.sma.auth.login_store import Login, LoginStore
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Request
from sandbox.options import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET
from tests.access.browser import decide, visit
from tests.access.conftest import Make
from tests.sandbox.served_sandbox import Served
from tests.sma.conftest import FakeTime


def enter(settings: Settings, user: Callable[[str], object], **options: object) -> Login:
    """Log in while `user` does something with the address."""
    threads: list[threading.Thread] = []

    def show(address: str) -> None:
        threads.append(threading.Thread(target=user, args=(address,)))
        threads[0].start()

    try:
        return asyncio.run(log_in(settings, LoginOptions(wait_s=120, **options), show))  # type: ignore[arg-type]
    finally:
        for thread in threads:
            thread.join()


def allow(address: str) -> None:
    assert "Back to the terminal" in visit(decide(address)).text


def redirect_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["redirect_uri"][0]


def plants(settings: Settings) -> bytes:
    async def ask() -> bytes:
        async with SmaClient(settings) as client:
            return (await client.send(Request.plants())).body

    return asyncio.run(ask())


def test_after_a_login_everything_works_with_the_code_flow(make: Make) -> None:
    settings = make("code")
    login = enter(settings, allow)
    assert login.offline
    assert login.logged_in_at is not None
    assert LoginStore.of(settings).read() == login
    assert plants(settings).count(b'"plantId"') >= 1


def test_offline_access_and_pkce_are_asked_for_unless_told_otherwise(make: Make) -> None:
    addresses: list[str] = []

    def user(address: str) -> None:
        addresses.append(address)
        allow(address)

    enter(make("code"), user)
    login = enter(make("code"), user, offline=False, pkce=False)
    assert not login.offline
    full, bare = (parse_qs(urlsplit(address).query) for address in addresses)
    assert full["scope"] == ["offline_access"]
    assert full["code_challenge_method"] == ["S256"]
    assert len(full["code_challenge"][0]) == 43
    assert set(bare) == {"client_id", "response_type", "redirect_uri", "state"}
    assert full["state"] != bare["state"]


def test_a_port_can_be_chosen_and_a_taken_one_says_so(make: Make) -> None:
    ports: list[int | None] = []

    def user(address: str) -> None:
        ports.append(urlsplit(redirect_of(address)).port)
        with pytest.raises(UsageError, match="choose another port with --port"):
            asyncio.run(log_in(make("code"), LoginOptions(port=ports[0] or 0), lambda _: None))
        allow(address)

    enter(make("code"), user)
    assert ports[0]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("state=foreign&code=abc", "belongs to another login"),
        ("code=abc", "belongs to another login"),
        ("state={state}", "without a code"),
        ("state={state}&code=abc", "refused the credentials .*Code not valid.*run 'sunledger login' again"),
        ("state={state}&error=invalid_scope&error_description=no", "--no-offline"),
        ("state={state}&error=server_error&error_description=owner@example.com", r"server_error; \[e-mail\]"),
    ],
)
def test_an_answer_that_is_no_login_is_told_and_stores_nothing(make: Make, query: str, says: str) -> None:
    def user(address: str) -> None:
        state = parse_qs(urlsplit(address).query)["state"][0]
        visit(f"{redirect_of(address)}?{query.format(state=state)}")

    with pytest.raises(SunledgerError, match=says):
        enter(make("code"), user)
    assert LoginStore.of(make("code")).read() == Login()


def test_denied(make: Make) -> None:
    with pytest.raises(LoginFailedError, match=r"access_denied.*allow access"):
        enter(make("code"), lambda address: visit(decide(address, "deny")))


def test_nobody_comes_back(make: Make) -> None:
    with pytest.raises(LoginFailedError, match=r"within 0\.05 s"):
        asyncio.run(log_in(make("code"), LoginOptions(wait_s=0.05), lambda _: None))


def test_other_requests_to_the_port_do_not_end_the_login(make: Make) -> None:
    def user(address: str) -> None:
        back = redirect_of(address)
        assert visit(back.replace("/callback", "/favicon.ico")).status_code == 404
        assert visit(f"{back}?state=x", headers={"Host": "evil.example"}).status_code == 400
        allow(address)

    assert enter(make("code"), user).refresh_token


def test_a_client_of_the_custom_flow_is_told_before_a_browser_opens(make: Make) -> None:
    settings = make("code", sma_client_id=DEFAULT_CLIENT_ID, sma_client_secret=DEFAULT_CLIENT_SECRET)
    with pytest.raises(LoginFailedError, match="a client of the custom flow needs SMA_FLOW=custom"):
        enter(settings, allow)


def test_a_client_of_the_code_flow_in_the_custom_flow_is_told_what_to_set(make: Make) -> None:
    code = make("code")
    settings = make("custom", sma_client_id=code.sma_client_id, sma_client_secret=code.sma_client_secret)
    with pytest.raises(
        SunledgerError, match=r"Client not enabled to retrieve service account.*SMA_FLOW=code"
    ):
        plants(settings)


def test_the_custom_flow_has_no_login(make: Make) -> None:
    with pytest.raises(UsageError, match="With SMA_FLOW=custom there is no login"):
        enter(make("custom"), allow)


def test_logout_ends_the_session_at_sma_and_forgets_it_here(make: Make, box: Served) -> None:
    settings = make("code")
    login = enter(settings, allow)
    assert box.world.tokens.access(login.access_token) is not None
    assert asyncio.run(log_out(settings))
    assert box.world.tokens.access(login.access_token) is None
    assert LoginStore.of(settings).read() == Login()
    assert not asyncio.run(log_out(settings))


def test_a_session_that_sma_no_longer_knows_is_forgotten_all_the_same(make: Make, box: Served) -> None:
    settings = make("code")
    box.world.tokens.end(box.world.clients[settings.sma_client_id], enter(settings, allow).refresh_token)
    assert asyncio.run(log_out(settings))
    assert not LoginStore.of(settings).read().refresh_token


def test_a_logout_that_fails_keeps_the_login_and_local_only_forgets_it(make: Make) -> None:
    settings = make("code")
    login = enter(settings, allow)
    wrong = settings.model_copy(update={"sma_client_secret": make("custom").sma_client_secret})
    with pytest.raises(SunledgerError, match="SMA_CLIENT_SECRET"):
        asyncio.run(log_out(wrong))
    unreachable = settings.model_copy(update={"sma_auth_url": "http://127.0.0.1:9"})
    LoginStore.of(unreachable).write(login)
    with pytest.raises(SunledgerError, match="SMA_AUTH_URL"):
        asyncio.run(log_out(unreachable, clock=FakeTime().clock))
    assert LoginStore.of(settings).read() == LoginStore.of(unreachable).read() == login
    assert asyncio.run(log_out(settings, local_only=True))
    with pytest.raises(SunledgerError, match="run 'sunledger login'"):
        SmaClient(settings)
