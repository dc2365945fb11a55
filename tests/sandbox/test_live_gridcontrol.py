"""Live and GridControl, as far as they are known."""

from datetime import UTC, datetime

import pytest

from sandbox.fleet.plant_model import Role
from tests.sandbox.served_sandbox import Json, Serve, Served

GRID = "/gridcontrol/v1/plants"


def plant_of(it: Served, index: int) -> str:
    return next(source.plant.plant_id for source in it.world.sources() if source.plant.index == index)


def command(start: str, seconds: float, watts: float | bool, name: str = "FeedInLimit") -> Json:
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


EXPORT = {"FeedInLimit", "opModExpLimW"}
ALL = EXPORT | {"opModGenLimW", "opModMaxLimW", "opModConnect", "opModEnergize"}


def check(it: Served, **body: object) -> Json:
    answer: Json = it.http.post(f"{GRID}/eligibilityCheck", json=body).json()
    return answer


def test_eligibility_follows_the_faq(serve: Serve) -> None:
    it = serve(plants=40, recordings=True)
    plants = {source.plant.index: source.plant for source in it.world.sources()}
    web = next(plant for plant in plants.values() if plant.classic and not plant.metered)
    ids = [*(plants[index].plant_id for index in (0, 1, 3, 10)), web.plant_id, "900001", "none"]
    found = check(it, plantIds=ids)["plants"]
    takes = [{item["command"] for item in plant["commands"] if item["supported"]} for plant in found]
    assert takes == [EXPORT, set(), EXPORT, set(), ALL, set()]
    reasons = [found[place]["commands"][0]["reason"] for place in (1, 3, 5)]
    assert ["SPOT" in reasons[0], "Home Manager" in reasons[1], "recording" in reasons[2]] == [True] * 3


def test_eligibility_is_of_the_commands_asked_by_plant_device_or_meter(serve: Serve) -> None:
    it = serve(plants=12)
    plant = next(source.plant for source in it.world.sources() if source.plant.index == 0)
    meter, sensor = plant.with_role(Role.METER)[0], plant.with_role(Role.SENSOR)[0]
    inverter = plant.with_role(Role.INVERTER)[0]
    found = check(
        it,
        deviceIds=[inverter.device_id, sensor.device_id],
        meterIds=[meter.serial, meter.device_id, inverter.device_id],
        commands=["FeedInLimit", "opModMaxLimW"],
    )
    assert set(found) == {"devices", "meters"}
    verdicts = [[item["supported"] for item in one["commands"]] for one in found["devices"]]
    assert verdicts == [[True, False], [False, False]]
    assert "Sensor technology" in found["devices"][1]["commands"][0]["reason"]
    assert [one["meterId"] for one in found["meters"]] == [meter.serial, meter.device_id]
    assert {one["plantId"] for kind in found.values() for one in kind} == {plant.plant_id}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"plantIds": "5000000"},
        {"plantIds": [5000000]},
        {"meterIds": ["1"] * 1001},
        {"plantIds": [], "commands": []},
        {"plantIds": [], "commands": ["ActivePowerLimit"]},
    ],
)
def test_bad_checks_are_400(sandbox: Served, body: Json) -> None:
    assert sandbox.http.post(f"{GRID}/eligibilityCheck", json=body).status_code == 400


def test_a_moved_plant_is_checked_by_its_old_id(serve: Serve) -> None:
    it = serve(plants=12)
    old = plant_of(it, 3)
    new = it.world.migrate(old)
    assert [plant["plantId"] for plant in check(it, plantIds=[old])["plants"]] == [new]


def states(it: Served, plant: str) -> list[str]:
    schedules = it.get(f"{GRID}/{plant}/schedules")["schedules"]
    return [item["state"] for schedule in schedules for item in schedule["commands"]]


def go_to(it: Served, hour: float, day: int = 16) -> None:
    moment = datetime(2024, 6, day, tzinfo=UTC).timestamp() + hour * 3600
    it.world.clock.advance(moment - it.world.clock.now())
    it.login()


