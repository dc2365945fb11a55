"""The control of a running sandbox, and the request budget."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.sandbox.served_sandbox import NOW, Serve, Served

PLANTS = "/monitoring/v1/plants"


def statuses(it: Served, count: int) -> list[int]:
    return [it.http.get(PLANTS).status_code for _ in range(count)]


def test_the_budget_is_a_bucket_that_refills_over_five_minutes(serve: Serve) -> None:
    it = serve(plants=1, requests_per_5_min=10)
    assert statuses(it, 12) == [200] * 10 + [429] * 2
    refused = it.http.get(PLANTS)
    assert refused.headers["retry-after"] == "30"
    assert refused.json() == {"message": "Too Many Requests", "code": "429"}
    it.world.clock.advance(60)
    assert statuses(it, 3) == [200, 200, 429]
    it.world.clock.advance(100_000)
    it.login()
    assert statuses(it, 11) == [200] * 10 + [429]
    assert it.get("/_control")["budget"]["refused"] == 5


def test_the_budget_is_shared_by_all_tokens_and_plants_of_a_credential(serve: Serve) -> None:
    it = serve(plants=3, requests_per_5_min=3)
    for source in list(it.world.sources()):
        it.login()
        it.http.get(f"{PLANTS}/{source.plant.plant_id}")
    assert it.http.get(PLANTS).status_code == 429


def test_retry_after_as_a_date_or_not_at_all(serve: Serve) -> None:
    it = serve(plants=1, requests_per_5_min=1, retry_after="date")
    it.http.get(PLANTS)
    refused = it.http.get(PLANTS).headers
    when, now = (parsedate_to_datetime(refused[name]) for name in ("retry-after", "date"))
    assert 290 < (when - now).total_seconds() <= 301
    assert abs((now - NOW).total_seconds()) < 60
    it.http.put("/_control/budget", json={"retry_after": "none"})
    assert statuses(it, 1) == [200]
    assert "retry-after" not in it.http.get(PLANTS).headers


def test_the_budget_can_be_changed_and_lifted(serve: Serve) -> None:
    it = serve(plants=1)
    assert it.http.put("/_control/budget", json={"requests_per_5_min": 2}).json()["requests_per_5_min"] == 2
    assert statuses(it, 3) == [200, 200, 429]
    it.http.put("/_control/budget", json={"requests_per_5_min": None})
    assert statuses(it, 3) == [200] * 3


def test_the_clock_can_be_set_moved_and_reset(serve: Serve) -> None:
    it = serve(plants=1)
    assert (
        it.http.post("/_control/clock", json={"now": "2030-01-01T00:00:00"}).json()["clock"][:19]
        == "2030-01-01T00:00:00"
    )
    assert it.http.post("/_control/clock", json={"advance_s": 86400}).json()["clock"][:10] == "2030-01-02"
    shown = datetime.fromisoformat(it.http.post("/_control/clock", json={"reset": True}).json()["clock"])
    assert abs((shown - datetime.now(UTC)).total_seconds()) < 60
    it.login()
    assert it.rows("5000000", "Year", Date="2020")


def test_tokens_can_be_expired_at_once(serve: Serve) -> None:
    it = serve(plants=1)
    assert it.http.post("/_control/tokens/expire", json={}).json() == {"expired": 1}
    assert it.http.get(PLANTS).status_code == 401


def test_an_owner_can_be_played_without_a_token(serve: Serve) -> None:
    it = serve(plants=1)
    body = {"owner": "owner1@example.com", "state": "revoked"}
    assert httpx.post(f"{it.url}/_control/consents", json=body, trust_env=False).json()["state"] == "Revoked"
    assert it.get(PLANTS) == {"plants": []}
    assert httpx.post(f"{it.url}/_control/consents", json=body, trust_env=False).status_code == 404


def test_the_overview_names_everything(sandbox: Served) -> None:
    shown = sandbox.get("/_control")
    assert set(shown) == {"clock", "faults", "fault_kinds", "budget", "moved", "plants", "strangers"}
    assert shown["plants"] == 14


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "clock", {}),
        ("POST", "clock", {"now": "soon"}),
        ("POST", "clock", {"now": "1500-01-01"}),
        ("POST", "clock", {"advance_s": "1"}),
        ("PUT", "budget", {"requests_per_5_min": 0}),
        ("PUT", "budget", {"retry_after": "never"}),
        ("POST", "plants", {"count": 0}),
        ("POST", "consents", {"owner": "owner1@example.com", "state": "Pending"}),
        ("PUT", "faults", {}),
        ("PUT", "faults", {"faults": [7]}),
        ("POST", "faults", {"kind": "none"}),
    ],
)
def test_bad_changes_are_400(sandbox: Served, method: str, path: str, body: dict[str, object]) -> None:
    assert sandbox.http.request(method, f"/_control/{path}", json=body).status_code == 400


def test_migrating_what_cannot_move_is_404(sandbox: Served) -> None:
    for plant in ("5000000", "900001", "none"):
        assert sandbox.http.post("/_control/migrations", json={"plantId": plant}).status_code == 404


def test_a_foreign_web_page_cannot_change_anything(sandbox: Served) -> None:
    """A form or a simple cross-site request cannot send JSON's content type."""
    answer = sandbox.http.post(
        "/_control/clock", content=b'{"reset": true}', headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    assert (
        sandbox.http.post(
            "/_control/plants", content=b"{", headers={"Content-Type": "application/json"}
        ).status_code
        == 400
    )


def test_bodies_are_limited(sandbox: Served) -> None:
    answer = sandbox.http.post(
        "/_control/plants", content=b" " * (2 << 20), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
