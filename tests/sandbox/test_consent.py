"""Owner consent: states, repetition, new plants, and what a client sees without it."""

import httpx
import pytest

from tests.sandbox.served_sandbox import NOW, Serve, Served

BC = "/oauth2/v2/bc-authorize"
OWNER = "owner1@example.com"


def asked(it: Served, owner: str = OWNER) -> httpx.Response:
    return it.http.post(BC, json={"loginHint": owner})


@pytest.mark.parametrize(("silent", "plants"), [(0, 12), (1, 9), (4, 0), (6, 0)])
def test_the_last_owners_have_not_consented(serve: Serve, silent: int, plants: int) -> None:
    """Twelve plants have four owners; a larger number means all of them."""
    it = serve(plants=12, owners_without_consent=silent)
    assert len(it.get("/monitoring/v1/plants")["plants"]) == plants


def test_a_new_request_is_201_and_pending_then_200(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    it = serve(plants=3, owners_without_consent=1)
    # A clock that runs would show the next second on a busy machine.
    monkeypatch.setattr(it.world.clock, "now", NOW.timestamp)
    first, second = asked(it), asked(it)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {
        "loginHint": OWNER,
        "state": "Pending",
        "expirationDate": "2024-06-22T12:00:00Z",
        "interval": 1800,
    }
    assert it.get(f"{BC}/{OWNER}")["state"] == "Pending"


@pytest.mark.parametrize(
    ("key", "word"), [("status", "Accepted"), ("state", "accepted"), ("status", "ACCEPTED")]
)
def test_owner_accepts_by_put_and_plants_appear(serve: Serve, key: str, word: str) -> None:
    it = serve(plants=3, owners_without_consent=1)
    assert it.get("/monitoring/v1/plants") == {"plants": []}
    asked(it)
    answer = it.http.put(f"{BC}/{OWNER}/status", json={key: word})
    assert answer.json()["state"] == "Accepted"
    assert len(it.get("/monitoring/v1/plants")["plants"]) == 3


@pytest.mark.parametrize("state", ["Rejected", "Expired", "Revoked"])
def test_the_other_states_keep_plants_hidden(serve: Serve, state: str) -> None:
    it = serve(plants=3, owners_without_consent=1)
    asked(it)
    it.http.put(f"{BC}/{OWNER}/status", json={"status": state})
    assert it.get(f"{BC}/{OWNER}")["state"] == state
    assert it.get("/monitoring/v1/plants") == {"plants": []}


def test_nothing_pending_is_404_in_smas_words(serve: Serve) -> None:
    it = serve(plants=3, owners_without_consent=1)
    answer = it.http.put(f"{BC}/{OWNER}/status", json={"status": "Accepted"})
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found", "code": "404"})
    assert it.http.get(f"{BC}/{OWNER}").status_code == 404


def test_no_system_owner_is_400_with_the_reason(sandbox: Served) -> None:
    answer = asked(sandbox, "nobody@example.com")
    assert answer.status_code == 400
    assert "not a system owner" in answer.json()["message"]


def test_data_calls_without_consent_are_200_and_empty(serve: Serve) -> None:
    it = serve(plants=3, owners_without_consent=1)
    plant = next(iter(it.world.sources())).plant
    base = f"/monitoring/v1/plants/{plant.plant_id}"
    assert it.get(f"{base}/devices/lean") == {"devices": []}
    assert it.get(f"{base}/devices")["devices"] == []
    assert it.get(f"{base}/measurements/sets")["sets"] == []
    assert it.rows(plant.plant_id, Date="2022-06-01") == []
    assert it.device_rows(plant.devices[0].device_id, "EnergyAndPowerPv", Date="2022-06-01") == []
    assert it.get(f"{base}/logs", From="2022-01-01", To="2022-01-31")["logs"] == []


def test_consent_revoked_in_the_middle_hides_what_was_read_before(serve: Serve) -> None:
    it = serve(plants=3)
    plant = next(iter(it.world.sources())).plant
    assert it.rows(plant.plant_id, Date="2022-06-01")
    it.http.put(f"{BC}/{OWNER}/status", json={"status": "Revoked"})
    assert it.rows(plant.plant_id, Date="2022-06-01") == []


def test_requests_expire_after_a_week(serve: Serve) -> None:
    it = serve(plants=3, owners_without_consent=1)
    asked(it)
    it.world.clock.advance(7 * 86400)
    it.login()
    assert it.get(f"{BC}/{OWNER}")["state"] == "Expired"


def test_owners_can_accept_on_their_own_after_a_delay(serve: Serve) -> None:
    it = serve(plants=3, owners_without_consent=1, consent_after_s=60)
    asked(it)
    assert it.get("/monitoring/v1/plants") == {"plants": []}
    it.world.clock.advance(61)
    assert len(it.get("/monitoring/v1/plants")["plants"]) == 3


def test_new_plants_need_a_repeated_request_and_old_ones_stay_visible(serve: Serve) -> None:
    it = serve(plants=2)
    added = it.http.post("/_control/plants", json={"count": 1}).json()["plantIds"]
    seen = {plant["plantId"] for plant in it.get("/monitoring/v1/plants")["plants"]}
    assert not seen & set(added)
    assert asked(it).status_code == 201
    assert {plant["plantId"] for plant in it.get("/monitoring/v1/plants")["plants"]} == seen
    it.http.put(f"{BC}/{OWNER}/status", json={"status": "Accepted"})
    assert {plant["plantId"] for plant in it.get("/monitoring/v1/plants")["plants"]} == seen | set(added)


def test_asking_while_accepted_without_new_plants_changes_nothing(serve: Serve) -> None:
    it = serve(plants=2)
    answer = asked(it)
    assert (answer.status_code, answer.json()["state"]) == (200, "Accepted")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"loginHint": 7}', b'{"loginHint": " "}'])
def test_bad_bodies_are_400(sandbox: Served, body: bytes) -> None:
    assert sandbox.http.post(BC, content=body).status_code == 400
