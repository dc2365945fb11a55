"""Live and GridControl, as far as they are known."""

from datetime import UTC, datetime

import pytest

from tests.sandbox.conftest import Json, Serve, Served

GRID = "/gridcontrol/v1/plants"


def plant_of(it: Served, index: int) -> str:
    return next(source.plant.plant_id for source in it.world.sources() if source.plant.index == index)


def command(start: str, seconds: float, watts: float, name: str = "FeedInLimit") -> Json:
    return {"command": name, "startTime": start, "duration": seconds, "value": watts}


def test_live_answers_one_object_with_a_status(serve: Serve) -> None:
    it = serve(plants=12)
    classic = plant_of(it, 3)
    body = it.get(f"/live/v1/plants/{classic}/measurements/sets/EnergyBalance")
    assert body["status"] == "Ok"
    assert isinstance(body["set"], dict)
    assert body["set"]["time"] == "2024-06-15T14:00:00"  # no delay: the interval that has just ended
    assert it.get(f"/live/v1/plants/{classic}/configuration")["sets"] == ["EnergyBalance"]


def test_live_takes_one_call_in_ten_seconds(serve: Serve) -> None:
    it = serve(plants=12)
    path = f"/live/v1/plants/{plant_of(it, 3)}/measurements/sets/EnergyBalance"
    codes = [it.http.get(path).status_code for _ in range(2)]
    it.world.clock.advance(10)
    assert [*codes, it.http.get(path).status_code] == [200, 429, 200]


def test_a_live_session_ends_after_ten_minutes_and_starts_anew_after_a_pause(serve: Serve) -> None:
    it = serve(plants=12)
    path = f"/live/v1/plants/{plant_of(it, 3)}/measurements/sets/EnergyBalance"
    codes = []
    for _ in range(62):
        it.login()
        codes.append(it.http.get(path).status_code)
        it.world.clock.advance(10)
    assert codes == [200] * 60 + [429] * 2
    refused = it.http.get(path)
    assert (refused.status_code, 0 < int(refused.headers["Retry-After"]) <= 40) == (429, True)
    it.world.clock.advance(40)
    it.login()
    assert it.http.get(path).status_code == 200


def test_live_is_for_classic_plants_only(sandbox: Served) -> None:
    assert sandbox.http.get("/live/v1/plants/5000000/configuration").status_code == 404


def test_eligibility_follows_the_faq(sandbox: Served) -> None:
    ids = [plant_of(sandbox, index) for index in (0, 1, 3)]
    plants = sandbox.http.post(f"{GRID}/eligibilityCheck", json={"plantIds": [*ids, "none"]}).json()["plants"]
    takes = [{item["command"] for item in plant["commands"] if item["supported"]} for plant in plants]
    assert takes == [{"FeedInLimit"}, set(), {"FeedInLimit"}]
    assert "SPOT" in plants[1]["commands"][0]["reason"]


