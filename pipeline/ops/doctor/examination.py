"""The doctor at work: gathers facts in the order in which a run would need them, and has them evaluated.

What depends on a check that failed is not tried. Few requests are sent, each of them recorded and under the budget;
none is repeated more than once, since a person waits.
"""

import asyncio
import datetime as dt
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import version
from typing import Protocol
from urllib.parse import urlsplit

import polars as pl

from pipeline.billing import load_prices
from pipeline.billing.requested_units import find_current_month
from pipeline.billing.spending import (
    CostNotAllowedError,
    admit,
    build_refusal,
    find_new_units,
    read_counted_plants,
)
from pipeline.common.errors import SmaError, SunledgerError
from pipeline.common.settings import Settings
from pipeline.extract.consent_refresh import look_again, read_owners
from pipeline.ops.doctor import access_diagnoses, basis, facts, machine, network, own_files, time_zones
from pipeline.ops.doctor.network import Probe
from pipeline.ops.doctor.result import Diagnosis, Level, fail, pass_check, skip
from pipeline.ops.set_aside import describe_set_aside
from pipeline.run.context import RunContext
from pipeline.run.fleet_membership import read_fleet
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.auth.token_source import NO_LOGIN
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.budget.file_store import BudgetState
from pipeline.sma.budget.redis_store import format_address
from pipeline.sma.budget.shared_budget import Budget, open_budget
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.sma.consents.access_problems import GONE_FOR, describe_validity
from pipeline.sma.http.attempt import Limits, Wire
from pipeline.sma.http.error_messages import Call, Reply, explain_transport_fault, is_certificate_fault
from pipeline.sma.http.retry import TOO_MANY_REQUESTS, RetryPolicy
from pipeline.sma.http.transport import Timeouts, load_trusted_authorities
from pipeline.sma.requests import DAY, Request
from pipeline.transform import inventory
from schemas import ApiRequests, Plants

# A person waits: one more try for what fails, none for a refusal of the rate, and no patience for a dead host.
LIMITS = Limits(
    timeouts=Timeouts(connect=5.0, read=30.0, pool=10.0, whole_try=45.0),
    retry=RetryPolicy(tries=2, limited_tries=1),
)
# Plants that are asked for a clear day, each with one request for a month and one for a day of it.
PLANTS_ASKED = 3
AGREE_HINT = (
    "'sunledger doctor --ask-plants 3' tests up to 3 plants, and first shows what SMA charges for them"
)

BALANCE = "EnergyBalance"


class Agree(Protocol):
    """Has somebody agree to the PU of these plants, or raises CostNotAllowedError."""

    def __call__(self, runtime: RunContext, plants: Collection[str], *, capacities: pl.DataFrame) -> None:
        """`capacities` has plant_id, listed_on and capacity_kw."""


def agree_to_nothing(runtime: RunContext, plants: Collection[str], *, capacities: pl.DataFrame) -> None:
    """Nobody is there to be asked: the gate in front of the requests decides by the settings alone."""


@dataclass
class Patient:
    """What is examined, and what was learned on the way."""

    runtime: RunContext
    clock: Clock
    # None: whoever costs nothing more this month.
    plants_asked: int | None
    agree: Agree
    probes: list[Probe] = field(default_factory=list)
    plants: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def settings(self) -> Settings:
        """Of the runtime."""
        return self.runtime.settings

    @property
    def custom(self) -> bool:
        """Whether owners consent, and nobody logs in."""
        return self.settings.sma_flow == "custom"


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """A check, and the checks without whose success it would tell nothing new."""

    name: str
    look: Callable[[Patient], Iterable[Diagnosis]]
    needs: tuple[str, ...] = ()


