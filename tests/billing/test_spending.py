"""The gate in front of every request that makes a PU: who is let through, who is not, and what is said."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assets.run_control.run_tags import MAX_EUR, read_limits
from pipeline.billing.spending import (
    CostNotAllowedError,
    MonthGate,
    admit,
    allow_units,
    build_refusal,
    find_new_units,
    look_ahead,
)
from pipeline.cli.health.repair_parts import build_document_parts, run_repair_parts
from pipeline.common.errors import ConfigurationError, SunledgerError, UsageError
from pipeline.extract.fetch import SetFetch, fetch_devices, fetch_plants
from pipeline.extract.fetch_days import SentPlan
from pipeline.extract.vendor_energies import fetch_energy_months
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.sma.auth.private_documents import PrivateFile
from pipeline.sma.requests import Request
from pipeline.tables.inventory_tables import write_plants
from tests.billing.record import request, store
from tests.programs import PATIENCE_S
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import refresh

New = Callable[..., RunContext]
DAY = dt.date(2021, 10, 5)
BILLED = {"devices", "sets", "measurements", "logs"}
FEE = Decimal("12.45")


def limited(runtime: RunContext, eur: str | None, **more: Any) -> RunContext:
    """The runtime with another monthly limit; None is none."""
    limit = None if eur is None else Decimal(eur)
    runtime.settings = runtime.settings.model_copy(update={"max_eur_per_month": limit, **more})
    return runtime


def with_list(runtime: RunContext) -> RunContext:
    """The runtime, once the list of plants is stored, which is free."""
    fetch_plants(runtime)
    write_plants(runtime)
    return runtime


def billed(sma: ScriptedSma) -> list[Request]:
    return [asked for asked in sma.asked if asked.endpoint in BILLED]


def test_without_consent_nothing_billed_is_sent_and_the_cost_is_told(
    new_runtime: New, sma: ScriptedSma
) -> None:
    runtime = with_list(limited(new_runtime(), None))
    for ask in (
        lambda: fetch_devices(runtime),
        lambda: refresh(runtime),
    ):
        with pytest.raises(CostNotAllowedError) as told:
            ask()
        assert "add 2 PU to 2021-10: 24.90 EUR" in str(told.value)
        assert "SUNLEDGER_MAX_EUR_PER_MONTH" in str(told.value)
        assert f"{MAX_EUR}: 25" in str(told.value)
        assert told.value.exit_code == 2
    assert billed(sma) == []


def test_days_and_smas_own_figures_pass_the_same_gate(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    sma.asked.clear()
    # In the next month nobody has agreed to anything.
    runtime = limited(new_runtime(), None)
    runtime.now = lambda: NOW.replace(month=11)
    with pytest.raises(CostNotAllowedError):
        list(SetFetch(BALANCE)(runtime, [DAY]))
    with pytest.raises(CostNotAllowedError, match="2 PU to 2021-11"):
        fetch_energy_months(runtime)
    assert sma.asked == []


def test_who_counts_this_month_costs_nothing_more(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = with_list(limited(new_runtime(), None))
    store(runtime, request("2021-10-02", plant_id="11"))
    assert find_new_units(runtime, ["11"]).eur == 0
    assert admit(runtime, ["11"]).plants == {"11"}
    report = fetch_devices(runtime)
    # The other one is left out, and told.
    assert [asked.plant_id for asked in billed(sma)] == ["11"]
    (left,) = report.notices.missing
    assert (left.plant_id, left.table) == ("12", "billing_units")
    assert "Nobody has accepted this cost" in left.reason
    assert report.rows == 1


def test_a_refused_request_made_no_pu(new_runtime: New) -> None:
    runtime = with_list(limited(new_runtime(), None))
    store(
        runtime,
        request("2021-10-02", plant_id="11", status=429),
        request("2021-09-30T23:59:59", plant_id="12"),
    )
    assert find_new_units(runtime, ["11", "12"]).ids == {"11", "12"}


def test_consent_is_kept_for_the_month_and_not_longer(new_runtime: New) -> None:
    runtime = with_list(limited(new_runtime(), None))
    allow_units(runtime, find_new_units(runtime, ["11", "12"]))
    assert admit(limited(new_runtime(), None), ["11", "12"]).refused is None
    later = limited(new_runtime(), None)
    later.now = lambda: NOW.replace(month=11)
    assert admit(later, ["11", "12"]).plants == frozenset()


@pytest.mark.parametrize(
    ("limit", "let_through"), [("24.90", ["11", "12"]), ("24.89", ["11"]), ("12.44", []), ("0", [])]
)
def test_a_monthly_limit_lets_through_what_fits(new_runtime: New, limit: str, let_through: list[str]) -> None:
    runtime = with_list(limited(new_runtime(), limit))
    assert sorted(look_ahead(runtime, ["11", "12"]).plants) == let_through
    admission = admit(runtime, ["11", "12"])
    assert sorted(admission.plants) == let_through
    if admission.refused:
        said = str(build_refusal(runtime, admission.refused))
        assert f"SUNLEDGER_MAX_EUR_PER_MONTH={limit} does not allow that" in said


def test_plants_of_the_last_months_bill_are_not_pushed_out_by_others(new_runtime: New) -> None:
    runtime = with_list(limited(new_runtime(), "13"))
    store(runtime, request("2021-09-02", plant_id="12"))
    assert admit(runtime, ["11", "12"]).plants == {"12"}


def test_what_was_let_through_counts_before_its_request_is_stored(new_runtime: New) -> None:
    """Two runs at once share the limit: neither knows the other's requests yet."""
    first, second = (with_list(limited(new_runtime(), "13")) for _ in range(2))
    assert admit(first, ["11"]).plants == {"11"}
    admission = admit(second, ["12"])
    assert admission.plants == frozenset()
    assert admission.refused
    assert admission.refused.spent_eur == FEE


