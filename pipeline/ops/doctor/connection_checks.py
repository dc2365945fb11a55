"""The checks of the way to SMA: TLS, hosts, clock, credentials, login, token and request budget."""

import asyncio
import datetime as dt
import os
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import polars as pl

from pipeline.common.credentials import find_flow
from pipeline.common.errors import SmaError, SunledgerError
from pipeline.extract.due_lists import count_lists
from pipeline.extract.today_plan import plan_turn
from pipeline.ops.doctor import access_diagnoses, network
from pipeline.ops.doctor.network import Probe
from pipeline.ops.doctor.patient import LIMITS, Patient
from pipeline.ops.doctor.result import Diagnosis, fail, pass_check
from pipeline.run.plant_sessions import split_by_credential
from pipeline.run.plants import list_own_plants
from pipeline.run.supplied_files.fleet_membership import read_today_plants
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.auth.token_source import NO_LOGIN
from pipeline.sma.budget.file_store import BudgetState
from pipeline.sma.budget.redis_store import format_address
from pipeline.sma.budget.shared_budget import Budget, open_budget
from pipeline.sma.consents.access_problems import describe_validity
from pipeline.sma.http.attempt import Wire
from pipeline.sma.http.error_messages import Call, Reply, explain_transport_fault, is_certificate_fault
from pipeline.sma.http.retry import TOO_MANY_REQUESTS
from pipeline.sma.http.server_time import read_server_time
from pipeline.sma.http.transport import load_trusted_authorities
from schemas import ApiRequests, Plants


def examine_tls(_: Patient) -> list[Diagnosis]:
    """Whether there are certificates by which SMA's hosts can be trusted."""
    return network.judge_tls(load_trusted_authorities().cert_store_stats()["x509_ca"], os.environ)


def examine_hosts(patient: Patient) -> list[Diagnosis]:
    """Whether each of SMA's hosts answers. It keeps the answers in `patient.probes`."""
    patient.probes = asyncio.run(_probe_hosts(patient))
    return network.judge_hosts(patient.probes)


def examine_clock(patient: Patient) -> list[Diagnosis]:
    """This machine's clock against the clocks of SMA's hosts, by `patient.probes`."""
    return network.judge_clock(patient.probes)


def examine_credentials(patient: Patient) -> list[Diagnosis]:
    """Whether client id and secret are set."""
    patient.own_settings.require_credentials()
    return [pass_check("credentials", f"client {patient.own_settings.sma_client_id}, secret set")]


def examine_login(patient: Patient) -> list[Diagnosis]:
    """Whether the code flow has a login, and until when."""
    login = LoginStore.of(patient.own_settings).read()
    if not login.refresh_token and not patient.own_settings.sma_refresh_token.get_secret_value():
        return [fail("login", NO_LOGIN)]
    return [pass_check("login", describe_validity(login))]


def examine_token(patient: Patient) -> list[Diagnosis]:
    """Whether SMA issues a token for the credentials."""
    patient.runtime.find_session(patient.credential).use(lambda client: client.tokens.get())
    return [
        pass_check(
            "token",
            f"issued by {patient.own_settings.sma_auth_url} for the {patient.own_settings.sma_flow} flow",
        )
    ]


def examine_budget(patient: Patient) -> list[Diagnosis]:
    """How full the request budget is, what SMA has refused since yesterday, and what the budget leaves out.

    Also what lists take of it.
    """
    settings = patient.settings
    url = settings.budget_url
    where = (
        f"all processes that use {format_address(url)}"
        if url.get_secret_value()
        else f"all processes that use {settings.home}"
    )
    since = patient.runtime.find_today() - dt.timedelta(days=1)
    refused = patient.runtime.lake.scan(ApiRequests).filter(
        pl.col("asked_date") >= since, pl.col("status") == TOO_MANY_REQUESTS
    )
    state = asyncio.run(_read_budget_state(patient))
    rules = Budget(patient.own_settings.sma_requests_per_5_min)
    found = access_diagnoses.judge_budget_state(
        rules, state, where, refused.select(pl.len()).collect().item()
    )
    # Which plants are stored is another check's business.
    with suppress(SunledgerError):
        for credential, limited in split_by_credential(patient.runtime):
            if credential == patient.credential:
                lists = count_lists(limited)
                found.append(access_diagnoses.describe_lists(lists, settings.lists_cycle_days, rules))
        if patient.credential != patient.runtime.credentials[0]:
            # What follows is said once, of all plants.
            return found
        chosen = read_today_plants(settings)
        found += access_diagnoses.judge_shards(settings.shards, list_own_plants(patient.runtime).height)
        unknown = chosen.list_unknown(patient.runtime.lake.scan(Plants).collect())
        found += access_diagnoses.judge_turn(plan_turn(patient.runtime, patient.runtime.now()), unknown)
    return found


async def _read_budget_state(patient: Patient) -> BudgetState:
    budget = open_budget(patient.own_settings, patient.clock)
    try:
        return await budget.look()
    finally:
        await budget.aclose()


async def _probe_hosts(patient: Patient) -> list[Probe]:
    settings = patient.settings
    wanted = [
        ("SMA_AUTH_URL", settings.sma_auth_url, "/oauth2/auth"),
        ("SMA_CONSENT_URL", settings.sma_consent_url, "/oauth2/v2/bc-authorize"),
        ("SMA_MONITORING_URL", settings.sma_monitoring_url, "/v1/plants"),
    ]
    custom = find_flow(settings) == "custom"
    wire = Wire(settings, LIMITS, patient.clock, record=patient.runtime.requests.add)
    try:
        asked = [_probe(wire, *where) for where in wanted if custom or where[0] != "SMA_CONSENT_URL"]
        return list(await asyncio.gather(*asked))
    finally:
        await wire.aclose()


async def _probe(wire: Wire, setting: str, url: str, path: str) -> Probe:
    host = urlsplit(url).netloc
    nothing = Probe(setting, url, None, wire.clock.now())
    try:
        outcome = await wire.try_once(
            Call("GET", path, host, setting), wire.build_page_request(f"{url}{path}")
        )
    except SmaError as error:
        return replace(nothing, status=error.status, at=wire.clock.now())
    if isinstance(outcome, Reply):
        return replace(
            nothing, status=outcome.status, at=wire.clock.now(), date=read_server_time(outcome.headers)
        )
    return replace(
        nothing, fault=explain_transport_fault(outcome, host), untrusted=is_certificate_fault(outcome)
    )