def test_a_schedule_curtails_the_plants_power_while_it_lasts(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    before = {row["time"]: row for row in it.rows(plant, Date="2024-06-16")}
    assert before == {}
    body = {"commands": [command("2024-06-16T08:00:00Z", 7200, 0)]}
    created = it.http.post(f"{GRID}/{plant}/schedules", json=body)
    assert created.status_code == 202
    assert it.get(f"{GRID}/{plant}/schedules")["schedules"][0]["scheduleId"] == created.json()["scheduleId"]
    it.world.clock.advance(3 * 86400)
    it.login()
    rows = {row["time"]: row for row in it.rows(plant, Date="2024-06-16")}
    limited = [row["gridFeedIn"] for time, row in rows.items() if "T10:05" <= time[10:16] <= "T12:00"]
    assert limited == [0.0] * 24
    settings = it.rows(plant, set_type="GridSettings", Date="2024-06-16")
    assert {row["activePowerLimitation"] for row in settings} == {0.0, 100.0}
    held = it.truth(plant, "gridFeedIn", "2024-06-16T08:00:00Z", "2024-06-16T10:00:00Z")
    assert held == 0.0

    schedule = created.json()["scheduleId"]
    assert it.http.delete(f"{GRID}/{plant}/schedules/{schedule}").status_code == 204
    assert it.http.delete(f"{GRID}/{plant}/schedules/{schedule}").status_code == 404
    # What has happened stays as it was.
    assert it.rows(plant, Date="2024-06-16") == list(rows.values())
    assert it.truth(plant, "gridFeedIn", "2024-06-16T08:00:00Z", "2024-06-16T10:00:00Z") == 0.0


def test_a_schedule_that_is_deleted_has_limited_until_then(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    body = {"commands": [command("2024-06-16T08:00:00Z", 7200, 0)]}
    schedule = it.http.post(f"{GRID}/{plant}/schedules", json=body).json()["scheduleId"]
    it.world.clock.advance(datetime(2024, 6, 16, 9, tzinfo=UTC).timestamp() - it.world.clock.now())
    it.login()
    assert it.http.delete(f"{GRID}/{plant}/schedules/{schedule}").status_code == 204
    it.world.clock.advance(3 * 86400)
    it.login()
    assert it.truth(plant, "gridFeedIn", "2024-06-16T08:00:00Z", "2024-06-16T09:00:00Z") == 0.0
    assert it.truth(plant, "gridFeedIn", "2024-06-16T09:00:00Z", "2024-06-16T10:00:00Z") > 0.0


def test_the_fallback_applies_when_the_schedule_ends(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    body = {
        "commands": [command("2024-06-16T06:00:00Z", 3600, 1e9)],
        "fallback": {"command": "FeedInLimit", "value": 0},
    }
    accepted = it.http.post(f"{GRID}/{plant}/schedules", json=body)
    assert (accepted.status_code, accepted.json()["fallback"]) == (202, body["fallback"])
    assert it.get(f"{GRID}/{plant}/schedules")["schedules"] == [accepted.json()]
    it.world.clock.advance(3 * 86400)
    it.login()
    rows = it.rows(plant, Date="2024-06-17")
    assert max(row["gridFeedIn"] for row in rows) == 0.0


def test_commands_that_a_plant_cannot_follow_are_refused_unless_the_check_is_skipped(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    body = {"commands": [command("2024-06-16T08:00:00Z", 60, 0, "Connect")]}
    refused = it.http.post(f"{GRID}/{plant}/schedules", json=body)
    assert refused.status_code == 400
    assert "FeedInLimit only" in refused.json()["message"]
    assert it.http.post(f"{GRID}/{plant}/schedules?skipEligibilityCheck", json=body).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"commands": []},
        {"commands": ["x"]},
        {"commands": [command("2020-01-01T00:00:00Z", 60, 0)]},
        {"commands": [command("soon", 60, 0)]},
        {"commands": [command("2030-01-01T00:00:00Z", 0, 0)]},
        {"commands": [command("2030-01-01T00:00:00Z", 60, -1)]},
        {"commands": [command("2030-01-01T00:00:00Z", 60, True)]},
        {"commands": [command("2030-01-01T00:00:00Z", 60, 0, "Explode")]},
        {"commands": [command("2030-01-01T00:00:00Z", 60, 0)], "fallback": 7},
    ],
)
def test_bad_schedules_are_400(sandbox: Served, body: Json) -> None:
    assert sandbox.http.post(f"{GRID}/5000000/schedules", json=body).status_code == 400


def test_a_schedule_moves_along_with_its_plant(serve: Serve) -> None:
    it = serve(plants=12)
    old = plant_of(it, 3)
    it.http.post(f"{GRID}/{old}/schedules", json={"commands": [command("2024-06-16T08:00:00Z", 60, 0)]})
    new = it.world.migrate(old)
    assert it.http.get(f"{GRID}/{old}/schedules").status_code == 308
    assert [item["plantId"] for item in it.get(f"{GRID}/{new}/schedules")["schedules"]] == [new]


def test_recordings_cannot_be_controlled(sandbox: Served) -> None:
    assert sandbox.http.get(f"{GRID}/900001/schedules").status_code == 404
