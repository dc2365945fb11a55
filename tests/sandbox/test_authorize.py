"""The code flow, as a browser walks it."""

import shutil
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from sandbox.options import DEFAULT_CODE_CLIENT_ID, DEFAULT_CODE_CLIENT_SECRET, OWNER_PASSWORD
from tests.access.browser import hidden_fields
from tests.later import LaterModule
from tests.sandbox.served_sandbox import Serve, Served, client

playwright = LaterModule("playwright.sync_api")

CODE = (DEFAULT_CODE_CLIENT_ID, DEFAULT_CODE_CLIENT_SECRET)
BACK = "http://127.0.0.1:9/callback?keep=1"
ASKED = {"client_id": CODE[0], "response_type": "code", "redirect_uri": BACK, "state": "s&1"}


@pytest.fixture
def browser(sandbox: Served) -> Iterator[httpx.Client]:
    with client(base_url=sandbox.url) as it:
        yield it


def walk(
    browser: httpx.Client, decision: str, email: str = "owner1@example.com", **more: str
) -> dict[str, list[str]]:
    """From the login page to the redirect; the query of the address it leads to."""
    login = browser.get("/oauth2/auth", params={**ASKED, **more})
    assert login.status_code == 200
    consent = browser.post(
        "/oauth2/auth/login", data={**hidden_fields(login.text), "email": email, "password": OWNER_PASSWORD}
    )
    assert consent.status_code == 200
    end = browser.post("/oauth2/auth/decide", data={**hidden_fields(consent.text), "decision": decision})
    assert end.status_code == 302
    address = urlsplit(end.headers["location"])
    assert address.netloc == "127.0.0.1:9"
    return parse_qs(address.query)


def token(browser: httpx.Client, code: str, redirect: str = BACK) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    return browser.post("/oauth2/token", data=form, auth=CODE)


def test_allow_leads_to_a_token_that_sees_the_owners_plants_only(
    browser: httpx.Client, sandbox: Served
) -> None:
    query = walk(browser, "allow")
    assert (query["state"], query["keep"]) == (["s&1"], ["1"])
    answer = token(browser, query["code"][0])
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    seen = browser.get("/monitoring/v1/plants", headers=headers).json()["plants"]
    owned = [
        source.plant.plant_id
        for source in sandbox.world.sources()
        if source.plant.owner == "owner1@example.com"
    ]
    assert [plant["plantId"] for plant in seen] == owned
    assert len(owned) == 3


@pytest.mark.long
def test_the_page_works_in_a_real_browser(sandbox: Served) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("There is no Chromium here: apt-get install chromium.")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with playwright.sync_playwright() as player:
        window = player.chromium.launch(executable_path=chromium, args=arguments)
        page = window.new_page()
        page.goto(f"{sandbox.url}/oauth2/auth?{urlencode({**ASKED, 'redirect_uri': sandbox.url + '/docs'})}")
        page.get_by_label("E-mail").fill("owner1@example.com")
        page.get_by_label("Password").fill(OWNER_PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        assert "Niestetal" in page.get_by_role("list").inner_text()
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url(f"{sandbox.url}/docs?*")
        answer = parse_qs(urlsplit(page.url).query)
        window.close()
    assert answer["state"] == [ASKED["state"]]
    form = {"grant_type": "authorization_code", "code": answer["code"][0]}
    form["redirect_uri"] = f"{sandbox.url}/docs"
    assert sandbox.http.post("/oauth2/token", data=form, auth=CODE).status_code == 200


def test_a_code_works_once_and_for_its_own_address(browser: httpx.Client) -> None:
    code = walk(browser, "allow")["code"][0]
    assert token(browser, code).status_code == 200
    assert token(browser, code).json()["error"] == "invalid_grant"
    other = walk(browser, "allow")["code"][0]
    assert token(browser, other, "http://127.0.0.1:9/elsewhere").json()["error"] == "invalid_grant"


def test_offline_access_in_the_code_flow(browser: httpx.Client) -> None:
    code = walk(browser, "allow", scope="offline_access")["code"][0]
    assert token(browser, code).json()["refresh_expires_in"] == 0


def test_deny_comes_back_as_access_denied(browser: httpx.Client) -> None:
    query = walk(browser, "deny")
    assert query["error"] == ["access_denied"]
    assert "code" not in query


def test_wrong_password_stays_on_the_page(browser: httpx.Client) -> None:
    answer = browser.post(
        "/oauth2/auth/login", data={**ASKED, "email": "owner1@example.com", "password": "no"}
    )
    assert answer.status_code == 401
    assert "Try again" in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "unknown"},
        {"client_id": "sandbox-custom"},
        {"response_type": "token"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://[broken"},
        {"redirect_uri": ""},
    ],
)
def test_a_request_that_cannot_go_on_says_why(browser: httpx.Client, wrong: dict[str, str]) -> None:
    answer = browser.get("/oauth2/auth", params={**ASKED, **wrong})
    assert answer.status_code == 400
    assert "completed" in answer.text


def test_pages_escape_what_they_show_and_load_nothing(browser: httpx.Client) -> None:
    answer = browser.get("/oauth2/auth", params={**ASKED, "state": '"><script>alert(1)</script>'})
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "not SMA" in answer.text


def test_hostile_plant_names_are_shown_as_text(serve: Serve) -> None:
    it = serve(plants=3, hostile_names=True)
    with client(base_url=it.url) as browser:
        page = browser.post(
            "/oauth2/auth/login", data={**ASKED, "email": "owner1@example.com", "password": OWNER_PASSWORD}
        ).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_revocation_ends_the_owner_s_logins_and_nobody_else_s(serve: Serve) -> None:
    it = serve(plants=6)
    with client(base_url=it.url) as browser:
        mine, other = (
            token(browser, walk(browser, "allow", f"owner{n}@example.com")["code"][0]).json() for n in (1, 2)
        )
        revoked = {"owner": "owner1@example.com", "state": "Revoked", "client_id": CODE[0]}
        assert browser.post("/_control/consents", json=revoked).status_code == 200
        assert browser.post("/_control/consents", json=revoked).status_code == 404
        assert _seen(browser, mine) == 401
        refused = _renewed(browser, mine)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert _seen(browser, other) == 200
        browser.post("/_control/faults", json={"kind": "revoked_consent", "times": 1})
        assert _seen(browser, other) == 401
        assert _renewed(browser, other).status_code == 400


def _seen(browser: httpx.Client, tokens: dict[str, str]) -> int:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return browser.get("/monitoring/v1/plants", headers=headers).status_code


def _renewed(browser: httpx.Client, tokens: dict[str, str]) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return browser.post("/oauth2/token", data=form, auth=CODE)