def examine(
    settings: Settings,
    *,
    clock: Clock | None = None,
    plants_asked: int | None = None,
    agree: Agree = agree_to_nothing,
) -> Iterator[Diagnosis]:
    """Findings as they come, in the order in which a run would fail.

    `plants_asked` plants at most are asked for a clear day, once `agree` let them; SMA bills a plant for the month in
    which it is asked for. With None only plants are that are billed for this month already. Raises CostNotAllowedError.
    """
    clock = clock or Clock()

    def session(settings: Settings) -> SmaSession:
        make = partial(SmaClient, limits=LIMITS, clock=clock, record=runtime.requests.add)
        return SmaSession(settings, make_client=make)

    with RunContext(settings, now=clock.now, make_session=session) as runtime:
        patient = Patient(runtime, clock, plants_asked, agree)
        bad: set[str] = set()
        for check in CHECKS:
            if (check.name == "login" and patient.custom) or (check.name == "consent" and not patient.custom):
                continue
            lacking = [name for name in check.needs if name in bad]
            findings = [skip(check.name, f"skipped until this passes: {', '.join(lacking)}")]
            if not lacking:
                findings = _run_check(check, patient)
            if any(finding.level in {Level.FAIL, Level.SKIP} for finding in findings):
                bad.add(check.name)
            yield from findings


def _run_check(check: DoctorCheck, patient: Patient) -> list[Diagnosis]:
    try:
        return list(check.look(patient))
    except CostNotAllowedError:
        # Nothing is broken: the option asks for something that nobody has consented to.
        raise
    except SunledgerError as error:
        return [fail(check.name, str(error))]


def _check_versions(_: Patient) -> list[Diagnosis]:
    return machine.judge_versions(
        facts.read_python_version(),
        facts.read_required_python(),
        facts.read_installed_packages(),
        facts.read_required_packages(),
        facts.read_locked_packages(),
    )


def _check_disk(patient: Patient) -> list[Diagnosis]:
    found = machine.judge_disk(facts.list_places(patient.settings))
    aside = describe_set_aside(patient.settings)
    return [*found, pass_check("disk", aside)] if aside else found


def _check_folders(patient: Patient) -> list[Diagnosis]:
    found = machine.judge_folders(facts.list_places(patient.settings))
    return [*found, *machine.judge_record(facts.find_unreadable_records(patient.settings))]


def _check_files(patient: Patient) -> list[Diagnosis]:
    return own_files.judge_own_files(patient.settings)


def _check_locks(patient: Patient) -> list[Diagnosis]:
    return machine.judge_locks(
        facts.find_held_locks(patient.settings), facts.find_leftovers(patient.settings)
    )


def _check_tls(_: Patient) -> list[Diagnosis]:
    return network.judge_tls(load_trusted_authorities().cert_store_stats()["x509_ca"], os.environ)


def _check_hosts(patient: Patient) -> list[Diagnosis]:
    patient.probes = asyncio.run(_probe_hosts(patient))
    return network.judge_hosts(patient.probes)


def _check_clock(patient: Patient) -> list[Diagnosis]:
    return network.judge_clock(patient.probes)


def _check_credentials(patient: Patient) -> list[Diagnosis]:
    patient.settings.require_credentials()
    return [pass_check("credentials", f"client {patient.settings.sma_client_id}, secret set")]


def _check_login(patient: Patient) -> list[Diagnosis]:
    login = LoginStore.of(patient.settings).read()
    if not login.refresh_token and not patient.settings.sma_refresh_token.get_secret_value():
        return [fail("login", NO_LOGIN)]
    return [pass_check("login", describe_validity(login))]


def _check_token(patient: Patient) -> list[Diagnosis]:
    patient.runtime.session.use(lambda client: client.tokens.get())
    return [
        pass_check(
            "token", f"issued by {patient.settings.sma_auth_url} for the {patient.settings.sma_flow} flow"
        )
    ]


def _check_consents(patient: Patient) -> list[Diagnosis]:
    problem = look_again(patient.runtime)
    if problem is not None:
        raise problem
    return access_diagnoses.judge_consents(read_owners(patient.settings))


def _check_budget(patient: Patient) -> list[Diagnosis]:
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
    rules = Budget(settings.sma_requests_per_5_min)
    return access_diagnoses.judge_budget_state(rules, state, where, refused.select(pl.len()).collect().item())


