"""Set-ups as they are met, each broken in one way, and words of the cure; docs/doctor.md shows what is said to them."""

import datetime as dt
import os
import signal
import ssl
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.common.settings import Settings
from pipeline.ops.doctor.result import Level
from pipeline.sma.auth.login_store import Login, LoginStore
from pipeline.sma.auth.secret_files import prepare_credentials_folder
from pipeline.sma.budget.file_store import BudgetState, Moment, pack_state
from pipeline.sma.budget.shared_budget import find_state_file
from pipeline.sma.consents.consent_api import Consent, ConsentState
from pipeline.sma.consents.consent_book import ConsentBook
from sandbox.granted_consents import SandboxConsentState as SandboxState
from sandbox.options import DEFAULT_CLIENT_ID
from tests.access.browser import OWNER
from tests.ops.doctor.ground import CODE_CLIENT, Build, Ground
from tests.sandbox.served_sandbox import NOW
from tests.sma.conftest import ScriptedServer
from warehouse.lake import Lake

SELF_SIGNED = Path(__file__).parents[2] / "sma" / "data" / "self-signed.pem"
HOLDER = """
import fcntl, os, sys, signal
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
signal.pause()
"""


@dataclass(frozen=True)
class Setup:
    """`check` and `level` are of the finding that tells what is broken; `cure` are words of it."""

    title: str
    build: Build
    check: str
    cure: str
    level: Level = Level.FAIL


SETUPS: list[Setup] = []


def setup(title: str, check: str, cure: str, level: Level = Level.FAIL):  # type: ignore[no-untyped-def]
    """Adds a set-up to the list."""

    def add(build: Build) -> Build:
        SETUPS.append(Setup(title, build, check, cure, level))
        return build

    return add


@setup("No credentials", "credentials", "put the values of SMA's developer portal into")
def no_credentials(ground: Ground) -> Settings:
    return ground.settings(sma_client_id="", sma_client_secret="")


@setup("A host name that does not exist", "hosts", "check the network, SMA_ENVIRONMENT and SMA_AUTH_URL")
def dead_host(ground: Ground) -> Settings:
    return ground.settings(sma_auth_url="http://127.0.0.1:9")


@setup("The Monitoring URL without its prefix", "plants", "check SMA_MONITORING_URL, the part before /v1")
def without_prefix(ground: Ground) -> Settings:
    return ground.settings(sma_monitoring_url=ground.url)


@setup(
    "A certificate without a trusted authority",
    "hosts",
    "set SSL_CERT_FILE to your organisation's certificates",
)
def untrusted(ground: Ground) -> Settings:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SELF_SIGNED)
    server = ScriptedServer(tls)
    server.start()
    ground.stack.callback(server.stop)
    ground.hide(server.url, "https://monitoring.example.com")
    return ground.settings(sma_monitoring_url=server.url)


@setup("SSL_CERT_FILE names a file without certificates", "TLS", "set it to your organisation's certificates")
def no_certificates(ground: Ground) -> Settings:
    file = ground.folder / "certificates.pem"
    file.write_text("none\n")
    ground.patch.setenv("SSL_CERT_FILE", str(file))
    return ground.settings()


@setup("A clock that is twelve minutes fast", "clock", "set the clock, for instance with timedatectl")
def fast_clock(ground: Ground) -> Settings:
    ground.clock_ahead = dt.timedelta(minutes=12)
    return ground.settings()


@setup("A wrong secret", "token", "check SMA_CLIENT_ID and SMA_CLIENT_SECRET")
def wrong_secret(ground: Ground) -> Settings:
    return ground.settings(sma_client_secret="of-another-client")


@setup("A client of the code flow in the custom flow", "token", "set SMA_FLOW=code and run 'sunledger login'")
def wrong_flow(ground: Ground) -> Settings:
    ground.sandbox()
    return ground.settings(**{**CODE_CLIENT, "sma_flow": "custom"})


@setup("The code flow before the first login", "login", "run 'sunledger login'")
def no_login(ground: Ground) -> Settings:
    return ground.settings(**CODE_CLIENT)


