"""The checks of what the credentials give: consents, costs, plants, and their time zones."""

import datetime as dt
from importlib.metadata import version

import polars as pl

from pipeline.billing.spending import find_new_units
from pipeline.common.credentials import find_flow
from pipeline.common.text import pluralize
from pipeline.extract.consent_refresh import look_again, read_owners
from pipeline.extract.due_lists import plan_plant_lists
from pipeline.ops.doctor import access_diagnoses, time_zones
from pipeline.ops.doctor.patient import Patient
from pipeline.ops.doctor.result import Diagnosis, pass_check, warn
from pipeline.run.grid_order_book import GridOrderBook
from pipeline.run.supplied_files.fleet_membership import read_fleet
from pipeline.sma.consents.access_problems import GONE_FOR
from pipeline.sma.requests import Answer, Failure
from pipeline.sma.session_set import fetch_by_plant
from pipeline.transform.lists import inventory, remembered_lists
from schemas import Plants


def examine_consents(patient: Patient) -> list[Diagnosis]:
    """The states of the owners' consents, read from SMA. Raises the SmaError of a service that does not answer."""
    problem = look_again(patient.runtime, patient.credential)
    if problem is not None:
        raise problem
    return access_diagnoses.judge_consents(read_owners(patient.own_settings))


def examine_costs(patient: Patient) -> list[Diagnosis]:
    """What the month's PU cost up to now, and whether a schedule may add to them."""
    settings = patient.settings
    bill = find_new_units(patient.runtime, ())
    schedules = settings.schedules == "on"
    return access_diagnoses.judge_costs(bill, settings.max_eur_per_month, schedules=schedules)


def examine_orders(patient: Patient) -> list[Diagnosis]:
    """Whether the book of orders of `sunledger grid` can be read. Raises SunledgerError."""
    orders = GridOrderBook(patient.settings).list_orders()
    return [
        pass_check(
            "orders", f"the book of 'sunledger grid' has {pluralize(len(orders), 'order')} that can change"
        )
    ]


def examine_plants(patient: Patient) -> list[Diagnosis]:
    """The plants that SMA lists, which `patient.plants` keeps, those that are gone, and those that are left out."""
    runtime, settings = patient.runtime, patient.settings
    requests = plan_plant_lists(runtime)
    results = list(fetch_by_plant(runtime.session, requests))
    failed = [one for one in results if isinstance(one, Failure)]
    answers = [one for one in results if isinstance(one, Answer)]
    if not answers:
        raise failed[0].error
    names = [one.request.owner_id for one in answers]
    content = pl.DataFrame(
        {"plant_id": [""] * len(names), "device_id": names, "body": [one.body for one in answers]}
    )
    listed = inventory.list_plant_ids(content)
    found, _ = inventory.build_plants(content, runtime.find_today())
    fleet = read_fleet(settings)
    # Which id a plant had before is said by the stored list alone.
    known = remembered_lists.remember_plants(runtime.lake.read_whole(Plants), found)
    excluded = fleet.find_excluded(known)
    is_listed = pl.col("plant_id").is_in(listed)
    left_out = excluded.filter(is_listed, pl.col("excluded_from") <= runtime.find_today())
    patient.plants = known.filter(pl.col("plant_id").is_in(found["plant_id"].implode())).join(
        left_out, on="plant_id", how="anti", maintain_order="left"
    )
    before = known.filter(~is_listed)
    silent = {one.request.credential for one in failed}
    if silent:
        named = runtime.find_credentials(before["plant_id"].to_list())
        unknown = [plant for plant, name in named.items() if name in silent]
        before = before.filter(~pl.col("plant_id").is_in(unknown))
    stored = before.join(excluded, on="plant_id", how="anti")
    gone = stored.filter(pl.col("last_seen") >= runtime.find_today() - GONE_FOR)["last_seen"].to_list()
    return [
        *(warn("plants", str(one.error)) for one in failed),
        *access_diagnoses.judge_plants(
            find_flow(settings),
            read_owners(settings),
            len(listed),
            gone,
            runtime.find_today(),
            settings.sma_monitoring_url,
        ),
        *access_diagnoses.judge_own_plants(len(listed), left_out.height, fleet.list_unknown(known)),
    ]


def examine_time_zones(patient: Patient) -> list[Diagnosis]:
    """The zones of the plants that are listed and of those that are stored, from the first day on."""
    runtime = patient.runtime
    stored = runtime.lake.scan(Plants).select("timezone").collect()["timezone"]
    listed = patient.plants["timezone"] if patient.plants.height else stored
    names = {*stored, *listed}
    first = dt.datetime.combine(patient.settings.first_day, dt.time(), dt.UTC)
    found = time_zones.find_zone_differences(names, first, runtime.now() + time_zones.AHEAD)
    return time_zones.evaluate_zones(names, version("tzdata"), list(found))
