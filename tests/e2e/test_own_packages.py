"""Started in a folder whose packages are called like ours: every process of sunledger finds its own.

As a checkout, and as a wheel that is installed outside of it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.launch import SandboxAddress, run_sandbox
from tests.e2e.conftest import NAMES, ROOT, put_foreign_packages
from tests.ports import find_free_port
from tests.programs import FREE, PATIENCE_S
from tests.samples import take_samples

CHECKOUT = Path(sys.executable).with_name("sunledger")
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "sunledger"}
LOADED = """
{ workspaceOrError { ... on Workspace { locationEntries {
    name locationOrLoadError { __typename ... on PythonError { message } }
} } } }
"""
LAUNCH = """
mutation launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
STATUS = "query run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@pytest.mark.long
def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    files = [path for name in NAMES for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert wanted
    assert wanted <= held


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with packages of somebody else."""
    return put_foreign_packages(tmp_path / "own")


@pytest.fixture
def environment(tmp_path: Path, small_box: SandboxAddress) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMA_", "SUNLEDGER_"))}
    return {**kept, **FREE, "SUNLEDGER_HOME": str(tmp_path / "home"), **small_box.settings()}


@pytest.mark.long
def test_the_sandbox_finds_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with run_sandbox("--plants", "1") as address:
        assert httpx.get(address.url, timeout=60).status_code < 500


@pytest.mark.long
def test_commands_find_their_own(folder: Path, environment: dict[str, str]) -> None:
    listed = subprocess.run(
        [CHECKOUT, "refresh"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (listed.returncode, "up to date" in listed.stderr) == (0, True), listed.stderr


@pytest.mark.long
def test_an_installed_wheel_needs_no_checkout(
    folder: Path, environment: dict[str, str], installed: Path
) -> None:
    days = ["--from", "2021-10-01", "--to", "2021-10-01"]
    query = "SELECT count(*) FROM energy_daily"
    for words in (["backfill", *days], ["sql", query], ["report", "--month", "2021-10"], ["verify"]):
        done = subprocess.run(
            [installed, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (folder / "report-2021-10" / "index.html").is_file()


@pytest.mark.parametrize("of", take_samples(2, ["wheel", "checkout"]))
def test_the_control_room_finds_its_own_and_ends_whole(
    of: str, folder: Path, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    program = CHECKOUT if of == "checkout" else request.getfixturevalue("installed")
    port = find_free_port()
    url = f"http://127.0.0.1:{port}/graphql"
    with (tmp_path / "ui.log").open("w") as said:
        process = subprocess.Popen(
            [program, "ui", "--port", str(port)], cwd=folder, env=environment, stdout=said, stderr=said
        )
        try:
            (location,) = _eventually(lambda: _ask(url, LOADED))["workspaceOrError"]["locationEntries"]
            assert location["name"] == "sunledger"
            assert location["locationOrLoadError"] == {"__typename": "RepositoryLocation"}
            # A run is a process of its own, below that of the code.
            selector = {**REPOSITORY, "jobName": "refresh_lists"}
            launched = _ask(url, LAUNCH, selector=selector)["launchRun"]
            assert launched["__typename"] == "LaunchRunSuccess", launched
            run = launched["run"]["runId"]
            ended = _eventually(lambda: _ended(_ask(url, STATUS, id=run)["runOrError"]["status"]))
            assert ended == "SUCCESS"
            services = _children(process.pid)
            assert len(services) == 3
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
    log = (tmp_path / "ui.log").read_text()
    assert code == 0, log
    assert "Stopping Dagster" in log
    # Dagster has superseded the command that started both before.
    assert "superseded" not in log
    assert _eventually(lambda: not any(_session(service) for service in services))


@pytest.mark.long
def test_a_port_that_is_taken_is_told_before_dagster_starts(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = subprocess.run(
            [CHECKOUT, "ui", "--port", str(port)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 2
    assert f"Dagster can't listen at 127.0.0.1:{port} (Address already in use)" in told.stderr


def _ask(url: str, query: str, **variables: Any) -> Any:
    try:
        answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=60)
    except httpx.HTTPError:
        return None
    return answer.raise_for_status().json()["data"]


def _ended(status: str) -> str:
    return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else ""


def _eventually(look: Any, within_s: float = PATIENCE_S) -> Any:
    """The first result that counts as true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError("It did not happen in time.")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _session(leader: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
