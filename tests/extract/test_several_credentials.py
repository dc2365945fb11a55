"""Several credentials feed one warehouse: each plant is asked for by its own, and a lost one costs its plants only."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import cast

import polars as pl
import pytest

from pipeline.billing import load_prices
from pipeline.billing.spending import find_new_units
from pipeline.common.credentials import read_credentials
from pipeline.common.errors import CredentialsError, PermanentError, SmaError, TransientError
from pipeline.common.settings import Settings
from pipeline.extract.backfill_estimate import plan_backfill
from pipeline.extract.consent_refresh import read_owners, refresh_consents
from pipeline.extract.fetch import fetch_plants
from pipeline.extract.today_plan import plan_turn
from pipeline.run.context import RunContext
from pipeline.run.today_turn import TurnOf
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.consents.consent_api import Consent, ConsentState
from pipeline.sma.consents.consent_book import ConsentBook
from pipeline.sma.requests import Request
from pipeline.tables.inventory_tables import write_plants
from schemas import Consents, Plants, Quarantine, RawPlants
from tests.scripted import NOW, ScriptedSma, has_nothing_special
from tests.whole_days import MONDAY, TUESDAY, energy, fetch, refresh, run, run_noticed

FILE = """
[[credential]]
name = "south"
client_id = "client-south"
client_secret = "secret-south"
requests_per_5_min = 900