def test_a_schedule_supersedes_older_ones_of_the_same_command(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    path = f"{GRID}/{plant}/schedules"
    first = [command("2024-06-16T08:00:00Z", 7200, 0), command("2024-06-16T11:00:00Z", 3600, 0)]
    second = [command("2024-06-16T09:00:00Z", 1800, 1e9, "opModExpLimW")]
    fallback = {"command": "FeedInLimit", "value": 0}
    made = it.http.post(path, json={"commands": first, "fallback": fallback}).json()
    assert it.http.post(path, json={"commands": second, "requestedBy": "EnergyTrader"}).status_code == 202
    # What would begin after the newer schedule has begun never begins.
    assert states(it, plant) == ["Scheduled", "Superseded", "Scheduled"]
    go_to(it, 8.5)
    assert states(it, plant) == ["Active", "Superseded", "Scheduled"]
    go_to(it, 9.25)
    assert states(it, plant) == ["Superseded", "Superseded", "Active"]
    go_to(it, 10)
    assert states(it, plant) == ["Superseded", "Superseded", "Completed"]
    assert it.http.delete(f"{path}/{made['scheduleId']}").status_code == 409
    shown = it.get(path)["schedules"]
    assert shown[0]["fallback"]["state"] == "Superseded"
    assert shown[1]["requestedBy"] == "EnergyTrader"
    go_to(it, 12, day=18)

    def fed(begin: str, end: str) -> float:
        return it.truth(plant, "gridFeedIn", f"2024-06-16T{begin}:00Z", f"2024-06-16T{end}:00Z")

    # The limits don't stack: the newer one, although higher, has taken the place of the older one.
    assert fed("08:00", "09:00") == 0.0
    assert min(fed("09:00", "09:30"), fed("09:30", "10:00"), fed("11:00", "12:00")) > 0.0


def test_different_commands_hold_beside_each_other(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    path = f"{GRID}/{plant}/schedules?skipEligibilityCheck"
    it.http.post(path, json={"commands": [command("2024-06-16T08:00:00Z", 7200, 0)]})
    half = [command("2024-06-16T08:00:00Z", 7200, 1000, "opModMaxLimW")]
    it.http.post(path, json={"commands": half})
    assert states(it, plant) == ["Scheduled", "Scheduled"]
    go_to(it, 12, day=18)
    window = ("2024-06-16T08:00:00Z", "2024-06-16T10:00:00Z")
    assert it.truth(plant, "gridFeedIn", *window) == 0.0
    rated_kw = next(source.plant for source in it.world.sources()).array.ac_rated_w / 1000
    assert 0 < it.truth(plant, "pvGeneration", *window) <= 0.1 * rated_kw * 2 + 1e-9


def test_a_switch_takes_the_plant_off_the_grid(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    body = {"commands": [command("2024-06-16T08:00:00Z", 7200, False, "opModConnect")]}
    assert it.http.post(f"{GRID}/{plant}/schedules?skipEligibilityCheck", json=body).status_code == 202
    go_to(it, 12, day=18)
    assert it.truth(plant, "pvGeneration", "2024-06-16T08:00:00Z", "2024-06-16T10:00:00Z") == 0.0


def test_the_truth_of_lost_energy_is_pv_without_limits_less_pv_with_them(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    day = ("2024-06-16T00:00:00Z", "2024-06-17T00:00:00Z")
    free = it.truth(plant, "pvGeneration", *day)
    assert it.truth(plant, "curtailedGeneration", *day) == 0.0
    body = {"commands": [command("2024-06-16T09:00:00Z", 7200, 0)]}
    it.http.post(f"{GRID}/{plant}/schedules", json=body)
    lost = it.truth(plant, "curtailedGeneration", *day)
    assert lost == pytest.approx(free - it.truth(plant, "pvGeneration", *day))
    # Nothing is lost outside the time of the limit, and the devices' parts add up.
    assert lost == pytest.approx(
        it.truth(plant, "curtailedGeneration", "2024-06-16T09:00:00Z", "2024-06-16T11:00:00Z")
    )
    parts = [
        it.get(f"/_truth/devices/{device.device_id}/curtailedGeneration", **{"from": day[0], "to": day[1]})
        for source in it.world.sources()
        for device in source.plant.with_role(Role.INVERTER)
        if source.plant.plant_id == plant
    ]
    assert sum(part["kwh"] for part in parts) == pytest.approx(lost)
    assert lost > 0


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
    assert it.http.delete(f"{GRID}/{plant}/schedules/{schedule}").status_code == 409
    assert it.http.delete(f"{GRID}/{plant}/schedules/other").status_code == 404
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
    assert states(it, plant) == ["Cancelled"]
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
    assert (accepted.status_code, accepted.json()["fallback"]) == (
        202,
        {**body["fallback"], "state": "Scheduled"},
    )
    assert it.get(f"{GRID}/{plant}/schedules")["schedules"] == [accepted.json()]
    it.world.clock.advance(3 * 86400)
    it.login()
    rows = it.rows(plant, Date="2024-06-17")
    assert max(row["gridFeedIn"] for row in rows) == 0.0


def test_commands_that_a_plant_cannot_follow_are_refused_unless_the_check_is_skipped(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    body = {"commands": [command("2024-06-16T08:00:00Z", 60, False, "opModConnect")]}
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
        {"commands": [command("2030-01-01T00:00:00Z", 60, 1, "opModConnect")]},
        {"commands": [command("2030-01-01T00:00:00Z", 60, 10_001, "opModMaxLimW")]},
        {"commands": [command("2030-01-01T00:00:00Z", 60, 0)], "requestedBy": 7},
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


def test_a_repeated_key_makes_no_second_schedule_and_all_that_came_is_counted(serve: Serve) -> None:
    it = serve(plants=3)
    plant = plant_of(it, 0)
    path = f"{GRID}/{plant}/schedules"
    one = command("2024-06-16T08:00:00Z", 60, 0) | {"mRID": "k"}
    codes = [it.http.post(path, json={"commands": [one]}).status_code for _ in range(2)]
    codes.append(it.http.post(path, json={"commands": [one | {"value": 1}]}).status_code)
    codes.append(it.http.post(path, json={"commands": [one | {"mRID": 7}]}).status_code)
    assert codes == [202, 200, 409, 400]
    (schedule,) = it.get(path)["schedules"]
    assert schedule["commands"][0]["mRID"] == "k"
    it.http.delete(f"{path}/{schedule['scheduleId']}")
    assert it.get(f"/_truth/gridcontrol/plants/{plant}") == {
        "schedules": 4,
        "repeated": 1,
        "cancellations": 1,
    }
    assert it.http.get("/_truth/gridcontrol/plants/none").status_code == 404


def test_recordings_cannot_be_controlled(sandbox: Served) -> None:
    assert sandbox.http.get(f"{GRID}/900001/schedules").status_code == 404
