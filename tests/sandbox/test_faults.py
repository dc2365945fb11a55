"""Every fault strikes as its name says, where it was aimed, as often as it was asked to, and the same each time."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
import orjson
import pytest

from sandbox.faults.catalogue import KINDS
from sandbox.faults.fault_plan import FaultError, FirstReads, make_fault, parse_fault
from sandbox.fleet.plant_model import Role
from sandbox.fleet.simulated_fleet import FIFTEEN_MINUTES, HOSTILE_NAMES, build_fleet
from sandbox.options import Options
from tests.sandbox.served_sandbox import Json, Serve, Served, served

PLANT = "5000000"
DAY = "/monitoring/v1/plants/5000000/measurements/sets/EnergyBalance/Day"
ASK = {"Date": "2023-06-10"}


@pytest.fixture(scope="module")
def faulty() -> Iterator[Served]:
    with served(Options(plants=6)) as it:
        yield it


@pytest.fixture(autouse=True)
def clean(faulty: Served) -> Iterator[None]:
    faulty.login()
    yield
    httpx.request("DELETE", f"{faulty.url}/_control/faults", trust_env=False)
    for owner in ("owner1@example.com", "owner2@example.com"):
        faulty.world.consents.grant("sandbox-custom", owner)


def switch_on(it: Served, *faults: str | Json) -> None:
    answer = it.http.put("/_control/faults", json={"faults": list(faults)})
    assert answer.status_code == 200, answer.text


def counted(it: Served) -> list[Json]:
    faults: list[Json] = it.get("/_control/faults")["faults"]
    return faults


@pytest.mark.parametrize("status", [404, 408, 429, 500, 502, 503, 504])
def test_statuses_in_smas_form_or_in_html(faulty: Served, status: int) -> None:
    switch_on(faulty, f"status_{status}")
    answer = faulty.http.get(DAY, params=ASK)
    assert answer.status_code == status
    if status in (502, 504):
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.text.startswith("<html>")
    else:
        assert answer.json()["code"] == str(status)


def spoiled(it: Served, fault: str) -> tuple[list[Json], list[Json]]:
    """The rows without and with the fault."""
    good = it.http.get(DAY, params=ASK).json()["set"]
    switch_on(it, fault)
    return good, it.http.get(DAY, params=ASK).json()["set"]


def changed(good: list[Json], bad: list[Json]) -> list[tuple[Json, Json]]:
    return [(one, other) for one, other in zip(good, bad, strict=True) if one != other]


def test_missing_rows(faulty: Served) -> None:
    good, bad = spoiled(faulty, "missing_rows,amount=7")
    assert len(bad) == len(good) - 7
    assert all(row in good for row in bad)


def test_odd_characters_and_numbers(faulty: Served) -> None:
    switch_on(faulty, "half_characters")
    assert b'"name":"\\ud83d' in faulty.http.get(DAY, params=ASK).content
    switch_on(faulty, "not_finite")
    body = faulty.http.get(DAY, params=ASK).content
    assert body.count(b":NaN") == 1
    assert body.count(b'"time":') == 288


def test_a_cap_on_rows(faulty: Served) -> None:
    good, bad = spoiled(faulty, "first_rows_only,amount=100")
    assert bad == good[:100]
    for fault, left in (("last_rows_only,amount=100", good[-100:]), ("last_rows_only", good)):
        switch_on(faulty, fault)
        assert faulty.http.get(DAY, params=ASK).json()["set"] == left


@pytest.mark.parametrize("energy", ["false", "true"])
def test_uneven_steps_lose_no_energy(faulty: Served, energy: str) -> None:
    ask = {**ASK, "ReturnEnergyValues": energy}
    good = faulty.http.get(DAY, params=ask).json()["set"]
    switch_on(faulty, "uneven_steps,amount=20")
    bad = faulty.http.get(DAY, params=ask).json()["set"]
    assert len(bad) == 268
    ends = [datetime.fromisoformat(row["time"]) for row in bad]
    steps = [300.0, *((two - one).total_seconds() for one, two in pairwise(ends))]
    steps[0] = (ends[0] - datetime(2023, 6, 10)).total_seconds()  # noqa: DTZ001 - labels carry no zone
    assert sorted(set(steps)) == [300, 600]
    weights = [1.0] * len(bad) if energy == "true" else [step / 3600 for step in steps]
    whole = sum(row["pvGeneration"] for row in good) / (1 if energy == "true" else 12)
    assert sum(row["pvGeneration"] * w for row, w in zip(bad, weights, strict=True)) == pytest.approx(
        whole, abs=0.01
    )


@pytest.mark.parametrize("period", ["Month", "Year", "Total"])
def test_uneven_steps_of_energies_lose_none(faulty: Served, period: str) -> None:
    ask = {} if period == "Total" else {"Date": "2023-06-10"}
    good = faulty.http.get(DAY.replace("/Day", f"/{period}"), params=ask).json()["set"]
    switch_on(faulty, "uneven_steps,amount=2")
    bad = faulty.http.get(DAY.replace("/Day", f"/{period}"), params=ask).json()["set"]
    assert len(bad) < len(good)
    whole = sum(row["pvGeneration"] for row in good)
    assert sum(row["pvGeneration"] for row in bad) == pytest.approx(whole, abs=0.01)


def test_faults_that_are_set_anew_play_the_same_way(faulty: Served) -> None:
    switch_on(faulty, "missing_rows,amount=7", "changed_answer,amount=10")
    first = [faulty.http.get(DAY, params=ASK).json()["set"] for _ in range(2)]
    switch_on(faulty, "missing_rows,amount=7", "changed_answer,amount=10")
    assert [faulty.http.get(DAY, params=ASK).json()["set"] for _ in range(2)] == first


def test_drift_makes_sums_disagree(faulty: Served) -> None:
    month = DAY.replace("/Day", "/Month")
    good = faulty.http.get(month, params={"Date": "2023-06"}).json()["set"]
    switch_on(faulty, "drift,path=/Month,amount=5")
    bad = faulty.http.get(month, params={"Date": "2023-06"}).json()["set"]
    assert bad[3]["pvGeneration"] == pytest.approx(1.05 * good[3]["pvGeneration"], abs=0.01)


def test_spike_puts_the_lost_energy_into_one_row(faulty: Served) -> None:
    ((good, bad),) = changed(*spoiled(faulty, "spike"))
    assert bad["pvGeneration"] - good["pvGeneration"] == pytest.approx(165_763 * 12)
    assert good["totalConsumption"] == bad["totalConsumption"]


@pytest.mark.parametrize("period", ["Day?Date=2023-06-10&ReturnEnergyValues=true", "Month?Date=2023-06"])
def test_a_spike_among_energies_is_as_large(faulty: Served, period: str) -> None:
    good = faulty.http.get(DAY.replace("Day", period)).json()["set"]
    switch_on(faulty, "spike")
    ((good_row, bad_row),) = changed(good, faulty.http.get(DAY.replace("Day", period)).json()["set"])
    assert bad_row["pvGeneration"] - good_row["pvGeneration"] == pytest.approx(165_763)


def test_a_spike_of_fifteen_minutes_holds_as_much_energy(faulty: Served) -> None:
    plant = next(plant for plant in build_fleet(6, 7) if plant.step_s == FIFTEEN_MINUTES)
    path = DAY.replace(DAY.split("/")[4], plant.plant_id)
    good = faulty.http.get(path, params=ASK).json()["set"]
    switch_on(faulty, "spike")
    ((good_row, bad_row),) = changed(good, faulty.http.get(path, params=ASK).json()["set"])
    assert bad_row["pvGeneration"] - good_row["pvGeneration"] == pytest.approx(165_763 * 4)


def test_arrays_are_spoiled_element_by_element(faulty: Served) -> None:
    inverter = build_fleet(1, 7)[0].with_role(Role.INVERTER)[0].device_id
    path = f"/monitoring/v1/devices/{inverter}/measurements/sets/PowerDc/Day"
    good = faulty.http.get(path, params=ASK).json()["set"]
    switch_on(faulty, "negative,amount=123")
    ((_, row),) = changed(good, faulty.http.get(path, params=ASK).json()["set"])
    assert [each["value"] for each in row["dcPowerInput"]] == [-123, -123]


def test_negative(faulty: Served) -> None:
    ((good, bad),) = changed(*spoiled(faulty, "negative,amount=123"))
    assert bad["pvGeneration"] == -123
    assert bad["time"] == good["time"]


def test_duplicate_rows(faulty: Served) -> None:
    good, bad = spoiled(faulty, "duplicate_rows")
    assert len(bad) == len(good) + 3
    assert {row["time"] for row in bad} == {row["time"] for row in good}


def test_unsorted_rows(faulty: Served) -> None:
    good, bad = spoiled(faulty, "unsorted_rows")
    assert bad != good
    assert sorted(bad, key=lambda row: row["time"]) == good


def test_future_rows(faulty: Served) -> None:
    good, bad = spoiled(faulty, "future_rows")
    assert bad[: len(good)] == good
    assert [row["time"][:4] for row in bad[len(good) :]] == ["2024", "2024"]


def test_rows_a_year_ahead_of_a_leap_day_have_a_date(faulty: Served) -> None:
    switch_on(faulty, "future_rows,amount=3")
    rows = faulty.http.get(DAY, params={"Date": "2024-02-29"}).json()["set"]
    assert {row["time"][:10] for row in rows[-3:-1]} == {"2025-03-01"}


def test_empty_list(faulty: Served) -> None:
    good, bad = spoiled(faulty, "empty_list")
    assert good
    assert bad == []


def test_wrong_types(faulty: Served) -> None:
    ((_, bad),) = changed(*spoiled(faulty, "string_for_number"))
    assert isinstance(bad["pvGeneration"], str)
    faulty.http.delete("/_control/faults")
    ((_, bad),) = changed(*spoiled(faulty, "number_for_string"))
    assert isinstance(bad["time"], int)
    faulty.http.delete("/_control/faults")
    ((good, bad),) = changed(*spoiled(faulty, "null_values"))
    assert dict.fromkeys(good) | {"time": good["time"]} == bad


def test_unknown_fields(faulty: Served) -> None:
    switch_on(faulty, "unknown_fields")
    body = faulty.http.get(DAY, params=ASK).json()
    assert "x-release" in body
    assert body["set"][0]["quality"] == {"flag": "estimated"}


def test_missing_envelope(faulty: Served) -> None:
    good = faulty.http.get(DAY, params=ASK).json()["set"]
    switch_on(faulty, "missing_envelope")
    assert faulty.http.get(DAY, params=ASK).json() == good


def test_invalid_json_and_html(faulty: Served) -> None:
    switch_on(faulty, "invalid_json")
    answer = faulty.http.get(DAY, params=ASK)
    assert answer.status_code == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.content)
    switch_on(faulty, "html_body")
    answer = faulty.http.get(DAY, params=ASK)
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")


def test_huge_answer(faulty: Served) -> None:
    switch_on(faulty, "huge_answer,amount=3")
    answer = faulty.http.get(DAY, params=ASK)
    assert 3e6 < len(answer.content) < 4e6
    assert len(answer.json()["set"]) % 288 == 0


def test_changed_answer_says_less_first_and_the_truth_later(faulty: Served) -> None:
    good = faulty.http.get(DAY, params={"Date": "2023-07-01"}).json()["set"]
    switch_on(faulty, "changed_answer,amount=10")
    first = faulty.http.get(DAY, params={"Date": "2023-07-01"}).json()["set"]
    later = faulty.http.get(DAY, params={"Date": "2023-07-01"}).json()["set"]
    assert sum(row["pvGeneration"] for row in first) == pytest.approx(
        0.9 * sum(row["pvGeneration"] for row in good)
    )
    assert later == good


def test_reset(faulty: Served) -> None:
    switch_on(faulty, "reset")
    with pytest.raises(httpx.ReadError, match=r"[Rr]eset"):
        faulty.http.get(DAY, params=ASK)


def test_truncated_body(faulty: Served) -> None:
    switch_on(faulty, "truncated_body")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        faulty.http.get(DAY, params=ASK)


@pytest.mark.parametrize("kind", ["slow_first_byte", "slow_body"])
def test_slow_answers_are_slow_and_whole(faulty: Served, kind: str) -> None:
    good = faulty.http.get(DAY, params=ASK).content
    switch_on(faulty, f"{kind},amount=0.3")
    begin = time.monotonic()
    answer = faulty.http.get(DAY, params=ASK)
    assert time.monotonic() - begin >= 0.2
    assert answer.content == good


@pytest.mark.parametrize("kind", ["slow_first_byte", "stall"])
def test_a_client_that_gives_up_frees_the_server(faulty: Served, kind: str) -> None:
    switch_on(faulty, f"{kind},amount=60")
    with (
        httpx.Client(
            base_url=faulty.url,
            headers=faulty.http.headers,
            timeout=httpx.Timeout(60, read=0.3),
            trust_env=False,
        ) as hasty,
        pytest.raises(httpx.ReadTimeout),
    ):
        hasty.get(DAY, params=ASK)
    faulty.http.delete("/_control/faults")
    assert faulty.http.get(DAY, params=ASK).status_code == 200


def test_a_stall_ends_without_the_rest(faulty: Served) -> None:
    switch_on(faulty, "stall,amount=0.1")
    with pytest.raises(httpx.RemoteProtocolError):
        faulty.http.get(DAY, params=ASK)


def test_expired_token_in_the_middle_of_a_run(faulty: Served) -> None:
    switch_on(faulty, "expired_token,after=2,times=1")
    assert [faulty.http.get(DAY, params=ASK).status_code for _ in range(4)] == [200, 200, 401, 401]
    faulty.login()
    assert faulty.http.get(DAY, params=ASK).status_code == 200


def test_revoked_consent_in_the_middle_of_a_run(faulty: Served) -> None:
    switch_on(faulty, "revoked_consent,after=1,times=1")
    assert [len(faulty.http.get(DAY, params=ASK).json()["set"]) for _ in range(3)] == [288, 0, 0]


def test_consent_of_some_plants_only_is_revoked_in_the_middle_of_a_run(serve: Serve) -> None:
    it = serve(plants=6, faults=("revoked_consent,plants=5000000,after=1,times=1",))
    plants = [len(it.get("/monitoring/v1/plants")["plants"]) for _ in range(3)]
    assert plants == [6, 3, 3]


def test_narrowed_consent_leaves_the_owners_other_plants_and_can_be_asked_for_again(serve: Serve) -> None:
    it = serve(plants=3, faults=("narrowed_consent,plants=5000000,times=1",))
    assert len(it.get("/monitoring/v1/plants")["plants"]) == 2
    assert it.http.get(DAY, params=ASK).json()["set"] == []
    ask = "/oauth2/v2/bc-authorize"
    assert it.http.post(ask, json={"loginHint": "owner1@example.com"}).json()["state"] == "Pending"
    it.http.put(f"{ask}/owner1@example.com/status", json={"status": "Accepted"})
    assert len(it.get("/monitoring/v1/plants")["plants"]) == 3


def test_plants_that_lost_their_owner_cannot_be_asked_for_again(serve: Serve) -> None:
    it = serve(plants=1, faults=("lost_owner,plants=5000000,times=1",))
    assert it.get("/monitoring/v1/plants")["plants"] == []
    refused = it.http.post("/oauth2/v2/bc-authorize", json={"loginHint": "owner1@example.com"})
    assert (refused.status_code, "not a system owner" in refused.text) == (400, True)


def test_a_migration_at_a_moment(serve: Serve) -> None:
    fleet = build_fleet(6, Options().seed)
    old = next(plant.plant_id for plant in fleet if plant.classic)
    it = serve(plants=6, faults=(f"migration,plants={old.upper()},since=2024-06-15T12:30:00Z",))
    assert old in [plant["plantId"] for plant in it.get("/monitoring/v1/plants")["plants"]]
    it.world.clock.advance(3600)
    it.login()
    ids = [plant["plantId"] for plant in it.get("/monitoring/v1/plants")["plants"]]
    assert (len(ids), old in ids) == (6, False)
    assert it.http.get(DAY.replace(PLANT, old), params=ASK).status_code == 308


def test_without_plants_a_migration_moves_the_classic_plants_that_are_asked(serve: Serve) -> None:
    it = serve(plants=6, faults=("migration=0.5",))
    classic = [source.plant.plant_id for source in it.world.sources() if source.plant.classic]
    assert set(statuses(it, *classic * 6)) == {200, 308}
    assert set(statuses(it, *classic)) == {308}
    assert statuses(it, PLANT) == [200]


def test_hostile_names(faulty: Served) -> None:
    good = faulty.get("/monitoring/v1/plants")["plants"]
    switch_on(faulty, "hostile_names")
    bad = faulty.get("/monitoring/v1/plants")["plants"]
    assert {plant["name"] for plant in bad} <= set(HOSTILE_NAMES)
    assert [plant["plantId"] for plant in bad] == [plant["plantId"] for plant in good]
    assert faulty.get(DAY, **ASK)["plant"]["name"] in HOSTILE_NAMES


@pytest.mark.parametrize(
    ("fault", "counts"), [("empty_list", (0, 0)), ("duplicate_rows", (12, 2)), ("unknown_fields", (6, 2))]
)
def test_lists_of_plants_and_sets_are_spoiled_where_a_path_says_so(
    faulty: Served, fault: str, counts: tuple[int, int]
) -> None:
    sets = f"/monitoring/v1/plants/{PLANT}/measurements/sets"
    doubled = 2 if fault == "duplicate_rows" else 1
    switch_on(faulty, f"{fault},path=/monitoring/v1/plants")
    plants = faulty.get("/monitoring/v1/plants")["plants"]
    assert (len(plants), len(faulty.get(sets)["sets"])) == (counts[0], counts[1] * doubled)
    assert all(("newQuantity" in plant) == (fault == "unknown_fields") for plant in plants)


def test_every_fault_has_a_test_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert all(name in source or name.startswith("status_") for name in KINDS)


def statuses(it: Served, *plants: str) -> list[int]:
    return [it.http.get(DAY.replace(PLANT, plant), params=ASK).status_code for plant in plants]


def dates(it: Served, *days: str) -> list[int]:
    return [it.http.get(DAY, params={"date": day}).status_code for day in days]


def paths(it: Served, *targets: str) -> list[int]:
    return [it.http.get(target, params=ASK).status_code for target in targets]


def token_statuses(it: Served) -> list[int]:
    auth = (it.world.options.client_id, it.world.options.client_secret)
    token = it.http.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=auth)
    return [token.status_code, it.http.get(DAY, params=ASK).status_code]


def moments(it: Served, later: float) -> list[int]:
    first = it.http.get(DAY, params=ASK).status_code
    it.world.clock.advance(later)
    it.login()
    second = it.http.get(DAY, params=ASK).status_code
    it.world.clock.advance(-later)
    return [first, second]


AIMS: list[tuple[str, Callable[[Served], list[int]], list[int]]] = [
    ("status_503,plants=5000022", lambda it: statuses(it, PLANT, "5000022"), [200, 503]),
    ("status_503,dates=2023-06-11", lambda it: dates(it, "2023-06-10", "2023-06-11"), [200, 503]),
    (
        "status_503,path=/devices/",
        lambda it: paths(it, DAY, "/monitoring/v1/devices/5000001/status"),
        [200, 503],
    ),
    ("status_503,path=/oauth2/token,method=post", token_statuses, [503, 200]),
    ("status_503,since=2024-06-15T12:30:00Z", lambda it: moments(it, 3600), [200, 503]),
    ("status_503,until=2024-06-15T12:30:00", lambda it: moments(it, 3600), [503, 200]),
]


@pytest.mark.parametrize(("fault", "ask", "expected"), AIMS, ids=[item[0] for item in AIMS])
def test_faults_hit_their_aim_only(
    faulty: Served, fault: str, ask: Callable[[Served], list[int]], expected: list[int]
) -> None:
    switch_on(faulty, fault)
    assert ask(faulty) == expected


def test_device_calls_belong_to_their_plant(faulty: Served) -> None:
    switch_on(faulty, f"status_500,plants={PLANT}")
    assert paths(
        faulty, "/monitoring/v1/devices/5000001/status", "/monitoring/v1/devices/5000023/status"
    ) == [500, 200]


def test_a_share_strikes_about_its_share_and_the_same_ones_each_time(faulty: Served) -> None:
    runs = []
    for _ in range(2):
        switch_on(faulty, "status_503=0.3")
        runs.append([faulty.http.get("/monitoring/v1/plants").status_code for _ in range(120)])
    assert runs[0] == runs[1]
    assert 20 <= runs[0].count(503) <= 52
    (fault,) = counted(faulty)
    assert (fault["matched"], fault["struck"]) == (120, runs[0].count(503))


def test_control_itself_is_never_struck(faulty: Served) -> None:
    switch_on(faulty, "status_500,path=/")
    assert faulty.http.get("/_control").status_code == 200


def test_faults_combine(faulty: Served) -> None:
    switch_on(faulty, "missing_rows", "negative", {"kind": "slow_body", "amount": 0.05})
    rows = faulty.http.get(DAY, params=ASK).json()["set"]
    assert len(rows) == 276
    assert any(row["totalConsumption"] < 0 for row in rows)


def test_an_answer_without_rows_passes_row_faults(faulty: Served) -> None:
    switch_on(faulty, *[name for name, kind in KINDS.items() if kind.stage.name == "ROWS"])
    assert faulty.http.get("/monitoring/v1/plants").json()["plants"]
    assert faulty.http.get("/monitoring/v1/plants/none").status_code == 404


@pytest.mark.parametrize(
    "name", [name for name, kind in KINDS.items() if kind.stage.name in ("ROWS", "BODY")]
)
def test_faults_in_rows_leave_an_empty_answer_standing(faulty: Served, name: str) -> None:
    switch_on(faulty, f"{name},amount=1")
    assert faulty.http.get(DAY, params={"Date": "2001-01-01"}).status_code == 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "does not exist: choose from"),
        ("reset=2", "between 0 and 1"),
        ("reset=x", "must be a number"),
        ("reset=nan", "finite"),
        ("reset,colour=red", "no setting 'colour'"),
        ("reset,plants", "has no value"),
        ("reset,since=noon", "ISO time"),
        ("stall,amount=-1", "must be from 0"),
        ("reset,after=-3", "after of a fault must be a whole number, 0 or more"),
        ("reset,after=1.5", "after of a fault must be a whole number, 0 or more"),
        ("reset,plants=", "plants of a fault has an empty text"),
        ("reset,dates=2025-06-01+", "dates of a fault has an empty text"),
        ("reset,times=-1", "times of a fault must be a whole number, 1 or more"),
        ("reset,times=0", "times of a fault must be a whole number, 1 or more"),
        ("reset,method=FETCH", "one of GET, POST, PUT, DELETE"),
        ("reset,dates=2025-06-01+June", "'June' is not a date of reset"),
        ("reset,since=2025-06-02T00:00:00Z,until=2025-06-01T00:00:00Z", "ends before it begins"),
    ],
)
def test_a_fault_that_cannot_be_says_why(faulty: Served, text: str, said: str) -> None:
    with pytest.raises(FaultError, match=said):
        parse_fault(text)
    answer = faulty.http.put("/_control/faults", json={"faults": [text]})
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_settings_of_the_wrong_kind_are_refused() -> None:
    for settings in ({"kind": "reset", "plants": "5"}, {"kind": "reset", "path": 7}, {"kind": ["reset"]}):
        with pytest.raises(FaultError):
            make_fault(settings)


def test_the_memory_of_first_reads_is_bounded() -> None:
    reads = FirstReads(limit=2)
    assert [reads.is_first(text) for text in "abacb"] == [True, True, False, True, False]
    assert reads.is_first("a")