[[credential]]
name = "north"
client_id = "client-north"
client_secret = "secret-north"
"""
REFUSED = CredentialsError("sma.example refused the credentials: check SMA_CLIENT_ID.", status=401)
Scripts = dict[str, ScriptedSma]
New = Callable[..., RunContext]


@pytest.fixture
def scripts() -> Scripts:
    """SMA as each client sees it: 11 and 12 by south, 21 and 22 by north."""
    south, north = ScriptedSma(), ScriptedSma()
    south.lists, north.lists = ["11", "12"], ["21", "22"]
    return {"client-south": south, "client-north": north}


@pytest.fixture
def several(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "credentials.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    return settings.model_copy(update={"sma_credentials": file, "sma_client_id": ""})


@pytest.fixture
def new_run(several: Settings, scripts: Scripts) -> New:
    def build(settings: Settings = several, **changes: object) -> RunContext:
        found = RunContext(settings, again=True, now=lambda: NOW)
        found.make_session = lambda of: cast("SmaSession", scripts[of.sma_client_id])
        return replace(found, **changes)  # type: ignore[arg-type]

    return build


def asked_plants(scripts: Scripts) -> dict[str, set[str]]:
    return {name: {one.plant_id for one in script.asked} for name, script in scripts.items()}


@pytest.mark.long
def test_each_plant_is_asked_for_by_its_own_credential_and_both_land_in_each_day(
    new_run: New, scripts: Scripts
) -> None:
    runtime = run(new_run(), MONDAY, TUESDAY)
    assert asked_plants(scripts) == {"client-south": {"", "11", "12"}, "client-north": {"", "21", "22"}}
    assert energy(runtime) == {
        (plant, day): pytest.approx(24.0) for plant in ("11", "12", "21", "22") for day in (4, 5)
    }
    lists = runtime.lake.scan(RawPlants).sort("device_id").collect()
    assert lists.select("plant_id", "device_id").rows() == [("", "north"), ("", "south")]
    assert [body.count(b"plantId") for body in lists["body"]] == [2, 2]


@pytest.mark.long
def test_a_plant_in_two_lists_is_asked_for_by_the_first_credential_and_that_is_said_once(
    new_run: New, scripts: Scripts
) -> None:
    scripts["client-north"].lists = ["12", "21"]
    said: list[str] = []
    runtime = run(new_run(tell=said.append), MONDAY)
    assert asked_plants(scripts) == {"client-south": {"", "11", "12"}, "client-north": {"", "21"}}
    (told,) = [text for text in said if "several credentials" in text]
    assert told == (
        "1 plant is listed by several credentials (12, listed by south and north): each is asked for by the credential "
        "that SMA_CREDENTIALS names first, and by the next one where that has no data of it."
    )
    assert sorted(runtime.lake.scan(Plants).collect()["plant_id"]) == ["11", "12", "21"]


def answer_nothing(*plants: str, lists: bool = False) -> Callable[[Request], bytes | SmaError | None]:
    """SMA as it answers a client that sees these plants and may not read them."""

    def say(request: Request) -> bytes | None:
        if request.plant_id not in plants:
            return None
        empty = {"measurements": b'{"set":[]}', "devices": b'{"devices":[]}', "sets": b'{"sets":[]}'}
        return empty.get(request.endpoint) if lists or request.endpoint == "measurements" else None

    return say


@pytest.mark.long
@pytest.mark.parametrize("lists", [False, True])
def test_where_the_preferred_credential_has_nothing_the_other_one_that_lists_the_plant_is_asked(
    new_run: New, scripts: Scripts, *, lists: bool
) -> None:
    south, north = scripts.values()
    north.lists = ["12", "21"]
    south.special = answer_nothing("12", lists=lists)
    runtime = new_run()
    assert run_noticed(runtime, MONDAY, TUESDAY).missing == []
    assert [energy(runtime)["12", day] for day in (4, 5)] == [pytest.approx(24.0)] * 2
    # One request showed who has the data; lists likewise. From then on only that one is asked.
    asked = [one for one in south.asked if one.plant_id == "12"]
    kinds = [one.endpoint for one in asked if one.endpoint in {"measurements", "logs"}]
    assert kinds == ["measurements"]
    assert len([one for one in asked if one.endpoint == "devices"]) == 1
    # What is stored is final, so nobody is asked again.
    for script in scripts.values():
        script.asked.clear()
    run_noticed(new_run(again=False), MONDAY, TUESDAY)
    assert {one.endpoint for script in scripts.values() for one in script.asked} == {"plants"}


@pytest.mark.long
def test_a_silent_plant_of_two_lists_is_asked_for_once_by_each_and_one_with_data_by_the_first_alone(
    new_run: New, scripts: Scripts
) -> None:
    south, north = scripts.values()
    north.lists = ["11", "12", "21"]
    for script in scripts.values():
        script.watts["12", str(MONDAY)] = None
    south.watts["11", str(TUESDAY)] = None
    runtime = run(new_run(), MONDAY)
    assert energy(runtime)["12", 4] is None
    of_north = [one for one in north.asked if one.plant_id in {"11", "12"}]
    of_south = [one for one in south.asked if one.plant_id == "12" and one.endpoint == "measurements"]
    assert sorted(of_north) == sorted(of_south)
    # South has given data of 11, so it is silent and nobody else knows more.
    south.asked.clear()
    north.asked.clear()
    assert fetch(runtime, TUESDAY).missing == []
    assert [one for one in north.asked if one.plant_id == "11"] == []


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [REFUSED, PermanentError("GET /v1/x answered 403 Forbidden.", status=403)],
    ids=["unusable", "no rights"],
)
def test_a_plant_that_the_preferred_credential_may_not_read_is_asked_for_by_the_other_one(
    new_run: New, scripts: Scripts, fault: SmaError
) -> None:
    south, north = scripts.values()
    run(new_run(), MONDAY)
    north.lists = ["12", "21", "22"]
    fetch_plants(new_run())
    south.special = lambda request: fault if request.plant_id == "12" or fault is REFUSED else None
    runtime = new_run(again=False)
    notices = run_noticed(runtime, TUESDAY)
    assert energy(runtime)["12", 5] == pytest.approx(24.0)
    assert {one.plant_id for one in notices.missing} <= {"", "11"}


@pytest.mark.long
def test_a_fault_of_the_other_credential_leaves_the_day_to_be_asked_for_again(
    new_run: New, scripts: Scripts
) -> None:
    south, north = scripts.values()
    north.lists = ["12", "21"]
    south.special = answer_nothing("12")
    down = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
    north.special = lambda one: down if (one.plant_id, one.endpoint) == ("12", "measurements") else None
    notices = run_noticed(new_run(), MONDAY)
    assert {one.plant_id for one in notices.missing} == {"12"}
    north.special = has_nothing_special
    runtime = new_run(again=False)
    assert run_noticed(runtime, MONDAY).missing == []
    assert energy(runtime)["12", 4] == pytest.approx(24.0)


@pytest.mark.long
def test_the_other_credential_makes_no_further_pu_and_none_that_nobody_agreed_to(
    new_run: New, scripts: Scripts, several: Settings
) -> None:
    south, north = scripts.values()
    north.lists = ["12", "21"]
    south.special = answer_nothing("12", lists=True)
    limited = several.model_copy(update={"max_eur_per_month": Decimal(14)})
    runtime = new_run(limited)
    notices = run_noticed(runtime, MONDAY)
    # Of three plants that cost 12.45 each, one fits: the first.
    asked = {one.plant_id for script in scripts.values() for one in script.asked} - {""}
    assert asked == {"11"}
    assert {one.plant_id for one in notices.missing if one.table == "billing_units"} == {"12", "21"}
    month = NOW.date().replace(day=1)
    with new_run() as unlimited:
        run(unlimited, MONDAY)
        assert find_new_units(unlimited, ["11", "12", "21"], month).counted == 3


@pytest.mark.long
def test_an_unusable_credential_costs_its_own_plants_and_is_named_without_its_secret(
    new_run: New, scripts: Scripts
) -> None:
    run(new_run(), MONDAY)
    scripts["client-north"].special = lambda _: REFUSED
    scripts["client-south"].watts["11", "2021-10-04"] = 2000.0
    sent = len(scripts["client-north"].asked)
    runtime = new_run()
    notices = run_noticed(runtime, MONDAY)
    # What was asked by it first showed that it can't be used: nothing more is.
    assert len(scripts["client-north"].asked) == sent + 1
    assert energy(runtime)["11", 4] == pytest.approx(48.0)
    assert energy(runtime)["21", 4] == pytest.approx(24.0)
    assert {one.plant_id for one in notices.missing if one.table == "raw_energy_balance"} == {"21", "22"}
    reason = (
        "The credential north can't be used, so its plants are not asked for: sma.example refused the credentials: "
        "check client_id."
    )
    assert {one.reason for one in notices.missing} == {reason}
    set_aside = runtime.lake.scan(Quarantine).filter(pl.col("source") == "raw_energy_balance").collect()
    assert sorted(set_aside["plant_id"]) == ["21", "22"]
    assert set(set_aside["detail"]) == {reason}
    # Its plants are no lost plants.
    assert not [one for one in notices.missing if one.table == "plants"]


@pytest.mark.long
def test_only_lists_of_the_unusable_one_being_due_does_not_end_the_run(
    new_run: New, scripts: Scripts
) -> None:
    down = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
    scripts["client-north"].special = lambda request: (
        down if request.endpoint in {"devices", "sets"} else None
    )
    run(new_run(), MONDAY)
    scripts["client-north"].special = lambda _: REFUSED
    runtime = new_run(again=False)
    notices = run_noticed(runtime, TUESDAY)
    assert {one.plant_id for one in notices.missing if one.table == "raw_devices"} == {"21", "22"}
    assert [energy(runtime)[plant, 5] for plant in ("11", "12")] == [pytest.approx(24.0)] * 2


def test_where_none_can_be_used_the_run_ends(new_run: New, scripts: Scripts) -> None:
    for script in scripts.values():
        script.special = lambda _: REFUSED
    with pytest.raises(
        CredentialsError, match=r"None of the credentials .* south: .* north: |north: .* south: "
    ):
        fetch_plants(new_run())


@pytest.mark.long
def test_a_plant_that_moves_to_the_other_credential_keeps_its_history(new_run: New, scripts: Scripts) -> None:
    run(new_run(), MONDAY)
    scripts["client-south"].lists, scripts["client-north"].lists = ["11"], ["12", "21", "22"]
    for script in scripts.values():
        script.asked.clear()
    runtime = new_run(now=lambda: NOW + dt.timedelta(days=1))
    notices = run_noticed(runtime, TUESDAY)
    assert notices.missing == []
    assert asked_plants(scripts) == {"client-south": {"", "11"}, "client-north": {"", "12", "21", "22"}}
    assert [energy(runtime)["12", day] for day in (4, 5)] == [pytest.approx(24.0)] * 2
    first = runtime.lake.scan(Plants).filter(pl.col("plant_id") == "12").collect()["first_seen"].item()
    assert first == NOW.date()


@pytest.mark.long
def test_a_list_that_fails_for_a_while_leaves_the_plants_that_are_known(
    new_run: New, scripts: Scripts
) -> None:
    run(new_run(), MONDAY)
    fault = SmaError("GET /v1/plants answered 503, the last of 6 tries.", status=503)
    fault.transient = True
    scripts["client-north"].special = lambda request: fault if request.endpoint == "plants" else None
    later = new_run(now=lambda: NOW + dt.timedelta(days=1))
    report = fetch_plants(later)
    assert [one.reason for one in report.notices.missing] == [f"The credential north: {fault}"]
    assert write_plants(later).notices.missing == []
    seen = dict(later.lake.scan(Plants).collect().select("plant_id", "last_seen").rows())
    # The list that it gave last holds, so its plants are no lost ones.
    assert set(seen.values()) == {NOW.date() + dt.timedelta(days=1)}
    run_noticed(later, TUESDAY)
    assert energy(later)["21", 5] == pytest.approx(24.0)


def test_each_credential_has_its_own_budget_login_and_book(several: Settings) -> None:
    south, north = read_credentials(several)
    assert (south.settings.sma_requests_per_5_min, north.settings.sma_requests_per_5_min) == (900, None)
    assert [one.settings.sma_client_id for one in (south, north)] == ["client-south", "client-north"]
    assert "secret" not in repr((south, north)).replace("client_secret", "")


@pytest.mark.long
def test_the_plan_adds_up_what_each_credential_takes(new_run: New, scripts: Scripts) -> None:
    scripts["client-south"].lists = ["11", "12", "13"]
    runtime = new_run(again=False)
    refresh(runtime)
    plan = plan_backfill(runtime, MONDAY, TUESDAY, load_prices(None))
    south, north = plan.shares
    assert (south.name, south.pu, north.name, north.pu) == ("south", 3, "north", 2)
    assert south.requests + north.requests == plan.total_requests
    # One request for a week of each plant's balance and logs, and of its inverter's PV; and the list of plants.
    assert (south.requests, north.requests) == (3 * 3 + 1, 2 * 3 + 1)
    assert south.minutes is not None
    assert (north.minutes, plan.minutes) == (None, None)
    one = new_run(again=False)
    one.opened.credentials = tuple(
        replace(c, settings=c.settings.model_copy(update={"sma_requests_per_5_min": rate}))
        for c, rate in zip(runtime.credentials, (900, 90), strict=True)
    )
    shares = plan_backfill(one, MONDAY, TUESDAY, load_prices(None))
    # They work side by side: it takes as long as the slower one.
    assert shares.minutes == shares.shares[1].minutes
    assert shares.minutes == pytest.approx(7 / 90 * 5, rel=0.05)


@pytest.mark.long
def test_the_current_day_has_a_room_in_each_credentials_budget(new_run: New, scripts: Scripts) -> None:
    scripts["client-north"].lists = [str(number) for number in range(21, 41)]
    runtime = new_run(again=False)
    refresh(runtime)
    turn = plan_turn(runtime, NOW)
    assert turn is not None
    assert (turn.turn_of, turn.read) == (TurnOf.NOBODY, 22)
    runtime.opened.credentials = tuple(
        replace(c, settings=c.settings.model_copy(update={"sma_requests_per_5_min": rate}))
        for c, rate in zip(runtime.credentials, (900, 1), strict=True)
    )
    turn = plan_turn(runtime, NOW)
    assert turn is not None
    assert turn.turn_of is TurnOf.OTHERS
    assert 2 <= turn.read < 22


def test_each_credential_has_a_book_of_consents_and_one_table_has_both(
    several: Settings, new_run: New
) -> None:
    for credential, owner in zip(read_credentials(several), ("a@example.com", "b@example.com"), strict=True):
        asked = Consent(ConsentState.ACCEPTED, None, 1800.0)
        ConsentBook.of(credential.settings).note({owner: asked}, NOW, asked=True)
    runtime = new_run()
    report = refresh_consents(runtime)
    assert (report.facts["owners"], report.facts["looked_at"]) == (2, 0)
    stored = runtime.lake.scan(Consents).collect()
    assert sorted(stored["client_id"]) == ["client-north", "client-south"]
    assert {owner.address for owner in read_owners(several)} == {"a@example.com", "b@example.com"}
