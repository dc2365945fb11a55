"""What is said of an object store that can't be used, and that nothing is asked of SMA then."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from assets.asset_builders import may_pass
from pipeline.common.errors import UsageError
from pipeline.common.settings import load_settings
from pipeline.common.store_faults import StoreError, StoreUnavailableError, build_store_error
from pipeline.ops.doctor import examination
from pipeline.ops.doctor.examination import STORE
from pipeline.ops.doctor.machine_checks import examine_store
from pipeline.ops.doctor.patient import Patient, agree_to_nothing
from pipeline.run.context import RunContext
from pipeline.run.preflight import check_before_requests
from pipeline.sma.clock import Clock
from schemas import EnergyDaily
from tests.ports import find_free_port
from tests.warehouse.object_stores import Store
from tests.warehouse.three_days import DAYS, frame_of
from warehouse import object_store
from warehouse.integrity.store_check import check_store
from warehouse.lake import Lake
from warehouse.verification.known_tables import KnownTables, LakeLostError

PERMANENT = {
    "refused": "refuses these credentials: check AWS_ACCESS_KEY_ID",
    "no-bucket": "has no such bucket: check SUNLEDGER_LAKE",
    "region": "has this bucket in another region: set AWS_REGION",
    "ignores-condition": r"puts an object that is there already.*one would lose its rows: use a store that keeps this",
    "no-condition": r"has no conditional puts \(If-None-Match: \*\)",
    "lists-late": "does not list an object that was just put there",
    "no-delete": "refuses these credentials: .* may list, read, write and delete",
    "keeps-deleted": "still lists an object that was just deleted: give the key the right to delete",
}


@contextmanager
def broken(kind: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.warehouse.broken_store", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", "us-east-1")]:
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    # Nobody waits for a store that stays broken.
    monkeypatch.setitem(object_store.DELTA_RETRIES, "max_retries", "1")


@pytest.mark.parametrize("kind", PERMANENT)
def test_a_store_that_will_not_do_is_refused_before_the_first_request(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broken(kind) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        settings = load_settings(env_file=None, home=tmp_path / "home", lake="s3://bucket/lake")
        with pytest.raises(StoreError, match=PERMANENT[kind]) as said:
            check_before_requests(settings)
        # It would refuse the next day as well: the run ends, as for any wrong setting.
        assert isinstance(said.value, UsageError)
        assert not may_pass(said.value)
        with RunContext(settings) as runtime:
            runtime.opened.lake = Lake(str(tmp_path / "lake"), tmp_path)
            patient = Patient(runtime, Clock(), None, agree_to_nothing, runtime.credentials[0])
            check = examination.DoctorCheck(STORE, examine_store)
            (line,) = examination._run_check(check, patient)
        assert line.text == str(said.value)


def test_a_store_that_is_gone_may_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = find_free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    lake = Lake("s3://bucket/lake", tmp_path)
    for use in (
        lambda: lake.open(EnergyDaily),
        lambda: KnownTables(tmp_path, tmp_path / "none").record(lake),
        lambda: lake.replace(EnergyDaily, {"local_date": DAYS[0]}, [frame_of(EnergyDaily, DAYS[0], 1.0)]),
        lambda: check_store(lake.root),
    ):
        with pytest.raises(StoreUnavailableError, match=rf"127\.0\.0\.1:{port} can't be reached") as said:
            use()
        assert may_pass(said.value)
        assert said.value.exit_code == 1
    with broken("busy") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(StoreUnavailableError, match="has a fault or too much to do"):
            check_store(lake.root)


def test_http_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="set AWS_ALLOW_HTTP=true"):
        check_store("s3://bucket/lake")


def test_a_sound_store_passes_and_keeps_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.address)
    httpx.put(f"{store.address}/sound", timeout=60).raise_for_status()
    check_store("s3://sound/lake")
    assert "<Key>" not in httpx.get(f"{store.address}/sound").text


def test_a_lake_that_is_gone_from_its_bucket_is_not_taken_for_a_new_one(store: Store, tmp_path: Path) -> None:
    httpx.put(f"{store.address}/lost", timeout=60).raise_for_status()
    lake = store.lake("lost", tmp_path / "tmp")
    known = KnownTables(tmp_path / "home", tmp_path / "none")
    known.check_tables(lake)
    lake.replace(EnergyDaily, {"local_date": DAYS[0]}, [frame_of(EnergyDaily, DAYS[0], 1.0)])
    known.record(lake)
    known.check_tables(lake)
    with pytest.raises(LakeLostError, match=r"s3://lost/lake-of-another is lost"):
        known.check_tables(Lake("s3://lost/lake-of-another", lake.scratch, lake.storage_options))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("[Errno 28] No space left on device", None),
        (
            "Generic S3 error: Error performing GET https://u:secret@host/b: operation timed out",
            "at host can't be",
        ),
        (
            "Generic GCS error: Error performing GET http://169.254.169.254/computeMetadata/v1: 403 Forbidden",
            "can't be used without credentials: check GOOGLE_APPLICATION_CREDENTIALS and SUNLEDGER_LAKE.",
        ),
        (
            "Generic MicrosoftAzure error: 403 Forbidden",
            "check AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
        ),
        ("Generic S3 error: something new", "did not do what was asked of it"),
    ],
)
def test_texts_of_libraries(said: str, meant: str | None) -> None:
    error = build_store_error(said)
    assert (error is None) if meant is None else (meant in str(error) and "secret" not in str(error))
