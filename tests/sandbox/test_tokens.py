"""Tokens: three grants, rotation, limits in time."""

import base64

import httpx
import pytest

from sandbox.options import (
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_CODE_CLIENT_ID,
    DEFAULT_CODE_CLIENT_SECRET,
)
from tests.sandbox.served_sandbox import Serve, Served, client

CUSTOM = (DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
CODE = (DEFAULT_CODE_CLIENT_ID, DEFAULT_CODE_CLIENT_SECRET)
DAY = 86400


def ask(it: Served, auth: tuple[str, str] | None = CUSTOM, **form: str) -> httpx.Response:
    with client() as bare:
        return bare.post(f"{it.url}/oauth2/token", data=form, auth=auth)


def test_client_credentials_answer_has_every_recorded_field(sandbox: Served) -> None:
    body = ask(sandbox, grant_type="client_credentials").json()
    assert body["expires_in"] == 300
    assert body["refresh_expires_in"] == 1800
    assert body["token_type"] == "Bearer"
    assert body["scope"] == "profile monitoringApi:read email"
    assert set(body) >= {"access_token", "refresh_token", "not-before-policy", "session_state"}


@pytest.mark.parametrize("way", ["basic", "form", "query"])
def test_secret_is_taken_by_basic_form_and_query(sandbox: Served, way: str) -> None:
    parameters = {"grant_type": "client_credentials"}
    if way != "basic":
        parameters |= {"client_id": CUSTOM[0], "client_secret": CUSTOM[1]}
    answer = httpx.post(
        f"{sandbox.url}/oauth2/token",
        auth=CUSTOM if way == "basic" else None,
        params=parameters if way == "query" else None,
        data=parameters if way != "query" else None,
        trust_env=False,
    )
    assert answer.status_code == 200


def test_refresh_token_rotates_and_the_old_one_is_refused(sandbox: Served) -> None:
    first = ask(sandbox, grant_type="client_credentials").json()
    second = ask(sandbox, grant_type="refresh_token", refresh_token=first["refresh_token"])
    again = ask(sandbox, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert again.status_code == 401


@pytest.mark.parametrize(
    ("auth", "form", "status", "error"),
    [
        (CODE, {"grant_type": "client_credentials"}, 401, "unauthorized_client"),
        (CUSTOM, {"grant_type": "authorization_code", "code": "x"}, 401, "unauthorized_client"),
        ((CUSTOM[0], "wrong"), {"grant_type": "client_credentials"}, 401, "invalid_client"),
        (CUSTOM, {"grant_type": "refresh_token", "refresh_token": "none"}, 400, "invalid_grant"),
        (CUSTOM, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (CUSTOM, {}, 400, "invalid_request"),
    ],
)
def test_refusals(
    sandbox: Served, auth: tuple[str, str], form: dict[str, str], status: int, error: str
) -> None:
    answer = ask(sandbox, auth, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_broken_basic_header_is_a_refusal(sandbox: Served) -> None:
    for text in ("%%%", base64.b64encode(b"\xff\xfe").decode()):
        headers = {"Authorization": f"Basic {text}"}
        answer = httpx.post(f"{sandbox.url}/oauth2/token", headers=headers, trust_env=False)
        assert answer.status_code == 401


def test_access_token_ends_after_300_seconds(serve: Serve) -> None:
    it = serve(plants=1)
    it.world.clock.advance(299)
    assert it.http.get("/monitoring/v1/plants").status_code == 200
    it.world.clock.advance(2)
    refused = it.http.get("/monitoring/v1/plants")
    assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized", "code": "401"})


def test_refresh_token_lives_two_days_and_a_session_thirty(serve: Serve) -> None:
    it = serve(plants=1)
    token = ask(it, grant_type="client_credentials").json()["refresh_token"]
    it.world.clock.advance(2 * DAY + 1)
    assert ask(it, grant_type="refresh_token", refresh_token=token).status_code == 400

    token = ask(it, grant_type="client_credentials").json()["refresh_token"]
    for _ in range(29):
        it.world.clock.advance(DAY)
        answer = ask(it, grant_type="refresh_token", refresh_token=token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    it.world.clock.advance(DAY)
    assert ask(it, grant_type="refresh_token", refresh_token=token).status_code == 400


def test_offline_access_never_ends_and_says_zero(serve: Serve) -> None:
    it = serve(plants=1)
    first = ask(it, grant_type="client_credentials", scope="offline_access").json()
    assert first["refresh_expires_in"] == 0
    it.world.clock.advance(400 * DAY)
    assert ask(it, grant_type="refresh_token", refresh_token=first["refresh_token"]).status_code == 200


def test_logout_ends_the_session_and_its_tokens(serve: Serve) -> None:
    it = serve(plants=1)
    tokens = ask(it, grant_type="client_credentials").json()
    form = {"client_id": CUSTOM[0], "client_secret": CUSTOM[1], "refresh_token": tokens["refresh_token"]}
    assert httpx.post(f"{it.url}/oauth2/logout", data=form, trust_env=False).status_code == 204
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert httpx.get(f"{it.url}/monitoring/v1/plants", headers=headers, trust_env=False).status_code == 401
    assert ask(it, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 400


def test_a_session_is_ended_by_its_own_client_and_newest_token_alone(serve: Serve) -> None:
    it = serve(plants=1)
    first = ask(it, grant_type="client_credentials").json()["refresh_token"]
    second = ask(it, grant_type="refresh_token", refresh_token=first).json()["refresh_token"]
    logouts = [(CODE, second), (CUSTOM, first), (CUSTOM, second.partition(".")[0])]
    for (client_id, secret), token in logouts:
        form = {"client_id": client_id, "client_secret": secret, "refresh_token": token}
        assert httpx.post(f"{it.url}/oauth2/logout", data=form, trust_env=False).status_code == 400
    assert ask(it, grant_type="refresh_token", refresh_token=second).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic abc", "Bearer \u00e9"])
def test_data_needs_a_bearer_token(sandbox: Served, header: str) -> None:
    headers = [(b"Authorization", header.encode())]
    answer = httpx.get(f"{sandbox.url}/monitoring/v1/plants", headers=headers, trust_env=False)
    assert answer.status_code == 401
