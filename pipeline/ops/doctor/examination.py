"""The doctor at work: gathers facts in the order in which a run would need them, and has them evaluated.

What depends on a check that failed is not tried. Few requests are sent, each of them recorded and under the budget;
none is repeated more than once, since a person waits.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from pipeline.billing.spending import (
    CostNotAllowedError,
)
from pipeline.common.credentials import Credential
from pipeline.common.errors import ClockApartError, SunledgerError
from pipeline.common.files.refused_files import explain_bad_file, find_refusal
from pipeline.common.settings import Settings
from pipeline.common.store_faults import StoreError
from pipeline.ops.doctor.connection_checks import (
    examine_budget,
    examine_clock,
    examine_credentials,
    examine_hosts,
    examine_login,
    examine_tls,
    examine_token,
)
from pipeline.ops.doctor.machine_checks import (
    examine_disk,
    examine_files,
    examine_folders,
    examine_locks,
    examine_store,
    examine_upkeep,
    examine_versions,
    examine_warehouse,
)
from pipeline.ops.doctor.patient import LIMITS, CostAgreement, Patient, agree_to_nothing
from pipeline.ops.doctor.plant_checks import (
    examine_consents,
    examine_costs,
    examine_orders,
    examine_plants,
    examine_time_zones,
)
from pipeline.ops.doctor.result import Diagnosis, Level, fail, skip
from pipeline.ops.doctor.time_basis_check import examine_time_basis
from pipeline.run.context import RunContext
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from warehouse.verification.known_tables import LakeLostError


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """A check, and the checks without whose success it would tell nothing new."""

    name: str
    look: Callable[[Patient], Iterable[Diagnosis]]
    needs: tuple[str, ...] = ()
    # Whether it is made for each of several credentials.
    of_each: bool = False


def examine(
    settings: Settings,
    *,
    clock: Clock | None = None,
    plants_asked: int | None = None,
    agree: CostAgreement = agree_to_nothing,
) -> Iterator[Diagnosis]:
    """Findings as they come, in the order in which a run would fail.

    `plants_asked` plants at most are asked for a clear day, once `agree` let them; SMA bills a plant for the month in
    which it is asked for. With None only plants are that are billed for this month already. Raises CostNotAllowedError.
    """
    clock = clock or Clock()

    def session(settings: Settings) -> SmaSession:
        make = partial(SmaClient, limits=LIMITS, clock=clock, record=runtime.requests.add)
        return SmaSession(settings, make_client=make)

    failures = _Failures()
    # A lake or store that is gone was reported already, and its requests stay in the home until it is there.
    with (
        suppress(LakeLostError, StoreError),
        RunContext(settings, now=clock.now, make_session=session) as runtime,
    ):
        try:
            credentials = runtime.credentials
        except SunledgerError as error:
            yield fail("credentials", str(error))
            return
        patient = Patient(runtime, clock, plants_asked, agree, credentials[0])
        for check in CHECKS:
            yield from _check_credentials(check, patient, credentials, failures)


@dataclass(slots=True)
class _Failures:
    """The names of checks that failed for all credentials, and for each of them by its name."""

    of_all: set[str] = field(default_factory=set)
    of_credential: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def find_lacking(self, check: DoctorCheck, credential: str) -> list[str]:
        """The checks that this one needs, and that failed."""
        return [one for one in check.needs if one in self.of_all | self.of_credential[credential]]


def _check_credentials(
    check: DoctorCheck, patient: Patient, credentials: Sequence[Credential], failures: _Failures
) -> Iterator[Diagnosis]:
    """Findings of one check, for each credential if it is of each; notes in `failures` where it did not pass."""
    passes = False
    for patient.credential in credentials if check.of_each else credentials[:1]:
        if not _concerns(check, patient):
            passes = True
            continue
        name = patient.credential.name if check.of_each else ""
        if lacking := failures.find_lacking(check, name):
            findings = [skip(check.name, f"skipped until this passes: {', '.join(lacking)}")]
        else:
            findings = _run_check(check, patient)
        if any(finding.level in {Level.FAIL, Level.SKIP} for finding in findings):
            failures.of_credential[name].add(check.name)
        else:
            passes = True
        yield from (_name_credential(finding, name) for finding in findings)
    # A check of the whole passes if it passes for one credential.
    if not passes:
        failures.of_all.add(check.name)


def _name_credential(finding: Diagnosis, name: str) -> Diagnosis:
    return replace(finding, text=f"{name}: {finding.text}") if name else finding


def _concerns(check: DoctorCheck, patient: Patient) -> bool:
    """Whether these settings have what is checked."""
    has = {
        "login": not patient.custom,
        "consent": patient.custom,
        "orders": patient.settings.grid_control != "off",
        STORE: _has_store(patient.settings),
    }
    return has.get(check.name, True)


def _has_store(settings: Settings) -> bool:
    return "://" in settings.lake or settings.published_object is not None


def _run_check(check: DoctorCheck, patient: Patient) -> list[Diagnosis]:
    try:
        return list(check.look(patient))
    except CostNotAllowedError:
        # Nothing is broken: the option asks for something that nobody has consented to.
        raise
    except ClockApartError as error:
        # That was said already, unless this host's clock alone differs from the others'.
        if any(finding.level is Level.FAIL for finding in examine_clock(patient)):
            return [skip(check.name, "skipped until this passes: clock")]
        return [fail(check.name, str(error))]
    except SunledgerError as error:
        return [fail(check.name, str(error))]
    except OSError as fault:
        # A file that a check can't read is no reason to say nothing of all else.
        why = fault.strerror or "no reason is given"
        return [fail(check.name, str(find_refusal(fault) or explain_bad_file(fault, why)))]


STORE = "object store"
CHECKS = (
    DoctorCheck("versions", examine_versions),
    DoctorCheck("folders", examine_folders),
    DoctorCheck("files", examine_files),
    DoctorCheck("disk", examine_disk, ("folders",)),
    DoctorCheck(STORE, examine_store),
    DoctorCheck("locks", examine_locks),
    DoctorCheck("TLS", examine_tls),
    DoctorCheck("hosts", examine_hosts, ("folders", "TLS")),
    DoctorCheck("clock", examine_clock, ("folders", "TLS")),
    DoctorCheck("credentials", examine_credentials, of_each=True),
    DoctorCheck("login", examine_login, ("credentials",), of_each=True),
    DoctorCheck("budget", examine_budget, ("folders", "locks"), of_each=True),
    DoctorCheck("costs", examine_costs, ("folders", "files", STORE)),
    DoctorCheck("orders", examine_orders),
    DoctorCheck(
        "token", examine_token, ("files", STORE, "hosts", "credentials", "login", "budget"), of_each=True
    ),
    DoctorCheck("consent", examine_consents, ("token",), of_each=True),
    DoctorCheck("plants", examine_plants, ("token",)),
    DoctorCheck("time zones", examine_time_zones, ("folders", STORE)),
    DoctorCheck("time basis", examine_time_basis, ("plants",)),
    DoctorCheck("warehouse", examine_warehouse),
    DoctorCheck("upkeep", examine_upkeep, ("folders", STORE, "warehouse")),
)