@setup("A login that has expired", "token", "run 'sunledger login'")
def ended_login(ground: Ground) -> Settings:
    settings = ground.settings(**CODE_CLIENT)
    Path(LoginStore.of(settings).place).parent.mkdir(parents=True, exist_ok=True)
    LoginStore.of(settings).write(
        Login(refresh_token="of-last-month", logged_in_at=NOW - dt.timedelta(days=31))
    )
    return settings


@setup("No owner has been asked", "plants", "ask each owner with 'sunledger consent request EMAIL'")
def nobody_asked(ground: Ground) -> Settings:
    ground.sandbox(owners_without_consent=12)
    return ground.settings()


@setup("An owner who has revoked the consent", "plants", "talk to the owner, then ask again with")
def revoked(ground: Ground) -> Settings:
    box = ground.sandbox(plants=3)
    settings = ground.settings()
    accepted = Consent(ConsentState.ACCEPTED, None, 1800.0)
    ConsentBook.of(settings).note({OWNER: accepted}, NOW - dt.timedelta(days=2), asked=True)
    assert box.world.consents.answer(DEFAULT_CLIENT_ID, OWNER, SandboxState.REVOKED)
    return settings


@setup("SMA has just refused a request because of its rate", "budget", "wait, and if it happens again, lower")
def refused(ground: Ground) -> Settings:
    settings = ground.settings()
    file = find_state_file(settings)
    file.parent.mkdir(parents=True)
    moment = Moment.of(0.0, NOW.timestamp())
    file.write_bytes(pack_state(BudgetState(moment, level=0.0, pause_s=120.0, pace=0.7)))
    ground.patch.setattr("pipeline.sma.budget.file_store.Moment.measure_since", lambda *_: 0.0)
    return settings


@setup("No budget is set", "budget", "set SMA_REQUESTS_PER_5_MIN to the number in your contract", Level.WARN)
def no_budget(ground: Ground) -> Settings:
    return ground.settings(sma_requests_per_5_min=None)


@setup(
    "The Redis of the request budget can't be reached",
    "budget",
    "check SUNLEDGER_BUDGET_URL and that Redis runs",
)
def no_redis(ground: Ground) -> Settings:
    return ground.settings(budget_url="redis://me:secret@127.0.0.1:9/0")


@setup("The wrong time basis", "time basis", "Set SMA_TIME_BASIS=plant_local")
def wrong_basis(ground: Ground) -> Settings:
    return ground.settings(sma_time_basis="utc")


@setup(
    "No plant is billed for this month, and none is named",
    "time basis",
    "'sunledger doctor --ask-plants 3'",
    Level.SKIP,
)
def nobody_billed(ground: Ground) -> Settings:
    ground.plants_asked = None
    return ground.settings()


@setup("An excluded plant that SMA does not list", "plants", "match no plant: 5000099", Level.WARN)
def unknown_exclusion(ground: Ground) -> Settings:
    return ground.settings(exclude_plants="5000099")


@setup("Schedules without a cost limit", "costs", "set SUNLEDGER_MAX_EUR_PER_MONTH", Level.WARN)
def no_limit(ground: Ground) -> Settings:
    ground.plants_asked = 0
    return ground.settings(max_eur_per_month=None, schedules="on")


@setup("A nearly full disk", "disk", "free some space, or set SUNLEDGER_HOME to a larger disk")
def full_disk(ground: Ground) -> Settings:
    ground.free_bytes = 10**9
    return ground.settings()


@setup("A home that is a file", "folders", "set SUNLEDGER_HOME to another path")
def home_is_a_file(ground: Ground) -> Settings:
    (ground.folder / "home").write_text("")
    return ground.settings()


@setup("A price list that does not exist", "files", "set SUNLEDGER_PRICES")
def no_prices(ground: Ground) -> Settings:
    return ground.settings(prices=ground.folder / "prices.toml")


@setup("Irradiation without the column of the plant", "files", "write a header with 'plant_id")
def no_plant_column(ground: Ground) -> Settings:
    file = ground.folder / "irradiation.csv"
    file.write_text("interval_start,interval_end,w_per_m2\n")
    return ground.settings(irradiation=file)