def _check_costs(patient: Patient) -> list[Diagnosis]:
    settings = patient.settings
    bill = find_new_units(patient.runtime, ())
    schedules = settings.schedules == "on"
    return access_diagnoses.judge_costs(bill, settings.max_eur_per_month, schedules=schedules)


async def _read_budget_state(patient: Patient) -> BudgetState:
    budget = open_budget(patient.settings, patient.clock)
    try:
        return await budget.look()
    finally:
        await budget.aclose()


def _check_plants(patient: Patient) -> list[Diagnosis]:
    runtime, settings = patient.runtime, patient.settings
    answer = runtime.session.send(Request.plants())
    content = pl.DataFrame({"plant_id": [""], "device_id": [""], "body": [answer.body]})
    listed = inventory.list_plant_ids(content)
    found, _ = inventory.build_plants(content, runtime.find_today())
    fleet = read_fleet(settings)
    left_out = fleet.find_excluded(found).filter(pl.col("excluded_from") <= runtime.find_today())
    patient.plants = found.join(left_out, on="plant_id", how="anti", maintain_order="left")
    before = runtime.lake.scan(Plants).filter(~pl.col("plant_id").is_in(listed)).collect()
    stored = before.join(fleet.find_excluded(before), on="plant_id", how="anti")
    gone = stored.filter(pl.col("last_seen") >= runtime.find_today() - GONE_FOR)["last_seen"].to_list()
    known = pl.concat([found, before.select(found.columns)])
    return [
        *access_diagnoses.judge_plants(
            settings.sma_flow,
            read_owners(settings),
            len(listed),
            gone,
            runtime.find_today(),
            settings.sma_monitoring_url,
        ),
        *access_diagnoses.judge_own_plants(len(listed), left_out.height, fleet.list_unknown(known)),
    ]


def _check_time_zones(patient: Patient) -> list[Diagnosis]:
    """The zones of the plants that are listed and of those that are stored, from the first day on."""
    runtime = patient.runtime
    stored = runtime.lake.scan(Plants).select("timezone").collect()["timezone"]
    listed = patient.plants["timezone"] if patient.plants.height else stored
    names = {*stored, *listed}
    first = dt.datetime.combine(patient.settings.first_day, dt.time(), dt.UTC)
    found = time_zones.find_zone_differences(names, first, runtime.now() + time_zones.AHEAD)
    return time_zones.evaluate_zones(names, version("tzdata"), list(found))


def _check_time_basis(patient: Patient) -> list[Diagnosis]:
    if patient.plants_asked == 0:
        return [skip("time basis", "not tested, because --ask-plants is 0")]
    today = patient.runtime.find_today()
    chosen = _select_plants_to_ask(patient)
    if not chosen.height and patient.plants_asked is None:
        return [
            skip("time basis", f"not tested, because no plant is billed for this month yet: {AGREE_HINT}")
        ]
    newest = basis.choose_probe_month(today)
    judged, requests = _clear_days(patient, chosen, dict.fromkeys(chosen["plant_id"], newest))
    if not basis.has_verdict(judged):
        # In winter an hour more or less brings little energy into the dark. The same plants make no further PU.
        places = chosen.select("plant_id", "timezone", "latitude").iter_rows()
        others = {plant: basis.choose_other_season(zone, latitude, today) for plant, zone, latitude in places}
        there = {plant: month for plant, month in others.items() if month != newest}
        more, asked = _clear_days(patient, chosen, there)
        judged, requests = pl.concat([judged, more], how="diagonal"), requests + asked
    judged = basis.decide_by_noon(judged)
    return basis.evaluate_basis(judged, patient.settings.sma_time_basis, requests)


