"""What public clients rely on. Each test asks as one of them does, word for word, and is as strict as it is."""

from urllib.parse import quote

import httpx
import pytest

from tests.sandbox.served_sandbox import Json, Serve, Served

OWNER = "owner1@example.com"
FORM = {"client_id": "sandbox-custom", "client_secret": "sandbox-custom-secret"}
CONSENT = "/oauth2/v2/bc-authorize"


def token(it: Served, **form: str) -> Json:
    answer = it.http.post("/oauth2/token", data={**FORM, **form})
    assert answer.status_code == 200
    body: Json = answer.json()
    return body


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}


def test_a_script_that_compares_the_state_letter_by_letter(serve: Serve) -> None:
    it = serve(plants=3, owners_without_consent=1)
    headers = bearer(token(it, grant_type="client_credentials")["access_token"])
    ask = {"loginHint": OWNER}
    assert it.http.post(CONSENT, json=ask, headers=headers).json()["state"] == "Pending"
    assert it.http.get("/monitoring/v1/plants", headers=headers).json() == {"plants": []}
    it.http.put(f"{CONSENT}/{OWNER}/status", json={"state": "Accepted"}, headers=headers)
    again = it.http.post(CONSENT, json=ask, headers=headers)
    assert (again.status_code, again.json()["state"]) == (200, "Accepted")

    plant_id = it.http.get("/monitoring/v1/plants", headers=headers).json()["plants"][0]["plantId"]
    devices = it.http.get(f"/monitoring/v1/plants/{plant_id}/devices", headers=headers).json()["devices"]
    battery = next(device["deviceId"] for device in devices if device["type"] == "Battery Inverter")
    recent = f"/monitoring/v1/devices/{battery}/measurements/sets/EnergyAndPowerBattery/Recent"
    row = it.http.get(recent, headers=headers).json()["set"][0]
    assert row["batteryStateOfChargeArray"] == [{"index": "A", "value": row["batteryStateOfCharge"]}]


def test_a_function_that_glues_ids_into_addresses(sandbox: Served) -> None:
    first = token(sandbox, grant_type="client_credentials")
    renewed = sandbox.http.post(
        "/oauth2/token",
        data={**FORM, "grant_type": "refresh_token", "refresh_token": first["refresh_token"]},
        headers={"Authorization": f"Bearer {first['refresh_token']}"},
    ).json()
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}

    plants = sandbox.http.get("/monitoring/v1/plants/", headers=headers).json()["plants"]
    for plant in plants[:3]:
        address = "/monitoring/v2/plants/" + plant["plantId"] + "/measurements/sets/EnergyBalance/day"
        rows = sandbox.http.get(address + "?date=2021-10-05", headers=headers).json()
        assert (rows["setType"], rows["plant"]["plantId"]) == ("EnergyBalance", plant["plantId"])
        for device in sandbox.get("/monitoring/v1/plants/" + plant["plantId"] + "/devices")["devices"]:
            address = "/monitoring/v1/devices/" + device["deviceId"]
            assert isinstance(sandbox.http.get(address, headers=headers).json()["details"], dict)
            power = sandbox.get(address + "/measurements/sets/EnergyAndPowerPv/day", date="2021-10-05")
            assert power["setType"] == "EnergyAndPowerPv"


def test_a_client_with_basic_secrets_that_renews_after_a_401(serve: Serve) -> None:
    it = serve(plants=1)
    basic = (FORM["client_id"], FORM["client_secret"])
    refresh = token(it, grant_type="client_credentials")["refresh_token"]

    def renewed() -> str:
        nonlocal refresh
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        answer = httpx.post(f"{it.url}/oauth2/token", data=form, auth=basic, trust_env=False)
        assert answer.status_code == 200
        refresh = answer.json()["refresh_token"]
        assert int(answer.json()["expires_in"]) == 300
        return str(answer.json()["access_token"])

    access = renewed()
    it.world.clock.advance(301)
    codes = [it.http.get("/monitoring/v1/plants", headers=bearer(access)).status_code]
    codes.append(it.http.get("/monitoring/v1/plants", headers=bearer(renewed())).status_code)
    assert codes == [401, 200]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"content": b'{"status": "accepted"}'}, 200),
        ({"content": b'{"state": "accepted"}'}, 200),
        ({"content": b'{"newStatus": "accepted"}'}, 400),
        ({"content": b'"accepted"'}, 400),
    ],
)
def test_a_client_that_tries_several_bodies_to_play_the_owner(
    serve: Serve, body: dict[str, bytes], status: int
) -> None:
    it = serve(plants=1, owners_without_consent=1)
    headers = bearer(token(it, grant_type="client_credentials")["access_token"])
    it.http.post(CONSENT, json={"loginHint": OWNER, "scope": "monitoringApi:read"}, headers=headers)
    address = f"{CONSENT}/{quote(OWNER)}/status"
    assert it.http.put(address, content=body["content"], headers=headers).status_code == status
    if status == 200:
        assert it.http.put(address, content=body["content"], headers=headers).status_code == 404


def test_an_adapter_that_pages_and_asks_plants_for_sets_of_devices(sandbox: Served) -> None:
    whole = sandbox.get("/monitoring/v1/plants")
    assert sandbox.get("/monitoring/v1/plants", offset="0", limit="50") == whole
    assert sandbox.rows("5000000", "Recent", "EnergyAndPowerPv") == []
    assert sandbox.http.post(CONSENT, data={**FORM, "login_hint": OWNER}).status_code == 400