def test_a_limit_that_others_change_each_time_is_no_fault_of_a_credential(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would cost the plants of one credential alone, and the run would go on."""
    runtime = with_list(limited(new_runtime(), "13"))
    monkeypatch.setattr(PrivateFile, "replace", lambda *_: False)
    with pytest.raises(
        SunledgerError, match=r"changed by others 10 times.*: nothing was let through\. Run"
    ) as caught:
        admit(runtime, ["11"])
    assert type(caught.value) is SunledgerError


def test_a_tag_lets_a_run_add_so_much_and_no_more(new_runtime: New) -> None:
    runtime = with_list(limited(new_runtime(), None))
    runtime.allowance = read_limits({MAX_EUR: "12.45"})["allowance"]
    assert admit(runtime, ["11"]).plants == {"11"}
    assert admit(runtime, ["11", "12"]).plants == {"11"}
    # The settings' limit holds for it all the same.
    other = with_list(limited(new_runtime(), "12.45"))
    other.allowance = read_limits({MAX_EUR: "1000"})["allowance"]
    assert admit(other, ["12"]).plants == frozenset()


@pytest.mark.parametrize("text", ["much", "-1", "NaN", ""])
def test_a_tag_that_is_no_amount_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"sunledger/max_eur: .* is not an amount"):
        read_limits({MAX_EUR: text})


def test_a_plant_without_capacity_is_reckoned_at_the_largest_base(new_runtime: New, sma: ScriptedSma) -> None:
    body = json.dumps({"plants": [{"plantId": "11", "timezone": "Europe/Berlin"}]}).encode()
    sma.special = lambda asked: body if asked.endpoint == "plants" else None
    runtime = with_list(limited(new_runtime(), "64.99"))
    found = find_new_units(runtime, ["11"])
    assert found.eur == 65
    assert "without AC power in SMA's list (the first: 11) is assumed as 65.00" in found.describe()
    assert admit(runtime, ["11"]).plants == frozenset()
    assert admit(limited(runtime, "65"), ["11"]).plants == {"11"}


def test_a_month_that_begins_on_the_way_needs_consent_anew(new_runtime: New) -> None:
    runtime = with_list(limited(new_runtime(), None))
    runtime.now = lambda: dt.datetime(2021, 10, 31, 23, 59, tzinfo=dt.UTC)
    allow_units(runtime, find_new_units(runtime, ["11", "12"]))
    gate = MonthGate(runtime, admit(runtime, ["11", "12"]))
    gate.check()
    runtime.now = lambda: dt.datetime(2021, 11, 1, tzinfo=dt.UTC)
    with pytest.raises(CostNotAllowedError, match="2 PU to 2021-11"):
        gate.check()
    allow_units(runtime, find_new_units(runtime, ["11", "12"]))
    gate.check()


def test_requests_that_begin_in_another_month_than_they_were_planned_need_consent_anew(
    new_runtime: New, sma: ScriptedSma
) -> None:
    refresh(new_runtime())
    runtime = limited(new_runtime(), None)
    runtime.now = lambda: dt.datetime(2021, 10, 31, 23, 59, tzinfo=dt.UTC)
    (week,) = SetFetch(BALANCE).list_upcoming(runtime, [DAY])
    with closing(week.send(runtime)) as sent:
        assert isinstance(sent, SentPlan)
        sma.asked.clear()
        runtime.now = lambda: dt.datetime(2021, 11, 1, tzinfo=dt.UTC)
        with pytest.raises(CostNotAllowedError, match="2 PU to 2021-11"):
            list(sent.results)
    assert sma.asked == []


def test_a_price_list_that_cannot_be_read_stops_only_what_costs(new_runtime: New, tmp_path: Path) -> None:
    runtime = with_list(limited(new_runtime(), None))
    allow_units(runtime, find_new_units(runtime, ["11"]))
    broken = limited(runtime, "100", prices=tmp_path / "none.toml")
    assert admit(broken, ["11"]).plants == {"11"}
    with pytest.raises(ConfigurationError, match=r"none\.toml can't be read"):
        admit(broken, ["11", "12"])


@pytest.mark.parametrize("content", ["{", '"12"', '{"12": 1}'])
def test_a_file_of_consents_that_is_none_is_told(
    new_runtime: New, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = with_list(new_runtime())
    admit(runtime, ["11"])
    (file,) = (runtime.settings.home / "spending").glob("*.json")
    file.write_text(content)
    with pytest.raises(SunledgerError, match=r"2021-10\.json does not hold a list of plants: delete it"):
        admit(runtime, ["11"])
    capsys.readouterr()
    assert not run_repair_parts(runtime.settings, build_document_parts())
    assert "2021-10.json does not hold a list of plants" in " ".join(capsys.readouterr().err.split())
    file.unlink()
    assert run_repair_parts(runtime.settings, build_document_parts())


# Processes that know the program already, so that they race and do not load it one after another.
RACERS = """
import decimal, os, sys
from pipeline.billing.spending import admit
from pipeline.run.context import RunContext
from pipeline.common.settings import load_settings
home, *plants = sys.argv[1:]
settings = load_settings(env_file=None, home=home, max_eur_per_month=decimal.Decimal("13"))
waiting, start = os.pipe()
racers = []
for plant in plants:
    racers.append(os.fork())
    if not racers[-1]:
        code = 1
        try:
            os.close(start)
            os.read(waiting, 1)
            print(*admit(RunContext(settings), [plant]).plants, flush=True)
            code = 0
        finally:
            os._exit(code)
os.close(start)
sys.exit(sum(os.waitpid(racer, 0)[1] != 0 for racer in racers))
"""


@pytest.mark.long
def test_processes_that_race_stay_within_one_limit(new_runtime: New) -> None:
    runtime = with_list(new_runtime())
    command = [sys.executable, "-c", RACERS, str(runtime.settings.home), "11", "12", "11", "12"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True)
    said = [line.strip() for line in done.stdout.splitlines()]
    assert len(said) == 4
    assert len({plant for plant in said if plant}) == 1
    assert sorted(said)[2:] == [max(said)] * 2