def _clear_days(
    patient: Patient, plants: pl.DataFrame, months: Mapping[str, dt.date]
) -> tuple[pl.DataFrame, int]:
    """What the sun says of the clearest day of each plant in the month given for it, and the requests that it took."""
    curves, requests, today = [], 0, patient.runtime.find_today()
    for plant, timezone in (
        plants.filter(pl.col("plant_id").is_in(list(months))).select("plant_id", "timezone").rows()
    ):
        asked = Request("measurements", plant, "", BALANCE, "Month", f"{months[plant]:%Y-%m}")
        requests += 1
        day = basis.clear_day(patient.runtime.session.send(asked).body, timezone, today)
        if day is not None:
            asked = Request("measurements", plant, "", BALANCE, DAY, day.isoformat())
            requests += 1
            curves.append(basis.read_curve(plant, day, patient.runtime.session.send(asked).body))
    return (basis.judge_curves(pl.concat(curves), plants) if curves else pl.DataFrame()), requests


def _select_plants_to_ask(patient: Patient) -> pl.DataFrame:
    """The plants that are asked for a clear day, as far as it is agreed what they cost."""
    runtime, today = patient.runtime, patient.runtime.find_today()
    runtime.store_requests()
    prices = load_prices(patient.settings.prices)
    counted = read_counted_plants(runtime, prices, find_current_month(runtime, prices))
    found = basis.select_candidates(patient.plants, counted, today)
    if patient.plants_asked is None:
        return found.filter(pl.col("plant_id").is_in(sorted(counted))).head(PLANTS_ASKED)
    chosen = found.head(patient.plants_asked)
    ids = chosen["plant_id"].to_list()
    capacities = patient.plants.select("plant_id", listed_on="last_seen", capacity_kw="ac_power_kw")
    patient.agree(runtime, ids, capacities=capacities)
    admission = admit(runtime, ids, capacities)
    if admission.refused and not admission.plants:
        raise build_refusal(runtime, admission.refused)
    return chosen.filter(pl.col("plant_id").is_in(sorted(admission.plants)))


def _check_warehouse(patient: Patient) -> list[Diagnosis]:
    path = patient.settings.warehouse
    return machine.judge_warehouse(path, facts.read_publication(path), version("sunledger"))


CHECKS = (
    DoctorCheck("versions", _check_versions),
    DoctorCheck("folders", _check_folders),
    DoctorCheck("files", _check_files),
    DoctorCheck("disk", _check_disk, ("folders",)),
    DoctorCheck("locks", _check_locks),
    DoctorCheck("TLS", _check_tls),
    DoctorCheck("hosts", _check_hosts, ("folders", "TLS")),
    DoctorCheck("clock", _check_clock, ("folders", "TLS")),
    DoctorCheck("credentials", _check_credentials),
    DoctorCheck("login", _check_login, ("credentials",)),
    DoctorCheck("budget", _check_budget, ("folders", "locks")),
    DoctorCheck("costs", _check_costs, ("folders", "files")),
    DoctorCheck("token", _check_token, ("files", "hosts", "credentials", "login", "budget")),
    DoctorCheck("consent", _check_consents, ("token",)),
    DoctorCheck("plants", _check_plants, ("token",)),
    DoctorCheck("time zones", _check_time_zones, ("folders",)),
    DoctorCheck("time basis", _check_time_basis, ("plants",)),
    DoctorCheck("warehouse", _check_warehouse),
)


async def _probe_hosts(patient: Patient) -> list[Probe]:
    settings = patient.settings
    wanted = [
        ("SMA_AUTH_URL", settings.sma_auth_url, "/oauth2/auth"),
        ("SMA_CONSENT_URL", settings.sma_consent_url, "/oauth2/v2/bc-authorize"),
        ("SMA_MONITORING_URL", settings.sma_monitoring_url, "/v1/plants"),
    ]
    wire = Wire(settings, LIMITS, patient.clock, record=patient.runtime.requests.add)
    try:
        asked = [_probe(wire, *where) for where in wanted if patient.custom or where[0] != "SMA_CONSENT_URL"]
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
        return replace(nothing, status=outcome.status, at=wire.clock.now(), date=_read_date(outcome))
    return replace(
        nothing, fault=explain_transport_fault(outcome, host), untrusted=is_certificate_fault(outcome)
    )


def _read_date(reply: Reply) -> dt.datetime | None:
    try:
        date = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.UTC)