@setup("A limit without a value", "files", "give one of the two")
def no_limit_value(ground: Ground) -> Settings:
    file = ground.folder / "limits.csv"
    file.write_text("plant_id,limit_start,limit_end,limit_kw\n1,2026-06-01T10:00:00Z,,\n")
    return ground.settings(curtailment_limits=file)


@setup("A suspended process holds the budget", "locks", "resume it with kill -CONT")
def stopped(ground: Ground) -> Settings:
    settings = ground.settings()
    file = find_state_file(settings)
    file.parent.mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, str(file)]
    process = ground.stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    ground.stack.callback(process.kill)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    ground.hide(str(process.pid), "4711")
    ground.hide(file.stem, "0c5c9a5f2e77aa01")
    return settings


@setup("A private file of a killed login", "locks", "may hold a token: delete", Level.WARN)
def left_behind(ground: Ground) -> Settings:
    settings = ground.settings()
    # Of the process that made it: one that has surely ended.
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    folder = prepare_credentials_folder(settings.home)
    (folder / f".login-0c5c9a.json.{process.pid}-5f2e77aa").touch()
    ground.hide(f".{process.pid}-", ".4711-")
    return settings


@setup(
    "A published file of another version",
    "warehouse",
    "run 'sunledger publish'",
    Level.WARN,
)
def other_version(ground: Ground) -> Settings:
    from warehouse.published_file.publish import publish  # noqa: PLC0415 - the others need no DuckDB

    settings = ground.settings()
    ground.patch.setattr("warehouse.published_file.origin_tables.hash_schema", lambda _: "of another version")
    publish(Lake(settings.lake, settings.home / "tmp"), settings.warehouse, now=NOW, version="0.0.9")
    return settings


@setup("A published file that is behind the lake", "warehouse", "run 'sunledger publish'", Level.WARN)
def behind(ground: Ground) -> Settings:
    from schemas import EnergyDaily  # noqa: PLC0415 - the others need no DuckDB
    from tests.small_lake import FIRST, make_frame  # noqa: PLC0415
    from warehouse.published_file.publish import publish  # noqa: PLC0415

    settings = ground.settings()
    lake = Lake(settings.lake, settings.home / "tmp")
    publish(lake, settings.warehouse, now=NOW, version=version("sunledger"))
    lake.replace(
        EnergyDaily,
        {"local_date": FIRST},
        [make_frame(EnergyDaily, [{"plant_id": "1", "local_date": FIRST}])],
    )
    ground.patch.setattr(
        "warehouse.published_file.publication_lag._read_moment", lambda *_: NOW - dt.timedelta(days=1)
    )
    return settings


@setup(
    "A published file that another program opened for writing",
    "warehouse",
    "Run 'sunledger publish' to build it again",
)
def written_to(ground: Ground) -> Settings:
    from warehouse.published_file.publish import publish  # noqa: PLC0415 - the others need no DuckDB

    settings = ground.settings()
    publish(Lake(settings.lake, settings.home / "tmp"), settings.warehouse, now=NOW, version="0.0.9")
    log = settings.warehouse.with_name(f"{settings.warehouse.name}.wal")
    log.unlink()
    log.write_bytes(b"left by a program that was killed")
    return settings


@setup(
    "A published file with a changed byte",
    "warehouse",
    "Run 'sunledger publish' to build it again",
)
def flipped(ground: Ground) -> Settings:
    from warehouse.published_file.publish import publish  # noqa: PLC0415 - the others need no DuckDB

    settings = ground.settings()
    publish(Lake(settings.lake, settings.home / "tmp"), settings.warehouse, now=NOW, version="0.0.9")
    content = bytearray(settings.warehouse.read_bytes())
    content[-1] ^= 1
    settings.warehouse.write_bytes(content)
    return settings


@setup("Packages of other versions", "versions", "set the environment up again with 'make setup'")
def other_packages(ground: Ground) -> Settings:
    ground.patch.setattr(
        "pipeline.ops.doctor.facts.read_installed_packages", lambda: {"polars": "1.9.0", "dagster": "1.13.27"}
    )
    ground.patch.setattr(
        "pipeline.ops.doctor.facts.read_required_packages", lambda: ["polars>=2.1,<3", "dagster==1.13.27"]
    )
    return ground.settings()
