"""The check of the time basis: one clear day of a few plants, against the position of the sun."""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial

import polars as pl

from pipeline.billing import load_prices
from pipeline.billing.requested_units import find_current_month
from pipeline.billing.spending import (
    Admission,
    CostNotAllowedError,
    MonthGate,
    admit,
    build_refusal,
    read_counted_plants,
)
from pipeline.ops.doctor import basis
from pipeline.ops.doctor.patient import Patient
from pipeline.ops.doctor.result import Diagnosis, skip
from pipeline.sma.client import Admit
from pipeline.sma.requests import DAY, Answer, Failure, Request
from pipeline.sma.session_set import fetch_by_plant

# Plants that are asked for a clear day, each with one request for a month and one for a day of it.
PLANTS_ASKED = 3
AGREE_HINT = (
    "'sunledger doctor --ask-plants 3' tests up to 3 plants, and first shows what SMA charges for them"
)

BALANCE = "EnergyBalance"


def examine_time_basis(patient: Patient) -> list[Diagnosis]:
    """The setting of the time basis against the sun on one clear day of a few plants."""
    if patient.plants_asked == 0:
        return [skip("time basis", "not tested, because --ask-plants is 0")]
    try:
        return _ask_for_clear_days(patient)
    except CostNotAllowedError:
        if patient.plants_asked is not None:
            raise
        # Whoever was billed for the month that has just ended is new on the next one's bill.
        return [skip("time basis", f"not tested, because the month ended meanwhile: {AGREE_HINT}")]


def _ask_for_clear_days(patient: Patient) -> list[Diagnosis]:
    today = patient.runtime.find_today()
    chosen, admit_try = _select_plants_to_ask(patient)
    if not chosen.height and patient.plants_asked is None:
        return [
            skip("time basis", f"not tested, because no plant is billed for this month yet: {AGREE_HINT}")
        ]
    newest = basis.choose_probe_month(today)
    send = partial(_send, patient, admit_try)
    judged, requests = _judge_clear_days(patient, chosen, dict.fromkeys(chosen["plant_id"], newest), send)
    if not basis.has_verdict(judged):
        # In winter an hour more or less brings little energy into the dark. The same plants make no further PU.
        places = chosen.select("plant_id", "timezone", "latitude").iter_rows()
        others = {plant: basis.choose_other_season(zone, latitude, today) for plant, zone, latitude in places}
        there = {plant: month for plant, month in others.items() if month != newest}
        more, asked = _judge_clear_days(patient, chosen, there, send)
        judged, requests = pl.concat([judged, more], how="diagonal"), requests + asked
    judged = basis.decide_by_noon(judged)
    return basis.evaluate_basis(judged, patient.settings.sma_time_basis, requests)


def _judge_clear_days(
    patient: Patient,
    plants: pl.DataFrame,
    months: Mapping[str, dt.date],
    send: Callable[[Request], Answer],
) -> tuple[pl.DataFrame, int]:
    """What the sun says of the clearest day of each plant in the month given for it, and the requests that it took."""
    curves, requests, today = [], 0, patient.runtime.find_today()
    for plant, timezone in (
        plants.filter(pl.col("plant_id").is_in(list(months))).select("plant_id", "timezone").rows()
    ):
        asked = Request("measurements", plant, "", BALANCE, "Month", f"{months[plant]:%Y-%m}")
        requests += 1
        day = basis.clear_day(send(asked).body, timezone, today)
        if day is not None:
            asked = Request("measurements", plant, "", BALANCE, DAY, day.isoformat())
            requests += 1
            curves.append(basis.read_curve(plant, day, send(asked).body))
    return (basis.judge_curves(pl.concat(curves), plants) if curves else pl.DataFrame()), requests


def _send(patient: Patient, admit_try: Admit, request: Request) -> Answer:
    """The answer, by the credential of the plant. Raises SmaError, and CostNotAllowedError in another month."""
    (result,) = fetch_by_plant(patient.runtime.session, [request], admit_try)
    if isinstance(result, Failure):
        raise result.error
    return result


def _select_plants_to_ask(patient: Patient) -> tuple[pl.DataFrame, Admit]:
    """The plants to ask for a clear day, as far as it is agreed what they cost, and what stands before each try.

    The month for which that holds may end meanwhile.
    """
    runtime, today = patient.runtime, patient.runtime.find_today()
    runtime.store_requests()
    prices = load_prices(patient.settings.prices)
    month = find_current_month(runtime, prices)
    counted = read_counted_plants(runtime, prices, month)
    found = basis.select_candidates(patient.plants, counted, today)
    if patient.plants_asked is None:
        chosen = found.filter(pl.col("plant_id").is_in(sorted(counted))).head(PLANTS_ASKED)
        return chosen, MonthGate(runtime, Admission(frozenset(chosen["plant_id"]), month)).check
    chosen = found.head(patient.plants_asked)
    ids = chosen["plant_id"].to_list()
    capacities = patient.plants.select("plant_id", listed_on="last_seen", capacity_kw="ac_power_kw")
    patient.agree(runtime, ids, capacities=capacities)
    admission = admit(runtime, ids, capacities)
    if admission.refused and not admission.plants:
        raise build_refusal(runtime, admission.refused)
    asked = chosen.filter(pl.col("plant_id").is_in(sorted(admission.plants)))
    return asked, MonthGate(runtime, admission).check
